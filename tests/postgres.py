"""PostgreSQL for the tests of several rooms: tables of one test's own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from eventhub.integrations.postgres import PostgresStore, postgres_ddl


@asynccontextmanager
async def schema_of_its_own(url: str) -> AsyncIterator[str]:
    """A schema that no other test has."""
    schema = f"t{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE SCHEMA {schema}")
        yield schema
        await connection.execute(f"DROP SCHEMA {schema} CASCADE")
    finally:
        await connection.close()


@asynccontextmanager
async def tables_of_its_own(url: str, **options: Any) -> AsyncIterator[PostgresStore]:
    """A store whose tables, and one of the business, stand in a schema that no other test has."""
    async with (
        schema_of_its_own(url) as schema,
        asyncpg.create_pool(url, min_size=1, max_size=20, server_settings={"search_path": schema}) as pool,
    ):
        await pool.execute("CREATE TABLE business (name text PRIMARY KEY, value text)")
        await pool.execute(postgres_ddl())
        yield PostgresStore(pool, **options)
