"""Protobuf files that are not derived from a class: those of other teams, and those written by hand."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from eventhub.codecs.protobuf import Number, ProtobufCodec
from eventhub.codecs.serde import Serde
from eventhub.errors import DeclarationError, DecodeError, SchemaMismatch
from eventhub.event import Event, Format, SubjectName
from eventhub.record import Record
from eventhub.registry.base import Reference, Schema, SchemaRegistry, SchemaType
from eventhub.registry.client import embedded_registry

CODEC = ProtobufCodec()


class Way(StrEnum):
    """How an order is paid, as the file's enum calls it."""

    CARD = "WAY_CARD"
    OTHER = "WAY_OTHER"
    __default__ = "WAY_OTHER"


class Level(IntEnum):
    """How urgent it is."""

    LOW = 0
    HIGH = 2


class Line(BaseModel):
    """A line of an order."""

    sku: Annotated[str, Number(1)]
    quantity: Annotated[int, Number(2)]


class Order(Event, topic="orders", name="shop.Order", format=Format.PROTOBUF):
    """An order, of whose types only the numbers are declared."""

    id: Annotated[str, Number(1)]
    signed: Annotated[int, Number(2)]
    fixed: Annotated[int, Number(3)]
    small: Annotated[int, Number(4)]
    share: Annotated[float, Number(5)]
    paid: Annotated[bool, Number(6)]
    way: Annotated[Way, Number(7)]
    level: Annotated[Level, Number(8)]
    lines: Annotated[list[Line], Number(9)] = Field(default_factory=list)
    first: Annotated[Line | None, Number(10)] = None
    ways: Annotated[dict[str, Way], Number(11)] = Field(default_factory=dict)
    at: Annotated[datetime | None, Number(12)] = None
    numbers: Annotated[list[int], Number(13)] = Field(default_factory=list)
    note: Annotated[str | None, Number(14)] = None
    count: Annotated[int, Number(15)] = 7


_ORDER = """
message Order {
  message Line { string sku = 1; uint32 quantity = 2; }
  string id = 1;
  sint64 signed = 2;
  sfixed32 fixed = 3;
  int32 small = 4;
  float share = 5;
  bool paid = 6;
  Way way = 7;
  Level level = 8;
  repeated Line lines = 9;
  Line first = 10;
  map<string, Way> ways = 11;
  google.protobuf.Timestamp at = 12;
  repeated sint32 numbers = 13;
  optional string note = 14;
  optional int32 count = 15;
}
enum Way { WAY_NONE = 0; WAY_CARD = 1; WAY_OTHER = 5; WAY_FAX = 9; }
enum Level { LEVEL_LOW = 0; LEVEL_HIGH = 2; }
"""
FILE = f"""syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
message Cancelled {{ string id = 1; }}
{_ORDER}"""
FULL = Order(
    id="o-1",
    signed=-(2**40),
    fixed=-3,
    small=-1,
    share=0.5,
    paid=True,
    way=Way.CARD,
    level=Level.HIGH,
    lines=[Line(sku="tea", quantity=2), Line(sku="", quantity=0)],
    first=Line(sku="", quantity=1),
    ways={"a": Way.CARD},
    at=datetime(2026, 11, 23, tzinfo=UTC),
    numbers=[-1, 300],
    note="",
    count=0,
)
BODY = bytes.fromhex(
    "0a036f2d31 10ffffffffff3f 1dfdffffff 20ffffffffffffffffff01 2d0000003f 3001 3801 4002"
    "4a070a037465611002 4a00 52021001 5a050a01611001 6206 0880848ed806 6a0301d804 7200 7800"
)


class ByHand(Order, topic="orders", name="shop.Order", format=Format.PROTOBUF):
    """The order, with its file."""

    __schema__ = FILE


def schema(text: str) -> Schema:
    """A Protobuf file."""
    return Schema(text, SchemaType.PROTOBUF)


