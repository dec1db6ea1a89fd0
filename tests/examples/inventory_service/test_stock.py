"""Stock in a SQLite file."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from examples.inventory_service.stock import OPENING_STOCK, Shelf, Stock, read_shelves


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the stock is kept."""
    return tmp_path / "stock.sqlite3"


@pytest.fixture
def stock(path: Path) -> Iterator[Stock]:
    """A full stock."""
    opened = Stock(path)
    yield opened
    opened.close()


async def test_goods_leave_the_shelf(stock: Stock, path: Path) -> None:
    """What is taken is no longer available."""
    taken = await stock.take("o-1", "lapsang", 3)

    assert taken is True
    assert Shelf(opening=100, available=97) == read_shelves(path)["lapsang"]


async def test_an_order_takes_its_goods_once(stock: Stock, path: Path) -> None:
    """A second delivery of an order gets the same answer and moves nothing."""
    answers = [await stock.take("o-1", "lapsang", 3) for _ in range(3)]

    assert [True, True, True] == answers
    assert Shelf(opening=100, available=97) == read_shelves(path)["lapsang"]


async def test_too_little_is_left_alone(stock: Stock, path: Path) -> None:
    """An order that cannot be filled takes nothing, also not in part."""
    taken = await stock.take("o-1", "white-peony", 9)

    assert taken is False
    assert Shelf(opening=8, available=8) == read_shelves(path)["white-peony"]


async def test_a_refusal_stays_one(stock: Stock) -> None:
    """An order that was refused is refused again, whatever is on the shelf by then."""
    answers = [await stock.take("o-1", "white-peony", 9), await stock.take("o-1", "white-peony", 1)]

    assert [False, False] == answers


async def test_the_last_packet_can_be_taken(stock: Stock, path: Path) -> None:
    """A shelf can be emptied, and not beyond."""
    answers = [await stock.take("o-1", "white-peony", 8), await stock.take("o-2", "white-peony", 1)]

    assert [True, False] == answers
    assert 0 == read_shelves(path)["white-peony"].available


async def test_unknown_goods_are_short(stock: Stock) -> None:
    """What is on no shelf cannot be taken."""
    assert await stock.take("o-1", "coffee", 1) is False


async def test_orders_at_the_same_time_take_turns(stock: Stock, path: Path) -> None:
    """Orders that come in at once are all filled, each once."""
    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(stock.take, f"o-{number}", "lapsang", 2)

    assert Shelf(opening=100, available=0) == read_shelves(path)["lapsang"]


async def test_stock_outlives_the_process(stock: Stock, path: Path) -> None:
    """Opening the file again neither fills the shelves nor forgets who was served."""
    await stock.take("o-1", "lapsang", 3)
    reopened = Stock(path)
    try:
        taken = await reopened.take("o-1", "lapsang", 3)
    finally:
        reopened.close()

    assert taken is True
    assert Shelf(opening=100, available=97) == read_shelves(path)["lapsang"]


async def test_a_failure_in_between_undoes_both_writes(stock: Stock, path: Path) -> None:
    """Goods and answer are written together or not at all."""
    with sqlite3.connect(path) as other:
        other.execute("DROP TABLE answers")
        other.execute("CREATE TABLE answers (order_id TEXT PRIMARY KEY, reserved INTEGER CHECK (reserved = 7))")
    other.close()

    with pytest.raises(sqlite3.IntegrityError):
        await stock.take("o-1", "lapsang", 3)

    assert OPENING_STOCK["lapsang"] == read_shelves(path)["lapsang"].available
