"""Stock in one SQLite file."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiosqlite import Connection

from eventhub.outbox.sqlite import SqliteStore
from examples.inventory_service.stock import OPENING_STOCK, Shelf

_SHELVES = """
    CREATE TABLE IF NOT EXISTS shelves (
        sku       TEXT PRIMARY KEY,
        opening   INTEGER NOT NULL,
        available INTEGER NOT NULL CHECK (available >= 0)
    )
"""


@asynccontextmanager
async def sqlite_stock(path: str) -> AsyncIterator["SqliteStock"]:
    """The stock in a file, with goods on its shelves if it is new."""
    async with SqliteStore(path) as store:
        async with store.transaction() as transaction:
            await transaction.connection.execute(_SHELVES)
            await transaction.connection.executemany(
                "INSERT INTO shelves (sku, opening, available) VALUES (?1, ?2, ?2) ON CONFLICT DO NOTHING",
                OPENING_STOCK.items(),
            )
        yield SqliteStock(store)


@dataclass(frozen=True, slots=True)
class SqliteStock:
    """The shelves of one file."""

    store: SqliteStore

    async def take(self, database: Connection, sku: str, quantity: int) -> int | None:
        """Take goods from their shelf and say what is left there; of too little, nothing is taken, and None said."""
        rows = await database.execute_fetchall(
            "UPDATE shelves SET available = available - ?1 WHERE sku = ?2 AND available >= ?1 RETURNING available",
            (quantity, sku),
        )
        return next((available for (available,) in rows), None)

    async def shelves(self) -> Mapping[str, Shelf]:
        """All shelves by sku."""
        async with self.store.transaction() as transaction:
            rows = await transaction.connection.execute_fetchall("SELECT * FROM shelves ORDER BY sku")
        return {sku: Shelf(opening, available) for sku, opening, available in rows}
