"""What the rules for readers and writers pass over: a moment, a day or a span that a class never takes for its own.

The rules compare types, and a time of day is as much a ``long`` as a moment is. A value is given to the class as what
its writer says it means, so that some changes are allowed by every registry and no record can be read after them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eventhub.codecs.avro.resolution import counterpart, meaning, source_field
from eventhub.codecs.avro.types import Array, AvroType, Map, Primitive, Record, Union
from eventhub.codecs.models import has_validators
from eventhub.registry.compatibility import Problem

_TAKEN_FOR: Mapping[str, frozenset[str]] = {
    "date": frozenset({"date", "timestamp", "local-timestamp"}),
    "time": frozenset({"time"}),
    "timestamp": frozenset({"timestamp"}),
    "local-timestamp": frozenset({"local-timestamp", "timestamp"}),
    "timedelta": frozenset({"timedelta"}),
}
"""What pydantic takes a value of each meaning for, whatever the value is; all else it refuses."""


def meaning_problems(written: AvroType, wanted: AvroType, core_schema: Any) -> Sequence[Problem]:
    """The places where what was written never means what a class wants; none for a class with validators of its own.

    Args:
        written: The writer's type.
        wanted: The class's type.
        core_schema: The class's, as pydantic made it.
    """
    if has_validators(core_schema):
        return ()
    try:
        return tuple(_Walk().problems(written, wanted, ""))
    except RecursionError:  # a chain of records that no honest writer has; nothing can be read with it either
        return ()


class _Walk:
    """Goes through two types side by side; a pair of records that holds itself is met once."""

    def __init__(self) -> None:
        self._met: set[tuple[int, int]] = set()

    def problems(self, written: AvroType, wanted: AvroType | None, path: str) -> Iterator[Problem]:
        """The problems of one pair of types, at a path in the reader's schema."""
        if isinstance(written, Union):
            for branch in written.branches:
                yield from self.problems(branch, wanted, path)
            return
        match written, counterpart(written, wanted):
            case Record(), Record() as target:
                yield from self._fields(written, target, path)
            case Array(items), Array(target):
                yield from self.problems(items, target, f"{path}/items")
            case Map(values), Map(target):
                yield from self.problems(values, target, f"{path}/values")
            case Primitive(), Primitive() as target:
                yield from _of_values(written, target, path)
            case _:
                pass

    def _fields(self, written: Record, wanted: Record, path: str) -> Iterator[Problem]:
        if (id(written), id(wanted)) in self._met:
            return
        self._met.add((id(written), id(wanted)))
        for at, field in enumerate(wanted.fields):
            source = source_field(written, field)
            if source is not None:
                yield from self.problems(source.type, field.type, f"{path}/fields/{at}/type")


def _of_values(written: Primitive, wanted: Primitive, path: str) -> Iterator[Problem]:
    meant = meaning(written, wanted)
    taken_for = None if meant is None else _TAKEN_FOR.get(_family(meant.name))
    if taken_for is not None and _family(_shown(wanted)) not in taken_for:
        sides = _shown(wanted), _shown(written)
        reason = f"{sides[0]!r} is wanted, and no {sides[1]!r} is taken for one"
        yield Problem("MEANING_CHANGED", path, reason, *sides)


def _shown(type_: Primitive) -> str:
    return type_.kind if type_.logical is None else type_.logical.name


def _family(name: str) -> str:
    """A meaning without its precision."""
    return name.removesuffix("-micros").removesuffix("-millis").removesuffix("-nanos")
