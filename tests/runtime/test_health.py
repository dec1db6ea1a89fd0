"""Health: what the numbers mean, and that nothing says healthy while it is dead."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from eventhub import Hub, Options, Retry, Service, subscribe
from eventhub.brokers.memory import MemoryBroker, Operation
from eventhub.outbox.memory import MemoryStore
from eventhub.runtime.breaker import BreakerState
from eventhub.runtime.counters import Counters
from eventhub.runtime.health import Snapshot, health
from eventhub.runtime.hooks import Hooks
from eventhub.runtime.watchdog import Patience
from eventhub.testing.conformance.stores.samples import fill
from eventhub.testing.waiting import until
from tests.events import OrderCreated
from tests.runtime.conftest import Shop

WELL = Snapshot("inventory", joined=True, counted=Counters())


def test_a_service_that_joined_and_polls_is_live_and_ready() -> None:
    """There is nothing to say about it."""
    found = health(WELL, Patience())

    assert (True, True, ()) == (found.live, found.ready, found.problems)


@pytest.mark.parametrize(
    ("change", "live", "ready", "words"),
    [
        ({"heartbeat_age": 61.0}, False, False, "the poll task has not come back for 61 s"),
        ({"joined": False}, True, False, "the group has given no share yet"),
        ({"stopping": True}, True, False, "it is stopping"),
        ({"head_age": 61.0}, True, True, "a record is under way for 61 s"),
        ({"breaker": BreakerState.OPEN}, True, True, "handlers are held back, since many keys fail"),
        ({"commits_failed": 2}, True, True, "the last 2 commits failed"),
    ],
)
def test_what_is_wrong_is_said_in_words(change: dict[str, Any], live: bool, ready: bool, words: str) -> None:
    """Only a dead poll task takes life, only a missing share or a stop takes readiness."""
    found = health(replace(WELL, **change), Patience())

    assert (live, ready, (words,)) == (found.live, found.ready, found.problems)


def test_a_service_that_stops_is_live_however_long_it_takes() -> None:
    """It polls no more, which must not get it killed while handlers finish."""
    found = health(replace(WELL, stopping=True, heartbeat_age=61.0), Patience())

    assert (True, False) == (found.live, found.ready)


async def test_a_running_service_counts_what_it_does(shop: Shop) -> None:
    """The snapshot has the records handled and what is owned."""

    @subscribe(shop.order)
    async def handle(_: Any) -> None: ...

    async with shop.serving(Service(shop.name("counted"), [handle])) as hub:
        await hub.publish_many(shop.orders("abc"))
        await until(lambda: hub.supervisors[0].counters.handled == 3)
        [found] = hub.health().values()

    assert found.live
    assert found.ready
    assert (3, 6) == (found.detail.counted.handled, found.detail.partitions)


class Noted(Hooks):
    """Hooks that keep what they hear, and then fail."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self.heard: list[str] = []

    def on_committed(self, group: str, offsets: Mapping[Any, int]) -> None:
        """Hear of commits."""
        self.heard.append(f"committed {sum(offsets.values())}")
        raise RuntimeError(group)

    def on_rebalanced(self, group: str, partitions: Collection[Any]) -> None:
        """Hear of assignments."""
        self.heard.append(f"owns {len(partitions)}")
        raise RuntimeError(group)

    def on_dead_lettered(self, group: str, record: Any, error: BaseException) -> None:
        """Hear of dead letters."""
        self.heard.append(f"gave up {record.offset}: {type(error).__name__}")
        raise RuntimeError(group)


async def test_hooks_hear_what_happens_and_their_failures_change_nothing(shop: Shop) -> None:
    """Assignment, dead letter and commit are told in this order."""
    noted = Noted()

    @subscribe(shop.order, retry=Retry(attempts=1))
    async def fail(_: Any) -> None:
        raise OSError

    service = Service(shop.name("hooked"), [fail])
    async with shop.serving(service, options=Options(commit_interval=0.05, hooks=(noted,))) as hub:
        await hub.publish_many(shop.orders("a"))
        await until(lambda: "committed 1" in noted.heard)

    assert ["owns 6", "gave up 0: OSError", "committed 1"] == [said for said in noted.heard if said != "committed 0"]


