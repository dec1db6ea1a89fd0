"""Events to framed bytes and back, with what the registry says in between."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import Field

from eventhub.codecs import wire
from eventhub.codecs.avro import AvroCodec
from eventhub.codecs.number import Number
from eventhub.codecs.serde import SchemaUnresolved, Serde
from eventhub.errors import DeclarationError, DecodeError, IncompatibleSchema, SchemaMismatch, SchemaNotFound
from eventhub.event import Event, Format, Frame, SubjectName
from eventhub.record import Record
from eventhub.registry.base import Reference, RegisteredSchema, Schema, SchemaRegistry, SchemaType
from eventhub.registry.client import embedded_registry


class OrderCreated(Event, topic="orders", key="order_id"):
    """A customer has placed an order."""

    order_id: str
    quantity: int


class OrderConfirmed(Event, topic="results", subject=SubjectName.TOPIC_RECORD):
    """An order was accepted."""

    order_id: str


class OrderRejected(Event, topic="results", subject=SubjectName.TOPIC_RECORD):
    """An order was refused."""

    order_id: str
    reason: str


class Numbered(Event, topic="numbered", format=Format.PROTOBUF):
    """An event in Protobuf."""

    id: Annotated[str, Number(1)]


class Registry:
    """The embedded registry, which remembers what it was asked."""

    def __init__(self) -> None:
        """Begin empty."""
        self.asked: list[str] = []
        self._inner = embedded_registry()
        self.url = self._inner.url
        self.start, self.stop, self.check = self._inner.start, self._inner.stop, self._inner.check

    async def register(self, subject: str, schema: Schema) -> RegisteredSchema:
        """Register, and remember."""
        self.asked.append(f"register {subject}")
        return await self._inner.register(subject, schema)

    async def lookup(self, subject: str, schema: Schema) -> RegisteredSchema:
        """Look up, and remember."""
        self.asked.append(f"lookup {subject}")
        return await self._inner.lookup(subject, schema)

    async def schema(self, schema_id: int) -> Schema:
        """Find by id, and remember."""
        self.asked.append(f"schema {schema_id}")
        return await self._inner.schema(schema_id)

    async def schema_by_guid(self, guid: str) -> Schema:
        """Find by GUID, and remember."""
        self.asked.append(f"guid {guid}")
        return await self._inner.schema_by_guid(guid)

    async def versions(self, subject: str) -> Sequence[RegisteredSchema]:
        """List, and remember."""
        self.asked.append(f"versions {subject}")
        return await self._inner.versions(subject)


def avro(name: str, **fields: str) -> Schema:
    """A schema of some fields, as another team may have registered it."""
    listed = [{"name": field, "type": kind} for field, kind in fields.items()]
    return Schema(json.dumps({"type": "record", "name": name, "fields": listed}))


def record(value: bytes | None, topic: str = "orders", **headers: bytes) -> Record:
    """A record as it would be read."""
    return Record(topic, 0, 7, 0.0, None, value, tuple(headers.items()))


async def prepared(registry: Registry, *events: type[Event]) -> Serde:
    """What writes these events."""
    serde = Serde(registry, auto_register=True)
    await serde.prepare(writes=events)
    return serde


async def test_an_event_comes_back_as_it_was() -> None:
    """What is read equals what was written."""
    serde = await prepared(Registry(), OrderCreated)
    order = OrderCreated(order_id="o-1", quantity=2)

    assert order == serde.reader([OrderCreated]).decode(record(serde.encode(order)))


async def test_an_event_is_written_in_the_classic_frame() -> None:
    """Magic byte, schema id, Avro."""
    serde = await prepared(Registry(), OrderCreated)

    assert bytes.fromhex("00 00000001 06 6f2d31 04") == serde.encode(OrderCreated(order_id="o-1", quantity=2))


async def test_a_prepared_class_asks_the_registry_no_more() -> None:
    """Preparing again, writing and reading make no requests."""
    registry = Registry()
    serde = await prepared(registry, OrderCreated)
    await serde.prepare(writes=[], reads=[OrderCreated])
    asked = len(registry.asked)

    await serde.prepare(writes=[OrderCreated], reads=[OrderCreated])
    serde.reader([OrderCreated]).decode(record(serde.encode(OrderCreated(order_id="o-1", quantity=2))))

    assert serde.prepared(OrderCreated)
    assert asked == len(registry.asked)


async def test_a_class_that_is_only_read_is_never_registered() -> None:
    """Its subject is asked for its versions, and may have none."""
    registry = Registry()

    await Serde(registry, auto_register=True).prepare(writes=[], reads=[OrderCreated])

    assert ["versions orders-value"] == registry.asked


async def test_an_unprepared_class_is_not_written() -> None:
    """The error names the class and what to do."""
    serde = Serde(Registry(), auto_register=True)

    with pytest.raises(DeclarationError, match="OrderCreated was not prepared for writing"):
        serde.encode(OrderCreated(order_id="o-1", quantity=2))


async def test_a_schema_that_is_not_registered_says_how_to_register_it() -> None:
    """Without auto_register nothing is written to the registry."""
    registry = Registry()

    with pytest.raises(DeclarationError, match=r"(?s)subject 'orders-value'.*EVENTHUB_AUTO_REGISTER.*results-Order"):
        await Serde(registry, auto_register=False).prepare(writes=[OrderCreated, OrderConfirmed])
    assert [] == list(await registry.versions("orders-value"))


async def test_all_refused_schemas_are_reported_at_once() -> None:
    """One error lists each subject with its reasons, and what was fine is registered."""
    registry = Registry()
    await registry.register("orders-value", avro("OrderCreated", order_id="long"))
    await registry.register("results-OrderRejected", avro("OrderRejected", order_id="string"))

    with pytest.raises(IncompatibleSchema) as raised:
        await prepared(registry, OrderCreated, OrderConfirmed, OrderRejected)

    assert "orders-value, results-OrderRejected" == raised.value.subject
    assert ["orders-value", "orders-value", "results-OrderRejected"] == [
        problem.partition(":")[0] for problem in raised.value.problems
    ]
    assert "quantity" in str(raised.value)


async def test_a_class_is_checked_against_every_version() -> None:
    """A reader meets whatever was ever written; each version that it cannot read is named."""
    registry = Registry()
    await registry.register("orders-value", avro("OrderCreated", order_id="string", note="string"))
    await registry.register("orders-value", avro("OrderCreated", order_id="string"))

    with pytest.raises(IncompatibleSchema) as raised:
        await Serde(registry, auto_register=True).prepare(writes=[], reads=[OrderCreated])

    assert "orders-value" in raised.value.subject
    assert ["OrderCreated cannot read version 1", "OrderCreated cannot read version 2"] == [
        problem.removeprefix("orders-value: ").partition(":")[0] for problem in raised.value.problems
    ]


async def test_an_unknown_schema_is_resolved_once() -> None:
    """A reader that never met the schema fetches it by its id."""
    registry = Registry()
    value = (await prepared(registry, OrderCreated)).encode(OrderCreated(order_id="o-1", quantity=2))
    reader = Serde(registry, auto_register=True).reader([OrderCreated])

    with pytest.raises(SchemaUnresolved):
        reader.decode(record(value))
    await reader.resolve(record(value))

    assert OrderCreated(order_id="o-1", quantity=2) == reader.decode(record(value))


async def test_the_header_counts_before_the_prefix() -> None:
    """With ``__value_schema_id`` the whole value is the body, and the last such header counts."""
    registry = Registry()
    value = (await prepared(registry, OrderCreated)).encode(OrderCreated(order_id="o-1", quantity=2))
    guid = (await registry.lookup("orders-value", AvroCodec().schema(OrderCreated))).guid
    reader = Serde(registry, auto_register=True).reader([OrderCreated])
    headers = (("__value_schema_id", b"\x01" + b"\xff" * 16), ("__value_schema_id", b"\x01" + UUID(guid).bytes))
    framed = record(value[5:])._replace(headers=headers)

    await reader.resolve(framed)

    assert OrderCreated(order_id="o-1", quantity=2) == reader.decode(framed)


class OrderArchived(Event, topic="archive", frame=Frame.HEADER):
    """An event whose records name their schema in a header."""

    order_id: str


class FolderMade(Event, topic="folders", name="shop.FolderMade", format=Format.PROTOBUF, frame=Frame.HEADER):
    """The same in Protobuf, where the path to the message goes with the schema's name."""

    __schema__ = 'syntax = "proto3"; package shop; message Other {} message FolderMade { string label = 1; }'

    label: Annotated[str, Number(1)]


