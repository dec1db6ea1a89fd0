"""Services: what may stand in one list."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from eventhub.errors import DeclarationError
from eventhub.event import Event
from eventhub.service import Limits, Service
from eventhub.source import produces
from eventhub.subscription import Ordering, subscribe
from tests.events import OrderConfirmed, OrderCreated, OrderRejected, StockReserved


@subscribe(OrderCreated)
async def reserve(order: OrderCreated) -> StockReserved:
    """Handle an order."""
    return StockReserved(order_id=order.order_id)


@subscribe(OrderCreated)
async def again(order: OrderCreated) -> None:
    """Handle the same event."""


@subscribe(OrderConfirmed)
async def confirmed(_: OrderConfirmed) -> None:
    """Handle one event of a shared topic."""


@subscribe(OrderRejected, ordering=Ordering.NONE)
async def rejected(_: OrderRejected) -> None:
    """Handle another event of the shared topic, with another ordering."""


@produces(OrderCreated)
async def incoming() -> AsyncIterator[OrderCreated]:
    """Yield orders."""
    yield OrderCreated(order_id="o-1")


class OrderAmended(Event, topic="orders"):
    """Another event on the topic of OrderCreated, under the same subject."""


@produces(OrderAmended)
async def amendments() -> AsyncIterator[OrderAmended]:
    """Yield amendments."""
    yield OrderAmended()


def test_a_service_knows_what_it_reads_and_writes() -> None:
    """Classes and topics come from its handlers and sources, each once."""
    service = Service("inventory", [reserve, confirmed, incoming])

    assert (OrderCreated, OrderConfirmed) == service.reads
    assert (StockReserved, OrderCreated) == service.writes
    assert ("orders", "verdicts") == service.topics
    assert ("orders.inventory.dlt", "verdicts.inventory.dlt") == service.dead_letter_topics
    assert "Service('inventory', ['reserve', 'confirmed', 'incoming'])" == repr(service)


@pytest.mark.parametrize("name", ["", "a b", "x" * 201, "ä"])
def test_a_name_that_cannot_be_part_of_a_topic_is_refused(name: str) -> None:
    """Dead-letter topics carry the service's name."""
    with pytest.raises(DeclarationError, match="no service name"):
        Service(name, [reserve])


async def _plain(order: OrderCreated) -> None: ...


@pytest.mark.parametrize(
    ("handlers", "message"),
    [
        ([_plain], "_plain is neither a subscription nor a source"),
        ([reserve, again], "OrderCreated is handled by 'reserve' and by 'again'"),
        ([reserve, reserve], "OrderCreated is handled by 'reserve' and by 'reserve'"),
        ([reserve, amendments], "OrderCreated and OrderAmended share topic 'orders'"),
        ([confirmed, rejected], "with different orderings"),
    ],
)
def test_a_contradiction_is_refused_and_named(handlers: list[Any], message: str) -> None:
    """The error says which entries contradict each other."""
    with pytest.raises(DeclarationError, match=message):
        Service("inventory", handlers)


@pytest.mark.parametrize("limits", [{"concurrency": 0}, {"max_in_flight": 0}, {"max_in_flight_bytes": 0}])
def test_limits_under_which_nothing_runs_are_refused(limits: dict[str, int]) -> None:
    """Every limit is at least one."""
    with pytest.raises(DeclarationError, match="limits must be at least 1"):
        Limits(**limits)
