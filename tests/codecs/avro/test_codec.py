"""What the Avro codec promises about values: evolution, odd objects, and bytes made to harm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from datetime import time as time_of_day
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, NaiveDatetime, RootModel, field_validator

from eventhub.codecs.avro import AvroCodec
from eventhub.codecs.avro.binary import varint
from eventhub.codecs.avro.decoder import compiled_decoder
from eventhub.codecs.avro.interpreted import interpreted_decoder
from eventhub.codecs.avro.schema import avro_type
from eventhub.codecs.base import Decode
from eventhub.errors import DecodeError, InvalidSchema, SchemaMismatch
from eventhub.event import Event
from eventhub.registry.base import Schema
from tests.codecs.models import EVENTS, ORDER, LineItem, Money, OrderCreated, TreeNode

CODEC = AvroCodec()


def record(name: str = "Read", **fields: Any) -> Schema:
    """The schema of a writer."""
    listed = [{"name": field, "type": kind} for field, kind in fields.items()]
    return Schema(json.dumps({"type": "record", "name": name, "fields": listed}))


def written(event: Event) -> bytes:
    """An event's bytes, without a frame."""
    return CODEC.encoder(type(event), CODEC.schema(type(event)), b"")(event)


def read(cls: type[Event], schema: Schema, value: bytes | str) -> Any:
    """What a class makes of bytes, given as hex, that were written with a schema."""
    return CODEC.decoder(cls, schema)(bytes.fromhex(value) if isinstance(value, str) else value, 0)


class Read(Event, topic="read"):
    """What a reader declares; most tests have a class of their own."""

    a: int
    b: str = "default"


# -- evolution ------------------------------------------------------------------------------------


def test_a_field_that_the_writer_lacks_has_the_readers_default() -> None:
    """Defaults are pydantic's, those of factories too."""

    class Late(Event, topic="late"):
        """A class with a field that came later."""

        a: int
        id: UUID = Field(default_factory=lambda: UUID(int=7))

    assert Late(a=3, id=UUID(int=7)) == read(Late, record(a="long"), "06")


def test_a_field_that_the_reader_lacks_is_stepped_over() -> None:
    """Whatever it holds, also where the text in it is no UTF-8."""
    schema = record(x={"type": "map", "values": ["null", {"type": "array", "items": "string"}]}, a="int")
    value = "01 0c 02 6b 02 02 02 ff 0002 02 6a 000006"

    assert Read(a=3) == read(Read, schema, value)


def test_a_missing_field_without_default_is_a_mismatch() -> None:
    """The bytes are good; the class asks for more."""
    with pytest.raises(SchemaMismatch, match=r"Read\.a: Field required"):
        read(Read, record(b="string"), "02 78")


def test_a_renamed_field_is_found_under_its_old_names() -> None:
    """The new name comes first, then the old ones in the order in which they are declared."""

    class Renamed(Event, topic="renamed"):
        """A field that had two other names."""

        quantity: int = Field(validation_alias=AliasChoices("amount", "qty"))

    assert [1, 1, 2] == [
        read(Renamed, schema, "02 04").quantity
        for schema in (
            record(quantity="int", qty="int"),
            record(amount="int", qty="int"),
            record(qty="int", quantity="int"),
        )
    ]


class Channel(StrEnum):
    """An enum that takes unknown symbols for one of its own."""

    WEB = "web"
    OTHER = "other"
    __default__ = "other"


class Strict(StrEnum):
    """An enum that does not."""

    WEB = "web"


def test_an_unknown_symbol_is_the_enums_default() -> None:
    """Known ones stay as they are, wherever the writer has them in its list."""

    class Read(Event, topic="read"):
        """Symbols alone and in a union."""

        one: Channel
        two: Channel | None

    symbols = {"type": "enum", "name": "Channel", "symbols": ["fax", "web"]}

    assert [Read(one=Channel.OTHER, two=Channel.WEB)] == [
        read(Read, record(one=symbols, two=["null", "Channel"]), "00 02 02")
    ]


