"""Events of any class come back from JSON and from Protobuf, or the class is refused at start."""

from __future__ import annotations

import json
import re
from random import Random

import pytest

from eventhub.codecs.json_schema import JsonSchemaCodec
from eventhub.codecs.protobuf import ProtobufCodec
from eventhub.errors import DeclarationError
from eventhub.event import Event
from tests.properties.random_events import random_event_class

PREFIX = b"\x00\x00\x00\x00\x2a"

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(200))
def test_any_event_says_the_same_in_json_once_it_was_read(seed: int) -> None:
    """JSON has no classes, so a text in a union may come back as a date; what it says is the same."""
    random, codec = Random(seed), JsonSchemaCodec()
    kind = random_event_class(random)
    schema = codec.schema(kind.annotation)
    encode, decode = codec.encoder(kind.annotation, schema, PREFIX), codec.decoder(kind.annotation, schema)

    for event in [kind.value(random) for _ in range(10)]:
        written = encode(event)
        found = decode(written, len(PREFIX))
        assert event == found or _said(written) == _said(encode(found))
    assert [] == list(codec.problems(kind.annotation, schema))


@pytest.mark.parametrize("seed", range(500))
def test_any_event_comes_back_from_protobuf_or_has_no_place(seed: int) -> None:
    """Class and all; what has no place says so before anything is written."""
    random, codec = Random(seed), ProtobufCodec()
    kind = random_event_class(random)
    if not _has_place(kind.annotation, codec):
        return
    schema = codec.schema(kind.annotation)
    encode, decode = codec.encoder(kind.annotation, schema, PREFIX), codec.decoder(kind.annotation, schema)

    for event in [kind.value(random) for _ in range(10)]:
        assert event == decode(encode(event), len(PREFIX))
    assert [] == list(codec.problems(kind.annotation, schema))


def _said(message: bytes) -> object:
    """What a message says, with every list in one order, since that of a set differs from process to process."""
    return _in_order(json.loads(message[len(PREFIX) :]))


def _in_order(value: object) -> object:
    if isinstance(value, dict):
        return {name: _in_order(item) for name, item in value.items()}
    return sorted(map(_in_order, value), key=json.dumps) if isinstance(value, list) else value


def _has_place(event: type[Event], codec: ProtobufCodec) -> bool:
    """Whether Protobuf can say the class; if not, it says which of two reasons."""
    try:
        codec.schema(event)
    except DeclarationError as error:
        if re.search("has no place|cannot tell None", str(error)):
            return False
        raise
    return True
