"""The order service in PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from eventhub import Hub
from eventhub.record import ProducerRecord
from eventhub.testing.running import running
from examples.order_service.checkout import checkout
from examples.order_service.events import OrderConfirmed, OrderCreated, StockReserved
from examples.order_service.postgres import orders, place, service
from examples.order_service.service import Shop
from tests.postgres import schema_of_its_own

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

ORDER = OrderCreated(order_id="o-1", customer="ada@example.com", sku="oolong", quantity=2, price_cents=1700)


@pytest.fixture(autouse=True)
async def database(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """A database of the test's own, which ``SHOP_DATABASE`` names."""
    async with schema_of_its_own(postgres_url) as schema:
        monkeypatch.setenv("SHOP_DATABASE", f"{postgres_url}?search_path={schema}")
        yield


async def test_an_order_is_taken_once() -> None:
    """Who asks again has ordered once, and one event waits for the relay."""
    async with Hub("memory://") as hub, orders() as state, hub.outbox(state.store, OrderCreated) as outbox:
        placed = [await place(ORDER, outbox), await place(ORDER, outbox)]
        status = await state.store.status()

    assert [True, False] == placed
    assert 1 == status.depth


async def test_a_checkout_that_begins_again_takes_no_order_twice() -> None:
    """Every customer asks again; those who were answered before are not new."""
    await checkout(Shop(orders=5, seed=3))
    await checkout(Shop(orders=8, seed=3))
    async with orders() as state:
        status = await state.store.status()

    assert 8 == status.depth


async def test_an_answer_leads_to_an_outcome() -> None:
    """The outcome goes through the outbox, and a second delivery adds nothing."""
    async with running(service) as hub:
        reserved = StockReserved(order_id="o-1", customer="ada@example.com")
        await hub.publish(reserved)
        [record] = hub.broker.records("shop.reservations")
        await hub.hub.producer.send([ProducerRecord(record.topic, record.key, record.value, record.headers)])

        assert [OrderConfirmed(order_id="o-1", customer="ada@example.com")] == await hub.published(OrderConfirmed)
