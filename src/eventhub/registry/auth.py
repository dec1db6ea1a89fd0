"""How a client proves who it is; no secret shows in a ``repr``."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from eventhub.registry.addresses import Address


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
            case Bearer(str(token)):
                return f"Bearer {token}"
            case Bearer():
                if self._token is None:
                    await self.refresh(address)
                return f"Bearer {self._token}"
            case None:
                return None

    async def refresh(self, address: Address) -> bool:
        """Get a fresh token; False if there is no way to get one for this address."""
        match self._auth:
            case Bearer(token) if address.username is None and not isinstance(token, str):
                self._token = await token()
                return True
            case _:
                return False


def _basic(username: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"