@pytest.mark.slow
async def test_a_handler_that_never_returns_holds_its_key_and_is_told_of(shop: Shop) -> None:
    """Its key waits and is not committed over, other keys go on, the log and health say so, and a stop ends it."""
    seen: list[int] = []

    @subscribe(shop.order)
    async def handle(order: Any) -> None:
        seen.append(order.number)
        if order.number == 0:
            await asyncio.Event().wait()

    service = Service(shop.name("endless"), [handle])
    options = Options(patience=Patience(stuck=0.5), stop_grace=0.0, commit_interval=0.1)
    with capture_logs() as logs:
        async with shop.serving(service, options=options) as hub:
            await hub.publish_many(shop.orders("aabb"))
            await until(lambda: "eventhub.record_stuck" in {log["event"] for log in logs})
            [found] = hub.health().values()
        told = [log["offset"] for log in logs if log["event"] == "eventhub.record_stuck"]

    assert [0, 2, 3] == sorted(seen)
    assert 1 == len(told)
    assert (True, True) == (found.live, found.ready)
    assert any("a record is under way for" in problem for problem in found.problems)
    assert await shop.committed(shop.order, service) in {0, 2}  # as the keys share a partition, or do not


class HangingOnce:
    """A network on which the first poll that has something to bring never returns."""

    def __init__(self) -> None:
        """Begin with nothing hanging."""
        self.hanging = False
        self.armed = False

    async def before(self, operation: Operation, client: str) -> None:  # noqa: ARG002 - the seam's signature
        """Let everything pass but one poll."""
        if operation is Operation.POLL and self.armed:
            self.armed, self.hanging = False, True
            await asyncio.Event().wait()

    async def after(self, operation: Operation, client: str) -> None:
        """Let every answer come back."""


@pytest.mark.slow
async def test_a_consumer_that_never_answers_is_unhealthy_and_is_replaced() -> None:
    """Nothing says healthy while it is dead; the next consumer handles what waited."""
    seen: list[str] = []

    @subscribe(OrderCreated)
    async def handle(order: OrderCreated) -> None:
        seen.append(order.order_id)

    faults = HangingOnce()
    options = Options(patience=Patience(heartbeat=0.3))
    async with (
        Hub(MemoryBroker(faults=faults), registry="embedded", provision=True, options=options) as hub,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(hub.serve(Service("inventory", [handle])))
        await until(lambda: [found.ready for found in hub.health().values()] == [True])
        faults.armed = True
        await until(lambda: faults.hanging)
        await hub.publish(OrderCreated(order_id="o-1"))
        await until(lambda: [found.live for found in hub.health().values()] == [False])
        await until(lambda: seen)
        [found] = hub.health().values()
        hub.stop()

    assert ["o-1"] == seen
    assert (True, 1) == (found.live, found.detail.counted.rebuilt)


class HeldSends:
    """A network on which no send passes before it is told to."""

    def __init__(self) -> None:
        """Hold them."""
        self.pass_on = asyncio.Event()

    async def before(self, operation: Operation, client: str) -> None:  # noqa: ARG002 - the seam's signature
        """Let everything pass but sends."""
        if operation is Operation.SEND:
            await self.pass_on.wait()

    async def after(self, operation: Operation, client: str) -> None:
        """Let every answer come back."""


@dataclass(frozen=True)
class Shelf:
    """A state that offers a store."""

    store: MemoryStore


async def test_health_says_how_long_a_row_waits_for_the_broker() -> None:
    """The age of the oldest row that the relay cannot send grows, and is nothing once that was sent."""
    store, faults = MemoryStore(), HeldSends()

    @asynccontextmanager
    async def shelf() -> AsyncIterator[Shelf]:
        yield Shelf(store)

    @subscribe(OrderCreated)
    async def handle(_: OrderCreated) -> None:
        """Do nothing."""

    await fill(store, "ab")
    store._rows[0] = store._rows[0]._replace(created_at=store._rows[0].created_at - 3600)
    async with (
        Hub(MemoryBroker(faults=faults), registry="embedded", provision=True) as hub,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(hub.serve(Service("inventory", [handle], lifespan=shelf)))
        await until(lambda: any(found.detail.outbox_age for found in hub.health().values()))
        [waiting] = [found.detail.outbox_age for found in hub.health().values()]
        faults.pass_on.set()
        await until(lambda: not any(found.detail.outbox_age for found in hub.health().values()))
        hub.stop()

    assert 3600 == pytest.approx(waiting, abs=60)
    assert 2 == store.counters.relayed