@pytest.mark.parametrize(
    ("event", "path", "body"),
    [(OrderArchived(order_id="o-1"), "", "06 6f2d31"), (FolderMade(label="x"), "02 02", "0a 01 78")],
    ids=["avro", "protobuf"],
)
async def test_a_schema_may_be_named_in_a_header(event: Event, path: str, body: str) -> None:
    """The value is the body alone, and the header holds the GUID; whoever knows the schema asks nobody to read it."""
    registry = Registry()
    serde = await prepared(registry, type(event))
    [version] = await registry.versions(event.__event__.subject_name)
    framed = record(serde.encode(event), event.__event__.topic)._replace(headers=serde.headers(type(event)))
    late = Serde(registry, auto_register=True).reader([type(event)])
    await late.resolve(framed)
    asked = len(registry.asked)

    assert bytes.fromhex(body) == framed.value
    assert (("__value_schema_id", b"\x01" + UUID(version.guid).bytes + bytes.fromhex(path)),) == framed.headers
    assert [event, event] == [serde.reader([type(event)]).decode(framed), late.decode(framed)]
    assert asked == len(registry.asked)


async def test_a_header_has_the_id_where_the_registry_has_no_guids() -> None:
    """Older servers and some others; the id means something only to those who share the registry."""

    class Older(Registry):
        """A registry that tells no GUIDs."""

        async def register(self, subject: str, schema: Schema) -> RegisteredSchema:
            """Register, and leave the GUID out."""
            return replace(await super().register(subject, schema), guid=None)

    serde = await prepared(Older(), OrderArchived)
    event = OrderArchived(order_id="o-1")
    framed = record(serde.encode(event), "archive")._replace(headers=serde.headers(OrderArchived))

    assert (("__value_schema_id", bytes.fromhex("00 00000001")),) == framed.headers
    assert event == serde.reader([OrderArchived]).decode(framed)


