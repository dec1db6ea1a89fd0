"""How a client proves who it is; no secret shows in a ``repr``."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from eventhub.errors import RegistryError
from eventhub.registry.addresses import Address

_LEAST_SECRET = 4  # characters; a shorter one is part of too many words


@dataclass(frozen=True, slots=True)
class Basic:
    """A user and a password."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token, or a function that gets a fresh one; it is asked again once when the registry answers 401."""

    token: str | Callable[[], Awaitable[str]] = field(repr=False)


class Proof:
    """What stands in the ``Authorization`` header, and the token that was got last."""

    def __init__(self, auth: Basic | Bearer | None) -> None:
        self._auth = auth
        self._token: str | None = None

    async def header(self, address: Address) -> str | None:
        """The header for an address, or None; a user in the address itself comes first."""
        match self._auth:
            case _ if address.username is not None:
                return _basic(address.username, address.password)
            case Basic(username, password):
                return _basic(username, password)
            case Bearer(token):
                if self._token is None:
                    self._token = token if isinstance(token, str) else await _fetched(token)
                return f"Bearer {_sendable(self._token)}"
            case _:
                return None

    def secrets(self, address: Address, header: str | None) -> list[str]:
        """What is not to be shown of a header, and of what stands behind it."""
        found = [address.password]
        if isinstance(self._auth, Basic):
            found.append(self._auth.password)
        if header is not None:
            found.append(header.partition(" ")[2])
        return [secret for secret in found if len(secret) >= _LEAST_SECRET]

    async def refresh(self, address: Address) -> bool:
        """Get a fresh token; False if there is no way to get one for this address."""
        match self._auth:
            case Bearer(token) if address.username is None and not isinstance(token, str):
                self._token = await _fetched(token)
                return True
            case _:
                return False


def fits_header(text: str) -> bool:
    """Whether a header can hold a text; the libraries below would show one that does not fit in their error."""
    return text.isascii() and text.isprintable()


def _sendable(token: str) -> str:
    """The token, if a header can hold it."""
    if not fits_header(token):
        msg = "the token for the schema registry holds letters that no header can; see how it is read"
        raise RegistryError(msg, retriable=False)
    return token


async def _fetched(token: Callable[[], Awaitable[str]]) -> str:
    """A fresh token.

    Raises:
        RegistryError: Whatever the function raises: without a token there is no registry, and no record is to blame.
    """
    try:
        return await token()
    except Exception as error:
        name = type(error).__name__  # whose text may hold the secret that was shown to the issuer
        msg = f"no token for the schema registry: {name}; see to what issues the tokens"
        raise RegistryError(msg) from error


def _basic(username: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"