def test_an_unknown_symbol_without_default_names_field_and_symbol() -> None:
    """And says how to read it."""

    class Read(Event, topic="read"):
        """A symbol."""

        one: list[Strict]

    symbols = {"type": "enum", "name": "Strict", "symbols": ["web", "fax"]}
    reason = r"Read\.one\[\]: Strict has no 'fax', only web; declare __default__ in Strict to read it"

    with pytest.raises(SchemaMismatch, match=reason):
        read(Read, record(one={"type": "array", "items": symbols}), "02 02 00")


def test_numbers_grow_and_texts_turn_into_bytes() -> None:
    """The promotions of Avro, by pydantic."""

    class Wide(Event, topic="wide"):
        """The wider types."""

        a: float
        b: bytes
        c: str

    schema = record(a="int", b="string", c="bytes")

    assert Wide(a=3.0, b=b"x", c="y") == read(Wide, schema, "06 02 78 02 79")


def test_a_bare_long_is_a_moment_to_a_class_that_says_so() -> None:
    """Pydantic alone would take it for seconds or milliseconds, whichever looks better."""

    class Read(Event, topic="read"):
        """A moment, and a number that its writer meant as a moment."""

        at: datetime
        number: int

    moment = {"type": "long", "logicalType": "timestamp-millis"}
    read_event = read(Read, record(at="long", number=moment), varint(2 * 10_000_000_000) + varint(2 * 1000))

    assert Read(at=datetime(1970, 1, 1, 2, 46, 40, tzinfo=UTC), number=1000) == read_event


def test_a_moment_in_milliseconds_is_read_by_its_writers_unit() -> None:
    """Java writes milliseconds where Python writes microseconds."""

    class Read(Event, topic="read"):
        """A moment."""

        at: datetime

    schema = record(at={"type": "long", "logicalType": "timestamp-millis"})

    assert datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC) == read(Read, schema, "d0 0f").at


class Card(BaseModel):
    """One of two models with the same fields."""

    number: str


class Iban(BaseModel):
    """The other."""

    number: str


def test_a_model_of_a_union_is_chosen_by_its_name() -> None:
    """Both would fit; pydantic alone would always take the first."""

    class Paid(Event, topic="paid"):
        """A choice."""

        by: Card | Iban

    assert Paid(by=Iban(number="1")) == read(Paid, CODEC.schema(Paid), written(Paid(by=Iban(number="1"))))


def test_the_name_in_a_union_counts_without_its_namespace() -> None:
    """A Java class of the same name lives in a package."""

    class Paid(Event, topic="paid"):
        """A choice."""

        by: Card | Iban

    branches = [
        {"type": "record", "name": f"com.shop.{name}", "fields": [{"name": "number", "type": "string"}]}
        for name in ("Other", "Iban", "Card")
    ]

    assert [Iban(number="x"), Card(number="x")] == [
        read(Paid, record(by=branches), f"{index} 02 78").by for index in ("02", "04")
    ]


@pytest.mark.parametrize("branches", [64, 65, pytest.param(1_025, marks=pytest.mark.slow)])
def test_a_union_may_have_any_number_of_types(branches: int) -> None:
    """Also more than Python nests conditions, and more than two bytes number."""
    enums = [{"type": "enum", "name": f"E{number}", "symbols": [f"S{number}"]} for number in range(branches)]
    schema = record("Chosen", value=["null", *enums[1:]], end="int")

    class Writes(Event, topic="chosen", name="Chosen"):
        """A text of one of many enums."""

        __schema__ = schema.text

        value: str | None
        end: int

    class Chosen(Event, topic="chosen"):
        """The text to a reader."""

        value: str | None
        end: int

    class End(Event, topic="chosen"):
        """What comes behind it."""

        end: int

    encode = CODEC.encoder(Writes, schema, b"")
    values = [f"S{number}" if number else None for number in {0, 1, 63, branches - 1}]
    bodies = [encode(Writes(value=value, end=3)) for value in values]

    assert [Chosen(value=value, end=3) for value in values] == [read(Chosen, schema, body) for body in bodies]
    assert [End(end=3)] * len(bodies) == [read(End, schema, body) for body in bodies]
    with pytest.raises(DecodeError, match=rf"Chosen\.value: {branches} is no index of a union, which has {branches}"):
        read(Chosen, schema, varint(branches << 1) + b"\x00\x06")