async def test_most_records_name_their_schema_themselves() -> None:
    """Then there is no header about it."""
    assert () == (await prepared(Registry(), OrderCreated)).headers(OrderCreated)


async def test_a_schema_id_that_nobody_knows_is_the_registrys_error() -> None:
    """The record may be good; the registry may only be behind."""
    reader = Serde(Registry(), auto_register=True).reader([OrderCreated])

    with pytest.raises(SchemaNotFound):
        await reader.resolve(record(bytes.fromhex("00 00000063 06")))


async def test_types_of_one_topic_are_told_apart_by_name() -> None:
    """The schema's full name picks the class; types that are not read are None."""
    registry = Registry()
    serde = await prepared(registry, OrderConfirmed, OrderRejected)
    values = [
        serde.encode(OrderConfirmed(order_id="o-1")),
        serde.encode(OrderRejected(order_id="o-2", reason="short")),
    ]
    reader = Serde(registry, auto_register=True).reader([OrderRejected])
    for value in values:
        await reader.resolve(record(value, "results"))

    assert [None, OrderRejected(order_id="o-2", reason="short")] == [
        reader.decode(record(value, "results")) for value in values
    ]


async def test_a_topics_only_class_takes_whatever_name_the_schema_has() -> None:
    """Writers in other languages name their records after their own classes."""
    registry = Registry()
    await registry.register("orders-value", avro("com.shop.Order", order_id="string", colour="string", quantity="int"))
    serde = Serde(registry, auto_register=True)
    await serde.prepare(writes=[], reads=[OrderCreated])
    value = bytes.fromhex("00 00000001 06 6f2d31 06 726564 04")

    assert OrderCreated(order_id="o-1", quantity=2) == serde.reader([OrderCreated]).decode(record(value))


@pytest.mark.parametrize(
    "value", [b"{}", b"", bytes.fromhex("00 00000001 06 6f2d"), bytes.fromhex("00 00000001 06 6f2d31 04 00")]
)
async def test_an_undecodable_record_is_named_in_the_error(value: bytes) -> None:
    """Whatever is wrong with the bytes, the error carries the record."""
    serde = await prepared(Registry(), OrderCreated)

    with pytest.raises(DecodeError) as raised:
        serde.reader([OrderCreated]).decode(record(value))
    assert record(value) == raised.value.record


