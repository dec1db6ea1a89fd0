"""The laws of codecs, one test each.

A codec's own test module derives a class and gives it the codec::

    class TestAvro(CodecConformance):
        @pytest.fixture
        def codec(self) -> Codec:
            return AvroCodec()

The events of the tests number their fields, so that formats which go by numbers can take part.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from random import Random
from typing import Annotated
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from eventhub.codecs.base import Codec
from eventhub.codecs.number import Number
from eventhub.errors import DeclarationError, DecodeError, SchemaMismatch
from eventhub.event import Event

PREFIX = b"\x00\x00\x00\x00\x2a"


class Way(StrEnum):
    """An enum."""

    CARD = "card"
    CASH = "cash"


class Line(BaseModel):
    """A nested model."""

    sku: Annotated[str, Number(1)]
    price: Annotated[Decimal, Field(max_digits=12, decimal_places=2), Number(2)]


class Ordered(Event, topic="orders", name="conformance.Ordered"):
    """An event with a field of each common type."""

    id: Annotated[UUID, Number(1)]
    at: Annotated[datetime, Number(2)]
    count: Annotated[int, Number(3)]
    weight: Annotated[float, Number(4)]
    urgent: Annotated[bool, Number(5)]
    way: Annotated[Way, Number(6)]
    lines: Annotated[list[Line], Number(7)]
    tags: Annotated[dict[str, int], Number(8)]
    note: Annotated[str | None, Number(9)] = None
    wait: Annotated[timedelta, Number(10)] = timedelta(0)


class OrderedBefore(Event, topic="orders", name="conformance.Ordered"):
    """The same event, as it was when it had fewer fields."""

    id: Annotated[UUID, Number(1)]
    count: Annotated[int, Number(3)]


class OrderedAfter(Event, topic="orders", name="conformance.Ordered"):
    """The same event, with a field more than it had, and fewer of the others."""

    count: Annotated[int, Number(3)]
    currency: Annotated[str, Number(20)] = "EUR"


class OrderedOtherwise(Event, topic="orders", name="conformance.Ordered"):
    """The same event to a reader that asks for what nobody wrote."""

    count: Annotated[int, Number(3)]
    currency: Annotated[str, Number(20)]


class Numbers(Event, topic="orders", name="conformance.Numbers"):
    """An event with any number of values."""

    numbers: Annotated[list[int], Number(1)]


class Positive(Event, topic="orders", name="conformance.Numbers"):
    """The same event to a reader that takes only some of them."""

    numbers: Annotated[list[Annotated[int, Field(gt=0)]], Number(1)]


class Unwritable(Event, topic="orders"):
    """An event with a field that no format has a place for."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    call: Annotated[Callable[[], None], Number(1)]


FULL = Ordered(
    id=UUID("0190d9a0-7c2b-7cc1-8a53-6f1f0c5b7a10"),
    at=datetime(2026, 11, 23, 12, 34, 56, 789012, tzinfo=UTC),
    count=-(2**63),
    weight=0.1,
    urgent=True,
    way=Way.CASH,
    lines=[Line(sku="tea", price=Decimal("-9999999999.99")), Line(sku="", price=Decimal("0.00"))],
    tags={"": 0, "Größe": 2**63 - 1, "😀": -1},
    note="x" * 10_000,
    wait=timedelta(days=-1, microseconds=1),
)
EMPTY = Ordered(
    id=UUID(int=0),
    at=datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    count=0,
    weight=0.0,
    urgent=False,
    way=Way.CARD,
    lines=[],
    tags={},
    note="",
)


