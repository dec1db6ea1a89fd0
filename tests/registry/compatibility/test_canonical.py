"""Canonical texts and guids."""

from __future__ import annotations

import hashlib
import struct
import uuid

import pytest

from eventhub.errors import InvalidSchema
from eventhub.registry.base import Reference
from eventhub.registry.compatibility.avro_parser import parse
from eventhub.registry.compatibility.canonical import canonical_avro, guid, write_json
from tests.registry.compatibility import java_verdicts


def test_texts_are_those_of_java() -> None:
    """Each recorded schema has the text that Java's library writes, or is refused by both."""
    wanted = java_verdicts.texts()

    assert len(wanted) > 4_000
    assert wanted == {text: _canonical(text) for text in wanted}


def _canonical(text: str) -> str | None:
    try:
        return canonical_avro(parse(text))
    except InvalidSchema:
        return None


@pytest.mark.parametrize(
    "text",
    [
        '"string"',
        (
            '{"type":"record","name":"Order","namespace":"shop","doc":"An order.","fields":['
            '{"name":"id","type":{"type":"string","logicalType":"uuid"},"doc":"Its id."},'
            '{"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":['
            '{"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}}]}}},'
            '{"name":"first","type":["null","Line"],"default":null,"order":"ignore","aliases":["one"]}],'
            '"aliases":["Bill"]}'
        ),
    ],
)
def test_canonical_text_is_its_own(text: str) -> None:
    """What is canonical stays as it is."""
    assert text == canonical_avro(parse(text))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1e3, "1000.0"),
        (0.001, "0.001"),
        (0.00099, "9.9E-4"),
        (1e7, "1.0E7"),
        (9999999.5, "9999999.5"),
        (-1.25e-300, "-1.25E-300"),
        (float("nan"), '"NaN"'),
        (float("-inf"), '"-Infinity"'),
        (2**70, "1180591620717411303424"),
        (True, "true"),
        ('"\\/\n\x01é\u2028', '"\\"\\\\/\\n\\u0001é\u2028"'),
        ({"b": [None, {}], "a": "x"}, '{"b":[null,{}],"a":"x"}'),
    ],
)
def test_json_is_written_as_java_writes_it(value: object, text: str) -> None:
    """Numbers and letters look as the Java virtual machine and Jackson show them."""
    assert text == write_json(value)


def test_order_of_unknown_properties_counts_unless_normalized() -> None:
    """Normalizing sorts what Avro does not know, however deep; the rest stays in its order."""
    schema = parse('{"type":"string","b":[{"y":1,"x":2}],"a":1}')

    assert '{"type":"string","b":[{"y":1,"x":2}],"a":1}' == canonical_avro(schema)
    assert '{"type":"string","a":1,"b":[{"x":2,"y":1}]}' == canonical_avro(schema, normal=True)


def test_guid_of_a_plain_schema_is_the_hash_of_its_text() -> None:
    """Without references, metadata and rules nothing but the text is hashed."""
    text = '{"type":"string"}'

    assert str(uuid.UUID(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest())) == guid(text)


def test_guid_depends_on_all_that_belongs_to_a_schema() -> None:
    """References, metadata and rules are hashed in Confluent's order, whatever the order in which they are given.

    Source: ``updateHash`` of Confluent's entities. The values of its ``SchemaMD5RegressionTest``, which are all
    combinations of these, came out the same when they were tried.
    """
    metadata = {"tags": {"b": ["y", "x"], "a": []}, "properties": {"q": "2", "p": "1"}, "sensitive": ["t", "s"]}
    rule = {"name": "n", "kind": "CONDITION", "params": {"l": "2", "k": "1"}, "tags": ["v", "u"], "disabled": True}
    hashed = (
        b"text"
        + (b"ref" + b"subject" + struct.pack(">i", 3))
        + (b"\x01" + b"a" + b"bxy" + b"p1q2" + b"st")
        + (b"\x01" + b"n" + b"CONDITION" + b"WRITEREAD" + b"uv" + b"k1l2" + b"\x01")
    )

    assert str(uuid.UUID(hashlib.md5(hashed, usedforsecurity=False).hexdigest())) == guid(
        "text", [Reference("ref", "subject", 3)], metadata, {"domainRules": [rule]}
    )


@pytest.mark.parametrize(
    ("metadata", "rules", "hashed"),
    [
        ({"sensitive": ["b", "a", "b"]}, None, b"\x01ab"),
        ({"tags": {"t": ["b", "a", "b"]}}, None, b"\x01tab"),
        ({"properties": {"\ufffd": "1", "\U0001f600": "2"}}, None, b"\x01" + "\U0001f6002\ufffd1".encode()),
        (None, {"domainRules": [{"name": "n", "type": "T"}]}, b"\x01nTRANSFORMWRITEREADT"),
        (None, {"domainRules": [{"kind": None, "mode": "READ", "tags": ["x", "x"]}]}, b"\x01TRANSFORMREADx"),
    ],
)
def test_guid_is_that_of_a_server_in_java(metadata: object, rules: object, hashed: bytes) -> None:
    """Its tags are sets in the order of UTF-16, and a rule that leaves kind and mode out has them all the same."""
    found = guid("", metadata=metadata, rules=rules)  # type: ignore[arg-type] # as JSON has them

    assert str(uuid.UUID(hashlib.md5(hashed, usedforsecurity=False).hexdigest())) == found
