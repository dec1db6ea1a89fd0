"""Stock in one SQLite file: taken once an order, however often the order is delivered."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from anyio import CapacityLimiter, to_thread

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

_TABLES = """
    CREATE TABLE IF NOT EXISTS shelves (
        sku       TEXT PRIMARY KEY,
        opening   INTEGER NOT NULL,
        available INTEGER NOT NULL CHECK (available >= 0)
    );
    CREATE TABLE IF NOT EXISTS answers (
        order_id  TEXT PRIMARY KEY,
        reserved  INTEGER NOT NULL
    );
"""


@dataclass(frozen=True, slots=True)
class Shelf:
    """How much of one thing there was, and is."""

    opening: int
    available: int


class Stock:
    """What is on the shelves; one thread at a time asks SQLite, so that the event loop never waits for the disk."""

    def __init__(self, path: Path) -> None:
        """Open the file, and fill the shelves if it is new."""
        self._database = _open(path)
        self._turn = CapacityLimiter(1)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    async def take(self, order_id: str, sku: str, quantity: int) -> bool:
        """Set goods aside for an order and say whether there was enough; the same answer at every call."""
        return await to_thread.run_sync(self._take, order_id, sku, quantity, limiter=self._turn)

    def _take(self, order_id: str, sku: str, quantity: int) -> bool:
        """Change the shelf and note the answer in one transaction: both happen, or neither."""
        with _transaction(self._database) as database:
            answered = database.execute("SELECT reserved FROM answers WHERE order_id = ?", (order_id,)).fetchone()
            if answered is not None:
                return bool(answered[0])
            taken = database.execute(
                "UPDATE shelves SET available = available - ?1 WHERE sku = ?2 AND available >= ?1", (quantity, sku)
            )
            reserved = taken.rowcount == 1
            database.execute("INSERT INTO answers (order_id, reserved) VALUES (?, ?)", (order_id, reserved))
            return reserved


def read_shelves(path: Path) -> Mapping[str, Shelf]:
    """All shelves of a stock file, by sku."""
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT sku, opening, available FROM shelves ORDER BY sku").fetchall()
    return {sku: Shelf(opening, available) for sku, opening, available in rows}


def _open(path: Path) -> sqlite3.Connection:
    """A connection that commits only when told to, and for which committed means on the disk."""
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.executescript(_TABLES)
    database.executemany(
        "INSERT INTO shelves (sku, opening, available) VALUES (?1, ?2, ?2) ON CONFLICT DO NOTHING",
        OPENING_STOCK.items(),
    )
    return database


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Write alone until the block ends; undo everything if it fails."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