class Branch(BaseModel):
    """One of two of which a tree is made."""

    left: Tree | None = None
    name: str = ""


class Tree(Event, topic="trees"):
    """A class that contains itself by way of a union."""

    inner: Branch | None = None


def test_a_union_of_many_types_may_contain_itself() -> None:
    """Such a schema is not for fastavro, so that its code has to be generated."""
    enums = [{"type": "enum", "name": f"E{number}", "symbols": ["A"]} for number in range(100)]
    branch = {
        "type": "record",
        "name": "Branch",
        "fields": [{"name": "left", "type": ["null", "Tree", *enums]}, {"name": "name", "type": "string"}],
    }
    schema = record("Tree", inner=["null", branch])
    tree = Tree(inner=Branch(left=Tree(inner=Branch(name="leaf")), name="root"))

    assert tree == read(Tree, schema, CODEC.encoder(Tree, schema, b"")(tree))


def test_strict_models_are_not_strict_about_the_wire() -> None:
    """On the wire a UUID is text and a set is a list."""

    class Strictly(Event, topic="strict"):
        """A class that wants exact types from its callers."""

        model_config = ConfigDict(strict=True)

        id: UUID
        tags: set[Annotated[str, Field(strict=True)]]

    event = Strictly(id=UUID(int=1), tags={"a"})

    assert event == read(Strictly, CODEC.schema(Strictly), written(event))


def test_values_that_a_validator_refuses_are_a_mismatch() -> None:
    """The error names the field and pydantic's reason, and no value."""
    line = record("LineItem", sku="string", quantity="long", unit_price="string")
    schema = record(lines={"type": "array", "items": json.loads(line.text)})

    class Basket(Event, topic="baskets"):
        """Lines of at least one piece."""

        lines: list[LineItem]

    with pytest.raises(SchemaMismatch) as raised:
        read(Basket, schema, "02 06 746561 00 02 31 00")
    assert "Basket.lines[0].quantity: Input should be greater than 0" == str(raised.value)


class Counting(BaseModel):
    """One of two models; it counts how often it is asked, and refuses whatever it is given."""

    number: str

    @field_validator("number")
    @classmethod
    def take(cls, number: str) -> str:
        """Refuse it in a way that pydantic passes on."""
        ASKED.append(number)
        raise KeyError(number)


ASKED: list[str] = []


@pytest.mark.parametrize("make", [compiled_decoder, interpreted_decoder])
def test_a_model_of_a_union_that_refuses_is_a_mismatch_too(make: Callable[..., Decode]) -> None:
    """It is made while bytes are still read: its validators run once, and bytes that end early are not its fault."""

    class Paid(Event, topic="paid"):
        """A choice."""

        by: Counting | Iban

    ASKED.clear()
    decode = make(Paid, avro_type(Paid), avro_type(Paid))

    with pytest.raises(SchemaMismatch, match=r"Paid(\.by)?: a validator failed with KeyError"):
        decode(bytes.fromhex("00 02 78"), 0)
    assert ["x"] == ASKED
    with pytest.raises(DecodeError):
        decode(bytes.fromhex("00 04 78"), 0)
    assert ["x"] == ASKED


# -- objects that pydantic did not make ------------------------------------------------------------


