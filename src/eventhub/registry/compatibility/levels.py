"""What the seven compatibility levels ask of a new version.

Source: Confluent Schema Registry, "Schema Evolution and Compatibility".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeVar

from eventhub.registry.base import Compatibility
from eventhub.registry.compatibility.parsed import Parsed, problems_between
from eventhub.registry.compatibility.problem import Problem


class _Asks(NamedTuple):
    """One level, taken apart."""

    new_reads_old: bool
    old_reads_new: bool
    transitive: bool


_LEVELS: Final[Mapping[Compatibility, _Asks]] = {
    Compatibility.BACKWARD: _Asks(new_reads_old=True, old_reads_new=False, transitive=False),
    Compatibility.BACKWARD_TRANSITIVE: _Asks(new_reads_old=True, old_reads_new=False, transitive=True),
    Compatibility.FORWARD: _Asks(new_reads_old=False, old_reads_new=True, transitive=False),
    Compatibility.FORWARD_TRANSITIVE: _Asks(new_reads_old=False, old_reads_new=True, transitive=True),
    Compatibility.FULL: _Asks(new_reads_old=True, old_reads_new=True, transitive=False),
    Compatibility.FULL_TRANSITIVE: _Asks(new_reads_old=True, old_reads_new=True, transitive=True),
}


@dataclass(frozen=True, slots=True)
class Conflict:
    """A problem between a new schema and an earlier version."""

    version: int
    """The earlier version."""
    new_reads: bool
    """Whether the new schema reads the earlier one's data; otherwise the reverse."""
    problem: Problem

    def __str__(self) -> str:
        """The problem, and which two schemas it stands between."""
        sides = (
            f"new schema reading version {self.version}"
            if self.new_reads
            else f"version {self.version} reading the new schema"
        )
        return f"{self.problem} ({sides})"


class Numbered(Protocol):
    """One version of a subject, whatever else is known of it."""

    @property
    def version(self) -> int:
        """Its number."""
        ...


_Version = TypeVar("_Version", bound=Numbered)


def conflicts(
    level: Compatibility, new: Parsed, earlier: Sequence[_Version], read: Callable[[_Version], Parsed]
) -> tuple[Conflict, ...]:
    """Why a level forbids a new schema after earlier versions; empty if it allows it.

    Args:
        level: The level.
        new: The new schema.
        earlier: The versions before it, oldest first.
        read: Gets the schema of one of them; asked for those that the level compares, one at a time, so that not all
            of a long history have to be in memory.
    """
    if level is Compatibility.NONE:
        return ()
    asks = _LEVELS[level]
    found: list[Conflict] = []
    for each in reversed(earlier if asks.transitive else earlier[-1:]):
        old = read(each)
        if asks.new_reads_old:
            found += (Conflict(each.version, new_reads=True, problem=one) for one in problems_between(new, old))
        if asks.old_reads_new:
            found += (Conflict(each.version, new_reads=False, problem=one) for one in problems_between(old, new))
    return tuple(found)
