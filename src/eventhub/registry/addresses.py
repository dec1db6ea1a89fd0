"""The addresses of a registry: read from URLs, and tried in an order that learns from failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit, urlunsplit

from eventhub.clock import Clock
from eventhub.errors import DeclarationError

_SET_BACK = 30.0
"""How long, in seconds, an address that failed is tried last."""
_IMPATIENCE = 1.0
"""How long, in seconds, an address is waited for while others are left to try."""
_WAIT_INITIAL, _WAIT_MAX = 0.1, 2.0


@dataclass(frozen=True, slots=True)
class Address:
    """One address, apart from the credentials that stood in it."""

    url: str
    """Without credentials and without a slash at the end."""
    username: str | None = None
    password: str = field(default="", repr=False)


def parse_addresses(urls: str | Sequence[str]) -> tuple[Address, ...]:
    """One URL, several separated by commas, or several.

    Raises:
        DeclarationError: If one is no ``http://`` or ``https://`` URL; the message holds no password.
    """
    texts = [text.strip() for text in (urls.split(",") if isinstance(urls, str) else urls)]
    has_user = any("@" in text for text in texts)
    addresses = tuple(_address(text, has_user=has_user) for text in texts)
    if not addresses:
        msg = 'no registry address; give one as "http://host:8081"'
        raise DeclarationError(msg)
    return addresses


def _address(text: str, *, has_user: bool) -> Address:
    """One URL of some of which one has a user; user and password in it are percent-decoded."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
        scheme, _, rest = text.partition("//")
        cut_off = has_user and "@" not in rest  # it may end within a password
        shown = f"{scheme}//..." if cut_off else text.rpartition("@")[2]
        hint = ", a comma in a password as %2C" if cut_off else ""
        msg = f'{shown!r} is no address of a Schema Registry; give one as "http://host:8081"{hint}'
        raise DeclarationError(msg)
    place = f"[{host}]" if ":" in host else host
    url = urlunsplit((parts.scheme, place if port is None else f"{place}:{port}", parts.path.rstrip("/"), "", ""))
    username = None if parts.username is None else unquote(parts.username)
    return Address(url, username, unquote(parts.password or ""))


class Rotation:
    """The order in which addresses are tried: the one that answered last stays first, those that failed go last."""

    def __init__(self, addresses: Sequence[Address], clock: Clock) -> None:
        """Begin with the order given."""
        self._addresses = list(addresses)
        self._clock = clock
        self._failed_until: dict[Address, float] = {}

    def order(self) -> list[Address]:
        """Every address, the most hopeful first."""
        now = self._clock.monotonic()
        return sorted(self._addresses, key=lambda address: max(self._failed_until.get(address, now) - now, 0.0))

    def failed(self, address: Address) -> None:
        """Set an address back."""
        self._failed_until[address] = self._clock.monotonic() + _SET_BACK


def shares(order: Sequence[Address], limit: float) -> list[tuple[Address, float]]:
    """How long, in seconds, each address is waited for in one round: the last one as long as there is time."""
    return [(address, min(_IMPATIENCE, limit / len(order))) for address in order[:-1]] + [(order[-1], limit)]


def back_off(attempt: int, draw: float) -> float:
    """The seconds to wait after a round in which no address answered; ``draw`` is a random number below 1."""
    return min(_WAIT_MAX, _WAIT_INITIAL * 2.0 ** min(attempt, 10)) * (0.5 + draw / 2)
