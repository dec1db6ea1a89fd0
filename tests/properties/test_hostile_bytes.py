"""Bytes and schemas that are made to harm are one of a few errors with a reason, in every format, and cost little."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.codecs.avro import AvroCodec
from eventhub.codecs.base import Codec
from eventhub.codecs.json_schema import JsonSchemaCodec
from eventhub.codecs.protobuf import ProtobufCodec
from eventhub.codecs.serde import Reader, SchemaUnresolved
from eventhub.codecs.wire import prefix
from eventhub.errors import DecodeError, InvalidSchema, SchemaMismatch
from eventhub.event import Event
from eventhub.record import Record
from eventhub.registry.base import Schema, SchemaType
from eventhub.testing.conformance.codecs import FULL
from tests.properties import hostile_bytes
from tests.properties.hostile_bytes import CLASSES, outcome

FORMS = sorted(CLASSES)
CODECS: dict[str, tuple[Codec, SchemaType]] = {
    "avro": (AvroCodec(), SchemaType.AVRO),
    "json": (JsonSchemaCodec(), SchemaType.JSON),
    "protobuf": (ProtobufCodec(), SchemaType.PROTOBUF),
}


@cache
def reader(form: str) -> tuple[Reader, bytes]:
    """What reads a format's class, and a good record's value."""
    return asyncio.run(hostile_bytes.reader(CLASSES[form]))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("form", FORMS)
def test_no_damage_ends_a_process_of_a_gigabyte(form: str, seed: int) -> None:
    """Thousands of mutations, every cut, random bodies and the worst of a megabyte: events and errors, no crash."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.properties.hostile_bytes", form, str(seed)],
        capture_output=True,
        check=False,
        text=True,
    )
    counts = {name: int(count) for count, name in re.findall(r"(\d+) (\w+)", done.stdout)}

    assert (0, "") == (done.returncode, done.stderr)
    assert {"DecodeError", "SchemaMismatch", "event", "unresolved"} == counts.keys()
    assert hostile_bytes.MUTATIONS + 11_000 < sum(counts.values())


FRAMES = [
    (b"", "value is empty"),
    (b"\x00\x00\x00\x01", "ends within its frame"),
    (b"\x01\x00\x00\x00\x01", "unknown magic byte 0x01: .* GUID frame"),
    (b"\xff\x00\x00\x00\x01", "unknown magic byte 0xff"),
    (b'{"id":"x"}', "looks like plain JSON"),
    (b"\x00" + (7).to_bytes(8, "big") + b"x", "schema id is 0, which no registry gives.*Apicurio"),
    (b"\x00\x80\x00\x00\x01x", "schema id is negative"),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("value", "reason"), FRAMES)
def test_a_frame_that_is_none_says_why(form: str, value: bytes, reason: str) -> None:
    """Whatever would have been in it."""
    read, _ = reader(form)

    with pytest.raises(DecodeError, match=reason):
        read.decode(Record(form, 0, 0, 0.0, None, value))


@pytest.mark.parametrize(
    "header",
    [None, b"", b"\x00", b"\x01" * 16, b"\x02" + b"\x00" * 16, b"\x00\x00\x00\x00\x00", b"\x00\xff\xff\xff\xff"],
)
@pytest.mark.parametrize("form", FORMS)
def test_a_header_that_names_no_schema_says_so(form: str, header: bytes | None) -> None:
    """A header without a value counts as none."""
    read, good = reader(form)
    record = Record(form, 0, 0, 0.0, None, good, (("__value_schema_id", header),))

    if header is None:
        assert isinstance(read.decode(record), CLASSES[form])
        return
    with pytest.raises(DecodeError, match=r"names no schema|schema id is"):
        read.decode(record)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("trailing", [b"\x00", b"\x07", b"{}", b"\xff" * 3])
def test_trailing_bytes_are_an_error(form: str, trailing: bytes) -> None:
    """They would be another writer's field, or the sign of another schema; in Protobuf a field needs its tag."""
    read, good = reader(form)

    with pytest.raises(DecodeError):
        read.decode(Record(form, 0, 0, 0.0, None, good + trailing))


@pytest.mark.parametrize(
    ("body", "error", "reason"),
    [
        (b'{"tree":' + b'{"trees":[' * 50_000, DecodeError, "Invalid JSON: recursion limit exceeded"),
        (b'{"unknown":' + b"[" * 50_000 + b"]" * 50_000 + b"}", DecodeError, "Invalid JSON: recursion limit exceeded"),
        (b'{"count":' + b"9" * 1_000_000 + b"}", DecodeError, "Invalid JSON: number out of range"),
        (b'{"count":"' + b"9" * 1_000_000 + b'"}', SchemaMismatch, "count: .* exceeded maximum size"),
        (b'{"count":1e400}', SchemaMismatch, "count: Input should be a finite number"),
        (b'{"count":NaN}', SchemaMismatch, "count: Input should be a finite number"),
        (b'{"lines":[{"sku":"","price":"1e1000000000"}]}', SchemaMismatch, r"price: .* no more than 12 digits"),
        (b'{"lines":[{"sku":"","price":"1e-1000000000"}]}', SchemaMismatch, r"price: .* no more than 12 digits"),
        (b'{"lines":[{"sku":"","price":NaN}]}', SchemaMismatch, r"price: Input should be a finite number"),
        (b'{"note":"\\ud800"}', DecodeError, "Invalid JSON"),
        (b'{"note":"\\ud800\\u0041"}', DecodeError, "Invalid JSON"),
        (b'{"note":"\xed\xa0\x80"}', DecodeError, "Invalid JSON: invalid unicode code point"),
        (b'{"note":"\x00"}', DecodeError, "Invalid JSON: control character"),
        (b'\xef\xbb\xbf{"note":""}', DecodeError, "Invalid JSON"),
        (b'{"lines":[' + b"null," * 100 + b"null]}", SchemaMismatch, "and [0-9]+ more"),
    ],
)
def test_json_that_is_made_to_harm_says_why(body: bytes, error: type[Exception], reason: str) -> None:
    """What is no JSON by its grammar or its size is an error of the bytes, all else of the values."""
    with pytest.raises(error, match=reason):
        reader("json")[0].decode(Record("json", 0, 0, 0.0, None, prefix(1) + body))


