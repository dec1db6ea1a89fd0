"""Which texts a class takes for what: pydantic parses a text whose schema has a format, and refuses all others.

The rules of registries pass over ``format``, as JSON Schema itself does. A class does not: a moment that is read as a
day, or a text as a number of a customer, is a dead letter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_UUIDS: Final = ("uuid1", "uuid3", "uuid4", "uuid5", "uuid6", "uuid7", "uuid8")
_ADDRESSES: Final = {"ipv4", "ipv6", "ipvanyaddress"}
_NETWORKS: Final = {"ipv4network", "ipv6network", "ipvanynetwork"}
_INTERFACES: Final = {"ipv4interface", "ipv6interface", "ipvanyinterface"}
_BY_THEMSELVES: Final = (
    "date", "time", "duration", *_UUIDS, "uri", "multi-host-uri", "email", "color", "regex",
    "file-path", "directory-path", "ipv4", "ipv6", "base64",
)  # fmt: skip

PARSED: Final[Mapping[str, frozenset[str]]] = {
    **{name: frozenset({name}) for name in _BY_THEMSELVES},
    "date-time": frozenset({"date-time", "date"}),
    "uuid": frozenset({"uuid", *_UUIDS}),
    "name-email": frozenset({"name-email", "email"}),
    "base64url": frozenset({"base64url", "base64"}),
    "ipvanyaddress": frozenset(_ADDRESSES),
    "ipv4network": frozenset({"ipv4network", "ipv4"}),
    "ipv6network": frozenset({"ipv6network", "ipv6"}),
    "ipvanynetwork": frozenset(_NETWORKS | _ADDRESSES),
    "ipv4interface": frozenset({"ipv4interface", "ipv4network", "ipv4"}),
    "ipv6interface": frozenset({"ipv6interface", "ipv6network", "ipv6"}),
    "ipvanyinterface": frozenset(_INTERFACES | _NETWORKS | _ADDRESSES),
}
"""For each format of which pydantic parses the texts, the formats of which it takes every text.

Paths, passwords and formats of a user's own are not here, since any text is taken for them. No format says whether a
moment has a zone.
"""
