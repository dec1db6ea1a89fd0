"""Whether a reader's JSON Schema takes what a writer's allows."""

from __future__ import annotations

import json
from decimal import Decimal
from enum import Enum
from typing import Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field

from eventhub.errors import InvalidSchema
from eventhub.registry.base import Reference, Schema, SchemaType
from eventhub.registry.compatibility import parse_schema, problems_between
from eventhub.registry.compatibility.json_schema import json_problems
from eventhub.registry.compatibility.parsed import Parsed
from eventhub.registry.compatibility.problem import Problem


def _parsed(schema: Any) -> Parsed:
    return parse_schema(Schema(json.dumps(schema), SchemaType.JSON))


def _kinds(reader: Any, writer: Any) -> list[str]:
    ours, theirs = _parsed(reader), _parsed(writer)
    return [problem.kind for problem in json_problems(ours.model, theirs.model)]  # type: ignore[arg-type]


def _object(*required: str, additional: Any = None, **properties: Any) -> dict[str, Any]:
    rest = {} if additional is None else {"additionalProperties": additional}
    return {"type": "object", "properties": properties, "required": list(required), **rest}


_INT, _TEXT, _NUMBER = {"type": "integer"}, {"type": "string"}, {"type": "number"}
_CLOSED = False


@pytest.mark.parametrize(
    ("reader", "writer"),
    [
        ({}, {"not": {}}),
        (True, _INT),
        (_INT, False),
        (_NUMBER, _INT),
        ({"type": ["integer", "string"]}, _TEXT),
        ({"anyOf": [_INT, _TEXT]}, {"type": ["string", "integer"]}),
        ({"anyOf": [_INT, _TEXT]}, {"enum": [1, "a"]}),
        ({"oneOf": [_INT, _TEXT]}, {"anyOf": [_TEXT, _INT]}),
        ({"allOf": [_NUMBER, {"minimum": 0}]}, {"type": "integer", "minimum": 1}),
        (_INT, {"allOf": [{"minimum": 0}, _INT]}),
        (_INT, {"title": "T", "description": "D", "default": 1, "type": "integer", "format": "int32"}),
        ({"type": "integer", "title": "other", "format": "int64"}, _INT),
        ({"enum": ["a", "b"]}, {"const": "a"}),
        ({"type": "string", "maxLength": 2}, {"enum": ["a", "bb"]}),
        ({"type": "string", "minLength": 0}, _TEXT),
        ({"type": "string", "maxLength": 3}, {"type": "string", "maxLength": 2}),
        ({"type": "string", "pattern": "^a"}, {"type": "string", "pattern": "^a"}),
        ({"minimum": 0}, {"exclusiveMinimum": 0, "type": "integer"}),
        ({"exclusiveMaximum": 5}, {"maximum": 4, "type": "integer"}),
        ({"multipleOf": 2}, {"multipleOf": 4, "type": "integer"}),
        ({"minimum": 5}, _TEXT),
        ({"minimum": 5}, {"enum": [5, "a", True]}),
        ({"allOf": [{"$ref": "#/allOf/1"}, _NUMBER]}, _INT),
        ({"type": "array", "uniqueItems": False}, {"type": "array"}),
        ({"type": "array", "items": _NUMBER}, {"type": "array", "items": _INT}),
        (
            {"type": "array", "prefixItems": [_INT], "items": _TEXT},
            {"type": "array", "items": [_INT, _TEXT], "maxItems": 2},
        ),
        (_object(a=_INT), _object(a=_INT, b=_TEXT)),
        (_object(a=_INT, b=_TEXT), _object(a=_INT, additional=_CLOSED)),
        (_object("b", b={"type": "string", "default": ""}), _object(additional=_CLOSED)),
        (_object(), _object("a", a=_INT)),
        (_object(a=_INT, additional=_TEXT), _object(a=_INT, b=_TEXT, additional=_CLOSED)),
        (_object(a=_NUMBER, b=_NUMBER, additional=_NUMBER), _object(a=_INT, additional=_INT)),
        (
            {"$ref": "#/$defs/N", "$defs": {"N": _object(next={"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]})}},
            {"$ref": "#/$defs/M", "$defs": {"M": _object(next={"anyOf": [{"$ref": "#/$defs/M"}, {"type": "null"}]})}},
        ),
    ],
)
def test_reader_that_takes_all_has_no_problems(reader: Any, writer: Any) -> None:
    """What is wider, or says the same in another way, is compatible."""
    assert [] == _kinds(reader, writer)


@pytest.mark.parametrize(
    ("reader", "writer", "kind"),
    [
        (_INT, _NUMBER, "TYPE_NARROWED"),
        (_INT, {}, "TYPE_NARROWED"),
        (_TEXT, {"const": 1}, "TYPE_NARROWED"),
        ({"not": {}}, _INT, "CANNOT_PROVE"),
        (False, _INT, "CANNOT_PROVE"),
        ({"enum": ["a"]}, {"enum": ["a", "b"]}, "ENUM_ARRAY_NARROWED"),
        ({"const": "a"}, _TEXT, "ENUM_ARRAY_NARROWED"),
        ({"anyOf": [_INT, _TEXT]}, {"type": ["string", "null"]}, "SUM_TYPE_NARROWED"),
        ({"anyOf": [_INT]}, {"anyOf": [_INT, _TEXT]}, "SUM_TYPE_NARROWED"),
        ({"type": "string", "maxLength": 2}, {"enum": ["a", "bbb"]}, "MAX_LENGTH_NARROWED"),
        ({"type": "string", "maxLength": 2}, _TEXT, "MAX_LENGTH_NARROWED"),
        ({"type": "string", "minLength": 1}, _TEXT, "MIN_LENGTH_NARROWED"),
        ({"exclusiveMinimum": 0}, {"minimum": 0, "type": "integer"}, "EXCLUSIVE_MINIMUM_NARROWED"),
        ({"multipleOf": 4}, {"multipleOf": 2, "type": "integer"}, "MULTIPLE_OF_NARROWED"),
        ({"minimum": 0, "exclusiveMinimum": True}, {"minimum": 1, "type": "integer"}, "CANNOT_PROVE"),
        ({"type": "string", "pattern": "^a"}, {"type": "string", "pattern": "^ab"}, "CANNOT_PROVE"),
        ({"type": "array", "uniqueItems": True}, {"type": "array"}, "CANNOT_PROVE"),
        ({"type": "array", "contains": _INT}, {"type": "array"}, "CANNOT_PROVE"),
        ({"type": "array", "items": _INT}, {"type": "array"}, "TYPE_NARROWED"),
        ({"type": "array", "minItems": 1}, {"type": "array"}, "MIN_ITEMS_NARROWED"),
        ({"type": "object", "unevaluatedProperties": False}, _object(), "CANNOT_PROVE"),
        ({"type": "object", "patternProperties": {"^a": _INT}}, _object(), "CANNOT_PROVE"),
        (_object(a=_INT, b=_TEXT), _object(a=_INT), "PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL"),
        (
            _object(additional=_CLOSED),
            _object(a=_INT, additional=_CLOSED),
            "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL",
        ),
        (_object(additional=_INT), _object(additional=_TEXT), "ADDITIONAL_PROPERTIES_NARROWED"),
        (_object("a", a=_INT), _object(a=_INT), "REQUIRED_ATTRIBUTE_ADDED"),
        (_object("b", b=_TEXT), _object(additional=_CLOSED), "REQUIRED_ATTRIBUTE_ADDED"),
        ({"$ref": "other.json"}, _INT, "CANNOT_PROVE"),
        ({"$ref": "#anchor"}, {"$ref": "#other"}, "CANNOT_PROVE"),
    ],
)
def test_reader_that_may_refuse_has_the_problem(reader: Any, writer: Any, kind: str) -> None:
    """What is narrower, or cannot be shown not to be, is a problem of one kind."""
    assert [kind] == _kinds(reader, writer)


def test_problem_says_where_what_and_why() -> None:
    """A problem is one sentence with path, kind and both sides."""
    reader = _object(line=_object("price", price={"type": "number", "minimum": 1}))
    writer = _object(line=_object(price={"type": ["number", "null"], "minimum": 0}))
    problems = problems_between(_parsed(reader), _parsed(writer))

    missing = "property 'price' is required without a default, and may be missing in what was written"

    assert [
        "/properties/line/properties/price: TYPE_NARROWED: null is written, number is read",
        f"/properties/line: REQUIRED_ATTRIBUTE_ADDED: {missing}",
    ] == list(map(str, problems))


def test_references_are_followed_into_other_subjects() -> None:
    """A name that a reference gives to a registered schema stands for that schema."""
    line = Schema('{"$defs":{"Line":{"type":"object","required":["sku"]}}}', SchemaType.JSON)
    reference = Reference("line.json", "line", 1)
    text = '{"type":"array","items":{"$ref":"line.json#/$defs/Line"}}'
    reader = parse_schema(Schema(text, SchemaType.JSON, (reference,)), {reference: line}.__getitem__)
    writer = _parsed({"type": "array", "items": {"type": "object"}})

    assert ["REQUIRED_ATTRIBUTE_ADDED"] == [problem.kind for problem in problems_between(reader, writer)]
    assert () == problems_between(writer, reader)
    assert () == problems_between(reader, reader)


class _Size(Enum):
    SMALL = "small"
    LARGE = "large"


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sku: str = Field(min_length=1, max_length=20)
    price: Decimal | None = None
    size: _Size = _Size.SMALL
    pair: tuple[int, str] = (1, "a")


class _Cash(BaseModel):
    kind: Literal["cash"]


class _Card(BaseModel):
    kind: Literal["card"]
    number: str


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: UUID
    lines: list[_Line]
    tags: dict[str, float] = {}
    parent: _Order | None = None
    payment: _Cash | _Card = Field(discriminator="kind")


def test_what_pydantic_writes_is_understood() -> None:
    """Every part of a model with all that pydantic emits is proved to read itself, part by part."""
    schema = _Order.model_json_schema()
    retitled = json.loads(json.dumps(schema).replace('"title": "', '"title": "New '))

    assert [] == _kinds(retitled, schema)


def test_changed_model_is_seen_through_everything() -> None:
    """A field that becomes narrower deep in a model is found at its place."""
    old, new = _Order.model_json_schema(), _Order.model_json_schema()
    new["$defs"]["_Line"]["properties"]["sku"]["maxLength"] = 10
    problems = problems_between(_parsed(new), _parsed(old))

    places = ["/properties/lines/items/properties/sku/maxLength", "/properties/parent"]  # an order in an order

    assert places == [problem.path for problem in problems]


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (3, "a schema is an object, true or false"),
        ({"type": "text"}, "/: 'type' has not the form"),
        ({"type": []}, "'type' has not the form"),
        ({"properties": {"a": {"required": "b"}}}, "/properties/a: 'required'"),
        ({"properties": {"a": 1}}, "/properties/a: a schema is an object"),
        ({"items": [{"minLength": -1}]}, "/items/0: 'minLength'"),
        ({"maxItems": 1.5}, "'maxItems'"),
        ({"multipleOf": 0}, "'multipleOf'"),
        ({"anyOf": []}, "'anyOf'"),
        ({"$ref": "#/$defs/Nope"}, "nothing stands at '#/$defs/Nope'"),
        ({"$ref": "#/x/7", "x": [1]}, "nothing stands at"),
        ({"$ref": f"#/x/{'9' * 5_000}", "x": [1]}, "nothing stands at"),
        ({"$ref": 3}, "'$ref'"),
    ],
)
def test_what_is_no_schema_is_refused(schema: Any, reason: str) -> None:
    """The shape of every known keyword is checked, wherever it stands."""
    with pytest.raises(InvalidSchema) as refused:
        _parsed(schema)

    assert reason in str(refused.value)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400])