def altered(event: Event, **values: Any) -> Event:
    """A copy of an event whose attributes were set behind pydantic's back."""
    copy = event.model_copy()
    copy.__dict__.update(values)
    return copy


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"order_id": 7}, r"OrderCreated\.order_id: int is no str"),
        ({"created_at": datetime(2026, 1, 1)}, r"OrderCreated\.created_at: datetime has no time zone; make it aware"),  # noqa: DTZ001
        ({"created_at": date(2026, 1, 1)}, r"OrderCreated\.created_at: date is no datetime"),
        ({"created_at": None}, r"OrderCreated\.created_at: NoneType is no datetime"),
        ({"total": Decimal("1.005")}, r"OrderCreated\.total: Decimal has more than 2 places, and would be rounded"),
        ({"total": Decimal("1e10")}, r"OrderCreated\.total: Decimal has 11 digits before the point, allowed are 10"),
        ({"total": Decimal("1e999999")}, r"OrderCreated\.total: Decimal has 1000000 digits before the point"),
        ({"total": Decimal("NaN")}, r"OrderCreated\.total: NaN is no finite number"),
        ({"total": Decimal("sNaN")}, r"OrderCreated\.total: sNaN is no finite number"),
        ({"total": 1.5}, r"OrderCreated\.total: float is no Decimal"),
        ({"total": "1.50"}, r"OrderCreated\.total: str is no Decimal"),
        ({"currency": b"EUR"}, r"OrderCreated\.currency: bytes is no str"),
        ({"currency": "\ud800"}, r"OrderCreated\.currency: .*surrogates"),
        ({"channel": "fax"}, r"OrderCreated\.channel: 'fax' is no symbol of shop\.orders\.Channel: web, app"),
        ({"channel": []}, r"OrderCreated\.channel: "),
        ({"lines": "abc"}, r"OrderCreated\.lines: str is no list"),
        ({"lines": None}, r"OrderCreated\.lines: NoneType is no list"),
        ({"lines": [{"sku": "x"}]}, r"OrderCreated\.lines\[\w*\]: dict is no model"),
        ({"lines": [LineItem.model_construct(sku="x")]}, r"OrderCreated\.lines\[\w*\]\.quantity: "),
        ({"note": 7}, r"OrderCreated\.note: int is no(ne of the types of its union| str)"),
        ({"tags": [("a", "b")]}, r"OrderCreated\.tags: list is no dict"),
        ({"tags": {1: "b"}}, r"OrderCreated\.tags.*: int is no str"),
        ({"tags": {"a": None}}, r"OrderCreated\.tags.*: NoneType is no str"),
    ],
)
def test_a_value_without_a_place_is_a_mismatch_that_names_its_field(values: dict[str, Any], reason: str) -> None:
    """Nothing is rounded, guessed or written as something else."""
    with pytest.raises(SchemaMismatch, match=reason):
        written(altered(ORDER, **values))


def test_numbers_beyond_their_type_are_refused() -> None:
    """64 bits for what is derived; 32 where a schema by hand says so."""

    class Numbers(Event, topic="numbers"):
        """One number of each size."""

        __schema__ = record("Numbers", small="int", large="long", real="float").text

        small: int = 0
        large: int = 0
        real: float = 0.0

    for values, reason in (
        ({"small": 2**31}, r"Numbers\.small: int needs more than 32 bits"),
        ({"small": -(2**31) - 1}, r"Numbers\.small: int needs more than 32 bits"),
        ({"large": 2**63}, r"Numbers\.large: int needs more than 64 bits"),
        ({"large": -(2**200)}, r"Numbers\.large: int needs more than 64 bits"),
        ({"large": 1.0}, r"Numbers\.large: float is no int"),
        ({"real": 1e300}, r"Numbers\.real: "),
        ({"real": 10**400}, r"Numbers\.real: int is too large for a float"),
    ):
        with pytest.raises(SchemaMismatch, match=reason):
            written(Numbers.model_construct(**values))
    assert bytes.fromhex("ffffffff0f feffffffffffffffff01 00000000") == written(
        Numbers(small=-(2**31), large=2**63 - 1)
    )


