"""What the compatibility levels ask."""

from __future__ import annotations

import pytest

from eventhub.registry.base import Compatibility, Schema
from eventhub.registry.compatibility import parse_schema
from eventhub.registry.compatibility.levels import conflicts

_A, _B, _C = (
    parse_schema(Schema('{"type":"record","name":"R","fields":[' + ",".join(fields) + "]}"))
    for fields in (
        ['{"name":"f","type":"int"}'],
        ['{"name":"f","type":"int"}', '{"name":"g","type":"int"}'],
        ['{"name":"f","type":"int"}', '{"name":"g","type":"int","default":0}', '{"name":"h","type":"int"}'],
    )
)
"""The second needs a field that the first does not write; the third needs another one."""


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
    found = conflicts(level, _C, [(1, _A), (2, _B)])

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
    found = conflicts(level, _A, [(1, _B), (2, _C)])

    assert with_old_reading == sorted({each.version for each in found if not each.new_reads}, reverse=True)


def test_a_conflict_names_both_sides() -> None:
    """The sentence says which of the two schemas reads."""
    [backward] = conflicts(Compatibility.BACKWARD, _B, [(1, _A)])
    [forward] = conflicts(Compatibility.FORWARD, _A, [(1, _B)])

    assert str(backward).endswith("(new schema reading version 1)")
    assert str(forward).endswith("(version 1 reading the new schema)")


def test_first_version_has_no_conflicts() -> None:
    """Nothing came before it."""
    assert () == conflicts(Compatibility.FULL_TRANSITIVE, _A, [])
