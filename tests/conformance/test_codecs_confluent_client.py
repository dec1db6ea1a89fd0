"""Confluent's own Python client and eventhub's codecs read each other, in every format, through one registry."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import pytest
from confluent_kafka.schema_registry import (
    Schema,
    SchemaReference,
    SchemaRegistryClient,
    header_schema_id_serializer,
    topic_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import duration_pb2, timestamp_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from pydantic import BaseModel, ConfigDict, Field

from eventhub.codecs.number import Number
from eventhub.codecs.serde import Serde
from eventhub.event import Event, Format, Frame
from eventhub.record import Headers, Record
from eventhub.registry.client import HttpSchemaRegistry
from eventhub.registry.compatibility.proto_descriptor import write_descriptor
from eventhub.registry.compatibility.proto_parser import parse_protobuf
from eventhub.registry.embedded.app import EmbeddedRegistry
from eventhub.registry.embedded.server import serve

pytestmark = pytest.mark.anyio

_BY_TOPIC = {"subject.name.strategy": topic_subject_name_strategy}


class Way(StrEnum):
    """How an order is paid."""

    CARD = "card"
    CASH = "cash"


class Line(BaseModel):
    """A line of an order."""

    sku: Annotated[str, Number(1)]
    price: Annotated[Decimal, Field(max_digits=12, decimal_places=2), Number(2)]


class Ordered(BaseModel):
    """What an order holds, in any format."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    id: Annotated[UUID, Number(1)]
    at: Annotated[datetime, Number(2)]
    day: Annotated[date, Number(3)]
    hour: Annotated[time, Number(4)]
    count: Annotated[int, Number(5)]
    weight: Annotated[float, Number(6)]
    urgent: Annotated[bool, Number(7)]
    way: Annotated[Way, Number(8)]
    lines: Annotated[list[Line], Number(9)]
    tags: Annotated[dict[str, int], Number(10)]
    raw: Annotated[bytes, Number(11)]
    note: Annotated[str | None, Number(12)] = None
    first: Annotated[Line | None, Number(13)] = None


class InAvro(Ordered, Event, topic="avro", frame=Frame.PREFIX):
    """An order in Avro."""


class InAvroBesideHeader(Ordered, Event, topic="avro", name="InAvro", frame=Frame.HEADER):
    """The same, its schema named in a header."""


class InJson(Ordered, Event, topic="json", format=Format.JSON_SCHEMA):
    """An order in JSON."""


class InJsonBesideHeader(Ordered, Event, topic="json", name="InJson", format=Format.JSON_SCHEMA, frame=Frame.HEADER):
    """The same, its schema named in a header."""


class InProtobuf(Ordered, Event, topic="protobuf", name="shop.InProtobuf", format=Format.PROTOBUF):
    """An order in Protobuf."""


class InProtobufBesideHeader(
    Ordered, Event, topic="protobuf", name="shop.InProtobuf", format=Format.PROTOBUF, frame=Frame.HEADER
):
    """The same, its schema named in a header."""


FULL: Mapping[str, Any] = {
    "id": UUID("0190d9a0-7c2b-7cc1-8a53-6f1f0c5b7a10"),
    "at": datetime(1969, 12, 31, 23, 59, 59, 789012, tzinfo=UTC),
    "day": date(1969, 7, 20),
    "hour": time(9, 30, 0, 1),
    "count": -(2**63),
    "weight": 0.1,
    "urgent": True,
    "way": Way.CASH,
    "lines": [{"sku": "tea", "price": Decimal("-9999999999.99")}, {"sku": "", "price": Decimal("0.00")}],
    "tags": {"": 0, "Größe": 2**63 - 1},
    "raw": b"\x00\xff",
    "note": "ä",
    "first": {"sku": "x", "price": Decimal("1.50")},
}
SMALL: Mapping[str, Any] = {
    **FULL,
    "at": datetime(2026, 11, 23, tzinfo=UTC),
    "count": 0,
    "weight": 0.0,
    "urgent": False,
    "lines": [],
    "tags": {},
    "raw": b"",
    "note": None,
    "first": None,
}
both_values = pytest.mark.parametrize("values", [FULL, SMALL], ids=["full", "small"])


async def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the client, which waits, beside the server, which serves."""
    return await asyncio.to_thread(function, *arguments)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """The address of a registry."""
    async with serve(EmbeddedRegistry()) as server:
        yield server.url


@pytest.fixture
async def client(url: str) -> AsyncIterator[SchemaRegistryClient]:
    """Confluent's client of it."""
    client = SchemaRegistryClient.new_client({"url": url, "max.retries": 0})
    yield client
    client.close()