def test_values_of_related_classes_are_written() -> None:
    """Subclasses, plain texts for enums, bytes of other classes, sequences of other classes."""

    class SpecialItem(LineItem):
        """A line with more to it."""

        gift: bool = True

    class Text(str):
        """A text of a class of its own."""

        __slots__ = ()

    line = SpecialItem(sku="tea", quantity=2, unit_price=Decimal("19.99"))
    related = altered(ORDER, lines=(line,), channel="app", currency=Text("EUR"), total=Decimal("47.480"))

    assert written(ORDER) == written(related)


def test_a_subclass_is_written_as_the_class_it_extends() -> None:
    """An encoder takes what its type annotation says."""

    class Special(OrderCreated):
        """An order with more to it."""

        more: int = 1

    special = Special(**ORDER.__dict__)

    assert written(ORDER) == CODEC.encoder(OrderCreated, CODEC.schema(OrderCreated), b"")(special)


def test_what_a_class_allows_beyond_its_fields_is_not_written() -> None:
    """The schema has no place for it."""

    class Open(Event, topic="open"):
        """Takes anything."""

        model_config = ConfigDict(extra="allow")

        a: int

    assert b"\x06" == written(Open.model_validate({"a": 3, "b": 4}))


def test_root_models_are_what_is_in_them() -> None:
    """Also inside unions, lists and each other."""

    class Text(RootModel[str]):
        """A text."""

    class Texts(RootModel[list[Text | int]]):
        """Texts and numbers."""

    class Roots(Event, topic="roots"):
        """Both, perhaps."""

        one: Text | None
        many: Texts

    event = Roots(one=Text("x"), many=Texts([Text("y"), 3]))

    assert bytes.fromhex("02 02 78 04 00 02 79 02 06 00") == written(event)
    assert event == read(Roots, CODEC.schema(Roots), written(event))


def test_moments_do_not_depend_on_the_zone_of_the_machine() -> None:
    """A library that takes naive datetimes for local time does; here they are refused, or have a type of their own."""
    program = (
        "from tests.codecs.avro.test_codec import *\n"
        "moment = Moments(aware=datetime(2026, 7, 1, 3, tzinfo=UTC), naive=datetime(2026, 7, 1, 3))\n"
        "assert moment == read(Moments, CODEC.schema(Moments), written(moment))\n"
        "print(written(moment).hex())"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "TZ": zone, "PYTHONPATH": "src:."},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for zone in ("UTC", "America/New_York")
    ]

    assert outputs[0] == outputs[1]


class Moments(Event, topic="moments"):
    """A moment with and one without a zone."""

    aware: datetime
    naive: NaiveDatetime


def test_a_moment_of_any_zone_is_the_same_moment() -> None:
    """Its zone is not written, only when it is."""
    zone = timezone(timedelta(hours=-5))
    here = Moments(aware=datetime(2026, 7, 1, 3, tzinfo=zone), naive=datetime(2026, 7, 1))  # noqa: DTZ001

    there = read(Moments, CODEC.schema(Moments), written(here))

    assert here.aware == there.aware
    assert UTC is there.aware.tzinfo


def test_decimals_do_not_depend_on_the_context_of_the_thread() -> None:
    """A program that computes with three digits writes and reads all of them."""
    program = (
        "import decimal; decimal.getcontext().prec = 3\n"
        "from tests.codecs.avro.test_codec import *\n"
        "assert ORDER == read(OrderCreated, CODEC.schema(OrderCreated), written(ORDER))\n"
        "big = altered(ORDER, total=Decimal('9999999999.99'))\n"
        "assert big.total == read(OrderCreated, CODEC.schema(OrderCreated), written(big)).total\n"
    )

    subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": "src:."}, check=True)


def test_bytes_may_come_as_any_buffer() -> None:
    """What a client hands over may be a view of a larger buffer."""
    decode = CODEC.decoder(OrderCreated, CODEC.schema(OrderCreated))
    framed: Any = memoryview(b"\x00\x00\x00\x00\x07" + written(ORDER))

    assert ORDER == decode(framed, 5) == decode(bytearray(framed), 5)  # type: ignore[arg-type]


