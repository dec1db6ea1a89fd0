"""Upcasts: how they are declared, and what they do to records of an old shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient

from eventhub import Service, subscribe, upcast
from eventhub.codecs.serde import Serde
from eventhub.errors import DeclarationError, IncompatibleSchema, SchemaMismatch
from eventhub.event import Event
from eventhub.record import Record
from eventhub.registry.base import Schema, SchemaRegistry
from eventhub.registry.client import embedded_registry
from eventhub.registry.embedded.app import EmbeddedRegistry
from eventhub.testing import running


class CustomerMoved(Event, topic="moves", key="customer"):
    """A customer has a new address."""

    customer: str
    street: str
    city: str


class CustomerMovedV1(Event):
    """The same with an address in one line."""

    customer: str
    address: str


@upcast(CustomerMoved, from_version=1)
def split_the_address(old: CustomerMovedV1) -> CustomerMoved:
    """Cut at the comma."""
    street, city = old.address.split(", ")
    return CustomerMoved(customer=old.customer, street=street, city=city)


V1 = Schema(
    json.dumps(
        {
            "type": "record",
            "name": "CustomerMoved",
            "fields": [{"name": "customer", "type": "string"}, {"name": "address", "type": "string"}],
        }
    )
)
MOVED = CustomerMoved(customer="c-1", street="High Street", city="Leeds")


def record(body: bytes, schema_id: int = 1, **headers: bytes) -> Record:
    """A framed record of the topic."""
    frame = b"" if headers else b"\x00" + schema_id.to_bytes(4, "big")
    return Record("moves", 0, 0, 0.0, None, frame + body, tuple(headers.items()))


OLD_BODY = b"\x06c-1\x24High Street, Leeds"


async def registry_of_both() -> SchemaRegistry:
    """A registry in which the second version broke with the first, as the subject's level allowed."""
    app = EmbeddedRegistry()
    registry = embedded_registry(app)
    await registry.register("moves-value", V1)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://embedded") as client:
        await client.put("/config/moves-value", json={"compatibility": "NONE"})
    await Serde(registry, auto_register=True).prepare(writes=[CustomerMoved])
    return registry


class NeverWritten(Event):
    """Nothing that was ever written."""

    zip_code: str


@upcast(CustomerMoved, from_version=1)
def from_wrong(old: NeverWritten) -> CustomerMoved:
    """Make something up."""
    return CustomerMoved(customer=old.zip_code, street="", city="")


class Other(Event, topic="other"):
    """Another event."""


def test_an_upcast_is_the_function_it_was() -> None:
    """Its own test needs no registry."""
    assert MOVED == split_the_address(CustomerMovedV1(customer="c-1", address="High Street, Leeds"))


async def test_records_of_an_old_version_are_read_in_the_new_shape() -> None:
    """Those of the new version are read as ever."""
    registry = await registry_of_both()
    serde = Serde(registry, auto_register=True)
    await serde.prepare(writes=[CustomerMoved], reads=[CustomerMoved], upcasts=[split_the_address])
    reader = serde.reader([CustomerMoved], [split_the_address])

    read = [reader.decode(record(OLD_BODY)), reader.decode(record(serde.encode(MOVED)[5:], 2))]

    assert [MOVED, MOVED] == read


async def test_a_schema_met_later_finds_its_upcast_too() -> None:
    """By its id, or by the GUID in a header."""
    registry = await registry_of_both()
    guid = next(version.guid for version in await registry.versions("moves-value"))
    by_guid = record(OLD_BODY, __value_schema_id=b"\x01" + bytes.fromhex(str(guid).replace("-", "")))
    reader = Serde(registry, auto_register=True).reader([CustomerMoved], [split_the_address])
    for each in (record(OLD_BODY), by_guid):
        await reader.resolve(each)

    assert [MOVED, MOVED] == [reader.decode(record(OLD_BODY)), reader.decode(by_guid)]


async def test_a_version_with_an_upcast_is_checked_by_its_old_shape() -> None:
    """Without the upcast the class could not read it, and the service would not start."""
    registry = await registry_of_both()

    with pytest.raises(IncompatibleSchema, match="CustomerMoved cannot read version 1"):
        await Serde(registry, auto_register=True).prepare(writes=[], reads=[CustomerMoved])
    await Serde(registry, auto_register=True).prepare(writes=[], reads=[CustomerMoved], upcasts=[split_the_address])


async def test_an_old_shape_that_does_not_fit_is_refused_at_start() -> None:
    """The error names the old shape and the version."""
    registry = await registry_of_both()

    with pytest.raises(IncompatibleSchema, match=r"version 1: /.*: nor can NeverWritten: "):
        await Serde(registry, auto_register=True).prepare(writes=[], reads=[CustomerMoved], upcasts=[from_wrong])