def test_the_last_of_two_keys_counts_in_json() -> None:
    """As in most readers; the standard leaves it open."""
    read, good = reader("json")
    value = good[:6] + b'"count":1,' + good[6:]
    twice = good[:-1] + b',"count":1}'

    assert [FULL.count, 1] == [
        read.decode(Record("json", 0, 0, 0.0, None, each)).count  # type: ignore[union-attr]
        for each in (value, twice)
    ]


@given(form=st.sampled_from(FORMS), body=st.binary(max_size=200))
def test_any_bytes_behind_a_good_frame_are_an_event_or_an_error(form: str, body: bytes) -> None:
    """Nothing else leaves a codec."""
    assert outcome(reader(form)[0], form, prefix(1) + body) in {"event", "DecodeError", "SchemaMismatch"}


@given(form=st.sampled_from(FORMS), value=st.binary(max_size=20), header=st.none() | st.binary(max_size=25))
def test_any_frame_is_an_event_an_error_or_unknown(form: str, value: bytes, header: bytes | None) -> None:
    """Also with a header, whatever it holds."""
    record = Record(form, 0, 0, 0.0, None, value, () if header is None else (("__value_schema_id", header),))

    with suppress(DecodeError, SchemaMismatch, SchemaUnresolved):
        assert isinstance(reader(form)[0].decode(record), Event)


_WORDS = st.sampled_from(
    [
        *(
            "record",
            "enum",
            "array",
            "map",
            "fixed",
            "int",
            "long",
            "string",
            "bytes",
            "null",
            "object",
            "R",
            "a.b",
            "",
        ),
        *("#/$defs/a", "#", "decimal", "number", "integer", "uuid"),
    ]
)
_KEYS = st.sampled_from(
    [
        *("type", "name", "fields", "items", "values", "symbols", "size", "default", "namespace", "aliases"),
        *("logicalType", "precision", "scale", "properties", "required", "$ref", "$defs", "anyOf", "enum", "const"),
    ]
)
_PARTS = st.recursive(
    _WORDS | st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=6),
    max_leaves=20,
)
_PROTO = st.lists(
    st.sampled_from(
        [
            *(
                "syntax",
                "=",
                '"proto3"',
                ";",
                "message",
                "M",
                "E",
                "{",
                "}",
                "[",
                "]",
                "<",
                ">",
                ",",
                "string",
                "int32",
            ),
            *("map", "oneof", "repeated", "optional", "enum", "1", "2", "-1", "id", "package", "import", "reserved"),
            *("9" * 20, "option", ".", ".M"),
        ]
    ),
    max_size=40,
).map(" ".join)


@given(form=st.sampled_from(["avro", "json"]), part=_PARTS)
def test_any_json_is_a_schema_or_invalid(form: str, part: Any) -> None:
    """A reader can be told any schema that a registry holds."""
    judge(form, json.dumps(part))
    judge(form, json.dumps({"type": "record", "name": "R", "fields": [{"name": "a", "type": part}]}))


@given(text=_PROTO | st.text(max_size=50) | st.binary(max_size=50).map(lambda raw: raw.hex() + "=="))
def test_any_text_is_a_protobuf_file_or_invalid(text: str) -> None:
    """As text or as a descriptor."""
    judge("protobuf", text)
    judge("protobuf", f'syntax = "proto3"; message M {{ {text} }}')


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("avro", '{"type":"array","items":' * 50_000 + '"int"' + "}" * 50_000),
        ("avro", "[" * 50_000 + "]" * 50_000),
        ("avro", '{"type":"record","name":"R","fields":[{"name":"a","type":' * 2_000),
        ("json", '{"not":' * 50_000 + "{}" + "}" * 50_000),
        ("json", "[" * 50_000 + "]" * 50_000),
        ("protobuf", "message M {" * 50_000 + "}" * 50_000),
    ],
)
def test_fifty_thousand_levels_are_invalid(form: str, text: str) -> None:
    """With a reason, before anything is compiled."""
    codec, type_ = CODECS[form]
    schema = Schema(text, type_)

    with pytest.raises(InvalidSchema, match=r"\w"):
        codec.name(schema)
    assert ["INVALID_SCHEMA"] == [problem.kind for problem in codec.problems(CLASSES[form], schema)]


def judge(form: str, text: str) -> None:
    """Ask a codec everything about a schema; it may say that it is invalid, and nothing worse."""
    codec, type_ = CODECS[form]
    schema = Schema(text, type_)
    for ask in (codec.name, lambda schema: codec.decoder(CLASSES[form], schema)):
        with suppress(InvalidSchema):
            ask(schema)
    assert all(str(problem) for problem in codec.problems(CLASSES[form], schema))