# -- bytes and schemas made to harm ----------------------------------------------------------------


@pytest.mark.parametrize("event", EVENTS, ids=[type(event).__name__ for event in EVENTS])
def test_an_event_cut_short_anywhere_is_an_error(event: Event) -> None:
    """There is no prefix of an event that is an event."""
    value, decode = written(event), CODEC.decoder(type(event), CODEC.schema(type(event)))

    for end in range(len(value)):
        with pytest.raises(DecodeError, match=type(event).__name__):
            decode(value[:end], 0)


@pytest.mark.parametrize(
    ("fields", "value", "reason"),
    [
        ({"a": "int"}, "06 00", r"Read: 1 bytes are left after the event"),
        ({"a": "int"}, "80 80 80 80 10", r"Read\.a: the number has more than 32 bits"),
        ({"a": "long"}, "ff ff ff ff ff ff ff ff ff 02", r"Read\.a: the number has more than 64 bits"),
        ({"a": "long"}, "ff" * 1000, r"Read\.a: the number has more than 64 bits"),
        ({"a": "int", "b": "string"}, "06 01", r"Read\.b: a negative length where 0 bytes are left"),
        ({"a": "int", "b": "string"}, "06 06 78", r"Read\.b: 3 bytes or entries where 1 bytes are left"),
        ({"a": "int", "b": "string"}, "06 fe ff ff ff ff ff ff ff 7f 78", r"Read\.b: .* where 1 bytes are left"),
        ({"a": "int", "b": "string"}, "06 02 ff", r"Read\.b: 'utf-8' codec can't decode byte 0xff"),
        ({"a": "int", "b": ["null", "string"]}, "06 04", r"Read\.b: 2 is no index of a union, which has 2"),
        ({"a": "int", "b": ["null", "string"]}, "06 01", r"Read\.b: -1 is no index of a union"),
        ({"a": "int", "b": {"type": "enum", "name": "E", "symbols": ["x"]}}, "06 02", r"Read\.b: 1 is no index of E"),
        ({"a": "boolean"}, "02", r"Read\.a: .* is no index of boolean, which has 2"),
        ({"a": "double"}, "00 00", r"Read\.a: the bytes end here"),
        ({"a": {"type": "fixed", "name": "F", "size": 3}}, "00 00", r"Read\.a: 3 bytes or entries where 2 bytes"),
        ({"x": {"type": "array", "items": "int"}}, "fe ff ff ff 0f 00", r"Read\.x: 2147483647 bytes or entries"),
        ({"x": {"type": "array", "items": "int"}}, "01 00", r"Read\.x\[\]: the bytes end here"),
        ({"x": {"type": "map", "values": "int"}}, "fe ff ff ff ff ff ff ff ff 01 00", r"Read\.x: .* where 1 bytes"),
        ({"a": {"type": "long", "logicalType": "timestamp-micros"}}, "fe ff ff ff ff ff ff ff ff 01", r"Moment\.a"),
        ({"a": {"type": "int", "logicalType": "date"}}, "fe ff ff ff 0f", r"Day\.a: "),
        ({"a": {"type": "long", "logicalType": "time-micros"}}, "01", r"Time\.a: -1 is no time of day"),
        (
            {"a": {"type": "bytes", "logicalType": "decimal", "precision": 999}},
            "90 4e" + "7f" * 5000,
            r"Number\.a: 5000 bytes or entries where 512 bytes are left",
        ),
    ],
)
def test_bytes_that_break_a_promise_are_refused_where_they_do(fields: dict[str, Any], value: str, reason: str) -> None:
    """Each error names the field in which it arose."""

    class Moment(Event, topic="read"):
        """Wants a moment."""

        a: datetime

    class Day(Event, topic="read"):
        """Wants a day."""

        a: date

    class Time(Event, topic="read"):
        """Wants a time of day."""

        a: time_of_day

    class Number(Event, topic="read"):
        """Wants a number of many digits."""

        a: Annotated[Decimal, Field(max_digits=999, decimal_places=0)]

    classes: dict[str, type[Event]] = {"Moment": Moment, "Day": Day, "Time": Time, "Number": Number}

    with pytest.raises(DecodeError, match=reason):
        read(classes.get(reason.partition("\\")[0], Read), record(**fields), value)