async def test_values_that_the_class_refuses_are_a_mismatch() -> None:
    """The bytes were good Avro; the error names class and field, not the value."""
    registry = Registry()
    await registry.register("orders-value", avro("OrderCreated", order_id="string"))
    reader = Serde(registry, auto_register=True).reader([OrderCreated])
    await reader.resolve(record(bytes.fromhex("00 00000001 06 6f2d31")))

    with pytest.raises(SchemaMismatch, match=r"OrderCreated\.quantity: Field required"):
        reader.decode(record(bytes.fromhex("00 00000001 06 6f2d31")))


LINE = avro("shop.Line", sku="string", size="shop.Size")
SIZE = Schema('{"type":"enum","name":"Size","namespace":"shop","symbols":["S","L"]}')


class Basket(Event, topic="baskets"):
    """An order whose writer keeps its parts under subjects of their own."""

    lines: list[dict[str, str]]
    size: str


async def registry_of_parts() -> SchemaRegistry:
    """A registry in which a schema leans on another, and that on a third."""
    registry = embedded_registry()
    await registry.register("size", SIZE)
    await registry.register("line", replace(LINE, references=(Reference("shop.Size", "size", 1),)))
    basket = Schema(
        '{"type":"record","name":"Basket","namespace":"shop","fields":['
        '{"name":"lines","type":{"type":"array","items":"Line"}},{"name":"size","type":"Size"}]}',
        references=(Reference("shop.Line", "line", 1), Reference("shop.Size", "size", 1)),
    )
    await registry.register("baskets-value", basket)
    return registry


async def test_schemas_of_several_subjects_are_read_as_one() -> None:
    """Whether they are known at start, or met later."""
    registry = await registry_of_parts()
    schema_id = (await registry.versions("baskets-value"))[0].id
    value = b"\x00" + schema_id.to_bytes(4, "big") + bytes.fromhex("02 06746561 02 00 00")
    expected = Basket(lines=[{"sku": "tea", "size": "L"}], size="S")
    late = Serde(registry, auto_register=True).reader([Basket])
    await late.resolve(record(value, "baskets"))

    assert expected == late.decode(record(value, "baskets"))


class Parcel(Event, topic="parcels", format=Format.JSON_SCHEMA):
    """An event in JSON whose writer keeps a part under a subject of its own."""

    weight: int
    size: str


class HeavyParcel(Event, topic="parcels", format=Format.JSON_SCHEMA):
    """The same to a reader that asks for less than was written."""

    weight: Annotated[int, Field(gt=10)]
    size: str


async def test_json_that_leans_on_other_subjects_is_checked_with_them() -> None:
    """What a reference stands for is compared like what stands in the schema itself."""
    registry = embedded_registry()
    await registry.register("weight", Schema('{"type":"integer","minimum":1}', SchemaType.JSON))
    part = '{"$defs":{"W":{"$ref":"weight.json"}},"type":"string"}'
    await registry.register("size", Schema(part, SchemaType.JSON, (Reference("weight.json", "weight", 1),)))
    text = (
        '{"title":"Parcel","type":"object","required":["weight","size"],"properties":'
        '{"weight":{"$ref":"weight.json"},"size":{"$ref":"size.json"}},"additionalProperties":false}'
    )
    references = (Reference("size.json", "size", 1), Reference("weight.json", "weight", 1))
    registered = await registry.register("parcels-value", Schema(text, SchemaType.JSON, references))
    serde = Serde(registry, auto_register=True)
    await serde.prepare(writes=[], reads=[Parcel])
    value = b"\x00" + registered.id.to_bytes(4, "big") + b'{"weight":3,"size":"L"}'

    assert Parcel(weight=3, size="L") == serde.reader([Parcel]).decode(record(value, "parcels"))
    with pytest.raises(IncompatibleSchema, match=r"HeavyParcel cannot read version 1: .*weight"):
        await serde.prepare(writes=[], reads=[HeavyParcel])