@pytest.mark.parametrize("keyword", ["minLength", "const", "multipleOf", "minimum"])
def test_number_beyond_a_double_is_refused(keyword: str, number: str) -> None:
    """It would become infinity, of which no whole number, no remainder and no JSON can be made."""
    with pytest.raises(InvalidSchema, match="is beyond what a double holds"):
        parse_schema(Schema(f'{{"{keyword}":{number}}}', SchemaType.JSON))


def test_nesting_beyond_the_bound_is_refused() -> None:
    """Sixty-four schemas in each other are enough."""
    text = '{"items":' * 65 + "true" + "}" * 65
    with pytest.raises(InvalidSchema, match="deeper"):
        parse_schema(Schema(text, SchemaType.JSON))


def test_schemas_too_large_to_compare_are_refused() -> None:
    """The work is bounded: unions of many branches give up with a reason."""
    one = {"anyOf": [{"const": number} for number in range(600)]}
    other = {"anyOf": [{"const": number} for number in range(600, 1_200)]}
    with pytest.raises(InvalidSchema, match="too large to compare"):
        problems_between(_parsed(one), _parsed(other))


def test_names_in_a_circle_come_to_an_end() -> None:
    """A name that stands for itself says nothing, and is compared without end neither."""
    circle = {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}}

    assert [] == _kinds(circle, _INT)


