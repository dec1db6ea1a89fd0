"""What two schemas say differently."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eventhub.registry.base import Schema, SchemaType
from eventhub.registry.compatibility import parse_schema, problems_between
from eventhub.registry.differences import differences


def found(old: Any, new: Any, type_: SchemaType = SchemaType.AVRO) -> list[tuple[str, str, Any, Any]]:
    """The differences between two schemas."""
    texts = (each if isinstance(each, str) else json.dumps(each) for each in (old, new))
    parsed = [parse_schema(Schema(text, type_)) for text in texts]
    return [(each.change.value, each.path, each.old, each.new) for each in differences(*parsed)]


def order(*fields: Any, **more: Any) -> dict[str, Any]:
    """An Avro record."""
    return {"type": "record", "name": "Order", "fields": list(fields), **more}


ID = {"name": "id", "type": "string"}
COUNT = {"name": "count", "type": "long"}
NOTE = {"name": "note", "type": "string", "default": ""}


def test_fields_are_paired_by_their_names() -> None:
    """A field that is put first moves the others and changes none of them."""
    assert [("added", "/fields/0", None, NOTE)] == found(order(ID, COUNT), order(NOTE, ID, COUNT))
    assert [("removed", "/fields/0", ID, None)] == found(order(ID, COUNT), order(COUNT))
    assert [("moved", "/fields", ["id", "count"], ["count", "id"])] == found(order(ID, COUNT), order(COUNT, ID))


def test_a_place_is_that_of_the_compatibility_checkers() -> None:
    """Whoever reads both reports finds the same pointer in them."""
    old, new = order(ID, COUNT), order(ID, {"name": "count", "type": "string"})
    [problem] = problems_between(*(parse_schema(Schema(json.dumps(each))) for each in (new, old)))

    assert [("changed", problem.path, "long", "string")] == found(old, new)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("long", ["null", "long"], [("changed", "/type", "long", ["null", "long"])]),
        (["null", "long"], ["null", "long", "string"], [("added", "/type/2", None, "string")]),
        (
            {"type": "enum", "name": "E", "symbols": ["A", "B"]},
            {"type": "enum", "name": "E", "symbols": ["B", "C"], "default": "B"},
            [
                ("removed", "/type/symbols/0", "A", None),
                ("added", "/type/symbols/1", None, "C"),
                ("added", "/type/default", None, "B"),
            ],
        ),
        (
            {"type": "long", "logicalType": "timestamp-micros"},
            {"type": "long", "logicalType": "timestamp-millis"},
            [("changed", "/type/logicalType", "timestamp-micros", "timestamp-millis")],
        ),
    ],
)
def test_types_are_compared_down_to_their_leaves(old: Any, new: Any, expected: list[Any]) -> None:
    """Branches and symbols are paired by what they are."""
    told = found(order({"name": "a", "type": old}), order({"name": "a", "type": new}))

    assert [(change, f"/fields/0{path}", *sides) for change, path, *sides in expected] == told


def test_how_a_schema_is_written_down_is_no_difference() -> None:
    """Spaces, the order of keys and a type in braces mean nothing."""
    assert [] == found('{"name":"a","type":"fixed","size":3}', '{ "type":"fixed", "size":3, "name":"a" }')
    assert [] == found('"int"', '{"type":"int"}')


def test_numbers_and_truth_are_told_apart() -> None:
    """Python takes 1, 1.0 and true for equal."""
    old, new = ({"properties": {"a/b": {"const": each}}} for each in (1, True))

    assert [("changed", "/properties/a~1b/const", 1, True)] == found(old, new, SchemaType.JSON)


def test_protobuf_goes_by_messages_and_numbers() -> None:
    """The order in the file means nothing, the number everything."""
    old = 'syntax = "proto3"; message A { string b = 1; repeated int32 c = 2; enum E { X = 0; } }'
    new = 'syntax = "proto3"; message A { enum E { X = 0; Y = 1; } int32 c = 2; oneof o { string d = 1; } }'

    assert [
        ("changed", "/A/1", "string b", "string d (oneof o)"),
        ("changed", "/A/2", "repeated int32 c", "int32 c"),
        ("added", "/A.E/Y", None, 1),
    ] == found(old, new, SchemaType.PROTOBUF)


def test_another_type_is_one_difference() -> None:
    """There is nothing to compare then."""
    avro, other = parse_schema(Schema('"int"')), parse_schema(Schema("{}", SchemaType.JSON))

    assert [("changed", "", "AVRO", "JSON")] == [
        (each.change.value, each.path, each.old, each.new) for each in differences(avro, other)
    ]
