"""Schemas that are made to cost much cost little, whatever their language."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from eventhub.errors import InvalidSchema
from eventhub.registry.base import Schema, SchemaType
from eventhub.registry.compatibility import parse_schema, problems_between
from eventhub.registry.compatibility.bounds import SCHEMA_BYTES

_SECONDS = 5.0
"""Of the processor's time; what is quadratic takes minutes."""


def _avro(*fields: Any, **attributes: Any) -> str:
    listed = [{"name": f"f{at}", "type": type_} for at, type_ in enumerate(fields)]
    return json.dumps({"type": "record", "name": "R", "fields": listed, **attributes}, separators=(",", ":"))


def _object(**properties: Any) -> str:
    return json.dumps({"type": "object", "properties": properties, "additionalProperties": False})


_SYMBOLS = [f"S{number}" for number in range(40_000)]
_BIG_ENUM = {"type": "enum", "name": "Big", "symbols": _SYMBOLS}
_SMALL_ENUMS = [{"type": "enum", "name": f"E{number}", "symbols": ["X"]} for number in range(8_000)]
_NAMES = [f"n{number}" for number in range(20_000)]
_LISTED = {
    "$defs": {"E": {"enum": list(range(60_000))}},
    "properties": {f"p{n}": {"$ref": "#/$defs/E"} for n in range(9_000)},
}


@pytest.mark.parametrize(
    ("type_", "reader", "writer"),
    [
        (SchemaType.AVRO, _avro(*["int"] * 25_000), _avro(*["string"] * 25_000)),
        (SchemaType.AVRO, _avro(_BIG_ENUM, *["Big"] * 8_000), _avro(*_SMALL_ENUMS)),
        (
            SchemaType.AVRO,
            _avro({"type": "fixed", "name": "F", "size": 1, "aliases": _NAMES}, *["F"] * 9_000),
            _avro(*({"type": "fixed", "name": f"G{number}", "size": 1} for number in range(9_000))),
        ),
        (
            SchemaType.AVRO,
            f"[{','.join(_avro(name=name) for name in _NAMES)}]",
            '"int"',
        ),
        (SchemaType.JSON, json.dumps({"required": _NAMES}), json.dumps({"required": [f"{name}x" for name in _NAMES]})),
        (
            SchemaType.JSON,
            json.dumps(_LISTED),
            json.dumps({"properties": {f"p{n}": {"const": n} for n in range(9_000)}}),
        ),
        (
            SchemaType.JSON,
            _object(**{name: {"type": "integer"} for name in _NAMES}),
            _object(**{name: {"type": "string"} for name in _NAMES}),
        ),
        (SchemaType.JSON, json.dumps({"anyOf": [{"const": n} for n in _NAMES]}), json.dumps({"enum": _SYMBOLS})),
        (
            SchemaType.PROTOBUF,
            f"message A {{ {' '.join(f'optional int32 a{n} = {n};' for n in range(20_001, 45_000))} }}",
            f"message A {{ {' '.join(f'optional string a{n} = {n};' for n in range(20_001, 45_000))} }}",
        ),
    ],
)
def test_comparing_is_done_or_given_up_in_time(type_: SchemaType, reader: str, writer: str) -> None:
    """Two schemas of the largest size have their problems, or are called too large, in seconds."""
    began = time.process_time()
    try:
        parsed = [parse_schema(Schema(text, type_)) for text in (reader, writer)]
        shown = sum(len(str(problem)) for problem in problems_between(*parsed))
    except InvalidSchema:
        shown = 0
    took = time.process_time() - began

    assert took < _SECONDS
    assert shown < 30 * SCHEMA_BYTES


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (SchemaType.PROTOBUF, "/*" * (SCHEMA_BYTES // 2)),
        (SchemaType.PROTOBUF, " " * (SCHEMA_BYTES - 1) + "?"),
        (SchemaType.PROTOBUF, "A" * SCHEMA_BYTES),
        (SchemaType.PROTOBUF, '"' * SCHEMA_BYTES),
        (SchemaType.PROTOBUF, "message A { int32 a = " + "9" * 1_000_000),
        (SchemaType.JSON, "[" * SCHEMA_BYTES),
        (SchemaType.JSON, '{"not":' * 100_000),
        (SchemaType.AVRO, '["a",' * 200_000),
        (SchemaType.AVRO, "9" * SCHEMA_BYTES),
    ],
)
def test_parsing_is_refused_in_time(type_: SchemaType, text: str) -> None:
    """A text of the largest size that is no schema is found out in seconds."""
    began = time.process_time()
    with pytest.raises(InvalidSchema):
        parse_schema(Schema(text, type_))
    took = time.process_time() - began

    assert took < _SECONDS
