"""Stock in a SQLite file, and in PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from examples.inventory_service.service import open_stock
from examples.inventory_service.stock import OPENING_STOCK, Shelf, Stock
from tests.postgres import schema_of_its_own


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.slow])])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Where the stock is kept."""
    if request.param == "sqlite":
        yield str(tmp_path / "stock.sqlite3")
        return
    url = request.getfixturevalue("postgres_url")
    async with schema_of_its_own(url) as schema:
        yield f"{url}?search_path={schema}"


@pytest.fixture
async def stock(database: str) -> AsyncIterator[Stock]:
    """A database with full shelves."""
    async with open_stock(database) as stock:
        yield stock


async def taken(stock: Stock, sku: str, quantity: int) -> int | None:
    """What is left after goods were taken, in a transaction of their own."""
    async with stock.store.transaction() as transaction:
        return await stock.take(transaction.connection, sku, quantity)


async def test_goods_leave_the_shelf(stock: Stock) -> None:
    """What is taken is no longer available."""
    assert 97 == await taken(stock, "lapsang", 3)
    assert Shelf(opening=100, available=97) == (await stock.shelves())["lapsang"]


async def test_too_little_is_left_alone(stock: Stock) -> None:
    """An order that cannot be filled takes nothing, also not in part."""
    assert await taken(stock, "white-peony", 9) is None
    assert Shelf(opening=8, available=8) == (await stock.shelves())["white-peony"]


async def test_the_last_packet_can_be_taken(stock: Stock) -> None:
    """A shelf can be emptied, and not beyond."""
    answers = [await taken(stock, "white-peony", 8), await taken(stock, "white-peony", 1)]

    assert [0, None] == answers
    assert 0 == (await stock.shelves())["white-peony"].available


async def test_unknown_goods_are_short(stock: Stock) -> None:
    """What is on no shelf cannot be taken."""
    assert await taken(stock, "coffee", 1) is None


async def test_a_transaction_that_fails_puts_goods_back(stock: Stock) -> None:
    """What else happens in the transaction decides whether the goods are gone."""

    async def fail() -> None:
        async with stock.store.transaction() as transaction:
            await stock.take(transaction.connection, "lapsang", 3)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()

    assert OPENING_STOCK["lapsang"] == (await stock.shelves())["lapsang"].available


async def test_shelves_are_filled_once(stock: Stock, database: str) -> None:
    """Opening the shop again brings no goods."""
    await taken(stock, "lapsang", 3)
    async with open_stock(database) as again:
        assert Shelf(opening=100, available=97) == (await again.shelves())["lapsang"]
