"""Stock in a SQLite file."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eventhub.outbox.sqlite import SqliteStore
from examples.inventory_service.stock import OPENING_STOCK, Shelf, fill_shelves, read_shelves, take


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the stock is kept."""
    return tmp_path / "stock.sqlite3"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    """A file with full shelves."""
    async with SqliteStore(path) as store:
        async with store.transaction() as transaction:
            await fill_shelves(transaction.connection)
        yield store


async def taken(store: SqliteStore, sku: str, quantity: int) -> bool:
    """Whether goods were taken, in a transaction of their own."""
    async with store.transaction() as transaction:
        return await take(transaction.connection, sku, quantity)


async def test_goods_leave_the_shelf(store: SqliteStore, path: Path) -> None:
    """What is taken is no longer available."""
    assert await taken(store, "lapsang", 3)
    assert Shelf(opening=100, available=97) == read_shelves(path)["lapsang"]


async def test_too_little_is_left_alone(store: SqliteStore, path: Path) -> None:
    """An order that cannot be filled takes nothing, also not in part."""
    assert not await taken(store, "white-peony", 9)
    assert Shelf(opening=8, available=8) == read_shelves(path)["white-peony"]


async def test_the_last_packet_can_be_taken(store: SqliteStore, path: Path) -> None:
    """A shelf can be emptied, and not beyond."""
    answers = [await taken(store, "white-peony", 8), await taken(store, "white-peony", 1)]

    assert [True, False] == answers
    assert 0 == read_shelves(path)["white-peony"].available


async def test_unknown_goods_are_short(store: SqliteStore) -> None:
    """What is on no shelf cannot be taken."""
    assert not await taken(store, "coffee", 1)


async def test_a_transaction_that_fails_puts_goods_back(store: SqliteStore, path: Path) -> None:
    """What else happens in the transaction decides whether the goods are gone."""

    async def fail() -> None:
        async with store.transaction() as transaction:
            await take(transaction.connection, "lapsang", 3)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()

    assert OPENING_STOCK["lapsang"] == read_shelves(path)["lapsang"].available


async def test_shelves_are_filled_once(store: SqliteStore, path: Path) -> None:
    """Opening the shop again brings no goods."""
    await taken(store, "lapsang", 3)
    async with store.transaction() as transaction:
        await fill_shelves(transaction.connection)

    assert Shelf(opening=100, available=97) == read_shelves(path)["lapsang"]
