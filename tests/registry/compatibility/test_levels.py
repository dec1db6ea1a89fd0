"""What the compatibility levels ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from eventhub.registry.base import Compatibility, Schema
from eventhub.registry.compatibility import Parsed, parse_schema
from eventhub.registry.compatibility.levels import Conflict, conflicts

_A, _B, _C = (
    parse_schema(Schema('{"type":"record","name":"R","fields":[' + ",".join(fields) + "]}"))
    for fields in (
        ['{"name":"f","type":"int"}'],
        ['{"name":"f","type":"int"}', '{"name":"g","type":"int"}'],
        ['{"name":"f","type":"int"}', '{"name":"g","type":"int","default":0}', '{"name":"h","type":"int"}'],
    )
)
"""The second needs a field that the first does not write; the third needs another one."""


@dataclass(frozen=True)
class _Earlier:
    version: int
    schema: Parsed


def _conflicts(level: Compatibility, new: Parsed, *earlier: Parsed) -> Sequence[Conflict]:
    versions = [_Earlier(number, schema) for number, schema in enumerate(earlier, 1)]
    return conflicts(level, new, versions, lambda each: each.schema)


@pytest.mark.parametrize(
    ("level", "with_new_reading", "with_old_reading"),
    [
        (Compatibility.NONE, [], []),
        (Compatibility.BACKWARD, [2], []),
        (Compatibility.BACKWARD_TRANSITIVE, [2, 1], []),
        (Compatibility.FORWARD, [], []),
        (Compatibility.FORWARD_TRANSITIVE, [], []),
        (Compatibility.FULL, [2], []),
        (Compatibility.FULL_TRANSITIVE, [2, 1], []),
    ],
)
def test_adding_a_field_without_a_default(
    level: Compatibility, with_new_reading: list[int], with_old_reading: list[int]
) -> None:
    """What only the new schema reads breaks BACKWARD and FULL, against all versions where the level is transitive."""
    found = _conflicts(level, _C, _A, _B)

    assert with_new_reading == [each.version for each in found if each.new_reads]
    assert with_old_reading == [each.version for each in found if not each.new_reads]


@pytest.mark.parametrize(
    ("level", "with_old_reading"),
    [
        (Compatibility.BACKWARD_TRANSITIVE, []),
        (Compatibility.FORWARD, [2]),
        (Compatibility.FORWARD_TRANSITIVE, [2, 1]),
        (Compatibility.FULL, [2]),
        (Compatibility.FULL_TRANSITIVE, [2, 1]),
    ],
)
def test_removing_a_field_without_a_default(level: Compatibility, with_old_reading: list[int]) -> None:
    """What only the old schemas read breaks FORWARD and FULL, against all versions where the level is transitive."""
    found = _conflicts(level, _A, _B, _C)

    assert with_old_reading == sorted({each.version for each in found if not each.new_reads}, reverse=True)


@pytest.mark.parametrize(
    ("level", "compared"),
    [
        (Compatibility.NONE, []),
        (Compatibility.BACKWARD, [3]),
        (Compatibility.FULL, [3]),
        (Compatibility.FORWARD_TRANSITIVE, [3, 2, 1]),
    ],
)
def test_only_what_a_level_compares_is_read(level: Compatibility, compared: list[int]) -> None:
    """A long history costs a level nothing that does not look at it."""
    read: list[int] = []

    def noted(each: _Earlier) -> Parsed:
        read.append(each.version)
        return each.schema

    conflicts(level, _A, [_Earlier(number, _A) for number in (1, 2, 3)], noted)

    assert compared == read


def test_a_conflict_names_both_sides() -> None:
    """The sentence says which of the two schemas reads."""
    [backward] = _conflicts(Compatibility.BACKWARD, _B, _A)
    [forward] = _conflicts(Compatibility.FORWARD, _A, _B)

    assert str(backward).endswith("(new schema reading version 1)")
    assert str(forward).endswith("(version 1 reading the new schema)")


def test_first_version_has_no_conflicts() -> None:
    """Nothing came before it."""
    assert () == _conflicts(Compatibility.FULL_TRANSITIVE, _A)
