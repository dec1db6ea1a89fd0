"""Properties of JSON Schema's compatibility, with the ``jsonschema`` library as judge of values."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhub.registry.base import Schema, SchemaType
from eventhub.registry.compatibility import parse_schema, problems_between

_NAMES = st.sampled_from(["a", "b", "c"])
_SMALL = st.integers(0, 3)
_FORMATTED = st.sampled_from(["2020-02-29", "2021-02-29", "1.2.3.4", "::1"])
_FORMATS = {"date": frozenset({"date"}), "ipv4": frozenset({"ipv4"}), "ip": frozenset({"ip", "ipv4", "ipv6"})}
_CHECKER = jsonschema.FormatChecker(("date", "ipv4", "ipv6"))
_CHECKER.checks("ip")(lambda text: any(_CHECKER.conforms(text, each) for each in ("ipv4", "ipv6")))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 4) | st.sampled_from([0.5, 1.5, "", "a", "bb", "ccc"]) | _FORMATTED,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=6,
)


def _some(**keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keywords)


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Schemas that hold others; ``oneOf`` and defaults are left out, which are judged by convention."""
    several = st.lists(inner, min_size=1, max_size=2)
    return st.one_of(
        _some(
            type=st.sampled_from(["object", ["object", "null"]]),
            properties=st.dictionaries(_NAMES, inner, max_size=3),
            additionalProperties=inner,
            required=st.lists(_NAMES, max_size=2, unique=True),
            minProperties=_SMALL,
            maxProperties=_SMALL,
        ),
        _some(type=st.just("array"), prefixItems=several, items=inner, minItems=_SMALL, maxItems=_SMALL),
        _some(anyOf=several, allOf=several, type=st.sampled_from(["integer", "string", "array", "object"])),
    )


_PLAIN = st.one_of(
    st.booleans(),
    _some(type=st.sampled_from(["null", "boolean", "integer", "number", "string", ["integer", "string"]])),
    _some(
        type=st.sampled_from(["integer", "number"]),
        minimum=_SMALL,
        maximum=_SMALL,
        exclusiveMinimum=_SMALL,
        exclusiveMaximum=_SMALL,
        multipleOf=st.sampled_from([1, 2, 0.5]),
    ),
    _some(type=st.just("string"), minLength=_SMALL, maxLength=_SMALL, pattern=st.sampled_from(["a", "^b"])),
    _some(type=st.just("string"), format=st.sampled_from(["date", "ipv4", "ipv6", "ip", "other"])),
    _some(enum=st.lists(_VALUES, min_size=1, max_size=3)),
    _some(const=_VALUES),
)
_ANY = st.recursive(_PLAIN, _schemas, max_leaves=8)


@st.composite
def _pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    """Two schemas, in most cases alike but for one part."""
    reader = draw(_ANY)
    writer = json.loads(json.dumps(reader))
    if isinstance(writer, dict) and writer and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(writer)))
        other = draw(_ANY)
        writer[key] = other[key] if isinstance(other, dict) and key in other else writer[key]
        if draw(st.booleans()):
            del writer[key]
        return reader, writer
    return reader, draw(_ANY)


@settings(max_examples=300)
@given(_pairs(), st.lists(_VALUES, min_size=5, max_size=15))
def test_compatible_reader_takes_every_value_of_the_writer(pair: tuple[Any, Any], values: list[Any]) -> None:
    """Where no problem is found, no value that the writer's schema allows is refused by the reader's."""
    reader, writer = pair
    if problems_between(_parsed(reader), _parsed(writer)):
        return

    assert [] == _refused(reader, writer, values, None)


@settings(max_examples=300)
@given(_pairs(), st.lists(_VALUES | _FORMATTED, min_size=5, max_size=15))
def test_compatible_reader_takes_every_text_of_the_writer(pair: tuple[Any, Any], values: list[Any]) -> None:
    """So does a reader that parses formats, once its formats are told."""
    reader, writer = pair
    if problems_between(_parsed(reader), _parsed(writer), formats=_FORMATS):
        return

    assert [] == _refused(reader, writer, values, _CHECKER)


def _refused(reader: Any, writer: Any, values: list[Any], formats: jsonschema.FormatChecker | None) -> list[Any]:
    """The values that the writer's schema allows and the reader's does not."""
    allows, takes = (
        jsonschema.Draft202012Validator(each, format_checker=formats).is_valid for each in (writer, reader)
    )
    return [value for value in values if allows(value) and not takes(value)]


def _parsed(schema: Any) -> Any:
    return parse_schema(Schema(json.dumps(schema), SchemaType.JSON))


@given(_ANY)
def test_every_schema_reads_itself(schema: Any) -> None:
    """Whatever a schema says, it takes what it allows."""
    assert () == problems_between(
        _parsed(schema), _parsed({**schema, "title": "T"} if isinstance(schema, dict) else schema)
    )