async def test_an_upcast_that_fails_is_an_error_of_the_record() -> None:
    """It names the upcast; what the function said may hold values, and stays in the cause."""
    registry = await registry_of_both()
    serde = Serde(registry, auto_register=True)
    await serde.prepare(writes=[], reads=[CustomerMoved], upcasts=[split_the_address])
    bad = record(b"\x06c-1\x0enowhere")

    with pytest.raises(
        SchemaMismatch, match="upcast 'split_the_address' of version 1 failed with ValueError"
    ) as raised:
        serde.reader([CustomerMoved], [split_the_address]).decode(bad)
    assert bad == raised.value.record


@pytest.mark.parametrize("error", [RuntimeError, OSError, NotImplementedError])
def test_whatever_an_upcast_raises_is_an_error_of_the_record(error: type[Exception]) -> None:
    """The function is the service's own, and the record is what it fails on."""

    def fail(old: CustomerMovedV1) -> CustomerMoved:
        del old
        raise error

    with pytest.raises(SchemaMismatch, match=f"upcast 'fail' of version 1 failed with {error.__name__}"):
        upcast(CustomerMoved, from_version=1)(fail).read(CustomerMovedV1(customer="", address=""))


async def test_an_upcast_that_returns_something_else_is_an_error_of_the_record() -> None:
    """A type checker would have said so before."""

    def forget(old: CustomerMovedV1) -> CustomerMoved:
        del old
        return None  # type: ignore[return-value]

    with pytest.raises(SchemaMismatch, match="upcast 'forget' of version 1 returned NoneType, not CustomerMoved"):
        upcast(CustomerMoved, from_version=1)(forget).read(CustomerMovedV1(customer="", address=""))


def test_an_upcast_for_an_event_that_nobody_reads_is_refused() -> None:
    """It would never run."""

    @subscribe(Other)
    async def handle(event: Other) -> None:
        """Do nothing."""
        del event

    with pytest.raises(DeclarationError, match="has an upcast for CustomerMoved, which no handler takes"):
        Service("moves", [handle], upcasts=[split_the_address])


async def test_two_upcasts_from_one_version_are_refused() -> None:
    """Only one can be right."""
    serde = Serde(embedded_registry(), auto_register=True)

    with pytest.raises(DeclarationError, match="CustomerMoved has two upcasts from version 1"):
        serde.reader([CustomerMoved], [split_the_address, split_the_address])


def test_versions_count_from_one() -> None:
    """As the registry counts them."""
    with pytest.raises(DeclarationError, match="versions count from 1, not 0"):
        upcast(CustomerMoved, from_version=0)


async def asynchronous(old: CustomerMovedV1) -> CustomerMoved:
    """A coroutine."""
    return split_the_address(old)


def no_old_shape(old: CustomerMoved) -> CustomerMoved:
    """From the new shape to the new shape."""
    return old


def two_arguments(old: CustomerMovedV1, context: object) -> CustomerMoved:
    """More than an upcast is given."""
    del context
    return split_the_address(old)


def other_result(old: CustomerMovedV1) -> CustomerMovedV1:
    """The old shape again."""
    return old


def unannotated(old):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201 - that is what is tested
    """Nothing said."""
    return old


@pytest.mark.parametrize("function", [asynchronous, no_old_shape, two_arguments, other_result, unannotated])
def test_a_function_of_another_form_is_shown_the_right_one(function: Any) -> None:
    """At import, before any record."""
    with pytest.raises(DeclarationError, match=r"the form is:\n    @upcast\(CustomerMoved, from_version=1\)"):
        upcast(CustomerMoved, from_version=1)(function)


async def test_a_new_registry_counts_from_one_again() -> None:
    """Its first version is the new shape, to which the upcast of the old first version does not apply."""
    registry = embedded_registry()
    serde = Serde(registry, auto_register=True)
    await serde.prepare(writes=[CustomerMoved], reads=[CustomerMoved], upcasts=[split_the_address])

    assert MOVED == serde.reader([CustomerMoved], [split_the_address]).decode(record(serde.encode(MOVED)[5:]))


async def test_a_service_hands_its_upcasts_to_the_reader() -> None:
    """A handler sees the new shape alone."""
    seen: list[CustomerMoved] = []

    @subscribe(CustomerMoved)
    async def note(moved: CustomerMoved) -> None:
        """Remember the move."""
        seen.append(moved)

    service = Service("moves", [note], upcasts=[split_the_address])

    async with running(service) as hub:
        await hub.publish(MOVED)
        await hub.caught_up()

    assert [MOVED] == seen
    assert (split_the_address,) == service.upcasts
