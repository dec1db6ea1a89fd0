"""Inbox and outbox around a handler, with the runtime around both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from eventhub import (
    BatchContext,
    BatchFailed,
    Context,
    DeclarationError,
    Event,
    Hub,
    Retry,
    Service,
    subscribe,
    subscribe_batch,
)
from eventhub.headers import read_stamp
from eventhub.middleware.transactional import transactional, transactional_in
from eventhub.outbox.memory import MemoryStore
from eventhub.outbox.sqlite import SqliteStore, SqliteTransaction
from eventhub.record import ProducerRecord, Record
from eventhub.testing.running import RunningHub, running


class Order(Event, topic="tx.orders", key="order_id"):
    """An order."""

    order_id: str


class Packed(Event, topic="tx.packed", key="order_id"):
    """The order was packed."""

    order_id: str


@dataclass(frozen=True)
class Warehouse:
    """A state that offers a store."""

    store: MemoryStore


@subscribe(Order, retry=Retry(waits=(0.0,)))
async def pack(order: Order, context: Context[Warehouse]) -> list[Packed]:
    """Count the order, fail for one that is broken, and say so twice."""
    data = context.transaction.connection
    data[order.order_id] = data.get(order.order_id, 0) + 1
    if order.order_id == "broken":
        msg = "broken"
        raise ValueError(msg)
    return [Packed(order_id=order.order_id), Packed(order_id=order.order_id)]


def lifespan(store: MemoryStore) -> Callable[[], AbstractAsyncContextManager[Warehouse]]:
    """A lifespan that yields a warehouse with this store."""

    @asynccontextmanager
    async def warehouse() -> AsyncIterator[Warehouse]:
        yield Warehouse(store)

    return warehouse


def packing(store: MemoryStore, name: str = "warehouse", middleware: Any = transactional) -> Service[Any]:
    """The service around the handler."""
    return Service(name, [pack], lifespan=lifespan(store), middleware=[middleware])


async def deliver_again(hub: RunningHub) -> None:
    """Write the first order's record once more, as a producer does that is not idempotent."""
    record = hub.broker.records("tx.orders")[0]
    await hub.hub.producer.send([ProducerRecord(record.topic, record.key, record.value, record.headers)])
    await hub.caught_up()


async def test_what_is_returned_is_published_after_the_commit() -> None:
    """The events of a handler come out of the outbox, each with an id of its own and the order's as its cause."""
    store = MemoryStore()
    async with running(packing(store)) as hub:
        await hub.publish(Order(order_id="o-1"))
        packed = await hub.published(Packed)
        stored = [read_stamp(record, "Packed") for record in hub.broker.records("tx.packed")]

    assert [Packed(order_id="o-1")] * 2 == packed
    assert {"o-1": 1} == store.data
    assert (2, 2) == (store.counters.enqueued, store.counters.relayed)
    assert 2 == len({stamp.id for stamp in stored})
    assert 1 == len({stamp.causation for stamp in stored})


async def test_a_second_delivery_has_no_effect() -> None:
    """An event that was handled before is skipped and counted: no write, no event."""
    store = MemoryStore()
    async with running(packing(store)) as hub:
        await hub.publish(Order(order_id="o-1"))
        await hub.caught_up()
        await deliver_again(hub)
        packed = await hub.published(Packed)

    assert 2 == len(packed)
    assert {"o-1": 1} == store.data
    assert 1 == store.counters.duplicates


async def test_without_the_middleware_a_second_delivery_has_an_effect() -> None:
    """The test above can fail: a middleware that never claims lets the effect happen twice."""
    store = MemoryStore()

    def unclaimed(handle: Any) -> Any:
        async def handled(context: Any) -> Any:
            async with store.transaction() as transaction:
                context.transaction = transaction
                return await handle(context)

        return handled

    async with running(packing(store, middleware=unclaimed)) as hub:
        await hub.publish(Order(order_id="o-1"))
        await hub.caught_up()
        await deliver_again(hub)

    assert {"o-1": 2} == store.data


async def test_a_handler_that_fails_leaves_nothing_behind() -> None:
    """Its writes and events are undone with its claim, at each attempt; the record is given up in the end."""
    store = MemoryStore()
    service = packing(store)
    async with running(service) as hub:
        await hub.publish(Order(order_id="broken"))
        packed = await hub.published(Packed)
        letters = await hub.dead_letters(Order, service)

    assert [] == packed
    assert {} == store.data
    assert 0 == store.counters.duplicates
    assert [2] == [letter.attempt for letter in letters]


async def test_a_scope_lets_a_replay_happen_once_more() -> None:
    """In a scope of its own an event that was handled before counts as new, and only once."""
    store = MemoryStore()
    async with running(packing(store)) as hub:
        await hub.publish(Order(order_id="o-1"))
        await hub.caught_up()
        [record] = hub.broker.records("tx.orders")
    async with running(packing(store, middleware=transactional_in("replay-1"))) as hub:
        await hub.publish(Order(order_id="o-2"))  # its schema is then known to this registry too
        await hub.hub.producer.send([ProducerRecord(record.topic, record.key, record.value, record.headers)] * 2)
        await hub.caught_up()

    assert {"o-1": 2, "o-2": 1} == store.data
    assert 1 == store.counters.duplicates


