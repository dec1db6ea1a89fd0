"""Events to framed bytes and back, with what the registry says in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from eventhub.codecs.serde import SchemaUnresolved, Serde
from eventhub.errors import DeclarationError, DecodeError, IncompatibleSchema, SchemaMismatch, SchemaNotFound
from eventhub.event import Event, SubjectName
from eventhub.record import Record
from eventhub.registry.base import RegisteredSchema, Schema


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


@dataclass
class Registry:
    """The port over a list, until the embedded registry is there."""

    schemas: list[RegisteredSchema] = field(default_factory=list)
    refused: dict[str, list[str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url = "memory"

    async def start(self) -> None:
        """Do nothing."""

    async def stop(self) -> None:
        """Do nothing."""

    async def register(self, subject: str, schema: Schema) -> RegisteredSchema:
        """Append the schema, unless it is there."""
        self.asked.append(f"register {subject}")
        if subject in self.refused:
            raise IncompatibleSchema(subject, self.refused[subject])
        known = [version for version in self.schemas if version.subject == subject]
        for version in known:
            if version.schema == schema:
                return version
        self.schemas.append(RegisteredSchema(schema, len(self.schemas) + 1, subject, len(known) + 1))
        return self.schemas[-1]

    async def lookup(self, subject: str, schema: Schema) -> RegisteredSchema:
        """Find the schema."""
        self.asked.append(f"lookup {subject}")
        for version in self.schemas:
            if (version.subject, version.schema) == (subject, schema):
                return version
        msg = "schema not found"
        raise SchemaNotFound(msg)

    async def schema(self, schema_id: int) -> Schema:
        """Find the schema by its place."""
        self.asked.append(f"schema {schema_id}")
        if schema_id > len(self.schemas):
            msg = f"schema {schema_id} not found"
            raise SchemaNotFound(msg)
        return self.schemas[schema_id - 1].schema

    async def schema_by_guid(self, guid: str) -> Schema:
        """Take a GUID for the number at its end."""
        return await self.schema(int(guid[-4:], 16))

    async def versions(self, subject: str) -> Sequence[RegisteredSchema]:
        """List the versions."""
        self.asked.append(f"versions {subject}")
        return [version for version in self.schemas if version.subject == subject]

    async def check(self, subject: str, schema: Schema) -> Sequence[str]:
        """Say what ``register`` would."""
        del schema
        return self.refused.get(subject, [])


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

    with pytest.raises(DeclarationError, match=r"(?s)subject 'orders-value'.*eventhub schemas register.*results-Order"):
        await Serde(registry, auto_register=False).prepare(writes=[OrderCreated, OrderConfirmed])
    assert [] == registry.schemas


async def test_all_refused_schemas_are_reported_at_once() -> None:
    """One error lists each subject with its reasons."""
    registry = Registry(refused={"orders-value": ["a is gone"], "results-OrderRejected": ["b is gone", "c is gone"]})

    with pytest.raises(IncompatibleSchema) as raised:
        await prepared(registry, OrderCreated, OrderConfirmed, OrderRejected)

    assert "orders-value, results-OrderRejected" == raised.value.subject
    assert (
        "orders-value: a is gone",
        "results-OrderRejected: b is gone",
        "results-OrderRejected: c is gone",
    ) == raised.value.problems


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
    reader = Serde(registry, auto_register=True).reader([OrderCreated])
    headers = (("__value_schema_id", b"\x01" + b"\xff" * 16), ("__value_schema_id", b"\x01" + bytes(15) + b"\x01"))
    framed = record(value[5:])._replace(headers=headers)

    await reader.resolve(framed)

    assert OrderCreated(order_id="o-1", quantity=2) == reader.decode(framed)


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
    foreign = Schema(
        '{"type":"record","name":"com.shop.Order","fields":[{"name":"order_id","type":"string"},'
        '{"name":"colour","type":"string"},{"name":"quantity","type":"int"}]}'
    )
    await registry.register("orders-value", foreign)
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
    nothing = Schema('{"type":"record","name":"OrderCreated","fields":[{"name":"order_id","type":"string"}]}')
    await registry.register("orders-value", nothing)
    reader = Serde(registry, auto_register=True).reader([OrderCreated])
    await reader.resolve(record(bytes.fromhex("00 00000001 06 6f2d31")))

    with pytest.raises(SchemaMismatch, match=r"OrderCreated\.quantity: Field required"):
        reader.decode(record(bytes.fromhex("00 00000001 06 6f2d31")))
