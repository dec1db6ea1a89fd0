"""The generated codec says what fastavro says, for any class, any schema and any bytes."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import fastavro
import pytest

from benchmarks.codec import Channel, LineItem, OrderCreated
from eventhub.codecs.avro import AvroCodec
from eventhub.codecs.avro.decoder import compiled_decoder
from eventhub.codecs.avro.encoder import compiled_encoder
from eventhub.codecs.avro.interpreted import interpreted_decoder, interpreted_encoder
from eventhub.codecs.avro.schema import avro_type
from eventhub.codecs.avro.types import parse
from eventhub.codecs.base import Decode
from eventhub.errors import DecodeError, SchemaMismatch
from eventhub.event import Event
from tests.properties.damage import mutated
from tests.properties.random_events import integer, moment, random_event_class, text
from tests.properties.random_schemas import plain, random_schema

PREFIX = b"\x00\x00\x00\x00\x2a"

pytestmark = pytest.mark.slow


class Anything(Event, topic="foreign"):
    """An event whose payload is whatever its writer says."""

    payload: Any
    end: int


class OnlyTheEnd(Event, topic="foreign"):
    """The same event to a reader that does not want the payload."""

    end: int


def random_order(random: Random) -> OrderCreated:
    """An order as large and as odd as its class allows."""

    def money() -> Decimal:
        return Decimal(random.randrange(-(10**12) + 1, 10**12) >> random.randrange(40)).scaleb(-2)

    return OrderCreated(
        order_id=UUID(int=random.getrandbits(128)),
        customer_id=UUID(int=random.getrandbits(128)),
        created_at=moment(random).astimezone(UTC),
        total=money(),
        currency=text(random),
        country=text(random),
        channel=random.choice(list(Channel)),
        lines=[
            LineItem(sku=text(random), quantity=integer(random), unit_price=money())
            for _ in range(random.choice((0, 1, 3, 70)))
        ],
        note=random.choice((None, text(random))),
        tags={text(random): text(random) for _ in range(random.randrange(4))},
        gift=random.random() < 0.5,
    )


def by_fastavro(schema: Any, value: Any) -> bytes:
    """A value written by fastavro alone."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, value)
    return out.getvalue()


def read_by_fastavro(schema: Any, value: bytes) -> Any:
    """A value read by fastavro alone."""
    return fastavro.schemaless_reader(io.BytesIO(value), schema, None)


@pytest.mark.parametrize("seed", range(20))
def test_orders_are_written_and_read_as_by_fastavro_alone(seed: int) -> None:
    """A thousand random orders a seed: the same bytes, and the same event from them."""
    random, codec = Random(seed), AvroCodec()
    schema = codec.schema(OrderCreated)
    parsed = fastavro.parse_schema(json.loads(schema.text))
    encode, decode = codec.encoder(OrderCreated, schema, PREFIX), codec.decoder(OrderCreated, schema)

    for order in [random_order(random) for _ in range(1000)]:
        body = by_fastavro(parsed, order.model_dump())
        assert PREFIX + body == encode(order)
        assert order == decode(PREFIX + body, len(PREFIX))


@pytest.mark.parametrize("seed", range(200))
def test_generated_and_walking_codec_agree_on_any_event(seed: int) -> None:
    """For a random class both write the same bytes, and read the same event from them."""
    random = Random(seed)
    kind = random_event_class(random)
    declared = avro_type(kind.annotation)
    encode, walk = (make(kind.annotation, declared, PREFIX) for make in (compiled_encoder, interpreted_encoder))
    decode, read = (make(kind.annotation, declared, declared) for make in (compiled_decoder, interpreted_decoder))

    for event in [kind.value(random) for _ in range(50)]:
        written = encode(event)
        assert walk(event) == written
        assert event == decode(written, 5) == read(written, 5)


@pytest.mark.parametrize("seed", range(300))
def test_any_schema_is_read_as_by_fastavro_alone(seed: int) -> None:
    """Whatever the writer declared, both decoders read it as fastavro does, or step over it."""
    random = Random(seed)
    written = random_schema(random)
    fields = [{"name": "payload", "type": written.schema}, {"name": "end", "type": "long"}]
    schema = {"type": "record", "name": "Anything", "fields": fields}
    parsed, declared = fastavro.parse_schema(schema), parse(json.dumps(schema))
    end = avro_type(OnlyTheEnd)
    decode, read = (make(Anything, declared, declared) for make in (compiled_decoder, interpreted_decoder))
    skip, skip_read = (make(OnlyTheEnd, declared, end) for make in (compiled_decoder, interpreted_decoder))

    for payload in [written.value(random) for _ in range(10)]:
        value = by_fastavro(parsed, {"payload": payload, "end": 7})
        expected = Anything(payload=plain(read_by_fastavro(parsed, value)["payload"]), end=7)
        assert expected == decode(value, 0) == read(value, 0)
        assert OnlyTheEnd(end=7) == skip(value, 0) == skip_read(value, 0)


@pytest.mark.parametrize("seed", range(100))
def test_no_mutation_of_good_bytes_does_more_than_fail(seed: int) -> None:
    """Bytes changed, cut, doubled or inserted make another event, or one of two errors."""
    random = Random(seed)
    kind = random_event_class(random)
    declared = avro_type(kind.annotation)
    decode = compiled_decoder(kind.annotation, declared, declared)
    good = [compiled_encoder(kind.annotation, declared, b"")(kind.value(random)) for _ in range(5)]

    errors = [refusal(decode, mutated(random, value)) for value in good for _ in range(100)]

    assert all(error is None or kind.annotation.__name__ in error for error in errors)
    assert 2000 > max(len(error or "") for error in errors)


def refusal(decode: Decode, value: bytes) -> str | None:
    """What a decoder says of bytes that it refuses in one of the two ways it may."""
    try:
        decode(value, 0)
    except (DecodeError, SchemaMismatch) as error:
        return str(error)
    return None


def test_the_year_one_is_as_far_as_moments_go() -> None:
    """The first and the last microsecond that Python knows come back; one further is an error."""
    codec = AvroCodec()

    class Moment(Event, topic="moments"):
        """A moment."""

        at: datetime

    schema = codec.schema(Moment)
    encode, decode = codec.encoder(Moment, schema, b""), codec.decoder(Moment, schema)
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

    assert [first, last] == [decode(encode(Moment(at=at)), 0).at for at in (first, last)]  # type: ignore[attr-defined]
