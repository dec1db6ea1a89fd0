"""The inventory service, with the runtime around it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eventhub.record import ProducerRecord
from eventhub.testing.running import RunningHub, running
from examples.inventory_service.events import OrderCreated, StockLeft, StockReserved, StockShort
from examples.inventory_service.service import open_stock, service
from examples.inventory_service.stock import OPENING_STOCK


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where ``INVENTORY_DATABASE`` says that the stock is kept."""
    path = tmp_path / "elsewhere.sqlite3"
    monkeypatch.setenv("INVENTORY_DATABASE", str(path))
    return path


@pytest.fixture
async def hub(path: Path) -> AsyncIterator[RunningHub]:
    """The service, running on a full stock."""
    assert not path.exists()
    async with running(service) as hub:
        yield hub


async def available(path: Path, sku: str) -> int:
    """How much is left of something."""
    async with open_stock(str(path)) as stock:
        return (await stock.shelves())[sku].available


async def test_an_order_that_can_be_filled_is_reserved(hub: RunningHub, path: Path) -> None:
    """The whole quantity is set aside for the customer."""
    await hub.publish(OrderCreated(order_id="o-1", customer="ada@example.com", sku="oolong", quantity=2))

    reserved = StockReserved(order_id="o-1", customer="ada@example.com", sku="oolong", quantity=2)
    assert [reserved] == await hub.published(StockReserved)
    assert [StockLeft(sku="oolong", available=298)] == await hub.published(StockLeft)
    assert OPENING_STOCK["oolong"] - 2 == await available(path, "oolong")


async def test_an_order_that_cannot_be_filled_is_short(hub: RunningHub) -> None:
    """The answer names what is short, and how much was wanted."""
    await hub.publish(OrderCreated(order_id="o-1", customer="ada@example.com", sku="white-peony", quantity=9))

    short = StockShort(order_id="o-1", customer="ada@example.com", sku="white-peony", quantity=9)
    assert [short] == await hub.published(StockShort)
    assert [] == await hub.published(StockLeft)


async def test_an_order_takes_its_goods_once(hub: RunningHub, path: Path) -> None:
    """A second delivery moves nothing and is answered by nothing."""
    await hub.publish(OrderCreated(order_id="o-1", customer="ada@example.com", sku="lapsang", quantity=3))
    [record] = hub.broker.records("shop.orders")
    await hub.hub.producer.send([ProducerRecord(record.topic, record.key, record.value, record.headers)] * 2)
    answers = await hub.published(StockReserved)

    assert 1 == len(answers)
    assert 97 == await available(path, "lapsang")


async def test_what_is_left_is_said_in_order(hub: RunningHub) -> None:
    """Orders of many customers are handled at once; the levels of one tea step down all the same."""
    await hub.hub.publish_many(
        OrderCreated(order_id=f"o-{number}", customer="ada@example.com", sku="lapsang", quantity=1)
        for number in range(40)
    )

    assert list(range(99, 59, -1)) == [left.available for left in await hub.published(StockLeft)]
