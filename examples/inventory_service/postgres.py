"""The same stock in PostgreSQL."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from eventhub.integrations.postgres import PostgresStore, postgres_ddl
from examples.inventory_service.stock import OPENING_STOCK, Shelf

CONNECTIONS = 19  # one for each of 16 handlers at once, and three for the relay, of which it holds two

_SHELVES = """
    CREATE TABLE IF NOT EXISTS shelves (
        sku       text PRIMARY KEY,
        opening   int NOT NULL,
        available int NOT NULL CHECK (available >= 0)
    );
"""


@asynccontextmanager
async def postgres_stock(dsn: str) -> AsyncIterator["PostgresStock"]:
    """The stock in a database, with goods on its shelves if it is new."""
    async with asyncpg.create_pool(dsn, min_size=2, max_size=CONNECTIONS) as pool:
        await pool.execute(postgres_ddl() + _SHELVES)  # elsewhere a migration does this
        await pool.executemany(
            "INSERT INTO shelves (sku, opening, available) VALUES ($1, $2, $2) ON CONFLICT DO NOTHING",
            OPENING_STOCK.items(),
        )
        yield PostgresStock(PostgresStore(pool))


@dataclass(frozen=True, slots=True)
class PostgresStock:
    """The shelves of one database."""

    store: PostgresStore

    async def take(self, database: Any, sku: str, quantity: int) -> int | None:  # noqa: ANN401 - of the pool
        """Take goods from their shelf and say what is left there; of too little, nothing is taken, and None said."""
        left: int | None = await database.fetchval(
            "UPDATE shelves SET available = available - $1 WHERE sku = $2 AND available >= $1 RETURNING available",
            *(quantity, sku),
        )
        return left

    async def shelves(self) -> Mapping[str, Shelf]:
        """All shelves by sku."""
        rows = await self.store.pool.fetch("SELECT * FROM shelves ORDER BY sku")
        return {sku: Shelf(opening, available) for sku, opening, available in rows}
