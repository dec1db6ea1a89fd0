"""The way by fastavro: what it takes over, and that it refuses what the generated codec refuses."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from eventhub.codecs.avro import AvroCodec
from eventhub.codecs.avro.interpreted import interpreted_decoder, interpreted_encoder
from eventhub.codecs.avro.schema import avro_type
from eventhub.codecs.avro.types import parse
from eventhub.errors import DecodeError, InvalidSchema, SchemaMismatch
from eventhub.event import Event
from eventhub.registry.base import Schema
from tests.codecs.models import EVENTS, ORDER, OrderCreated, TreeNode

WITHOUT_RECURSION = [event for event in EVENTS if type(event).__name__ not in {"TreeNode", "Employee"}]


def record(name: str, **fields: Any) -> str:
    """The text of a writer's schema."""
    listed = [{"name": field, "type": kind} for field, kind in fields.items()]
    return json.dumps({"type": "record", "name": name, "fields": listed})


def symbols(name: str, *symbols: str) -> dict[str, Any]:
    """An enum type."""
    return {"type": "enum", "name": name, "symbols": symbols}


def read(cls: type[Event], schema: str, value: str) -> Any:
    """What a class makes of bytes that were written with a schema."""
    return interpreted_decoder(cls, parse(schema), avro_type(cls))(bytes.fromhex(value), 0)


def written(event: Event) -> bytes:
    """An event's bytes."""
    return interpreted_encoder(type(event), avro_type(type(event)), b"")(event)


@pytest.mark.parametrize("event", WITHOUT_RECURSION, ids=[type(event).__name__ for event in WITHOUT_RECURSION])
def test_it_says_what_the_generated_codec_says(event: Event) -> None:
    """The same bytes, and the same event from them."""
    codec, cls = AvroCodec(), type(event)
    value = codec.encoder(cls, codec.schema(cls), b"\x07")(event)

    assert value == interpreted_encoder(cls, avro_type(cls), b"\x07")(event)
    assert event == interpreted_decoder(cls, avro_type(cls), avro_type(cls))(value, 1)


class Line(BaseModel):
    """A line of an order."""

    sku: str


class Basket(Event, topic="baskets"):
    """An order whose schema calls its lines something else."""

    __schema__ = json.dumps(
        {
            "type": "record",
            "name": "Basket",
            "fields": [
                {
                    "name": "line",
                    "type": {"type": "record", "name": "Position", "fields": [{"name": "sku", "type": "string"}]},
                }
            ],
        }
    )

    line: Line


def test_it_writes_records_that_no_class_is_named_for() -> None:
    """A schema by hand may have names of its own."""
    codec = AvroCodec()
    schema = codec.schema(Basket)
    basket = Basket(line=Line(sku="tea"))

    value = codec.encoder(Basket, schema, b"")(basket)

    assert b"\x06tea" == value
    assert basket == codec.decoder(Basket, schema)(value, 0)


def test_it_reads_schemas_that_are_too_large_to_compile() -> None:
    """Generated code for some thousands of fields would take seconds to compile."""

    class Last(Event, topic="huge"):
        """The one field that is wanted."""

        last: int

    fields = {f"f{number}": "string" for number in range(9_000)} | {"last": "int"}
    start = time.process_time()

    decode = AvroCodec().decoder(Last, Schema(record("Huge", **fields)))

    assert Last(last=3) == decode(b"\x00" * 9_000 + b"\x06", 0)
    assert 5 > time.process_time() - start


def test_recursive_schemas_are_refused() -> None:
    """The C reader would follow them until the stack ends."""
    with pytest.raises(InvalidSchema, match="TreeNode: fastavro is not given recursive schemas"):
        interpreted_decoder(TreeNode, avro_type(TreeNode), avro_type(TreeNode))


class Colour(StrEnum):
    """An enum with a default."""

    RED = "red"
    __default__ = "red"


class Strict(StrEnum):
    """An enum without."""

    RED = "red"


class Odd(Event, topic="odd"):
    """Some types in unions."""

    one: Colour | None = None
    number: int | str | date | None = None
    many: list[Colour] = Field(default_factory=list)


@pytest.mark.parametrize(
    ("schema", "value", "event"),
    [
        (
            record("Odd", one=["null", {"type": "enum", "name": "Colour", "symbols": ["blue", "red"]}]),
            "02 00",
            Odd(one=Colour.RED),
        ),
        (record("Odd", number=["int", "long", "string"]), "00 06", Odd(number=3)),
        (record("Odd", number=["int", "long", "string"]), "02 06", Odd(number=3)),
        (record("Odd", number=[{"type": "int", "logicalType": "date"}, "long"]), "00 00", Odd(number=date(1970, 1, 1))),
        (
            record("Odd", many={"type": "array", "items": {"type": "enum", "name": "C", "symbols": ["x"]}}),
            "02 00 00",
            Odd(many=[Colour.RED]),
        ),
        (
            record("Odd", gone={"type": "map", "values": {"type": "fixed", "name": "F", "size": 1}}),
            "02 02 6b 07 00",
            Odd(),
        ),
        (
            record("Odd", gone={"type": "map", "values": {"type": "record", "name": "R", "fields": []}}),
            "02 02 6b 00",
            Odd(),
        ),
    ],
)
def test_it_resolves_what_the_generated_codec_resolves(schema: str, value: str, event: Odd) -> None:
    """Defaults of enums, branches of unions, what nobody wants."""
    codec = AvroCodec()

    assert event == read(Odd, schema, value) == codec.decoder(Odd, Schema(schema))(bytes.fromhex(value), 0)


