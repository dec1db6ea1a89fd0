"""The SQLite store keeps the laws of stores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from eventhub.outbox.sqlite import SqliteStore
from eventhub.testing.conformance.stores import ByHandLaws, SavepointLaws, StoreConformance


class TestSqliteStore(StoreConformance, SavepointLaws, ByHandLaws):
    """Every law, save those of stores that many relays share."""

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SqliteStore]:
        """A file of its own for each law, with a table of the business."""
        async with SqliteStore(tmp_path / "store.sqlite3") as store:
            async with store.transaction() as transaction:
                await transaction.connection.execute("CREATE TABLE business (name TEXT PRIMARY KEY, value TEXT)")
            yield store

    async def write(self, connection: Any, name: str, value: str) -> None:
        """Write a row of the business."""
        await connection.execute("INSERT INTO business VALUES (?, ?)", (name, value))

    async def read(self, store: Any, name: str) -> str | None:
        """Read a committed row through a connection of its own."""
        async with aiosqlite.connect(store.path) as database:
            rows = list(await database.execute_fetchall("SELECT value FROM business WHERE name = ?", (name,)))
        return rows[0][0] if rows else None

    async def say(self, connection: Any, statement: str) -> None:
        """Execute it."""
        await connection.execute(statement)

    @asynccontextmanager
    async def savepoint(self, connection: Any) -> AsyncIterator[None]:
        """A savepoint in SQL."""
        await connection.execute("SAVEPOINT here")
        try:
            yield
        except BaseException:
            await connection.execute("ROLLBACK TO here")
            raise
        finally:
            await connection.execute("RELEASE here")