@pytest.fixture
async def registry(url: str) -> AsyncIterator[HttpSchemaRegistry]:
    """Eventhub's client of it."""
    registry = HttpSchemaRegistry(url)
    yield registry
    await registry.stop()


async def prepared(registry: HttpSchemaRegistry, event: type[Event]) -> Serde:
    """What writes an event class."""
    serde = Serde(registry, auto_register=True)
    await serde.prepare(writes=[event])
    return serde


async def read(registry: HttpSchemaRegistry, event: type[Event], value: bytes, headers: Headers = ()) -> Event | None:
    """What a class that has met no schema before makes of a record."""
    record = Record(event.__event__.topic, 0, 0, 0.0, None, value, headers)
    reader = Serde(registry, auto_register=False).reader([event])
    await reader.resolve(record)
    return reader.decode(record)


def context(event: type[Event], headers: Headers = ()) -> SerializationContext:
    """What Confluent's serializers are told about a record."""
    return SerializationContext(event.__event__.topic, MessageField.VALUE, list(headers))


def conf(event: type[Event], **more: Any) -> dict[str, Any]:
    """How Confluent's serializers name the schema of an event."""
    in_header = event.__event__.frame is Frame.HEADER
    return {**_BY_TOPIC, **({"schema.id.serializer": header_schema_id_serializer} if in_header else {}), **more}


async def both_ways(
    registry: HttpSchemaRegistry, event: Event, written: Callable[..., Any], deserialize: Callable[..., Any]
) -> Any:
    """What Confluent's deserializer makes of an event, once eventhub has read what its serializer made of it."""
    kind = type(event)
    serde = await prepared(registry, kind)
    theirs = context(kind)
    value = await call(written, theirs)

    assert event == await read(registry, kind, value, tuple(theirs.headers))  # type: ignore[arg-type]
    assert (kind.__event__.frame is Frame.HEADER) == bool(theirs.headers) == bool(serde.headers(kind))
    assert [*theirs.headers] == [*serde.headers(kind)]  # type: ignore[misc]
    return await call(deserialize, serde.encode(event), context(kind, serde.headers(kind)))


# -- Avro -------------------------------------------------------------------------------------------------------------


@both_values
@pytest.mark.parametrize("kind", [InAvro, InAvroBesideHeader])
async def test_avro_goes_both_ways(
    client: SchemaRegistryClient, registry: HttpSchemaRegistry, kind: type[Event], values: Mapping[str, Any]
) -> None:
    """Moments, decimals, enums, identifiers and what is not there: to the last digit, name of the schema and all."""
    await prepared(registry, kind)
    schema = (await call(client.get_latest_version, "avro-value")).schema
    serialize = AvroSerializer(client, schema.schema_str, conf=conf(kind, **{"auto.register.schemas": False}))
    plain = {**values, "way": str(values["way"])}

    found = await both_ways(
        registry, kind.model_validate(values), partial(serialize, plain), AvroDeserializer(client, conf=_BY_TOPIC)
    )

    assert plain == found


class Basket(Event, topic="baskets"):
    """An order whose writer keeps its lines under a subject of their own."""

    line: dict[str, str]


async def test_avro_that_leans_on_another_subject_is_read(
    client: SchemaRegistryClient, registry: HttpSchemaRegistry
) -> None:
    """Confluent's serializer registers the schema with its reference."""
    line = '{"type":"record","name":"Line","namespace":"shop","fields":[{"name":"sku","type":"string"}]}'
    await call(client.register_schema, "line", Schema(line, "AVRO"))
    basket = '{"type":"record","name":"Basket","namespace":"shop","fields":[{"name":"line","type":"shop.Line"}]}'
    schema = Schema(basket, "AVRO", [SchemaReference("shop.Line", "line", 1)])
    serialize = await call(partial(AvroSerializer, client, schema, conf=_BY_TOPIC))
    value = await call(serialize, {"line": {"sku": "tea"}}, context(Basket))

    assert Basket(line={"sku": "tea"}) == await read(registry, Basket, value)


# -- JSON -------------------------------------------------------------------------------------------------------------


