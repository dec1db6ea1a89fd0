"""Digits of decimals are counted once, by the wire or by pydantic, and never not at all."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel, Field

from eventhub.codecs.avro import AvroCodec
from eventhub.codecs.avro.digits import promises_digits, validator_of_the_rest
from eventhub.codecs.avro.types import Fixed, Logical, Primitive, Union
from eventhub.errors import DecodeError, SchemaMismatch
from eventhub.event import Event
from eventhub.registry.base import Schema

Money = Annotated[Decimal, Field(max_digits=6, decimal_places=2)]


class Line(BaseModel):
    """A nested model."""

    price: Money


class Priced(Event, topic="priced"):
    """Decimals in every place."""

    total: Annotated[Money, Field(ge=0)] = Decimal(0)
    maybe: Money | None = None
    lines: list[Line] = Field(default_factory=list)
    even: Annotated[Money, AfterValidator(lambda value: value * 2)] = Decimal(0)


def money(precision: int = 6, scale: int = 2) -> dict[str, Any]:
    """A decimal type."""
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


def read(value: str, **fields: Any) -> Any:
    """What the class reads of bytes that were written with these fields."""
    listed = [{"name": name, "type": kind} for name, kind in fields.items()]
    schema = Schema(json.dumps({"type": "record", "name": "Priced", "fields": listed}))
    return AvroCodec().decoder(Priced, schema)(bytes.fromhex(value), 0)


def test_what_the_wire_promises_is_taken_at_its_word() -> None:
    """The digits are right, and all other rules of the class are kept."""
    line = {"type": "record", "name": "Line", "fields": [{"name": "price", "type": money()}]}

    event = read(
        "060f423f 02060f423f 0202f600 027f",
        total=money(),
        maybe=["null", money()],
        lines={"type": "array", "items": line},
        even=money(),
    )

    assert (
        Priced.model_construct(
            total=Decimal("9999.99"),
            maybe=Decimal("9999.99"),
            lines=[Line(price=Decimal("-0.10"))],
            even=Decimal("2.54"),
        )
        == event
    )


@pytest.mark.parametrize(
    ("value", "fields", "reason"),
    [
        ("02f6", {"total": money()}, r"Priced\.total: Input should be greater than or equal to 0"),
        ("0401f4", {"total": money(6, 3)}, None),
        ("0401f5", {"total": money(6, 3)}, r"Priced\.total: Decimal input should have no more than 2 decimal places"),
        ("060f4240", {"total": money(9, 2)}, r"Priced\.total: Decimal input should have no more than 4 digits before"),
        ("0c312e323334", {"total": "string"}, r"Priced\.total: "),
        (
            "0a312e323334",
            {"total": "string"},
            r"Priced\.total: Decimal input should have no more than 2 decimal places",
        ),
        ("020a312e323334", {"maybe": ["null", "string"]}, r"Priced\.maybe: Decimal input should have no more than 2"),
        (
            "02 02 0a 7072696365 0a 312e323334 00 00",
            {"lines": {"type": "array", "items": {"type": "map", "values": "string"}}},
            r"Priced\.lines",
        ),
    ],
)
def test_what_it_does_not_promise_is_counted(value: str, fields: dict[str, Any], reason: str | None) -> None:
    """More digits, more places, or texts from a writer that knows no decimals."""
    if reason is None:
        assert Decimal("0.500") == read(value, **fields).total
    else:
        with pytest.raises((SchemaMismatch, DecodeError), match=reason):
            read(value, **fields)


@pytest.mark.parametrize("value", ["060f4240", "06f0bdc0", "0e00ffffffffffff"])
def test_a_broken_promise_is_an_error_of_the_bytes(value: str) -> None:
    """Bytes can hold more digits than their type allows."""
    with pytest.raises(DecodeError, match=r"Priced\.total: the decimal has more than the 6 digits of its type"):
        read(value, total=money())


def test_a_schema_by_hand_promises_nothing() -> None:
    """It may say more than the class."""

    class Wide(Event, topic="wide"):
        """A class that is narrower than its own schema."""

        __schema__ = json.dumps({"type": "record", "name": "Wide", "fields": [{"name": "total", "type": money(9, 4)}]})

        total: Money

    codec = AvroCodec()

    with pytest.raises(SchemaMismatch, match=r"Wide\.total: Decimal input should have no more than 2 decimal places"):
        codec.decoder(Wide, codec.schema(Wide))(bytes.fromhex("027f"), 0)


@pytest.mark.parametrize(
    ("written", "wanted", "promised"),
    [
        (Logical("decimal", 2, 6), Logical("decimal", 2, 6), True),
        (Logical("decimal", 0, 4), Logical("decimal", 2, 6), True),
        (Logical("decimal", 0, 5), Logical("decimal", 2, 6), False),
        (Logical("decimal", 3, 6), Logical("decimal", 2, 6), False),
        (None, Logical("decimal", 2, 6), False),
        (Logical("decimal", 2, 6), None, True),
    ],
)
def test_a_promise_covers_places_and_digits_before_them(
    written: Logical | None, wanted: Logical | None, promised: bool
) -> None:
    """As pydantic counts them; alone, in a union, or as a fixed type."""
    limit = Primitive("bytes", wanted)

    assert [promised] * 3 == [
        promises_digits(Primitive("bytes", written), limit),
        promises_digits(Primitive("bytes", written), Union((Primitive("null"), limit))),
        promises_digits(Fixed("F", 9, written), limit),
    ]


def test_the_rest_of_a_class_is_validated_as_ever() -> None:
    """Nested models included, and instances are of the class itself."""
    validate = validator_of_the_rest(Priced)
    event = validate({"total": Decimal("1.2345678"), "lines": [{"price": Decimal("1.2345678")}]})

    assert type(event) is Priced
    assert type(event.lines[0]) is Line
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        validate({"total": Decimal(-1)})
    with pytest.raises(ValueError, match=r"lines\.0\.price"):
        validate({"lines": [{}]})