def read(cls: type[Event], text: str, value: bytes) -> Any:
    """What a class makes of bytes, path and all, that were written with a file."""
    return CODEC.decoder(cls, schema(text))(value, 0)


def test_values_are_read_in_the_types_of_their_writer() -> None:
    """Each type of number has bytes of its own, and an enum is a number."""
    assert FULL == read(Order, FILE, b"\x02\x02" + BODY)


def test_what_a_plain_field_leaves_out_is_zero() -> None:
    """Writers in proto3 do not write what is zero, unless the field says optional; nested ones neither."""
    text = FILE.replace("WAY_NONE = 0; WAY_CARD = 1", "WAY_CARD = 0")
    zero = Order(id="", signed=0, fixed=0, small=0, share=0.0, paid=False, way=Way.CARD, level=Level.LOW)

    assert zero == read(Order, text, b"\x02\x02")
    assert 7 == zero.count
    assert [Line(sku="", quantity=0)] == read(Order, text, b"\x02\x02\x4a\x00").lines


def test_a_field_of_proto2_is_not_zero_where_it_was_left_out() -> None:
    """There it is told from zero, as it is where a class's own file says optional."""
    with pytest.raises(SchemaMismatch, match=r"Order\.id: Field required; Order\.signed: Field required"):
        read(Order, FILE.replace("proto3", "proto2"), b"\x02\x02")


def test_an_enums_unknown_number_is_the_default_symbol() -> None:
    """One that the file has and the class does not, and one that not even the file has."""
    assert [Way.OTHER, Way.OTHER] == [read(Order, FILE, b"\x02\x02\x38" + number).way for number in (b"\x09", b"\x63")]


def test_a_file_written_by_hand_is_registered_as_it_is() -> None:
    """Comments and all; the event need not be its first message."""
    assert schema(FILE) == CODEC.schema(ByHand)
    assert "shop.Cancelled" == CODEC.name(CODEC.schema(ByHand))
    assert "shop.Order.Line" == CODEC.name(CODEC.schema(ByHand), (1, 0))


def test_an_event_is_written_in_the_types_of_its_file() -> None:
    """Behind the path to its message; zeros are written, which every reader takes."""
    event = ByHand.model_validate(FULL.model_dump())
    written = CODEC.encoder(ByHand, CODEC.schema(ByHand), b"\x00\x00\x00\x00\x07")(event)

    assert bytes.fromhex("00 00000007 02 02") == written[:7]
    assert event == CODEC.decoder(ByHand, CODEC.schema(ByHand))(written, 5)
    assert b"\x10\xff\xff\xff\xff\xff\x3f" in written
    assert b"\x2d" + struct.pack("<f", 0.5) in written
    assert b"\x02\x02" == CODEC.path(ByHand, CODEC.schema(ByHand))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"small": 2**31}, r"ByHand\.small: the value is beyond int32"),
        ({"signed": 2**63}, r"ByHand\.signed: 9223372036854775808 needs more than 64 bits"),
        ({"way": "WAY_TELEX"}, r"ByHand\.way: 'WAY_TELEX' is no symbol of shop\.Way"),
        (
            {"lines": [Line.model_construct(sku="x", quantity=-1)]},
            r"ByHand\.lines\.quantity: the value is beyond uint32",
        ),
    ],
)
def test_a_value_that_the_file_has_no_place_for_is_a_mismatch(values: dict[str, Any], reason: str) -> None:
    """Though the class takes it; the error names the field."""
    event = ByHand.model_validate(FULL.model_dump()).model_copy(update=values)

    with pytest.raises(SchemaMismatch, match=reason):
        CODEC.encoder(ByHand, CODEC.schema(ByHand), b"")(event)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("message {", r"Mine\.__schema__: invalid schema in line 1"),
        ("message Other {}", r"Mine\.__schema__ defines no message 'Mine'; declare the event with the name of one"),
        ("message Mine {}", r"message 'Mine' has no field 'id' with number 1"),
        ("message Mine { string name = 1; }", r"message 'Mine' has no field 'id' with number 1"),
        ("message Mine { string id = 2; }", r"message 'Mine' has no field 'id' with number 1"),
        ("message Mine { int32 id = 1; }", r"Mine\.id is read as string, and was written as int32"),
        ("message Mine { map<string, string> id = 1; }", r"Mine\.id is read as string"),
        ("message Mine { Id id = 1; } message Id {}", r"Mine\.id is read as string, and was written as Id"),
    ],
)
def test_a_file_that_does_not_describe_the_event_is_refused_at_start(text: str, reason: str) -> None:
    """Instead of being ignored, or found out by a reader."""

    class Mine(Event, topic="mine", format=Format.PROTOBUF):
        """An event with somebody's file."""

        __schema__ = text

        id: Annotated[str, Number(1)]

    with pytest.raises(DeclarationError, match=reason):
        CODEC.schema(Mine)


