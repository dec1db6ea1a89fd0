"""The inventory service's logic."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from eventhub import Context
from eventhub.record import Record
from examples.inventory_service.events import OrderCreated, StockReserved, StockShort
from examples.inventory_service.service import inventory, reserve_stock
from examples.inventory_service.stock import Stock


@pytest.fixture
def stock(tmp_path: Path) -> Iterator[Stock]:
    """A full stock."""
    opened = Stock(tmp_path / "stock.sqlite3")
    yield opened
    opened.close()


def context(order: OrderCreated, stock: Stock) -> Context[Stock]:
    """An order as the runtime would hand it over."""
    record = Record("shop.orders", 0, 0, 0.0, order.order_id.encode(), b"")
    return Context(event=order, record=record, state=stock, group="inventory", handler="reserve_stock")


async def test_an_order_that_can_be_filled_is_reserved(stock: Stock) -> None:
    """The whole quantity is set aside for the customer."""
    order = OrderCreated(order_id="o-1", customer="ada@example.com", sku="oolong", quantity=2)

    answer = await reserve_stock(order, context(order, stock))

    assert StockReserved(order_id="o-1", customer="ada@example.com", sku="oolong", quantity=2) == answer


async def test_an_order_that_cannot_be_filled_is_short(stock: Stock) -> None:
    """The answer names what is short, and how much was wanted."""
    order = OrderCreated(order_id="o-1", customer="ada@example.com", sku="white-peony", quantity=9)

    answer = await reserve_stock(order, context(order, stock))

    assert StockShort(order_id="o-1", customer="ada@example.com", sku="white-peony", quantity=9) == answer


async def test_the_stock_is_kept_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``INVENTORY_DATABASE`` names the file."""
    monkeypatch.setenv("INVENTORY_DATABASE", str(tmp_path / "elsewhere.sqlite3"))

    async with inventory():
        pass

    assert (tmp_path / "elsewhere.sqlite3").exists()
