"""The test that a service's author writes against the registry."""

from __future__ import annotations

import pytest

from eventhub import Event, Service, subscribe, upcast
from eventhub.registry.base import Schema
from eventhub.registry.client import HttpSchemaRegistry, embedded_registry
from eventhub.registry.embedded.app import EmbeddedRegistry
from eventhub.registry.embedded.server import serve
from eventhub.testing import assert_reads_every_version
from tests.registry.embedded.asking import ask, record


class Moved(Event, topic="moves"):
    """A customer has a new address."""

    city: str


class MovedV1(Event):
    """Its first shape."""

    address: str


@upcast(Moved, from_version=1)
def split(old: MovedV1) -> Moved:
    """Cut at the comma."""
    return Moved(city=old.address.partition(", ")[2])


class Noted(Event, topic="noted"):
    """The move has been taken in."""

    city: str


@subscribe(Moved)
async def note(moved: Moved) -> Noted:
    """Take it in."""
    return Noted(city=moved.city)


@pytest.fixture
async def app() -> EmbeddedRegistry:
    """A registry whose second version broke with the first."""
    app = EmbeddedRegistry()
    await ask(app, "PUT", "/config", {"compatibility": "NONE"})
    for text in (record("Moved", address="string"), record("Moved", city="string", note=("string", ""))):
        await embedded_registry(app).register("moves-value", Schema(text))
    return app


async def test_a_version_that_cannot_be_read_fails_the_test(app: EmbeddedRegistry) -> None:
    """It is named with the reason; a later version that can be read does not make up for it."""
    with pytest.raises(AssertionError) as failed:
        await assert_reads_every_version(Moved, embedded_registry(app))

    assert str(failed.value).startswith("moves-value: Moved cannot read version 1: /fields/0: ")
    assert 1 == len(str(failed.value).splitlines())


async def test_a_service_reads_with_its_upcasts(app: EmbeddedRegistry) -> None:
    """What is read is told, by subject; what is only written is not asked for."""
    services = [Service("moves", [note], upcasts=upcasts) for upcasts in ([], [split])]
    with pytest.raises(AssertionError):
        await assert_reads_every_version(services[0], embedded_registry(app))

    assert {"moves-value": [1, 2]} == await assert_reads_every_version(services[1], embedded_registry(app))


async def test_an_address_is_enough() -> None:
    """A subject that nobody has written has no versions, which is told and no failure."""
    async with serve() as server:
        nothing = await assert_reads_every_version(Moved, server.url)
        registry = HttpSchemaRegistry(server.url)
        await registry.register("moves-value", Schema(record("Moved", city="string")))
        await registry.stop()

        assert {"moves-value": [1]} == await assert_reads_every_version(Moved, server.url)
        assert {"moves-value": []} == nothing