@both_values
@pytest.mark.parametrize("kind", [InJson, InJsonBesideHeader])
async def test_json_goes_both_ways(
    client: SchemaRegistryClient, registry: HttpSchemaRegistry, kind: type[Event], values: Mapping[str, Any]
) -> None:
    """Confluent's side checks what it writes and reads against the schema that was derived from the class."""
    await prepared(registry, kind)
    schema = (await call(client.get_latest_version, "json-value")).schema
    event = kind.model_validate(values)
    plain = event.model_dump(mode="json")
    serialize = JSONSerializer(schema.schema_str, client, conf=conf(kind, **{"auto.register.schemas": False}))
    deserialize = JSONDeserializer(schema.schema_str, conf=_BY_TOPIC, schema_registry_client=client)

    assert plain == await both_ways(registry, event, partial(serialize, plain), deserialize)


class Parcel(Event, topic="parcels", format=Format.JSON_SCHEMA):
    """An event whose writer keeps a part under a subject of its own."""

    line: Line


async def test_json_that_leans_on_another_subject_is_read(
    client: SchemaRegistryClient, registry: HttpSchemaRegistry
) -> None:
    """At start it is checked with what it leans on, and its records are read."""
    line: dict[str, Any] = {"type": "object", "properties": {"sku": {"type": "string"}, "price": {"type": "string"}}}
    line |= {"required": ["sku", "price"], "additionalProperties": False}
    await call(client.register_schema, "line", Schema(json.dumps(line), "JSON"))
    parcel = {"title": "Parcel", "type": "object", "properties": {"line": {"$ref": "line.json"}}, "required": ["line"]}
    schema = Schema(json.dumps(parcel), "JSON", [SchemaReference("line.json", "line", 1)])
    values = {"line": {"sku": "tea", "price": "1.50"}}
    serialize = await call(partial(JSONSerializer, schema, client, conf=_BY_TOPIC))
    value = await call(serialize, values, context(Parcel))

    assert Parcel.model_validate(values) == await read(registry, Parcel, value)


# -- Protobuf ---------------------------------------------------------------------------------------------------------


def message_class(files: Mapping[str, str], name: str) -> type[Message]:
    """The class that ``protoc`` would make of a message in the last of some files."""
    pool = DescriptorPool()
    for imported in (timestamp_pb2, duration_pb2):
        pool.AddSerializedFile(imported.DESCRIPTOR.serialized_pb)
    for path, text in files.items():
        others = {other: each for other, each in files.items() if other != path and other in text}
        descriptor = write_descriptor(parse_protobuf(text, others), path)
        pool.Add(FileDescriptorProto.FromString(base64.b64decode(descriptor)))
    return GetMessageClass(pool.FindMessageTypeByName(name))


def filled(kind: type[Message], values: Mapping[str, Any]) -> Message:
    """An order as their class holds it; in Protobuf days, times, decimals and identifiers are texts."""
    message: Any = kind(
        id=str(values["id"]),
        day=values["day"].isoformat(),
        hour=values["hour"].isoformat(),
        way=str(values["way"]),
        lines=[{"sku": line["sku"], "price": str(line["price"])} for line in values["lines"]],
        **{name: values[name] for name in ("count", "weight", "urgent", "tags", "raw", "note")},
    )
    message.at.FromDatetime(values["at"])
    if values["first"] is not None:
        message.first.sku, message.first.price = values["first"]["sku"], str(values["first"]["price"])
    return message  # type: ignore[no-any-return]


@both_values
@pytest.mark.parametrize("kind", [InProtobuf, InProtobufBesideHeader])
async def test_protobuf_goes_both_ways(
    client: SchemaRegistryClient, registry: HttpSchemaRegistry, kind: type[Event], values: Mapping[str, Any]
) -> None:
    """Their class is made of the file that the registry has; zeros are told from what is not there."""
    await prepared(registry, kind)
    [version] = await registry.versions("protobuf-value")
    message = filled(message_class({"order.proto": version.schema.text}, "shop.InProtobuf"), values)
    latest = {"auto.register.schemas": False, "use.latest.version": True}
    serialize = ProtobufSerializer(type(message), client, conf=conf(kind, **latest))
    deserialize = ProtobufDeserializer(type(message), conf=_BY_TOPIC, schema_registry_client=client)

    found = await both_ways(registry, kind.model_validate(values), partial(serialize, message), deserialize)

    assert message == found
    assert [values["note"] is not None, values["first"] is not None] == [
        found.HasField(name) for name in ("note", "first")
    ]


_WAY = 'syntax = "proto3"; package pay; enum Way { WAY_NONE = 0; WAY_CARD = 1; } message Receipt { sint64 cents = 1; }'
_SHOP = """syntax = "proto3"; package shop;
import "way.proto"; import "google/protobuf/timestamp.proto";
message Other { string id = 1; }
message Order {
  message Placed {
    string id = 1; int32 count = 2; pay.Way way = 3; pay.Receipt receipt = 4; google.protobuf.Timestamp at = 5;
    optional string note = 6; repeated sint32 numbers = 7; map<string, pay.Receipt> receipts = 8; float share = 9;
  }
}"""