def bounded(call: Callable[[], object]) -> tuple[float, int]:
    """The seconds and the bytes of memory that a call takes."""
    tracemalloc.start()
    start = time.process_time()
    try:
        call()
        return time.process_time() - start, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def refused(cls: type[Event], schema: Schema, value: bytes) -> Callable[[], None]:
    """A call that expects a refusal."""
    decode = CODEC.decoder(cls, schema)

    def call() -> None:
        with pytest.raises((DecodeError, SchemaMismatch)):
            decode(value, 0)

    return call


def test_a_small_value_takes_little_time_and_memory() -> None:
    """Counts and lengths are compared with what is left before anything is made of them."""
    longest = bytes.fromhex("fe ff ff ff ff ff ff ff ff 01")
    numbers = record(x={"type": "array", "items": "int"})
    fixed = record(x={"type": "array", "items": {"type": "fixed", "name": "F", "size": 1}})
    for schema, value in (
        (numbers, longest + b"\x00" * 100),
        (fixed, longest + b"\x00" * 100),
        (record(x={"type": "map", "values": "null"}), longest + b"\x00" * 100),
        (record(a="bytes"), longest + b"\x00" * 100),
        (record(a={"type": "bytes", "logicalType": "decimal", "precision": 1000}), b"\x80\x80\x7e" + b"\x7f" * 1032192),
    ):
        seconds, memory = bounded(refused(Read, schema, value))
        assert 0.5 > seconds
        assert 4_000_000 > memory


def test_five_kilobytes_of_nesting_are_an_error() -> None:
    """A reader in C overflows its stack here and takes the process with it."""
    schema = CODEC.schema(TreeNode)

    seconds, memory = bounded(refused(TreeNode, schema, b"\x00\x02" * 2500))

    assert 0.5 > seconds
    assert 4_000_000 > memory
    with pytest.raises(DecodeError, match="values nest deeper than 100"):
        read(TreeNode, schema, b"\x00\x02" * 2500)


def test_what_no_reader_would_follow_is_not_written() -> None:
    """The limit is the same in both directions."""

    def nested(depth: int) -> TreeNode:
        node = TreeNode(label="x")
        for _ in range(depth):
            node = TreeNode(label="x", children=[node])
        return node

    deepest = nested(100)

    assert deepest == read(TreeNode, CODEC.schema(TreeNode), written(deepest))
    with pytest.raises(SchemaMismatch, match="values nest deeper than 100"):
        written(nested(101))


