"""``running``: what a test of a service sees when something goes wrong."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from anyio.lowlevel import checkpoint

from eventhub import Context, Options, Ordering, Retry, Service, produces, subscribe
from eventhub.testing import running
from eventhub.testing.waiting import until
from tests.events import OrderCreated


@subscribe(OrderCreated)
async def ignore(order: OrderCreated) -> None:
    """Do nothing with an order."""


async def test_what_a_test_raises_is_raised_as_it_is() -> None:
    """A failed assertion is no group of exceptions."""
    with pytest.raises(AssertionError):
        async with running(Service("inventory", [ignore])) as hub:
            assert [OrderCreated(order_id="o-1")] == await hub.published(OrderCreated)


async def test_what_a_service_fails_with_at_its_start_is_raised_as_it_is() -> None:
    """A lifespan's error reaches the test in its own class."""

    @asynccontextmanager
    async def unreachable() -> AsyncIterator[None]:
        msg = "no database"
        raise ConnectionError(msg)
        yield

    with pytest.raises(ConnectionError, match="no database"):
        async with running(Service("inventory", [ignore], lifespan=unreachable)):
            pass


async def test_a_handler_that_never_ends_is_named_rather_than_waited_for() -> None:
    """The test that waits for it fails in time and says what is under way."""

    @subscribe(OrderCreated)
    async def hang(_: OrderCreated) -> None:
        await asyncio.Event().wait()

    async with running(Service("inventory", [hang]), patience=0.2) as hub:
        await hub.publish(OrderCreated(order_id="o-1"))
        with pytest.raises(TimeoutError, match="'inventory' has 1 unfinished"):
            await hub.caught_up()
        hub.hub.hurry()


async def test_long_waits_of_what_has_no_order_are_cut_short_too() -> None:
    """All seven attempts come at once, those in retry topics included."""
    tries: list[int] = []

    @subscribe(OrderCreated, ordering=Ordering.NONE)
    async def fail(_: OrderCreated, context: Context[None]) -> None:
        tries.append(context.attempt)
        raise OSError

    service = Service("inventory", [fail])
    async with running(service) as hub:
        await hub.publish(OrderCreated(order_id="o-1"))
        [letter] = await hub.dead_letters(OrderCreated, service)
        aside = hub.hub.health()["inventory"].detail.counted.set_aside

    assert [1, 2, 3, 4, 5, 6, 7] == tries
    assert (7, 3) == (letter.attempt, aside)


async def test_what_waits_in_a_retry_topic_is_named_rather_than_waited_for() -> None:
    """A test that brings options of its own has the waits that production has."""

    @subscribe(OrderCreated, ordering=Ordering.NONE, retry=Retry(waits=(600.0,)))
    async def fail(_: OrderCreated) -> None:
        raise OSError

    async with running(Service("inventory", [fail]), options=Options(poll_timeout=0.01), patience=0.5) as hub:
        await hub.publish(OrderCreated(order_id="o-1"))
        await until(lambda: hub.hub.health()["inventory"].detail.waiting)
        with pytest.raises(TimeoutError, match="'inventory' has 1 waiting in retry topics"):
            await hub.caught_up()


async def test_a_source_that_never_pauses_is_named_rather_than_waited_for() -> None:
    """What it yields has no end that could be waited for."""

    @produces(OrderCreated)
    async def ticking() -> AsyncIterator[OrderCreated]:
        for number in range(2**31):
            yield OrderCreated(order_id=str(number))
            await checkpoint()

    with pytest.raises(TimeoutError, match="a source of 'clock' goes on"):
        async with running(Service("clock", [ticking]), patience=0.2):
            pass
