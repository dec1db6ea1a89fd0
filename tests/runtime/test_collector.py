"""Batches: many events in one call, each with its own lane and fate."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from eventhub import (
    BatchContext,
    BatchFailed,
    Context,
    DeclarationError,
    Event,
    Handler,
    Limits,
    Retry,
    Service,
    subscribe_batch,
)
from eventhub.testing.waiting import until
from tests.events import OrderCreated
from tests.runtime.conftest import Shop

CUSTOMERS = "abcdefghijklmnopqrstuvwxyz"


async def test_events_of_different_keys_come_in_one_call(shop: Shop) -> None:
    """No batch is larger than said, few are needed, and everything is handled once, also with few places to run."""
    batches: list[list[int]] = []

    @subscribe_batch(shop.order, size=8, wait=0.2)
    async def store(orders: Sequence[Any]) -> None:
        batches.append([order.number for order in orders])

    service = Service(shop.name("sink"), [store], limits=Limits(concurrency=2))
    async with shop.serving(service) as hub:
        await hub.publish_many(shop.orders(CUSTOMERS))
        await until(lambda: hub.supervisors[0].counters.handled == 26)

    assert list(range(26)) == sorted(number for batch in batches for number in batch)
    assert 8 == max(map(len, batches))
    assert 26 == await shop.committed(shop.order, service)


async def test_a_middleware_may_handle_an_event_in_a_task_of_its_own(shop: Shop) -> None:
    """As ``asyncio.wait_for`` does before Python 3.12: events still come together, and their keys keep their lanes."""
    batches: list[list[int]] = []

    def in_a_task(handle: Handler) -> Handler:
        async def handled(context: Context[Any]) -> Sequence[Event]:
            async def inner() -> Sequence[Event]:
                return await handle(context)

            return await asyncio.create_task(inner())

        return handled

    @subscribe_batch(shop.order, size=8, wait=10.0)
    async def store(orders: Sequence[Any]) -> None:
        batches.append([order.number for order in orders])

    service = Service(shop.name("sink"), [store], limits=Limits(concurrency=2), middleware=[in_a_task])
    async with shop.serving(service) as hub:
        await hub.publish_many(shop.orders("abcdefgh"))
        await until(lambda: hub.supervisors[0].counters.handled == 8)
        worker = hub.supervisors[0].worker

        assert worker is not None
        assert [list(range(8))] == [sorted(batch) for batch in batches]
        await until(lambda: worker.lanes.running == 0)


async def test_a_batch_handler_may_ask_for_the_context_of_its_events(shop: Shop) -> None:
    """It has the state, and the record of each event in the order of the events."""
    seen: list[tuple[Any, Any, Any]] = []

    @subscribe_batch(shop.order, size=4, wait=10.0)
    async def store(orders: Sequence[Any], context: BatchContext[None]) -> None:
        for order, one in zip(orders, context.contexts, strict=True):
            seen.append((order.customer, one.record.key, context.state))

    async with shop.serving(Service(shop.name("sink"), [store])) as hub:
        await hub.publish_many(shop.orders("abcd"))
        await until(lambda: len(seen) == 4)

    assert [(letter, letter.encode(), None) for letter in "abcd"] == sorted(seen)


async def test_a_batch_holds_one_event_of_a_key_and_keys_stay_in_order(shop: Shop) -> None:
    """The next event of a key is in a later batch."""
    batches: list[list[Any]] = []

    @subscribe_batch(shop.order, size=8, wait=0.01)
    async def store(orders: Sequence[Any]) -> None:
        batches.append(list(orders))

    async with shop.serving(Service(shop.name("sink"), [store])) as hub:
        await hub.publish_many(shop.orders("abab"))
        await until(lambda: hub.supervisors[0].counters.handled == 4)
    customers = [[order.customer for order in batch] for batch in batches]

    assert all(len(set(batch)) == len(batch) for batch in customers)
    assert [0, 2] == [order.number for batch in batches for order in batch if order.customer == "a"]


class Panic(BaseException):
    """What compiled code fails with."""


@pytest.mark.parametrize("error", [ValueError, Panic])
async def test_a_batch_that_fails_is_handled_one_by_one_and_only_the_poison_is_given_up(
    shop: Shop, error: type[BaseException]
) -> None:
    """Nobody else pays for one bad event."""
    stored: list[str] = []

    @subscribe_batch(shop.order, size=8, wait=0.2, retry=Retry(waits=(0.0,)))
    async def store(orders: Sequence[Any]) -> None:
        if any(order.customer == "c" for order in orders):
            raise error
        stored.extend(order.customer for order in orders)

    service = Service(shop.name("sink"), [store])
    async with shop.serving(service) as hub:
        await hub.publish_many(shop.orders("abcdef"))
        await until(lambda: len(stored) == 5 and hub.supervisors[0].counters.dead_lettered == 1)

    assert set("abdef") == set(stored)
    assert [b"c"] == [letter.record.key for letter in await shop.letters(shop.order, service)]


async def test_a_handler_may_say_which_event_failed(shop: Shop) -> None:
    """Those before it are done, those behind it come again, and its own error decides its fate."""
    calls: list[list[str]] = []

    @subscribe_batch(shop.order, size=4, wait=0.2, retry=Retry(attempts=1))
    async def store(orders: Sequence[Any]) -> None:
        calls.append([order.customer for order in orders])
        for index, order in enumerate(orders):
            if order.customer == "b":
                cause = LookupError("no such shelf")
                raise BatchFailed(index) from cause

    service = Service(shop.name("sink"), [store])
    async with shop.serving(service) as hub:
        await hub.publish_many(shop.orders("abcd"))
        await until(lambda: hub.supervisors[0].counters.handled == 3)
        await until(lambda: hub.supervisors[0].counters.dead_lettered == 1)

    [letter] = await shop.letters(shop.order, service)
    handled = [customer for call in calls for customer in call]

    assert ("LookupError", "no such shelf") == (letter.error_type, letter.error_message)
    assert 1 == handled.count("b")
    assert set("abcd") == set(handled)


async def test_a_batch_that_runs_at_the_stop_is_finished_first(shop: Shop) -> None:
    """None of its events comes again."""
    begun, ended, calls = asyncio.Event(), asyncio.Event(), list[int]()

    @subscribe_batch(shop.order, size=4, wait=10.0)
    async def store(orders: Sequence[Any]) -> None:
        calls.append(len(orders))
        begun.set()
        await ended.wait()

    service = Service(shop.name("sink"), [store])
    async with shop.serving(service) as hub:
        [supervisor] = hub.supervisors
        await hub.publish_many(shop.orders("abcd"))
        await begun.wait()
        assert supervisor.worker is not None
        draining = asyncio.create_task(
            supervisor.worker.lanes.drain(supervisor.worker.assignment.partitions.values(), 60.0)
        )
        for _turn in range(10):
            await checkpoint()
        ended.set()
        await draining

    assert [4] == calls
    assert 4 == await shop.committed(shop.order, service)


@pytest.mark.parametrize("index", [-1, 9])
async def test_an_index_that_is_none_of_the_batch_says_nothing(shop: Shop, index: int) -> None:
    """The events are handled one by one, and none is done before it was."""
    stored: list[str] = []

    @subscribe_batch(shop.order, size=4, wait=0.2)
    async def store(orders: Sequence[Any]) -> None:
        if len(orders) > 1:
            raise BatchFailed(index)
        stored.extend(order.customer for order in orders)

    async with shop.serving(Service(shop.name("sink"), [store])) as hub:
        await hub.publish_many(shop.orders("abcd"))
        await until(lambda: hub.supervisors[0].counters.handled == 4)

    assert "abcd" == "".join(sorted(stored))


async def test_whatever_failed_an_event_is_told_to_it(shop: Shop) -> None:
    """``StopIteration``, too, which no future takes as an error: no other event waits for ever."""
    stored: list[str] = []

    @subscribe_batch(shop.order, size=4, wait=0.2, retry=Retry(attempts=1))
    async def store(orders: Sequence[Any]) -> None:
        for index, order in enumerate(orders):
            if order.customer == "b":
                raise BatchFailed(index) from StopIteration()
            stored.append(order.customer)

    service = Service(shop.name("sink"), [store])
    async with shop.serving(service) as hub:
        await hub.publish_many(shop.orders("abcd"))
        await until(lambda: hub.supervisors[0].counters.handled == 3 and hub.supervisors[0].counters.dead_lettered == 1)

    assert "acd" == "".join(sorted(stored))
    assert [b"b"] == [letter.record.key for letter in await shop.letters(shop.order, service)]


async def test_the_error_decides_the_fate_also_of_an_event_that_is_alone(shop: Shop) -> None:
    """What is ignored, or fatal, is so at the second attempt as at the first."""
    attempts = 0

    @subscribe_batch(shop.order, size=4, wait=0.0, retry=Retry(ignore=LookupError, waits=(0.0,)))
    async def store(_: Sequence[Any]) -> None:
        nonlocal attempts
        attempts += 1
        raise BatchFailed(0) from (ValueError() if attempts == 1 else LookupError())

    async with shop.serving(Service(shop.name("sink"), [store])) as hub:
        await hub.publish_many(shop.orders("a"))
        await until(lambda: hub.supervisors[0].counters.ignored == 1)

    assert 2 == attempts


async def test_a_handler_may_take_its_list_apart(shop: Shop) -> None:
    """When it fails then, all events of the batch are handled one by one."""
    stored: list[str] = []

    @subscribe_batch(shop.order, size=4, wait=0.2)
    async def store(orders: Any) -> None:
        if len(orders) > 1:
            del orders[1:]
            raise ValueError
        stored.extend(order.customer for order in orders)

    async with shop.serving(Service(shop.name("sink"), [store])) as hub:
        await hub.publish_many(shop.orders("abcd"))
        await until(lambda: hub.supervisors[0].counters.handled == 4)

    assert "abcd" == "".join(sorted(stored))


async def _takes_two(orders: Sequence[OrderCreated], more: int) -> None: ...
async def _returns(orders: Sequence[OrderCreated]) -> OrderCreated: ...  # type: ignore[empty-body]
def _plain(orders: Sequence[OrderCreated]) -> None: ...
async def _context_of_one(orders: Sequence[OrderCreated], context: Context[Any]) -> None: ...
async def _takes_three(orders: Sequence[OrderCreated], context: BatchContext[Any], more: int) -> None: ...
async def _says_nothing(orders: Sequence[OrderCreated]): ...  # type: ignore[no-untyped-def] # noqa: ANN202
async def _counts(orders: Sequence[OrderCreated]) -> int: ...  # type: ignore[empty-body] # never called


_OTHERS = (_takes_two, _returns, _plain, _context_of_one, _takes_three, _says_nothing, _counts)


@pytest.mark.parametrize("function", _OTHERS)
def test_another_form_of_a_batch_handler_is_refused_with_the_right_one(function: Any) -> None:
    """The error shows what a batch handler looks like."""
    with pytest.raises(DeclarationError, match=r"orders: Sequence\[OrderCreated\]\) -> None"):
        subscribe_batch(OrderCreated)(function)


@pytest.mark.parametrize("numbers", [{"size": 0}, {"wait": -1.0}])
def test_numbers_that_make_no_sense_are_refused(numbers: dict[str, Any]) -> None:
    """A batch has room for one event and waits for no negative time."""
    with pytest.raises(DeclarationError, match="a batch has a size"):
        subscribe_batch(OrderCreated, **numbers)