@pytest.mark.parametrize("scope", ["", "\0", "\ud800", "x" * 201])
def test_a_scope_that_no_database_keeps_is_refused(scope: str) -> None:
    """An empty one would skip what is replayed, and the others would fail, or be waited for, at each event."""
    with pytest.raises(DeclarationError, match="a scope has 1 to 200 characters"):
        transactional_in(scope)


async def test_an_event_that_the_handler_does_not_name_undoes_the_transaction() -> None:
    """A handler that returns what its annotation does not name is given up, and its writes are undone."""

    @subscribe(Order)
    async def confused(order: Order, context: Context[Warehouse]) -> list[Packed]:
        context.transaction.connection["confused"] = True
        return [order]  # type: ignore[list-item]

    store = MemoryStore()
    service = Service("confused", [confused], lifespan=lifespan(store), middleware=[transactional])
    async with running(service) as hub:
        await hub.publish(Order(order_id="o-1"))
        letters = await hub.dead_letters(Order, service)

    assert 1 == len(letters)
    assert {} == store.data


async def test_a_handler_that_commits_by_hand_is_given_up_at_once(tmp_path: Path) -> None:
    """Another attempt would find the claim taken, and skip the event with what should have followed from it."""

    @subscribe(Order)
    async def hasty(order: Order, context: Context[Any]) -> Packed:
        await context.transaction.connection.commit()
        return Packed(order_id=order.order_id)

    @asynccontextmanager
    async def warehouse() -> AsyncIterator[Any]:
        async with SqliteStore(tmp_path / "store.sqlite3") as store:
            yield SimpleNamespace(store=store)

    service = Service("hasty", [hasty], lifespan=warehouse, middleware=[transactional])
    async with running(service) as hub:
        await hub.publish(Order(order_id="o-1"))
        letters = await hub.dead_letters(Order, service)
        packed = await hub.published(Packed)

    assert [1] == [letter.attempt for letter in letters]
    assert [] == packed


async def test_a_state_without_a_store_is_named() -> None:
    """A transactional handler whose state offers no store says what is missing."""
    record = Record("tx.orders", 0, 0, 0.0, b"o-1", b"")
    context = Context(Order(order_id="o-1"), record, "no store here", "warehouse", "pack")

    with pytest.raises(DeclarationError, match="'warehouse' is transactional, but its state, str, has no attribute"):
        await transactional(pack.handler)(context)


async def test_a_transactional_service_without_a_store_does_not_start() -> None:
    """Otherwise every record would be tried for minutes, and given up."""
    handlers: list[Any] = [pack]  # a type checker misses its state, too
    service = Service("warehouse", handlers, middleware=[transactional])

    async with Hub("memory://") as hub:
        with pytest.raises(DeclarationError, match="'warehouse' is transactional, but its state, NoneType, has no"):
            await asyncio.wait_for(hub.serve(service), 30)  # it would serve for ever


async def test_a_context_made_by_hand_can_be_transactional() -> None:
    """A test of its own may pass what makes the records, and sees them in the store; without it, it is told so."""
    store = MemoryStore()
    record = Record("tx.orders", 0, 0, 0.0, b"o-1", b"")
    context = Context(Order(order_id="o-1"), record, Warehouse(store), "warehouse", "pack")
    with pytest.raises(DeclarationError, match="made by hand"):
        await transactional(pack.handler)(context)
    context.follow = lambda cause, returned: [ProducerRecord("tx.packed", None, cause.id.encode()) for _ in returned]
    await transactional(pack.handler)(context)

    assert 2 == (await store.status()).depth


async def test_a_window_shorter_than_the_retries_is_refused() -> None:
    """An inbox that would forget an event between two attempts does not start."""

    @subscribe(Order, retry=Retry(waits=(100_000.0,), attempts=3))
    async def patient(order: Order) -> None:
        pass

    service = Service("patient", [patient], lifespan=lifespan(MemoryStore(window_days=2)), middleware=[transactional])

    async with Hub("memory://") as hub:
        with pytest.raises(DeclarationError, match="remembers 2; use window_days=3"):
            await hub.serve(service)


# -- batches --------------------------------------------------------------------------------------


class Measured(Event, topic="tx.measured", key="sensor"):
    """A sensor has measured."""

    sensor: str


class CountingStore(SqliteStore):
    """A store in a file, with one writer, that counts transactions."""

    begun = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqliteTransaction]:
        """Count."""
        self.begun += 1
        async with super().transaction() as transaction:
            yield transaction


@dataclass
class Station:
    """A state that offers a store, and notes what its handler was given."""

    store: CountingStore
    batches: list[list[str]] = field(default_factory=list)
    fails: Callable[[Sequence[Measured]], None] = lambda _: None

    async def stored(self) -> list[str]:
        """The sensors whose measurements are stored, sorted."""
        async with self.store.transaction() as transaction:
            rows = await transaction.connection.execute_fetchall("SELECT sensor FROM measured ORDER BY sensor")
        return [row[0] for row in rows]


