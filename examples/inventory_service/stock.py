"""Stock in one SQLite file, changed in transactions that somebody else begins and commits."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from aiosqlite import Connection

OPENING_STOCK = {
    "assam": 500,
    "ceylon": 500,
    "darjeeling": 250,
    "earl-grey": 500,
    "genmaicha": 400,
    "lapsang": 100,
    "oolong": 300,
    "white-peony": 8,
}

_SHELVES = """
    CREATE TABLE IF NOT EXISTS shelves (
        sku       TEXT PRIMARY KEY,
        opening   INTEGER NOT NULL,
        available INTEGER NOT NULL CHECK (available >= 0)
    )
"""


@dataclass(frozen=True, slots=True)
class Shelf:
    """How much of one thing there was, and is."""

    opening: int
    available: int


async def fill_shelves(database: Connection) -> None:
    """Put goods on the shelves of a new file."""
    await database.execute(_SHELVES)
    await database.executemany(
        "INSERT INTO shelves (sku, opening, available) VALUES (?1, ?2, ?2) ON CONFLICT DO NOTHING",
        OPENING_STOCK.items(),
    )


async def take(database: Connection, sku: str, quantity: int) -> bool:
    """Take goods from their shelf and say whether there was enough; of too little, nothing is taken."""
    taken = await database.execute(
        "UPDATE shelves SET available = available - ?1 WHERE sku = ?2 AND available >= ?1", (quantity, sku)
    )
    return taken.rowcount == 1


def read_shelves(path: Path) -> Mapping[str, Shelf]:
    """All shelves of a stock file, by sku."""
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT sku, opening, available FROM shelves ORDER BY sku").fetchall()
    return {sku: Shelf(opening, available) for sku, opening, available in rows}
