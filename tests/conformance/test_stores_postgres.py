"""The PostgreSQL store keeps the laws of stores."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from eventhub.integrations.postgres import PostgresStore
from eventhub.testing.conformance.stores import ByHandLaws, ConcurrentLaws, SavepointLaws, SharingLaws, StoreConformance


@pytest.mark.postgres
class TestPostgresStore(StoreConformance, SavepointLaws, ByHandLaws, ConcurrentLaws, SharingLaws):
    """Every law, with nothing left out."""

    @pytest.fixture
    def store(self, tables: PostgresStore) -> PostgresStore:
        """Tables of its own for each law."""
        return tables

    async def write(self, connection: Any, name: str, value: str) -> None:
        """Write a row of the business."""
        await connection.execute("INSERT INTO business VALUES ($1, $2)", name, value)

    async def read(self, store: Any, name: str) -> str | None:
        """Read a committed row."""
        value: str | None = await store.pool.fetchval("SELECT value FROM business WHERE name = $1", name)
        return value

    async def say(self, connection: Any, statement: str) -> None:
        """Execute it."""
        await connection.execute(statement)

    def savepoint(self, connection: Any) -> AbstractAsyncContextManager[Any]:
        """A transaction in a transaction."""
        block: AbstractAsyncContextManager[Any] = connection.transaction()
        return block
