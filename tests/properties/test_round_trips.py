"""What is written is read again as it was, or its writer is told; in every format, and with the nastiest values."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from eventhub.codecs.avro import AvroCodec
from eventhub.codecs.base import Codec
from eventhub.codecs.json_schema import JsonSchemaCodec
from eventhub.codecs.protobuf import ProtobufCodec
from eventhub.errors import DeclarationError, SchemaMismatch
from tests.properties.nasty_values import NASTY_LEAVES, plain
from tests.properties.random_events import SHAPES, Kind, random_event_class

pytestmark = pytest.mark.slow

_TOLD_APART = tuple(shape for shape in SHAPES if shape != "union")
"""JSON has no classes, and Avro one text for many: what a union holds may come back as another of its types."""


def _classes(random: Random) -> Kind:
    """A class that is small often enough for some of its events to be said."""
    return random_event_class(random, NASTY_LEAVES, _TOLD_APART)


@pytest.mark.parametrize("make", [JsonSchemaCodec, AvroCodec, ProtobufCodec])
@pytest.mark.parametrize("seed", range(150))
def test_what_is_written_is_read_as_it_was_or_not_written(make: Callable[[], Codec], seed: int) -> None:
    """Nothing else is raised on the way, and nothing is changed in silence."""
    random, codec = Random(seed), make()
    kind = _classes(random)
    try:
        schema = codec.schema(kind.annotation)
    except DeclarationError:
        return
    encode, decode = codec.encoder(kind.annotation, schema, b""), codec.decoder(kind.annotation, schema)

    for event in [kind.value(random) for _ in range(20)]:
        try:
            written = encode(event)
        except SchemaMismatch:
            continue
        assert plain(event) == plain(decode(written, 0))


@pytest.mark.parametrize("make", [JsonSchemaCodec, AvroCodec, ProtobufCodec])
def test_enough_is_written_and_enough_refused(make: Callable[[], Codec]) -> None:
    """The property above looks at both."""
    fates = {True: 0, False: 0}
    for seed in range(60):
        random, codec = Random(seed), make()
        kind = _classes(random)
        try:
            encode = codec.encoder(kind.annotation, codec.schema(kind.annotation), b"")
        except DeclarationError:
            continue
        for event in [kind.value(random) for _ in range(10)]:
            try:
                fates[bool(encode(event))] += 1
            except SchemaMismatch:
                fates[False] += 1

    assert min(fates.values()) > 50