class CodecConformance:
    """Every law of a codec; derive from it and define the fixture ``codec``."""

    def test_schema_is_the_same_at_every_call(self, codec: Codec) -> None:
        """Or each start would register another version."""
        assert codec.schema(Ordered) == codec.schema(Ordered)

    def test_schema_is_named_for_the_event(self, codec: Codec) -> None:
        """That tells the events of one topic apart."""
        assert "conformance.Ordered" == codec.name(codec.schema(Ordered))

    @pytest.mark.parametrize("event", [FULL, EMPTY], ids=["full", "empty"])
    def test_event_comes_back_as_it_was(self, codec: Codec, event: Ordered) -> None:
        """To the last microsecond and digit; empty is told from missing."""
        assert event == _read(codec, Ordered, event)

    def test_bytes_begin_with_the_prefix(self, codec: Codec) -> None:
        """And are read from wherever the body begins."""
        schema = codec.schema(Ordered)
        short = codec.encoder(Ordered, schema, PREFIX)(EMPTY)
        long = codec.encoder(Ordered, schema, b"\x07" * 100)(EMPTY)

        assert PREFIX == short[: len(PREFIX)]
        assert short[len(PREFIX) :] == long[100:]
        assert EMPTY == codec.decoder(Ordered, schema)(long, 100)

    def test_fields_that_the_reader_does_not_declare_are_passed_over(self, codec: Codec) -> None:
        """A reader declares what it needs."""
        assert OrderedBefore(id=FULL.id, count=FULL.count) == _read(codec, OrderedBefore, FULL)

    def test_fields_that_the_writer_did_not_know_have_their_defaults(self, codec: Codec) -> None:
        """A reader can be newer than what it reads."""
        before = OrderedBefore(id=FULL.id, count=7)

        assert OrderedAfter(count=7, currency="EUR") == _read(codec, OrderedAfter, before)

    def test_missing_field_without_default_is_a_mismatch(self, codec: Codec) -> None:
        """The bytes are good, so it is no error of decoding."""
        with pytest.raises(SchemaMismatch, match="currency"):
            _read(codec, OrderedOtherwise, FULL)

    @pytest.mark.parametrize("error", [ValueError, TypeError, KeyError, IndexError, OverflowError, RuntimeError])
    def test_whatever_a_validator_raises_is_a_mismatch(self, codec: Codec, error: type[Exception]) -> None:
        """The bytes are not to blame, and validators run once; the text of the error may hold values."""
        runs: list[int] = []

        class Picky(Event, topic="orders", name="conformance.Ordered"):
            """A reader that takes nothing."""

            count: Annotated[int, Number(3)]

            @field_validator("count")
            @classmethod
            def take(cls, count: int) -> int:
                """Refuse it."""
                runs.append(count)
                msg = "refused"
                raise error(msg)

        with pytest.raises(SchemaMismatch, match=r"Picky(\.count: Value error|: a validator failed with \w+Error)"):
            _read(codec, Picky, FULL)
        assert [FULL.count] == runs

    def test_many_problems_make_no_large_message(self, codec: Codec) -> None:
        """A record of a megabyte may have a million of them."""
        for count, told in ((100, "and 80 more"), (100_000, "Positive: 100000 values")):
            with pytest.raises(SchemaMismatch, match=told) as raised:
                _read(codec, Positive, Numbers(numbers=[-1] * count))
            assert 2_000 > len(str(raised.value))

    def test_reader_that_can_read_has_no_problems(self, codec: Codec) -> None:
        """Nor has the class itself."""
        schema = codec.schema(OrderedBefore)

        assert [] == [*codec.problems(OrderedBefore, schema), *codec.problems(OrderedAfter, schema)]

    def test_reader_that_cannot_read_is_told_why(self, codec: Codec) -> None:
        """Before it has read anything."""
        problems = codec.problems(OrderedOtherwise, codec.schema(Ordered))

        assert any("currency" in str(problem) for problem in problems)

    def test_value_that_its_field_does_not_take_is_a_mismatch(self, codec: Codec) -> None:
        """Whatever was put into an event behind pydantic's back; the error names the field and no value."""
        encode = codec.encoder(Ordered, codec.schema(Ordered), PREFIX)
        wrong = FULL.model_copy(update={"count": "hush"})

        with pytest.raises(SchemaMismatch, match="count") as raised:
            encode(wrong)
        assert "hush" not in str(raised.value)

    def test_type_without_a_place_is_a_declaration_error(self, codec: Codec) -> None:
        """It names the class."""
        with pytest.raises(DeclarationError, match="Unwritable"):
            codec.schema(Unwritable)

    def test_bytes_cut_short_are_one_of_two_errors(self, codec: Codec) -> None:
        """Wherever they end, as long as a field is missing then that has no default."""
        schema = codec.schema(OrderedBefore)
        value = codec.encoder(OrderedBefore, schema, PREFIX)(OrderedBefore(id=FULL.id, count=300))
        decode = codec.decoder(OrderedBefore, schema)

        for end in range(len(PREFIX), len(value)):
            with pytest.raises((DecodeError, SchemaMismatch)):
                decode(value[:end], len(PREFIX))

    def test_arbitrary_bytes_raise_nothing_else(self, codec: Codec) -> None:
        """They may happen to be an event."""
        random, decode = Random(0), codec.decoder(Ordered, codec.schema(Ordered))  # noqa: S311 - seeded, not secret
        good = codec.encoder(Ordered, codec.schema(Ordered), PREFIX)(FULL)

        for _ in range(1_000):
            changed = bytearray(good)
            for _ in range(random.randrange(1, 5)):
                changed[random.randrange(len(PREFIX), len(changed))] = random.randrange(256)
            for value in (bytes(changed), PREFIX + random.randbytes(random.randrange(50))):
                with suppress(DecodeError, SchemaMismatch):
                    assert isinstance(decode(value, len(PREFIX)), Ordered)


def _read(codec: Codec, reader: type[Event], event: Event) -> Event:
    """What a class reads of an event that another class wrote."""
    schema = codec.schema(type(event))
    return codec.decoder(reader, schema)(codec.encoder(type(event), schema, PREFIX)(event), len(PREFIX))
