"""Which Avro schemas are valid."""

from __future__ import annotations

import json

import pytest

from eventhub.errors import InvalidSchema
from eventhub.registry.compatibility.avro_model import Record
from eventhub.registry.compatibility.avro_parser import parse
from eventhub.registry.compatibility.bounds import SCHEMA_BYTES


def _record(*fields: object, **attributes: object) -> str:
    return json.dumps({"type": "record", "name": "R", "fields": fields, **attributes})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no JSON"),
        ('{"type": "string"', "no JSON"),
        ('{"type":"string","x":NaN}', "NaN"),
        ('"\\ud800"', "no JSON"),
        ("1" * 5_000, "no JSON"),
        ("3", "3 is no type"),
        ("{}", "{} is no type"),
        ('"Order"', "undefined name: Order"),
        ('{"type":"array"}', "array without items"),
        ('{"type":"map"}', "map without values"),
        ('{"type":"record","fields":[]}', "record without a name"),
        ('{"type":"record","name":"R"}', "'R' has no fields"),
        (_record({"type": "int"}), "/fields/0: a field needs a name and a type"),
        (_record({"name": "a"}), "a field needs a name and a type"),
        (_record({"name": "1a", "type": "int"}), "'1a' is no name"),
        (_record({"name": "a", "type": "int"}, {"name": "a", "type": "int"}), "two fields 'a'"),
        (_record({"name": "a", "type": "int", "order": "up"}), '"up" is no order'),
        (_record({"name": "a", "type": "int", "aliases": "b"}), "aliases are a list"),
        (_record({"name": "a", "type": "int", "default": "0"}), "field 'a': the default \"0\" is no int"),
        (_record({"name": "a", "type": "int", "default": 2**31}), "is no int"),
        (_record({"name": "a", "type": "long", "default": True}), "is no long"),
        (_record({"name": "a", "type": "double", "default": "one"}), "'one' is no number"),
        (_record({"name": "a", "type": ["null", "int"], "default": "x"}), "is no union"),
        (_record({"name": "a", "type": "R", "default": {}}), "is no R"),
        (_record(name="int"), "may not be called 'int'"),
        (_record(namespace="a..b"), '"" is no name'),
        ('{"type":"enum","name":"E"}', "'E' has no symbols"),
        ('{"type":"enum","name":"E","symbols":["A","A"]}', "has a symbol twice"),
        ('{"type":"enum","name":"E","symbols":["in-progress"]}', "'in-progress' is no name"),
        ('{"type":"enum","name":"E","symbols":["A"],"default":"B"}', "'B' is no symbol"),
        ('{"type":"fixed","name":"F","size":-1}', "needs a size in bytes, not -1"),
        ('["int","int"]', "the branch 'int' twice"),
        ('["int",["null"]]', "a union directly inside a union"),
        (
            _record(
                {"name": "a", "type": {"type": "fixed", "name": "F", "size": 1}},
                {"name": "b", "type": {"type": "fixed", "name": "F", "size": 2}},
            ),
            "'F' is defined twice, differently",
        ),
    ],
)
def test_invalid_schema_is_refused_with_its_reason(text: str, reason: str) -> None:
    """What Java refuses is refused here, and the message says what is wrong and where."""
    with pytest.raises(InvalidSchema) as refused:
        parse(text)

    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 50_000,
        "[" * 50_000 + "]" * 50_000,
        '{"type":"array","items":' * 65 + '"int"' + "}" * 65,
        '{"a":' * 300 + "1" + "}" * 300,
        f'"{"x" * SCHEMA_BYTES}"',
        f'"{"é" * (SCHEMA_BYTES // 2)}"',
    ],
)
def test_schema_beyond_the_bounds_is_refused(text: str) -> None:
    """Depth and size are bounded before any work is done."""
    with pytest.raises(InvalidSchema):
        parse(text)


def test_nesting_up_to_the_bound_is_taken() -> None:
    """Sixty-four types in each other are no problem."""
    text = '{"type":"array","items":' * 64 + '"int"' + "}" * 64

    assert parse(text).root.kind == "array"


def test_names_of_referenced_schemas_are_known() -> None:
    """A schema may speak of the types of the schemas it refers to, and define none of them anew."""
    line = _record({"name": "price", "type": "double"}, name="Line", namespace="shop")
    order = _record({"name": "line", "type": "shop.Line"}, name="Order")
    root = parse(order, [line]).root

    assert isinstance(root, Record)
    assert "shop.Line" == getattr(root.fields[0].type, "full", None)
    with pytest.raises(InvalidSchema, match=r"undefined name: shop\.Line"):
        parse(order)


def test_name_may_stand_in_a_type_of_its_own() -> None:
    """A wrapping that says nothing is taken, as Java takes it."""
    schema = parse(_record({"name": "a", "type": {"type": "R"}}))

    assert schema == parse(_record({"name": "a", "type": "R"}))


def test_same_definition_may_stand_twice() -> None:
    """A type that is spelled out again means the same type; what documents it does not count."""
    inner = {"type": "fixed", "name": "F", "size": 1}
    schema = parse(_record({"name": "a", "type": inner}, {"name": "b", "type": {**inner, "doc": "again"}}))

    assert {"F", "R"} == set(schema.names)