_DAY, _MOMENT = {"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}
_FORMATS = {"date": frozenset({"date"}), "id": frozenset({"id", "id7"})}


@pytest.mark.parametrize(
    ("reader", "writer", "paths"),
    [
        (_DAY, _DAY, []),
        (_DAY, _MOMENT, ["/format"]),
        (_DAY, _TEXT, ["/format"]),
        (_DAY, {"enum": ["2020-01-01"]}, ["/format"]),
        (_DAY, {"type": "string", "format": ["date"]}, ["/format"]),
        (_TEXT, _DAY, []),
        (_MOMENT, _TEXT, []),
        ({"type": "string", "format": "id"}, {"type": "string", "format": "id7"}, []),
        ({"type": "integer", "format": "date"}, _INT, []),
        ({"format": "date"}, _INT, []),
        ({"anyOf": [_DAY, _TEXT]}, _MOMENT, []),
        ({"anyOf": [_DAY, {"type": "null"}]}, {"anyOf": [_MOMENT, {"type": "null"}]}, [""]),
        (_object(a=_DAY), _object(a=_MOMENT), ["/properties/a/format"]),
        ({"type": "array", "items": _DAY}, {"type": "array", "items": _TEXT}, ["/items/format"]),
        ({"allOf": [{"format": "date"}, _TEXT]}, _TEXT, ["/format"]),
    ],
)
def test_a_format_that_the_reader_parses_has_to_be_promised(reader: Any, writer: Any, paths: list[str]) -> None:
    """To a reader that is not known to parse it, such as a registry, a format says nothing."""
    ours, theirs = _parsed(reader), _parsed(writer)

    assert paths == [problem.path for problem in problems_between(ours, theirs, formats=_FORMATS)]
    assert () == problems_between(ours, theirs)


def test_a_problem_of_formats_has_both_sides() -> None:
    """The kind, and what each side says."""
    [problem] = problems_between(_parsed(_DAY), _parsed(_MOMENT), formats=_FORMATS)

    assert (
        Problem(
            "FORMAT_NARROWED",
            "/format",
            "format date is asked of what is read, format date-time of what was written",
            "date",
            "format date-time",
        )
        == problem
    )
