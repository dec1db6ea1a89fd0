"""Classes and a registry, beside each other before any service starts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import pytest
from pydantic import AliasChoices, Field

from eventhub import DeclarationError, Event, IncompatibleSchema, Service, Tombstone, subscribe, upcast
from eventhub.codecs.number import Number
from eventhub.event import Format
from eventhub.registry.base import Schema, SchemaType
from eventhub.registry.client import HttpSchemaRegistry, embedded_registry
from eventhub.registry.embedded.app import EmbeddedRegistry
from eventhub.schemas import Checked, check, declarations, files, opened, plan, pretty, register
from tests.registry.embedded.asking import ask, record


class Ordered(Event, topic="orders"):
    """A customer has placed an order."""

    id: str
    amount: int = Field(validation_alias=AliasChoices("amount", "quantity"))


class Reserved(Event, topic="stock"):
    """Stock has been set aside."""

    id: str


class OrderedV1(Event):
    """The first shape of an order."""

    number: int


class Loose(Event, topic="orders", name="Ordered"):
    """An order for somebody who wants only its id."""

    id: str


class JsonNote(Event, topic="notes", format=Format.JSON_SCHEMA):
    """A note as JSON."""

    text: str


class Numbered(Event, topic="numbered"):
    """An event in Avro whose fields have numbers."""

    id: Annotated[str, Number(1)]


class ProtoNote(Event, topic="protos", format=Format.PROTOBUF):
    """A note as Protobuf."""

    text: Annotated[str, Number(1)]


@upcast(Ordered, from_version=1)
def numbered(old: OrderedV1) -> Ordered:
    """Make an id of the number."""
    return Ordered(id=str(old.number), amount=1)


@subscribe(Ordered, Tombstone[Ordered])
async def reserve(order: Ordered | Tombstone[Ordered]) -> Reserved:
    """Reserve what was ordered."""
    return Reserved(id=str(order))


INVENTORY = Service("inventory", [reserve], upcasts=[numbered])


def reasons(found: Sequence[Checked]) -> list[str]:
    """The first four words of why versions cannot be read."""
    problems = (problem for checked in found for reading in checked.readings or () for problem in reading.problems)
    return [" ".join(problem.reason.split()[:4]) for problem in problems]


@pytest.fixture
def app() -> EmbeddedRegistry:
    """An empty registry."""
    return EmbeddedRegistry()


@pytest.fixture
def registry(app: EmbeddedRegistry) -> HttpSchemaRegistry:
    """Its client."""
    return embedded_registry(app)


async def level(app: EmbeddedRegistry, name: str, path: str = "/config") -> None:
    """Set the level of the registry or of a subject."""
    await ask(app, "PUT", path, {"compatibility": name})


async def history(app: EmbeddedRegistry, registry: HttpSchemaRegistry) -> None:
    """Three versions of an order: an old shape, an old name for a field, and one without an id."""
    await level(app, "NONE")
    await registry.register("orders-value", Schema(record("Ordered", number="long")))
    await registry.register("orders-value", Schema(record("Ordered", id="string", quantity="long")))
    await registry.register("orders-value", Schema(record("Ordered", amount="long")))
    await level(app, "BACKWARD")


def test_a_service_declares_what_it_reads_and_writes() -> None:
    """Each class once, for what the service does with it; a tombstone has no schema; a class alone is both."""
    declared = declarations(INVENTORY, Loose)

    assert [
        (Ordered, "inventory", True, False, (numbered,)),
        (Reserved, "inventory", False, True, ()),
        (Loose, None, True, True, ()),
    ] == [(each.event, each.service, each.reads, each.writes, each.upcasts) for each in declared]


def test_classes_without_a_schema_are_named_together() -> None:
    """Whoever mends one wants to know of the other."""

    class One(Event, topic="ones"):
        a: Any

    class Two(Event, topic="twos"):
        b: list  # type: ignore[type-arg]

    with pytest.raises(DeclarationError, match=r"(?s)One\.a: Any has no place.*Two\.b: list has no place"):
        declarations(One, Ordered, Two)


async def test_every_version_is_judged(app: EmbeddedRegistry, registry: HttpSchemaRegistry) -> None:
    """By the upcast, by an alias, and what cannot be read has path, kind and both sides."""
    await history(app, registry)
    [orders, stock] = await check(registry, declarations(INVENTORY))

    assert orders.readings is not None
    assert [(1, numbered), (2, None), (3, None)] == [(each.version.version, each.upcast) for each in orders.readings]
    assert [0, 0, 1] == [len(each.problems) for each in orders.readings]
    [problem] = orders.readings[2].problems
    assert ("READER_FIELD_MISSING_DEFAULT_VALUE", "/fields/0", "Ordered", "Ordered") == (
        problem.kind,
        problem.path,
        problem.reader,
        problem.writer,
    )
    assert (False, True, None) == (orders.compatible, stock.compatible, stock.readings)
    assert ["Ordered cannot read version 3"] == [each.partition(":")[0] for each in orders.problems]


async def test_the_last_version_is_not_enough(app: EmbeddedRegistry, registry: HttpSchemaRegistry) -> None:
    """The registry would take the schema, and yet the class could not read what is on the topic."""
    await level(app, "NONE")
    await registry.register("stock-value", Schema(record("Reserved", number="long")))
    await registry.register("stock-value", Schema(record("Reserved", id="string", more="string")))
    await level(app, "BACKWARD")
    [checked] = await check(registry, declarations(Reserved))

    assert () == checked.registration.refusals
    assert 1 == len(checked.problems)


async def test_the_own_schema_is_registered_taken_or_refused(
    app: EmbeddedRegistry, registry: HttpSchemaRegistry
) -> None:
    """At the level of the subject; a refusal has path, kind and both sides, and nothing is registered by asking."""
    [fresh] = await check(registry, declarations(Reserved))
    await registry.register("stock-value", Schema(record("Reserved", number="long")))
    [refused] = await check(registry, declarations(Reserved))
    await level(app, "FORWARD", "/config/stock-value")
    [forward] = await check(registry, declarations(Reserved))
    await level(app, "NONE", "/config/stock-value")
    versions = len(await registry.versions("stock-value"))
    await registry.register("stock-value", declarations(Reserved)[0].schema)
    [known] = await check(registry, declarations(Reserved))

    assert ("BACKWARD", None, ()) == (
        fresh.registration.level,
        fresh.registration.version,
        fresh.registration.refusals,
    )
    assert [(1, True, "/fields/0")] == [
        (each.version, each.new_reads, each.problem.path) for each in refused.registration.conflicts
    ]
    assert [(1, False, "/fields/0")] == [
        (each.version, each.new_reads, each.problem.path) for each in forward.registration.conflicts
    ]
    assert 1 == versions
    assert known.registration.version is not None
    assert 2 == known.registration.version.version


async def test_a_reader_need_not_be_registrable(app: EmbeddedRegistry, registry: HttpSchemaRegistry) -> None:
    """A class that takes less than is written reads all, and is never registered; as a writer it would be refused."""

    @subscribe(Loose)
    async def look(order: Loose) -> None:
        del order

    await level(app, "FULL")
    await registry.register("orders-value", declarations(Ordered)[0].schema)
    [reader] = await check(registry, declarations(Service("looking", [look])))
    [alone] = await check(registry, declarations(Loose))

    assert (True, False) == (reader.compatible, alone.compatible)
    assert reader.registration.refusals


async def test_a_subject_that_takes_nothing_is_found_out(app: EmbeddedRegistry, registry: HttpSchemaRegistry) -> None:
    """Before anything is registered."""
    await ask(app, "PUT", "/mode", {"mode": "READONLY"})
    [checked] = await check(registry, declarations(Reserved))

    assert ["its schema is refused: the subject takes no versions, since its mode is READONLY"] == list(
        checked.problems
    )


async def test_json_schema_and_protobuf_are_checked_alike(registry: HttpSchemaRegistry) -> None:
    """Each by its own rules."""
    old = {"type": "object", "properties": {"text": {"type": "integer"}}, "additionalProperties": False}
    await registry.register("notes-value", Schema(json.dumps(old), SchemaType.JSON))
    await registry.register(
        "protos-value", Schema('syntax = "proto3"; message Old { int32 a = 1; }', SchemaType.PROTOBUF)
    )
    found = await check(registry, declarations(JsonNote, ProtoNote))
    fresh = await check(embedded_registry(), declarations(JsonNote, ProtoNote))

    assert [False, False] == [checked.compatible for checked in found]
    assert {"/properties/text", "/ProtoNote/1"} == {
        reading.problems[0].path for checked in found for reading in checked.readings or ()
    }
    assert [True, True] == [checked.compatible for checked in fresh]


async def test_a_format_that_a_process_does_not_read_is_a_problem(registry: HttpSchemaRegistry) -> None:
    """Protobuf is read where an event asks for it, and by a class whose fields have numbers."""
    text = 'syntax = "proto3"; message Numbered { string id = 1; }'
    for subject in ("stock-value", "numbered-value"):
        await registry.register(subject, Schema(text, SchemaType.PROTOBUF))
    apart = await check(registry, declarations(Reserved, Numbered))
    together = await check(registry, declarations(Reserved, Numbered, ProtoNote))

    assert ["PROTOBUF was written, which", "PROTOBUF was written, which"] == reasons(apart)
    assert ["Reserved.id has no number;"] == reasons(together)


async def test_all_are_registered_or_none(registry: HttpSchemaRegistry) -> None:
    """A refusal is known before the first is registered."""
    await registry.register("stock-value", Schema(record("Reserved", number="long")))
    declared = declarations(Ordered, Reserved)
    planned = await plan(registry, declared)
    with pytest.raises(IncompatibleSchema, match="stock-value"):
        [version async for version in register(registry, planned)]

    assert [True, False] == [checked.compatible for checked in planned]
    assert ["stock-value"] == list(await registry.subjects())


async def test_what_is_registered_is_told_and_nothing_twice(registry: HttpSchemaRegistry) -> None:
    """A class that is only read is never registered."""
    declared = declarations(INVENTORY, JsonNote)
    first = [version.subject async for version in register(registry, await plan(registry, declared))]
    second = [version.subject async for version in register(registry, await plan(registry, declared))]

    assert (["stock-value", "notes-value"], []) == (first, second)


async def test_two_classes_for_one_subject_are_refused(registry: HttpSchemaRegistry) -> None:
    """Which one should be first, and would the second be taken then?"""
    with pytest.raises(DeclarationError, match=r"test_schemas\.Ordered and .*Loose declare different schemas"):
        await plan(registry, declarations(Ordered, Loose))
    with pytest.raises(DeclarationError, match="orders-value"):
        files(declarations(Ordered, Loose))


def test_schemas_are_files_by_subject() -> None:
    """They read back as the same schemas."""
    declared = declarations(INVENTORY, JsonNote, ProtoNote)
    made = files(declared)

    assert ["orders-value.avsc", "stock-value.avsc", "notes-value.json", "protos-value.proto"] == list(made)
    assert json.loads(declared[0].schema.text) == json.loads(made["orders-value.avsc"])
    assert declared[3].schema.text.strip() == made["protos-value.proto"].strip()


@pytest.mark.parametrize("text", ["{", "[" * 100_000, 'syntax = "proto3";'])
def test_what_is_no_json_is_shown_as_it_is(text: str) -> None:
    """Whatever a registry holds can be looked at."""
    assert text + "\n" == pretty(Schema(text))


async def test_the_embedded_registry_is_nobody_elses() -> None:
    """A check against an empty registry would say that all is well."""
    with pytest.raises(DeclarationError, match="EVENTHUB_REGISTRY=http"):
        async with opened("embedded"):
            pass
