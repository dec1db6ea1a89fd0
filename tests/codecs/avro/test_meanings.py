"""What values mean to their writer, and whether a class ever takes them for what it wants."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from random import Random
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, BeforeValidator, Field, HttpUrl, NaiveDatetime, PlainSerializer, create_model

from eventhub.codecs.avro import AvroCodec
from eventhub.codecs.avro.decoder import compiled_decoder
from eventhub.codecs.avro.interpreted import interpreted_decoder
from eventhub.codecs.avro.schema import avro_type
from eventhub.codecs.avro.types import parse
from eventhub.codecs.base import Decode
from eventhub.errors import SchemaMismatch
from eventhub.event import Event
from eventhub.registry.base import Schema
from tests.properties.random_events import LEAVES, Kind, Speed

CODEC = AvroCodec()
TIMES = tuple(kind for kind in LEAVES if kind.annotation in {datetime, NaiveDatetime, date, time, timedelta})


def event(annotation: Any) -> type[Event]:
    """An event with one field."""
    made: Any = create_model("Noted", __base__=Event, __cls_kwargs__={"topic": "notes"}, at=(annotation, ...))
    return made  # type: ignore[no-any-return]


def kinds(reader: Any, writer: Any) -> list[str]:
    """The kinds of the problems that a field of one annotation has with what one of another wrote."""
    return [f"{each.path} {each.kind}" for each in CODEC.problems(event(reader), CODEC.schema(event(writer)))]


def is_read(reader: type[Event], value: Event) -> bool:
    """Whether a class takes an event of another version of itself."""
    schema = CODEC.schema(type(value))
    try:
        CODEC.decoder(reader, schema)(CODEC.encoder(type(value), schema, b"")(value), 0)
    except SchemaMismatch:
        return False
    return True


@pytest.mark.parametrize("writer", TIMES, ids=lambda kind: kind.annotation.__name__)
@pytest.mark.parametrize("reader", LEAVES, ids=lambda kind: getattr(kind.annotation, "__name__", "literal"))
def test_what_is_told_of_times_is_what_happens(reader: Kind, writer: Kind) -> None:
    """A problem means that nothing is read, no problem that everything is; an enum of numbers looks at values."""
    random = Random(7)
    written, read = event(writer.annotation), event(reader.annotation)
    found = [is_read(read, written(at=writer.value(random))) for _ in range(20)]  # type: ignore[call-arg]

    if reader.annotation is not Speed:
        assert ({False} if kinds(reader.annotation, writer.annotation) else {True}) == set(found)


MONEY = Annotated[Decimal, Field(max_digits=12, decimal_places=2)]


@pytest.mark.parametrize("make", [compiled_decoder, interpreted_decoder])
@pytest.mark.parametrize(
    ("reader", "writer", "written", "read"),
    [(bytes, MONEY, Decimal("2.57"), b"\x01\x01"), (MONEY, bytes, b"\x01\x01", Decimal("2.57"))],
)
def test_a_number_that_one_side_takes_for_bytes_is_what_the_reader_says(
    make: Callable[..., Decode], reader: Any, writer: Any, written: Any, read: Any
) -> None:
    """As with times and whole numbers: a bare value means what the class wants, and the class may want it bare."""
    source, target = event(writer), event(reader)
    schema = CODEC.schema(source)
    data = CODEC.encoder(source, schema, b"")(source(at=written))  # type: ignore[call-arg]

    assert target(at=read) == make(target, parse(schema.text), avro_type(target))(data, 0)  # type: ignore[call-arg]


class Inner(BaseModel):
    """A model with a time of day."""

    at: time
    next: Inner | None = None


class InnerBefore(BaseModel):
    """The same when it was a moment."""

    at: datetime
    next: InnerBefore | None = None


@pytest.mark.parametrize(
    ("reader", "writer", "expected"),
    [
        (list[time], list[datetime], ["/fields/0/type/items MEANING_CHANGED"]),
        (dict[str, time], dict[str, datetime], ["/fields/0/type/values MEANING_CHANGED"]),
        (time | None, datetime | None, ["/fields/0/type MEANING_CHANGED"]),
        (date, datetime, ["/fields/0/type TYPE_MISMATCH"]),
        (datetime, date, []),
    ],
)
def test_places_are_those_of_the_rules(reader: Any, writer: Any, expected: list[str]) -> None:
    """And what the rules themselves refuse is not told twice."""
    assert expected == kinds(reader, writer)


def test_records_that_hold_themselves_are_gone_through_once() -> None:
    """The names of the models differ too, which is another problem."""
    assert "/fields/0/type/fields/0/type MEANING_CHANGED" in kinds(Inner, InnerBefore)


def test_a_class_with_a_validator_of_its_own_may_take_anything() -> None:
    """Nobody can tell what it does."""
    naive = Annotated[NaiveDatetime, BeforeValidator(lambda moment: moment.replace(tzinfo=None))]

    assert ["/fields/0/type MEANING_CHANGED"] == kinds(NaiveDatetime, datetime)
    assert [] == kinds(naive, datetime)


@pytest.mark.parametrize("beside", [HttpUrl, IPv4Address, Annotated[int, PlainSerializer(str, when_used="json")]])
def test_code_that_is_no_validator_of_the_class_takes_nothing_for_anything(beside: Any) -> None:
    """Neither that of pydantic's own types, nor a serializer, which sees only what is written."""
    made: Any = create_model("Noted", __base__=event(NaiveDatetime), beside=(beside | None, None))

    assert ["MEANING_CHANGED"] == [each.kind for each in CODEC.problems(made, CODEC.schema(event(datetime)))]


class Chain(Event, topic="chains"):
    """An event that holds itself."""

    at: time
    next: Chain | None = None


def test_a_chain_of_a_writer_is_survived() -> None:
    """Each record of it is another one, so that the same pair is never met twice."""
    at = '{"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}}'
    followers = ['["null"]', *(f'["null","C{number}"]' for number in range(3000))]
    links = ",".join(
        f'{{"name":"f{number}","type":{{"type":"record","name":"C{number}","fields":[{at},'
        f'{{"name":"next","type":{followers[number]}}}]}}}}'
        for number in range(3000)
    )
    schema = Schema(
        f'{{"type":"record","name":"Chain","fields":[{at},{links},{{"name":"next","type":["null","C2999"]}}]}}'
    )

    assert CODEC.problems(Chain, schema)
