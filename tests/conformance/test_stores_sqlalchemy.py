"""The SQLAlchemy store keeps the laws of stores, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from eventhub.integrations.postgres import PostgresStore
from eventhub.integrations.sqlalchemy import SqlAlchemyStore, immediate
from eventhub.outbox.sqlite import SqliteStore
from eventhub.testing.conformance.stores import ByHandLaws, ConcurrentLaws, SavepointLaws, SharingLaws, StoreConformance


class Sessions:
    """How a business writes and reads through sessions."""

    async def write(self, connection: Any, name: str, value: str) -> None:
        """Write a row of the business."""
        await connection.execute(text("INSERT INTO business VALUES (:name, :value)"), {"name": name, "value": value})

    async def read(self, store: Any, name: str) -> str | None:
        """Read a committed row."""
        async with store._sessions() as session:
            found = await session.scalar(text("SELECT value FROM business WHERE name = :name"), {"name": name})
        value: str | None = found
        return value

    async def say(self, connection: Any, statement: str) -> None:
        """Execute it as text."""
        await connection.execute(text(statement))

    def savepoint(self, connection: Any) -> AbstractAsyncContextManager[Any]:
        """A nested transaction."""
        block: AbstractAsyncContextManager[Any] = connection.begin_nested()
        return block


class TestOnSqlite(Sessions, StoreConformance, SavepointLaws, ByHandLaws):
    """Every law of a store in a file."""

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SqlAlchemyStore]:
        """A file of its own for each law."""
        path = tmp_path / "store.sqlite3"
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        immediate(engine)
        async with SqliteStore(path) as tables:
            async with engine.begin() as connection:
                await connection.execute(text("CREATE TABLE business (name TEXT, value TEXT)"))
            yield SqlAlchemyStore(async_sessionmaker(engine), tables)
            await engine.dispose()


@pytest.mark.postgres
class TestOnPostgres(Sessions, StoreConformance, SavepointLaws, ByHandLaws, ConcurrentLaws, SharingLaws):
    """Every law, with nothing left out."""

    @pytest.fixture
    async def store(self, tables: PostgresStore, postgres_url: str) -> AsyncIterator[SqlAlchemyStore]:
        """Tables of its own for each law."""
        schema = await tables.pool.fetchval("SELECT current_schema()")
        engine = create_async_engine(
            postgres_url.replace("postgresql://", "postgresql+asyncpg://"),
            connect_args={"server_settings": {"search_path": schema}},
        )
        yield SqlAlchemyStore(async_sessionmaker(engine), tables)
        await engine.dispose()