class Paid(StrEnum):
    """The names of the file's enum."""

    NONE = "WAY_NONE"
    CARD = "WAY_CARD"


class Receipt(BaseModel):
    """A message of another file."""

    cents: Annotated[int, Number(1)]


class Placed(Event, topic="placed", name="shop.Order.Placed", format=Format.PROTOBUF):
    """A message within the second message of a file that another team wrote in plain proto3."""

    id: Annotated[str, Number(1)]
    count: Annotated[int, Number(2)]
    way: Annotated[Paid, Number(3)]
    receipt: Annotated[Receipt | None, Number(4)]
    at: Annotated[datetime | None, Number(5)]
    note: Annotated[str | None, Number(6)]
    numbers: Annotated[list[int], Number(7)]
    receipts: Annotated[dict[str, Receipt], Number(8)]
    share: Annotated[float, Number(9)]


@pytest.mark.parametrize("in_header", [False, True])
async def test_protobuf_of_another_team_is_read(
    client: SchemaRegistryClient, registry: HttpSchemaRegistry, in_header: bool
) -> None:
    """Nested messages, imported files, enums, signed numbers, and the zeros that proto3 leaves out."""
    kind = message_class({"way.proto": _WAY, "shop.proto": _SHOP}, "shop.Order.Placed")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    full: Any = kind(id="o-1", count=-1, way=1, receipt={"cents": -5}, note="", numbers=[-1, 300], share=0.5)
    full.receipts["a"].cents = 0
    full.at.FromDatetime(at)
    serialize = ProtobufSerializer(
        kind, client, conf=_BY_TOPIC | ({"schema.id.serializer": header_schema_id_serializer} if in_header else {})
    )
    found = []
    for message in (full, kind()):
        theirs = context(Placed)
        value = await call(serialize, message, theirs)
        found.append(await read(registry, Placed, value, tuple(theirs.headers)))  # type: ignore[arg-type]
    serde = Serde(registry, auto_register=False)
    await serde.prepare(writes=[], reads=[Placed])

    assert [
        Placed(
            id="o-1",
            count=-1,
            way=Paid.CARD,
            receipt=Receipt(cents=-5),
            at=at,
            note="",
            numbers=[-1, 300],
            receipts={"a": Receipt(cents=0)},
            share=0.5,
        ),
        Placed(id="", count=0, way=Paid.NONE, receipt=None, at=None, note=None, numbers=[], receipts={}, share=0.0),
    ] == found


class Moved(Event, topic="moved", name="shop.Order.Moved", format=Format.PROTOBUF):
    """A message within the second one of a file that was written by hand."""

    __schema__ = """syntax = "proto3"; package shop; import "google/protobuf/duration.proto";
    message Other {}
    enum Kind { KIND_NONE = 0; KIND_CARD = 1; WAY_NONE = 7; WAY_CARD = 8; }
    message Order {
      message First {}
      message Moved { string id = 1; sint32 by = 2; Kind kind = 3; optional string note = 4;
        google.protobuf.Duration in = 5; }
    }"""

    id: Annotated[str, Number(1)]
    by: Annotated[int, Number(2)]
    kind: Annotated[Paid, Number(3)]
    note: Annotated[str | None, Number(4)] = None
    in_: Annotated[timedelta | None, Field(serialization_alias="in"), Number(5)] = None

    model_config = ConfigDict(serialize_by_alias=True)


async def test_a_file_written_by_hand_is_read_by_its_message(
    client: SchemaRegistryClient, registry: HttpSchemaRegistry
) -> None:
    """The path to a nested message, and the types of the file, are what Confluent's client expects."""
    serde = await prepared(registry, Moved)
    kind = message_class({"moved.proto": Moved.__schema__}, "shop.Order.Moved")
    event = Moved(id="o-1", by=-3, kind=Paid.CARD, in_=timedelta(seconds=-1.5))
    value = serde.encode(event)
    found = await call(ProtobufDeserializer(kind, conf=_BY_TOPIC, schema_registry_client=client), value, context(Moved))

    assert bytes.fromhex("04 02 02") == value[5:8]
    assert ("o-1", -3, 8, False, -1, -500_000_000) == (
        *(found.id, found.by, found.kind, found.HasField("note")),
        *(getattr(found, "in").seconds, getattr(found, "in").nanos),
    )
    assert event == await read(registry, Moved, value)
