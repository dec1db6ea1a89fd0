"""Subscriptions: the two forms of a handler, and what is said about any other."""

from collections.abc import Sequence
from typing import Any

import pytest

from eventhub.errors import DeclarationError, HandlerFault
from eventhub.event import Event
from eventhub.handler import Context
from eventhub.record import Record
from eventhub.retry import Retry
from eventhub.subscription import Ordering, returned_events, subscribe, subscribe_batch
from tests.events import OrderConfirmed, OrderCreated, OrderRejected, StockReserved

ORDER = OrderCreated(order_id="o-1")


def context(event: Event) -> Context[str]:
    """A context whose state is a word."""
    return Context(event, Record("orders", 0, 0, 0.0, None, b""), "state", "inventory", "reserve")


@subscribe(OrderCreated)
async def reserve(order: OrderCreated) -> StockReserved:
    """Take the event alone."""
    return StockReserved(order_id=order.order_id)


@subscribe(OrderConfirmed, OrderRejected, ordering=Ordering.NONE, timeout=2.0, retry=Retry(attempts=1))
async def notify(
    verdict: OrderConfirmed | OrderRejected, context: Context[str]
) -> list[StockReserved | OrderCreated] | None:
    """Take the event and its context."""
    return [StockReserved(order_id=verdict.order_id + context.state)]


async def test_a_subscription_is_called_like_the_function_it_was() -> None:
    """A test of the logic needs no runtime."""
    assert StockReserved(order_id="o-1") == await reserve(ORDER)


async def test_a_handler_of_either_form_has_the_one_shape() -> None:
    """The runtime passes a context and gets a sequence of events, whatever the function takes and returns."""
    assert (StockReserved(order_id="o-1"),) == await reserve.handler(context(ORDER))
    assert [StockReserved(order_id="o-1state")] == await notify.handler(context(OrderConfirmed(order_id="o-1")))


def test_a_subscription_knows_what_its_annotation_says() -> None:
    """Collections, unions and None are looked through."""
    assert (StockReserved, OrderCreated) == notify.produces
    assert (StockReserved,) == reserve.produces


def test_a_subscription_keeps_its_options() -> None:
    """What was declared can be read back."""
    assert (Ordering.NONE, 2.0, 1) == (notify.ordering, notify.timeout, notify.retry.max_attempts)
    assert ("reserve", "notify") == (reserve.name, notify.name)


def _plain(order: OrderCreated) -> None: ...
async def _three(_a: OrderCreated, _b: Any, _c: Any) -> None: ...
async def _other(order: OrderConfirmed) -> None: ...
async def _none() -> None: ...
async def _optional(order: OrderCreated, extra: int = 1) -> None: ...
async def _keyword(order: OrderCreated, *, context: Any) -> None: ...
async def _silent(order: OrderCreated): ...  # type: ignore[no-untyped-def] # noqa: ANN202
async def _text(order: OrderCreated) -> str: ...  # type: ignore[empty-body]
async def _unread(order: OrderCreated) -> "Missing": ...  # type: ignore[name-defined] # noqa: F821


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_plain, "handler '_plain' must be async"),
        (_three, "the two forms are"),
        (_other, "'_other' takes OrderConfirmed, but is subscribed to OrderCreated"),
        (_none, "the two forms are"),
        (_optional, "the two forms are"),
        (_keyword, "the two forms are"),
        (_silent, "does not say what it returns"),
        (_text, "which is no event"),
        (_unread, "name 'Missing' is not defined"),
    ],
)
def test_any_other_signature_is_refused_with_the_right_form(function: Any, message: str) -> None:
    """The error shows what a handler looks like."""
    with pytest.raises(DeclarationError, match=message):
        subscribe(OrderCreated)(function)


def test_a_handler_may_say_that_it_takes_any_event() -> None:
    """A base class of what it is subscribed to is no contradiction."""

    @subscribe(OrderConfirmed, OrderRejected)
    async def count(event: Event) -> None: ...

    assert (OrderConfirmed, OrderRejected) == count.events


def test_a_batch_handler_that_returns_events_is_told_which_handlers_do() -> None:
    """Whoever wants events to follow from a batch learns where they can."""

    async def score(orders: Sequence[OrderCreated]) -> list[StockReserved]: ...  # type: ignore[empty-body]

    with pytest.raises(DeclarationError, match="Events that follow are returned by a handler of one event"):
        subscribe_batch(OrderCreated)(score)  # type: ignore[arg-type]


@pytest.mark.parametrize("events", [(), (str,), (Event,), (reserve,)])
def test_subscribing_to_what_is_no_event_is_refused(events: tuple[Any, ...]) -> None:
    """Only classes with a topic can be subscribed to."""
    with pytest.raises(DeclarationError):
        subscribe(*events)


def test_a_timeout_of_no_time_is_refused() -> None:
    """Zero seconds would fail every record."""
    with pytest.raises(DeclarationError, match="timeout must be positive"):
        subscribe(OrderCreated, timeout=0.0)


@pytest.mark.parametrize(
    ("returned", "expected"), [(None, ()), (ORDER, (ORDER,)), ([ORDER], [ORDER]), ((ORDER, ORDER), (ORDER, ORDER))]
)
def test_what_a_handler_returns_becomes_a_sequence(returned: object, expected: Sequence[Event]) -> None:
    """None is nothing, an event is one."""
    assert expected == returned_events(returned)


@pytest.mark.parametrize("returned", ["text", 7, [ORDER, "text"], {ORDER.order_id: ORDER}])
def test_what_is_no_event_is_a_fault_of_the_handler(returned: object) -> None:
    """No retry can heal it."""
    with pytest.raises(HandlerFault, match="a handler returns an event"):
        returned_events(returned)