@pytest.fixture
async def station(tmp_path: Path) -> AsyncIterator[Station]:
    """A station whose store has a table of the business."""
    async with CountingStore(tmp_path / "store.sqlite3") as store:
        async with store.transaction() as transaction:
            await transaction.connection.execute("CREATE TABLE measured (sensor TEXT)")
        store.begun = 0
        yield Station(store)


@subscribe_batch(Measured, size=8, wait=10.0, retry=Retry(attempts=1))
async def store_all(measured: Sequence[Measured], context: BatchContext[Station]) -> None:
    """Store what was measured, and fail as the test says."""
    context.state.batches.append(sorted(event.sensor for event in measured))
    rows = [(event.sensor,) for event in measured]
    await context.transaction.connection.executemany("INSERT INTO measured VALUES (?)", rows)
    context.state.fails(measured)


def measuring(station: Station) -> Service[Any]:
    """The service around the handler."""

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[Station]:
        yield station

    return Service("station", [store_all], lifespan=lifespan, middleware=[transactional])


async def publish(hub: RunningHub, sensors: str) -> None:
    """Publish a measurement a letter, and wait until all are handled."""
    await hub.hub.publish_many([Measured(sensor=letter) for letter in sensors])
    await hub.caught_up()


async def test_a_batch_is_one_transaction(station: Station) -> None:
    """Also where one transaction runs at a time: it claims all events, and commits what was done for them together."""
    async with running(measuring(station)) as hub:
        await publish(hub, "abcdefgh")

    assert [list("abcdefgh")] == station.batches
    assert 1 == station.store.begun
    assert list("abcdefgh") == await station.stored()


async def test_events_of_a_batch_that_were_handled_before_are_left_out(station: Station) -> None:
    """The handler gets those that are new; where none is, it is not called."""
    async with running(measuring(station)) as hub:
        await publish(hub, "abcdefgh")
        known = [
            ProducerRecord(record.topic, record.key, record.value, record.headers)
            for record in hub.broker.records("tx.measured")
        ]
        await hub.hub.producer.send(known)
        await hub.caught_up()
        await hub.hub.producer.send(known[:6])
        await publish(hub, "xy")

    assert [list("abcdefgh"), list("xy")] == station.batches
    assert 14 == station.store.counters.duplicates
    assert list("abcdefghxy") == await station.stored()


@pytest.mark.parametrize("named", [True, False])
async def test_a_batch_that_fails_is_undone_and_each_event_handled_in_its_own_transaction(
    station: Station, named: bool
) -> None:
    """Also if the handler says which it was: those before it are not done, since they were undone with it."""

    def fail_at_c(measured: Sequence[Measured]) -> None:
        places = [place for place, event in enumerate(measured) if event.sensor == "c"]
        if places:
            raise BatchFailed(places[0]) if named else ValueError

    station.fails = fail_at_c
    service = measuring(station)
    async with running(service) as hub:
        await publish(hub, "abcdefgh")
        letters = await hub.dead_letters(Measured, service)

    assert list("abdefgh") == await station.stored()
    assert 1 + 8 == len(station.batches)
    assert [b"c"] == [letter.record.key for letter in letters]
    assert 0 == station.store.counters.duplicates


async def test_a_batch_handler_that_commits_by_hand_is_given_up_at_once(tmp_path: Path) -> None:
    """With all events of the batch: alone, each would find its claim taken, and be skipped without a word."""

    @subscribe_batch(Measured, size=4, wait=10.0)
    async def hasty(measured: Sequence[Measured], context: BatchContext[Any]) -> None:
        await context.transaction.connection.commit()
        msg = f"{len(measured)} were to be stored"
        raise ValueError(msg)

    store = SqliteStore(tmp_path / "store.sqlite3")

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[Any]:
        async with store:
            yield SimpleNamespace(store=store)

    service = Service("hasty", [hasty], lifespan=lifespan, middleware=[transactional])
    async with running(service) as hub:
        await publish(hub, "abcd")
        letters = await hub.dead_letters(Measured, service)

    assert [b"a", b"b", b"c", b"d"] == sorted(letter.record.key or b"" for letter in letters)
    assert {1} == {letter.attempt for letter in letters}
    assert 0 == store.counters.duplicates


async def test_a_duplicate_is_counted_once_although_its_batch_is_undone(station: Station) -> None:
    """Each event of the batch is claimed a second time, alone, and only then is it settled."""

    def fail_together(measured: Sequence[Measured]) -> None:
        if len(measured) > 1:
            raise ValueError

    async with running(measuring(station)) as hub:
        await publish(hub, "abcdefgh")
        [known] = [record for record in hub.broker.records("tx.measured") if record.key == b"a"]
        station.fails = fail_together
        await hub.hub.producer.send([ProducerRecord(known.topic, known.key, known.value, known.headers)])
        await publish(hub, "stuvwxy")

    assert list("stuvwxy") in station.batches
    assert 1 == station.store.counters.duplicates
    assert list("abcdefghstuvwxy") == await station.stored()
