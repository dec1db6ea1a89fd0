"""Services: what may stand in one list."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.errors import DeclarationError
from eventhub.event import Event
from eventhub.retry import Retry
from eventhub.service import Limits, Service, retry_topic, retry_wait
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


def test_a_service_keeps_topics_of_its_own_beside_those_of_events() -> None:
    """For what it gives up and what comes back; where nothing is ordered also for what waits long."""
    service = Service("inventory", [reserve, rejected])

    assert {
        "orders.inventory.dlt": "orders",
        "orders.inventory.retry.replay": "orders",
        "verdicts.inventory.dlt": "verdicts",
        "verdicts.inventory.retry.replay": "verdicts",
        "verdicts.inventory.retry.10s": "verdicts",
        "verdicts.inventory.retry.1m": "verdicts",
        "verdicts.inventory.retry.10m": "verdicts",
    } == service.own_topics
    assert tuple(name for name in service.own_topics if name[-1] in "sm") == service.retry_topics


def test_handlers_of_one_topic_share_its_retry_topics() -> None:
    """Each wait has one topic, whoever asks for it."""
    one = subscribe(OrderConfirmed, ordering=Ordering.NONE, retry=Retry(waits=(10.0, 30.0)))(_confirm)
    other = subscribe(OrderRejected, ordering=Ordering.NONE, retry=Retry(waits=(30.0, 0.5)))(_reject)

    assert {10, 30} == Service("inventory", [one, other]).waits("verdicts")
    assert 2 == len(Service("inventory", [one, other]).retry_topics)


async def _confirm(_: OrderConfirmed) -> None: ...


async def _reject(_: OrderRejected) -> None: ...


@given(wait=st.integers(1, 10**8), topic=st.sampled_from(["orders", "a.b"]))
def test_a_retry_topics_name_says_how_long_it_keeps_a_record(wait: int, topic: str) -> None:
    """It is read as it was written, and as no other topic's or group's."""
    name = retry_topic(topic, "inventory", wait)

    assert wait == retry_wait(name, topic, "inventory")
    assert retry_wait(name, topic, "stock") is None
    assert retry_wait(name, "receipts", "inventory") is None


@pytest.mark.parametrize(
    ("wait", "text"), [(10, "10s"), (60, "1m"), (90, "90s"), (600, "10m"), (3600, "1h"), (5400, "90m"), (86400, "24h")]
)
def test_a_wait_is_named_in_the_largest_unit_that_divides_it(wait: int, text: str) -> None:
    """As one would say it."""
    assert f"orders.inventory.retry.{text}" == retry_topic("orders", "inventory", wait)


@pytest.mark.parametrize("text", ["replay", "60s", "0s", "010s", "1d", "10s.x", "9999999999s", "-1s", ""])
def test_what_is_no_retry_topic_is_not_taken_for_one(text: str) -> None:
    """A wait has one name."""
    assert retry_wait(f"orders.inventory.retry.{text}", "orders", "inventory") is None


@pytest.mark.parametrize("name", ["", "a b", "x" * 201, "ä"])
def test_a_name_that_cannot_be_part_of_a_topic_is_refused(name: str) -> None:
    """Dead-letter topics carry the service's name."""
    with pytest.raises(DeclarationError, match="no service name"):
        Service(name, [reserve])


async def _plain(order: OrderCreated) -> None: ...


@pytest.mark.parametrize(
    ("handlers", "message"),
    [
        (reserve, r"takes a list of handlers, as in Service\('inventory', \[reserve\]\)"),
        ([_plain], "_plain is neither a subscription nor a source"),
        ([reserve, again], "OrderCreated is handled by 'reserve' and by 'again'"),
        ([reserve, reserve], "OrderCreated is handled by 'reserve' and by 'reserve'"),
        ([reserve, amendments], "OrderCreated and OrderAmended share topic 'orders'"),
        ([confirmed, rejected], "with different orderings"),
    ],
)
def test_a_contradiction_is_refused_and_named(handlers: Any, message: str) -> None:
    """The error says which entries contradict each other."""
    with pytest.raises(DeclarationError, match=message):
        Service("inventory", handlers)


@pytest.mark.parametrize("limits", [{"concurrency": 0}, {"max_in_flight": 0}, {"max_in_flight_bytes": 0}])
def test_limits_under_which_nothing_runs_are_refused(limits: dict[str, int]) -> None:
    """Every limit is at least one."""
    with pytest.raises(DeclarationError, match="limits must be at least 1"):
        Limits(**limits)
