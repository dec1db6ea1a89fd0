"""The embedded registry keeps the laws of registries, in this process and over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from eventhub.registry.base import SchemaRegistry
from eventhub.registry.client import HttpSchemaRegistry, embedded_registry
from eventhub.registry.embedded.server import serve
from eventhub.testing.conformance.registries import RegistryConformance


class TestInProcess(RegistryConformance):
    """Every law, without a network."""

    @pytest.fixture
    async def registry(self) -> AsyncIterator[SchemaRegistry]:
        """A registry of its own for each law."""
        registry = embedded_registry()
        await registry.start()
        yield registry
        await registry.stop()


class TestOverHttp(RegistryConformance):
    """Every law, through a socket."""

    @pytest.fixture
    async def registry(self) -> AsyncIterator[SchemaRegistry]:
        """A served registry of its own for each law."""
        async with serve() as server:
            registry = HttpSchemaRegistry(server.url)
            await registry.start()
            yield registry
            await registry.stop()