async def test_a_schema_that_leans_on_nothing_is_an_error_of_the_record() -> None:
    """It names what is missing."""

    class Leaning(Registry):
        """A registry that lost a part."""

        async def schema(self, schema_id: int) -> Schema:
            """Return a schema whose reference leads nowhere."""
            del schema_id
            return replace(LINE, references=(Reference("shop.Size", "gone", 1),))

    with pytest.raises(DecodeError, match=r"speaks of 'shop\.Size', which it does not define"):
        await Serde(Leaning(), auto_register=True).reader([OrderCreated]).resolve(record(b"\x00\x00\x00\x00\x01"))


async def test_what_no_format_can_write_is_said_before_anything_is_registered() -> None:
    """All classes at once, each with its field."""

    class One(Event, topic="one"):
        """A field without a place."""

        a: Any

    class Two(Event, topic="two"):
        """Another."""

        b: list  # type: ignore[type-arg]

    registry = Registry()

    with pytest.raises(DeclarationError, match=r"(?s)One\.a: Any has no place.*Two\.b: list has no place"):
        await prepared(registry, OrderCreated, One, Two)
    assert [] == registry.asked


async def test_a_format_without_a_codec_is_refused() -> None:
    """A hub may be told to know fewer formats."""
    serde = Serde(Registry(), auto_register=True, codecs={})

    with pytest.raises(DeclarationError, match="OrderCreated: there is no codec for format 'avro'"):
        await serde.prepare(writes=[OrderCreated])


async def test_a_record_of_a_format_without_a_codec_is_an_error_of_the_record() -> None:
    """Protobuf is an extra that this reader did not ask for; the service starts, since no such record may come."""
    registry = embedded_registry()
    await registry.register("orders-value", Schema('syntax = "proto3"; message A {}', SchemaType.PROTOBUF))
    serde = Serde(registry, auto_register=True)
    await serde.prepare(writes=[], reads=[OrderCreated])
    reader = serde.reader([OrderCreated])

    with pytest.raises(DecodeError, match="schema is PROTOBUF, for which there is no codec"):
        await reader.resolve(record(b"\x00\x00\x00\x00\x01\x00"))


async def test_a_record_in_a_format_that_its_class_has_no_place_in_is_an_error_of_the_record() -> None:
    """Another event of the hub is Protobuf, so there is a codec; this one has no numbers for its fields."""
    registry = Registry()
    serde = await prepared(registry, OrderCreated, Numbered)
    text = Schema('syntax = "proto3"; message OrderCreated {}', SchemaType.PROTOBUF)
    registered = await registry.register("others-value", text)
    foreign = record(wire.prefix(registered.id) + b"\x00")
    reader = serde.reader([OrderCreated])
    await reader.resolve(foreign)

    with pytest.raises(DecodeError, match="has no number"):
        reader.decode(foreign)


async def test_an_avro_record_for_a_class_that_only_json_can_hold_is_an_error_of_the_record() -> None:
    """Anything at all has no place in Avro."""

    class Free(Event, topic="free", format=Format.JSON_SCHEMA):
        content: Any

    registry = Registry()
    await registry.register("others-value", avro("Free", content="string"))
    reader = Serde(registry, auto_register=True).reader([Free])

    with pytest.raises(DecodeError, match=r"Free\.content: Any has no place"):
        await reader.resolve(record(b"\x00\x00\x00\x00\x01\x02a", "free"))


async def test_a_topic_that_nobody_declared_is_an_error_and_no_silence() -> None:
    """None means another event type of a topic that is read."""
    registry = Registry()
    serde = await prepared(registry, OrderCreated)
    value = serde.encode(OrderCreated(order_id="o-1", quantity=2))

    with pytest.raises(DecodeError, match="no event is read from topic 'else'; read are orders"):
        await serde.reader([OrderCreated]).resolve(record(value, "else"))


@pytest.mark.slow
async def test_hostile_schema_ids_do_not_fill_the_memory() -> None:
    """The oldest decoders make room."""
    registry = Registry()
    serde = await prepared(registry, OrderCreated)
    reader = serde.reader([OrderCreated])
    schema = AvroCodec().schema(OrderConfirmed)

    for schema_id in range(2, 1010):
        reader.compile("orders", [b"\x00" + schema_id.to_bytes(4, "big")], schema)

    assert 1000 == len(reader._decoders)