class Numbers(Event, topic="numbers"):
    """Fixed types and numbers of all widths, by hand."""

    __schema__ = record(
        "Numbers",
        small="int",
        real="float",
        id={"type": "fixed", "name": "Id", "size": 16, "logicalType": "uuid"},
        cents={"type": "fixed", "name": "Cents", "size": 4, "logicalType": "decimal", "precision": 9, "scale": 2},
        either=["int", "string"],
        at={"type": "long", "logicalType": "timestamp-nanos"},
    )

    small: int
    real: float
    id: UUID
    cents: Decimal
    either: int | str
    at: datetime


NUMBERS = Numbers(
    small=-1,
    real=1.5,
    id=UUID(int=1),
    cents=Decimal("-1.00"),
    either=7,
    at=datetime(2000, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
)


def test_types_that_only_a_schema_by_hand_has_come_back_too() -> None:
    """Both ways write the same."""
    codec = AvroCodec()
    value = written(NUMBERS)

    assert NUMBERS == interpreted_decoder(Numbers, avro_type(Numbers), avro_type(Numbers))(value, 0)
    assert value == codec.encoder(Numbers, codec.schema(Numbers), b"")(NUMBERS)
    assert NUMBERS == codec.decoder(Numbers, codec.schema(Numbers))(value, 0)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"small": 2**31}, r"Numbers\.small: 2147483648 needs more than 32 bits"),
        ({"id": "x"}, r"Numbers\.id: str is no UUID"),
        ({"cents": Decimal("1.001")}, r"Numbers\.cents: Decimal has more than 2 places"),
        ({"cents": Decimal("99999999.99")}, r"Numbers\.cents: Decimal has 8 digits before the point, allowed are 7"),
        ({"either": 1.5}, r"Numbers\.either: float is none of the types of its union"),
        ({"real": 1e300}, r"Numbers\.real: float needs more than 32 bits"),
    ],
)
def test_a_value_without_a_place_is_a_mismatch(values: dict[str, Any], reason: str) -> None:
    """With the field, as far as this codec knows it."""
    changed = NUMBERS.model_copy()
    changed.__dict__.update(values)

    with pytest.raises(SchemaMismatch, match=reason):
        written(changed)


LINE = ORDER.lines[0].model_copy(update={"quantity": "x"})


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"channel": "fax"}, r"OrderCreated\.channel: 'fax' is no symbol"),
        ({"lines": [{}]}, r"OrderCreated\.lines\[0\]: dict is no model"),
        (
            {"lines": [ORDER.lines[0].model_copy(update={"quantity": "x"})]},
            r"OrderCreated\.lines\[0\]\.quantity: str is no int",
        ),
        ({"tags": {"a": 1}}, r"OrderCreated\.tags\['a'\]: int is no str"),
        ({"note": 1}, r"OrderCreated\.note: int is none of the types of its union"),
    ],
)
def test_a_value_deep_inside_is_named_with_its_place(values: dict[str, Any], reason: str) -> None:
    """Index and key included."""
    changed = ORDER.model_copy()
    changed.__dict__.update(values)

    with pytest.raises(SchemaMismatch, match=reason):
        written(changed)
    with pytest.raises(SchemaMismatch, match=r"OrderCreated has no field 'order_id'"):
        written(OrderCreated.model_construct())


class Needs(Event, topic="needs"):
    """An enum without a default, a moment and a text."""

    one: Strict = Strict.RED
    at: list[datetime] = Field(default_factory=list)
    text: str


@pytest.mark.parametrize(
    ("schema", "value", "error", "reason"),
    [
        (record("N", text="string"), "06 78", DecodeError, "Needs: bytes are not what their schema promises"),
        (record("N", text="string"), "02 78 00", DecodeError, "Needs: 1 bytes are left after the event"),
        (record("N", text="string"), "02 ff", DecodeError, "Needs: bytes are not what their schema promises"),
        (record("N", text=["null", "string"]), "08", DecodeError, "Needs: bytes are not what their schema promises"),
        (record("N"), "", SchemaMismatch, r"Needs\.text: Field required"),
        (
            record("N", one={"type": "enum", "name": "Strict", "symbols": ["blue"]}, text="string"),
            "00 00",
            SchemaMismatch,
            r"Needs\.one: Strict has no 'blue', only red",
        ),
        (
            record("N", at={"type": "array", "items": {"type": "long", "logicalType": "timestamp-micros"}}),
            "02 fe ff ff ff ff ff ff ff ff 01 00",
            DecodeError,
            r"Needs\.at\[0\]: 9223372036854775807 is outside the years 1 to 9999",
        ),
    ],
)
def test_bytes_that_break_a_promise_are_refused(schema: str, value: str, error: type[Exception], reason: str) -> None:
    """With one error, whatever fastavro says."""
    with pytest.raises(error, match=reason):
        read(Needs, schema, value)