def doubled(levels: int) -> Iterator[dict[str, Any]]:
    """Records of two fields of the next record each: 2^levels values of no size."""
    kind: Any = "null"
    for level in range(levels):
        name = f"R{level}"
        kind = {"type": "record", "name": name, "fields": [{"name": "a", "type": kind}, {"name": "b", "type": name}]}
        if level:
            kind["fields"][1]["type"] = f"R{level - 1}"
        else:
            kind["fields"].pop()
    yield kind


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "array", "items": "null"}, "an array of items without size"),
        ({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}, "an array of items without size"),
        ({"type": "array", "items": {"type": "record", "name": "E", "fields": []}}, "an array of items without size"),
        (next(doubled(40)), "more than 64 values without size"),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 10**9, "scale": 10**9},
            "decimal of 1000000000 digits",
        ),
    ],
)
def test_schemas_that_promise_much_for_little_are_refused(schema: Any, reason: str) -> None:
    """Before a single byte is read with them."""
    with pytest.raises(InvalidSchema, match=reason):
        CODEC.decoder(Read, record(a="int", x=schema))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "schema is no JSON"),
        ("[" * 50_000, "schema is no JSON"),
        ('{"type":' * 50_000 + '"int"' + "}" * 50_000, "schema (is no JSON|nests deeper than 64)"),
        ('{"type":"array","items":' * 65 + '"int"' + "}" * 65, "schema nests deeper than 64"),
        ('"' + "x" * (1 << 20) + '"', "schema has 1048578 characters, allowed are 1048576"),
        ("7", "schema has 7 where a type belongs"),
        ('"Nowhere"', "speaks of 'Nowhere', which it does not define before"),
        ('{"type":"record","name":"R"}', "gives R no list of fields"),
        ('{"type":"record","name":"R","fields":[1]}', "gives R no list of fields"),
        ('{"type":"record","fields":[]}', "has None where the name of a type belongs"),
        ('{"type":"record","name":"a-b","fields":[]}', "has 'a-b' where the name of a type belongs"),
        ('{"type":"record","name":"int","fields":[]}', "has 'int' where the name of a type belongs"),
        (f'{{"type":"record","name":"{"a." * 500}R","fields":[]}}', "has 1001 letters, allowed are 1000"),
        (
            '{"type":"record","name":"R","fields":[{"name":"x y","type":"int"}]}',
            "where the name of a field of R belongs",
        ),
        (
            '{"type":"record","name":"R","fields":[{"name":"x","type":"int"},{"name":"x","type":"int"}]}',
            "gives R two fields of one name",
        ),
        ('["int",{"type":"fixed","name":"F","size":-1}]', "has -1 for size, not a count"),
        ('{"type":"enum","name":"E","symbols":"abc"}', "has 'abc' for symbols, not a list of strings"),
        (
            '[{"type":"fixed","name":"F","size":1},{"type":"fixed","name":"F","size":2}]',
            "defines 'F' twice",
        ),
    ],
)
def test_texts_that_are_no_schema_are_refused(text: str, reason: str) -> None:
    """With one error, in little time, whatever the text."""
    with pytest.raises(InvalidSchema, match=reason):
        CODEC.name(Schema(text))


def test_the_name_of_a_schema_is_its_records() -> None:
    """With its namespace; a schema of anything else has none."""
    assert ["shop.Paid", "shop.Paid", ""] == [
        CODEC.name(Schema(text))
        for text in (
            '{"type":"record","name":"Paid","namespace":"shop","fields":[]}',
            '{"type":"record","name":"shop.Paid","namespace":"other","fields":[]}',
            '{"type":"array","items":"int"}',
        )
    ]


# -- readers against writers -----------------------------------------------------------------------


def test_a_reader_that_can_read_has_no_problems() -> None:
    """Under any name, without what it does not want, with what it fills in by itself."""

    class Reads(Event, topic="orders"):
        """Two fields of an order, and when it was received."""

        order_id: UUID
        total: Money
        received: datetime = Field(default_factory=lambda: datetime.now(UTC))

    assert [] == list(CODEC.problems(Reads, CODEC.schema(OrderCreated)))


def test_a_reader_that_cannot_read_is_told_why() -> None:
    """A sentence for each field that is missing or of another type."""

    class Reads(Event, topic="orders"):
        """An order as it never was."""

        order_id: int
        urgent: bool

    problems = CODEC.problems(Reads, CODEC.schema(OrderCreated))

    assert 2 == len(problems)
    assert "'urgent' has no default" in problems[1].reason


@pytest.mark.parametrize("written", ['"string"', '{"type":"array","items":"int"}', '["null","long"]'])
def test_what_is_no_record_is_a_problem_of_types(written: str) -> None:
    """A topic may have had keys or plain texts for values; the schema itself is a good one."""
    assert {"TYPE_MISMATCH"} == {problem.kind for problem in CODEC.problems(Read, Schema(written))}


def test_a_schema_that_is_none_is_a_problem_and_no_crash() -> None:
    """A registry may hold what somebody else's server let pass."""
    assert 1 == len(CODEC.problems(Read, Schema('"Nowhere"')))
