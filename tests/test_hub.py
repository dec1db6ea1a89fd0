"""The hub: what is declared is served, what is missing is named."""

from eventhub import Retry, Service, subscribe
from eventhub.testing import running
from tests.events import OrderCreated, StockReserved


@subscribe(OrderCreated)
async def reserve(order: OrderCreated) -> StockReserved:
    """Reserve what was ordered."""
    return StockReserved(order_id=order.order_id)


async def test_what_a_handler_returns_is_published() -> None:
    """An order leads to a reservation."""
    async with running(Service("inventory", [reserve])) as hub:
        await hub.publish(OrderCreated(order_id="o-1"))

        assert [StockReserved(order_id="o-1")] == await hub.published(StockReserved)


async def test_a_thousand_events_are_handled_in_order_of_their_keys() -> None:
    """Nothing is lost between publishing and handling."""
    async with running(Service("inventory", [reserve])) as hub:
        await hub.publish_many(OrderCreated(order_id=f"o-{number}") for number in range(1000))
        reserved = await hub.published(StockReserved)

    assert {f"o-{number}" for number in range(1000)} == {event.order_id for event in reserved}
    assert 1000 == len(reserved)


async def test_what_keeps_failing_is_given_up_with_its_reason() -> None:
    """The dead letter tells who failed at what, and how often."""
    tried = []

    @subscribe(OrderCreated, retry=Retry(waits=(0.0, 0.0)))
    async def fail(order: OrderCreated) -> None:
        tried.append(order.order_id)
        msg = "no stock"
        raise LookupError(msg)

    service = Service("inventory", [fail])
    async with running(service) as hub:
        await hub.publish(OrderCreated(order_id="o-1"))
        letters = await hub.dead_letters(OrderCreated, service)

    assert 3 == len(tried)
    assert [("fail", "handle", "LookupError", "no stock", 3)] == [
        (letter.handler, letter.stage, letter.error_type, letter.error_message, letter.attempt) for letter in letters
    ]