@pytest.mark.parametrize(
    ("field", "was"),
    [
        ("int32 id = 1;", "int32"),
        ("repeated Line id = 1;", "shop.Line"),
        ("google.protobuf.Timestamp id = 1;", "google.protobuf.Timestamp"),
        ("map<int32, int64> id = 1;", "int64"),
    ],
)
def test_a_field_of_another_kind_is_a_problem_and_an_error_of_the_record(field: str, was: str) -> None:
    """Its bytes would be passed over, and the field have its default without a word."""

    class Reads(Event, topic="mine", format=Format.PROTOBUF):
        """A text that may be missing."""

        id: Annotated[str, Number(1)] = "default"

    text = f'syntax = "proto3"; package shop; message Other {{ {field} }} message Line {{}}'

    problems = CODEC.problems(Reads, schema(text))

    assert [("FIELD_KIND_CHANGED", "/Reads/1", "string", was)] == [
        (problem.kind, problem.path, problem.reader, problem.writer) for problem in problems
    ]
    with pytest.raises(DecodeError, match=f"Reads: Reads.id is read as string, and was written as {was}"):
        read(Reads, text, b"\x00\x08\x01")


def test_a_file_of_another_package_with_more_messages_has_no_problems() -> None:
    """What else is in the file is nothing to the class; nor is its name, which a topic's only class need not share."""
    assert [] == list(CODEC.problems(Order, schema(FILE)))
    assert [] == list(CODEC.problems(Line_, schema("package com.shop; message Position { string sku = 1; } enum E {}")))


class Line_(Event, topic="lines", format=Format.PROTOBUF):  # noqa: N801 - beside the model of the name
    """A class that names its message otherwise than the writer."""

    sku: Annotated[str, Number(1)]


def test_one_class_may_be_read_from_two_messages_of_a_file() -> None:
    """Each with its own types."""

    class Pair(Event, topic="pairs", format=Format.PROTOBUF):
        """Two lines."""

        left: Annotated[Line, Number(1)]
        right: Annotated[Line, Number(2)]

    text = """syntax = "proto3";
    message Pair { Left left = 1; Right right = 2; }
    message Left { string sku = 1; sint64 quantity = 2; }
    message Right { string sku = 1; int64 quantity = 2; }"""

    assert Pair(left=Line(sku="", quantity=-1), right=Line(sku="", quantity=1)) == read(
        Pair, text, bytes.fromhex("00 0a021001 12021001")
    )


def test_a_type_of_a_union_that_the_class_does_not_know_is_a_problem() -> None:
    """A record that holds it could not be read."""

    class Writes(Event, topic="w", name="Chosen", format=Format.PROTOBUF):
        """Three types."""

        value: Annotated[int | str | bytes, Number(1)]

    class Reads(Event, topic="r", name="Chosen", format=Format.PROTOBUF):
        """Two of them."""

        value: Annotated[int | str, Number(1)]

    assert [("ONEOF_FIELD_REMOVED", "/Chosen.Value/3", "bytes_value")] == [
        (problem.kind, problem.path, problem.writer) for problem in CODEC.problems(Reads, CODEC.schema(Writes))
    ]


# -- several events of one file, and files of several subjects ---------------------------------------------------------


