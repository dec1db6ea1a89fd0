"""Sources at work: what they yielded when they are told to stop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest
from anyio.lowlevel import checkpoint

from eventhub import BrokerError, Hub, Occurrence, Options, Service, SourceContext, produces
from eventhub.brokers.memory import MemoryBroker
from eventhub.brokers.memory.faults import Operation
from eventhub.errors import HandlerFault
from eventhub.record import Record
from eventhub.runtime.counters import Counters
from eventhub.runtime.publisher import Publisher
from eventhub.runtime.sources import SourceRun
from eventhub.testing.waiting import until
from tests.events import OrderCreated


class Away:
    """A broker that takes no records; everything else works."""

    def __init__(self) -> None:
        """Refuse nothing yet."""
        self.refused = 0

    async def before(self, operation: Operation, client: str) -> None:
        """Lose what is sent."""
        del client
        if operation is Operation.SEND:
            self.refused += 1
            msg = "the broker is away"
            raise BrokerError(msg)

    async def after(self, operation: Operation, client: str) -> None:
        """Let every answer come back."""


@pytest.mark.parametrize(("stop_grace", "end"), [(0.0, Hub.stop), (3600.0, Hub.hurry)])
async def test_a_source_does_not_wait_for_ever_for_a_broker_that_is_away(
    stop_grace: float, end: Callable[[Hub], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Told to stop it gives up after the grace, told to hurry at once; what is not confirmed is counted in the log."""

    @produces(OrderCreated)
    async def one() -> AsyncIterator[OrderCreated]:
        yield OrderCreated(order_id="o-1")
        await asyncio.Event().wait()

    faults = Away()
    hub = Hub(MemoryBroker(faults=faults), registry="embedded", provision=True, options=Options(stop_grace=stop_grace))
    async with hub, asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(hub.serve(Service("order", [one])))
        await until(lambda: faults.refused)
        end(hub)
    said = capsys.readouterr().out

    assert "eventhub.source_cut_off" in said
    assert "unconfirmed=1" in said


class Slow:
    """A broker that takes its time with what is sent."""

    def __init__(self) -> None:
        """Take nothing yet."""
        self.sending = asyncio.Event()

    async def before(self, operation: Operation, client: str) -> None:
        """Let the others run for a while."""
        del client
        if operation is Operation.SEND:
            self.sending.set()
            for _turn in range(20):
                await checkpoint()

    async def after(self, operation: Operation, client: str) -> None:
        """Let every answer come back."""


async def test_what_was_yielded_while_the_broker_was_busy_is_published_before_the_error_is_told() -> None:
    """An error of the generator cuts off nothing that came before it."""
    slow = Slow()

    @produces(OrderCreated)
    async def orders() -> AsyncIterator[OrderCreated]:
        yield OrderCreated(order_id="o-1")
        await slow.sending.wait()
        yield OrderCreated(order_id="o-2")
        raise LookupError

    broker = MemoryBroker(faults=slow)
    async with Hub(broker, registry="embedded", provision=True) as hub:
        with pytest.raises(LookupError):
            await hub.serve(Service("order", [orders]))

    assert 2 == len(broker.records("orders"))


async def test_what_a_source_yields_again_after_it_failed_has_the_same_id() -> None:
    """If it says which occurrence it is: whoever has an inbox then drops the second one."""
    broken = True

    @produces(OrderCreated, occurrence=lambda order: Occurrence(order.order_id, 1_700_000_000.0))
    async def feed() -> AsyncIterator[OrderCreated]:
        yield OrderCreated(order_id="o-1")
        if broken:
            raise LookupError
        yield OrderCreated(order_id="o-2")

    broker = MemoryBroker()
    for _run in range(2):
        async with Hub(broker, registry="embedded", provision=True) as hub:
            try:
                await hub.serve(Service("order", [feed]))
            except LookupError:
                broken = False
    first, again, other = (record.header("ce_id") for record in sorted(broker.records("orders"), key=read_key))

    assert first == again != other


def read_key(record: Record) -> bytes:
    """The record's key."""
    return record.key or b""


@pytest.mark.parametrize("occurrence", [Occurrence("", 1.0), Occurrence("o-1", float("nan"))])
async def test_an_occurrence_that_says_nothing_ends_the_service(occurrence: Occurrence) -> None:
    """Events that are all the same one would be dropped by every inbox but for the first."""

    @produces(OrderCreated, occurrence=lambda _: occurrence)
    async def feed() -> AsyncIterator[OrderCreated]:
        yield OrderCreated(order_id="o-1")

    broker = MemoryBroker()
    async with Hub(broker, registry="embedded", provision=True) as hub:
        with pytest.raises(HandlerFault, match="source 'feed' does not say which OrderCreated it yields"):
            await hub.serve(Service("order", [feed]))

    assert not broker.records("orders")


async def test_a_source_that_swallows_its_cancellation_yields_once_more_at_most() -> None:
    """It is not asked for another event, and what it yielded is published."""
    waiting, swallowed = asyncio.Event(), asyncio.Event()

    @produces(OrderCreated)
    async def orders() -> AsyncIterator[OrderCreated]:
        while True:
            try:
                waiting.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if swallowed.is_set():
                    raise
                swallowed.set()
            yield OrderCreated(order_id="o-1")

    broker = MemoryBroker()
    hub = Hub(broker, registry="embedded", provision=True)
    async with hub, asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(hub.serve(Service("order", [orders])))
        await waiting.wait()
        hub.stop()

    assert 1 == len(broker.records("orders"))


async def test_a_source_that_is_stopped_before_it_began_ends() -> None:
    """A stop may come between the start of its tasks and their first turn."""

    @produces(OrderCreated)
    async def orders() -> AsyncIterator[OrderCreated]:
        yield OrderCreated(order_id="o-1")

    publisher = cast("Publisher", None)  # nothing is published
    source = SourceRun(orders, SourceContext(None, "order"), publisher, Options(), Counters())
    async with asyncio.timeout(10):
        running = asyncio.create_task(source.run())
        await checkpoint()
        source.stop()
        await running

    assert source.waits(0.0)


async def test_a_source_that_is_cancelled_by_what_it_waits_for_ends_the_service() -> None:
    """A pool that was closed cancels who waits for it; without an error the service would go on without its source."""

    @produces(OrderCreated)
    async def orders() -> AsyncIterator[OrderCreated]:
        yield OrderCreated(order_id="o-1")
        raise asyncio.CancelledError

    broker = MemoryBroker()
    async with Hub(broker, registry="embedded", provision=True) as hub:
        with pytest.raises(HandlerFault, match="'orders' was cancelled by what it waits for"):
            await hub.serve(Service("order", [orders]))

    assert 1 == len(broker.records("orders"))