class Cancelled(Event, topic="shared", name="shop.Cancelled", subject=SubjectName.TOPIC_RECORD, format=Format.PROTOBUF):
    """The first message of the file."""

    __schema__ = FILE

    id: Annotated[str, Number(1)]


class Ordered(Event, topic="shared", name="shop.Order", subject=SubjectName.TOPIC_RECORD, format=Format.PROTOBUF):
    """The second."""

    __schema__ = FILE

    id: Annotated[str, Number(1)]
    signed: Annotated[int, Number(2)]


async def test_events_of_one_file_share_a_topic() -> None:
    """The path in front of a body says which message it is; both have one schema id."""
    registry = embedded_registry()
    serde = Serde(registry, auto_register=True)
    await serde.prepare(writes=[Cancelled, Ordered], reads=[Cancelled, Ordered])
    events = [Cancelled(id="o-1"), Ordered(id="o-2", signed=-1)]
    records = [Record("shared", 0, 0, 0.0, None, serde.encode(event)) for event in events]
    late = Serde(registry, auto_register=True).reader([Ordered, Cancelled])
    only = Serde(registry, auto_register=True).reader([Ordered])
    for record in records:
        await late.resolve(record)
        await only.resolve(record)

    assert [bytes.fromhex("00 00000001 00"), bytes.fromhex("00 00000001 02")] == [
        (record.value or b"")[:6] for record in records
    ]
    assert events == [serde.reader([Cancelled, Ordered]).decode(record) for record in records]
    assert events == [late.decode(record) for record in records]
    assert [None, events[1]] == [only.decode(record) for record in records]
    with pytest.raises(DecodeError, match=r"file has no message at \[7\]"):
        late.decode(records[0]._replace(value=bytes.fromhex("00 00000001 02 0e")))


async def registry_of_parts() -> SchemaRegistry:
    """A registry in which a file imports one that imports a third."""
    registry = embedded_registry()
    await registry.register("way", schema('syntax = "proto3"; package pay; enum Way { WAY_NONE = 0; WAY_CARD = 1; }'))
    line = 'syntax = "proto3"; package shop; import "way.proto"; message Line { string sku = 1; sint32 quantity = 2; '
    await registry.register(
        "line",
        Schema(f"{line} pay.Way way = 3; }}", SchemaType.PROTOBUF, (Reference("way.proto", "way", 1),)),
    )
    basket = 'syntax = "proto3"; package shop; import "line.proto"; message Basket { repeated Line lines = 1; }'
    await registry.register("baskets-value", Schema(basket, SchemaType.PROTOBUF, (Reference("line.proto", "line", 1),)))
    return registry


class Paid(BaseModel):
    """A line, with the way it was paid."""

    sku: Annotated[str, Number(1)]
    quantity: Annotated[int, Number(2)]
    way: Annotated[Way, Number(3)]


class Basket(Event, topic="baskets", name="shop.Basket", format=Format.PROTOBUF):
    """An order whose writer keeps its parts under subjects of their own."""

    lines: Annotated[list[Paid], Number(1)]


async def test_files_of_several_subjects_are_read_as_one() -> None:
    """Whether they are known at start, or met later; types and zeros are those of the file that defines the message."""
    registry = await registry_of_parts()
    schema_id = (await registry.versions("baskets-value"))[0].id
    record = Record(
        "baskets", 0, 0, 0.0, None, b"\x00" + schema_id.to_bytes(4, "big") + bytes.fromhex("00 0a0410031801 0a02 1801")
    )
    expected = Basket(lines=[Paid(sku="", quantity=-2, way=Way.CARD), Paid(sku="", quantity=0, way=Way.CARD)])
    early, late = Serde(registry, auto_register=True), Serde(registry, auto_register=True)
    await early.prepare(writes=[], reads=[Basket])
    reader = late.reader([Basket])
    await reader.resolve(record)

    assert [expected, expected] == [early.reader([Basket]).decode(record), reader.decode(record)]
