"""The relay on the memory store: order, refusals, outages, and several relays at once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from functools import partial
from typing import Any, TypeVar

import pytest

from eventhub.brokers.base import NewTopic, Outcome
from eventhub.brokers.memory import MemoryBroker
from eventhub.clock import ManualClock
from eventhub.errors import BrokerError, PublishRefused, PublishUncertain, StoreError
from eventhub.outbox.base import Lane, OutboxRow
from eventhub.outbox.deciding import HEAVY_BYTES
from eventhub.outbox.memory import MemoryBacklog, MemoryStore
from eventhub.outbox.relay import Relay, RelayOptions
from eventhub.record import ProducerRecord, RecordMetadata
from eventhub.testing.conformance.stores.samples import claims, fill, new_claim, record
from eventhub.testing.waiting import until

T = TypeVar("T")
FAST = RelayOptions(tick=0.01, idle_poll=0.01, refused_wait=0.001, random=lambda: 0.0)


class Sink:
    """A producer that takes everything, unless a test says otherwise."""

    def __init__(self, *answers: Outcome | None) -> None:
        """Answer the first sends with these failures; None takes them."""
        self.answers = list(answers)
        self.sends: list[list[bytes | None]] = []

    async def start(self) -> None:
        """Do nothing."""

    async def stop(self) -> None:
        """Do nothing."""

    async def send(self, records: Sequence[ProducerRecord]) -> Sequence[Outcome]:
        """Note the values, and take them unless it is a failure's turn."""
        self.sends.append([record.value for record in records])
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            return [answer] * len(records)
        return [RecordMetadata(record.topic, 0, 0) for record in records]


class Picky(Sink):
    """A producer that refuses one topic."""

    def __init__(self, topic: str) -> None:
        """Refuse this topic."""
        super().__init__()
        self._topic = topic

    async def send(self, records: Sequence[ProducerRecord]) -> Sequence[Outcome]:
        """Take what goes elsewhere."""
        refused = PublishRefused(f"there is no topic {self._topic}")
        outcomes = zip(records, await super().send(records), strict=True)
        return [refused if record.topic == self._topic else taken for record, taken in outcomes]


@asynccontextmanager
async def relaying(store: MemoryStore, producer: Any, relays: int = 1) -> AsyncIterator[list[Relay]]:
    """Relays that run for the length of the block."""
    running = [Relay(store, producer, FAST) for _ in range(relays)]
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        for relay in running:
            tasks.create_task(relay.run())
        yield running
        for relay in running:
            relay.stop()


@pytest.fixture
async def broker() -> MemoryBroker:
    """A broker with the topic of the samples."""
    broker = MemoryBroker()
    await broker.admin.create_topics([NewTopic("orders", 4)])
    return broker


def by_key(broker: MemoryBroker) -> dict[bytes | None, list[bytes | None]]:
    """The values on the topic, key by key."""
    found: defaultdict[bytes | None, list[bytes | None]] = defaultdict(list)
    for read in broker.records("orders"):
        found[read.key].append(read.value)
    return found


async def enqueue(store: MemoryStore, *records: ProducerRecord) -> None:
    """Commit records."""
    async with store.transaction() as transaction:
        await transaction.enqueue(records)


async def test_rows_reach_the_broker_in_order(broker: MemoryBroker) -> None:
    """Every row is on its topic once, in the order of its key, and the outbox is empty."""
    store = MemoryStore()
    for number in range(30):
        await enqueue(store, *(record(f"{key}{number}", key=key.encode()) for key in "abc"))
    async with relaying(store, broker.producer()):
        await until(lambda: store.counters.relayed == 90)

    assert {k.encode(): [f"{k}{n}".encode() for n in range(30)] for k in "abc"} == by_key(broker)
    assert 0 == (await store.status()).depth


async def test_several_relays_share_the_rows_without_doubles(broker: MemoryBroker) -> None:
    """Four relays publish each row once and in the order of its key."""
    store = MemoryStore()
    async with relaying(store, broker.producer(), relays=4) as relays:
        await until(lambda: [4, 4, 4, 4] == [len(relay.owned) for relay in relays])
        for number in range(100):
            await enqueue(store, record(str(number), key=b"%d" % (number % 10)))
        await until(lambda: store.counters.relayed == 100)

    assert {b"%d" % k: [b"%d" % n for n in range(k, 100, 10)] for k in range(10)} == by_key(broker)


async def test_a_refused_row_is_buried_while_other_keys_flow(broker: MemoryBroker) -> None:
    """After five attempts the row is dead with the broker's reason; its key waits behind it, others do not."""
    store = MemoryStore()
    huge = record("x" * 2_000_000, key=b"a")
    await enqueue(store, huge, record("behind", key=b"a"), record("other", key=b"b"))
    async with relaying(store, broker.producer()):
        await until(lambda: store.counters.buried == 1)
        await until(lambda: store.counters.relayed == 1)
        [dead] = await store.dead()
        assert {b"b": [b"other"]} == by_key(broker)
        await store.drop([dead.id])
        await until(lambda: store.counters.relayed == 2)

    assert "1048576 are allowed" in dead.reason
    assert {b"a": [b"behind"], b"b": [b"other"]} == by_key(broker)


async def test_rows_of_a_missing_topic_wait_for_it(broker: MemoryBroker) -> None:
    """Once the topic is there, a retry publishes the dead row and what waited behind it, in order."""
    store = MemoryStore()
    await enqueue(store, *(record(str(n), key=b"k", topic="late") for n in range(3)), record("on", key=b"k"))
    async with relaying(store, broker.producer()):
        await until(lambda: store.counters.buried == 1)
        await broker.admin.create_topics([NewTopic("late")])
        await store.retry()
        await until(lambda: store.counters.relayed == 4)

    assert [b"0", b"1", b"2"] == [read.value for read in broker.records("late")]


async def test_a_row_that_is_taken_after_all_leaves_nothing_behind() -> None:
    """The relay forgets that its key rested, else it would carry every key that was ever refused."""
    store, sink = MemoryStore(), Sink(PublishRefused("no right"), PublishRefused("no right"))
    await fill(store, "abc")
    async with relaying(store, sink) as [relay]:
        await until(lambda: store.counters.relayed == 3)

        await until(lambda: not relay._refusals)

    assert len(sink.sends) > 2
    assert {} == relay._resting


async def test_refused_rows_that_somebody_else_has_settled_are_forgotten() -> None:
    """Buckets may go to another relay; what was refused in them is not carried along for ever."""
    store, sink = MemoryStore(), Picky("orders")
    await fill(store, "abcdefgh")
    async with relaying(store, sink) as [relay]:
        await until(lambda: len(relay._refusals) == 8)
        store._rows.clear()
        await until(lambda: not relay._refusals)

    assert {} == relay._resting


class Counting(MemoryBacklog):
    """A backlog that counts burials, and takes so long to read that whoever rested may go on."""

    def __init__(self, store: MemoryStore, clock: ManualClock) -> None:
        """Count nothing yet."""
        super().__init__(store)
        self._clock = clock
        self.burials: list[int] = []

    async def read(self, buckets: Collection[int], limit: int, without: Collection[Lane] = ()) -> Sequence[OutboxRow]:
        """Take ten seconds."""
        self._clock.advance(10.0)
        return await super().read(buckets, limit, without)

    async def bury(self, reasons: Mapping[int, str]) -> None:
        """Count how many rows are buried at once."""
        self.burials.append(len(reasons))
        await super().bury(reasons)

    async def wait(self, timeout: float) -> None:
        """Let others have their turn."""
        del timeout
        await super().wait(0.0)


@pytest.mark.slow
@pytest.mark.parametrize("keyed", [True, False])
async def test_a_row_behind_thousands_of_refused_ones_goes_soon(keyed: bool) -> None:
    """Of a missing topic's rows, every other round takes new ones; they are buried a batch at a time."""
    store, sink, clock = MemoryStore(), Picky("missing"), ManualClock()
    refused = [record(str(n), key=b"%d" % n if keyed else None, topic="missing") for n in range(10_000)]
    await enqueue(store, *refused, record("good"))
    backlog = Counting(store, clock)
    store._relays.append(backlog)
    relay = Relay(store, sink, RelayOptions(batch=1000, tick=60.0, clock=clock))
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(relay._serve(backlog))
        await until(lambda: store.counters.relayed == 1)
        await until(lambda: store.counters.buried == 10_000)
        relay.stop()

    assert next(sends for sends, values in enumerate(sink.sends) if b"good" in values) <= 2 * 11
    assert len(sink.sends) <= 2 * 5 * 11
    assert [1000] * 10 == backlog.burials


async def test_a_refused_row_without_a_key_holds_up_nobody(broker: MemoryBroker) -> None:
    """Rows without a key have no order, so those behind a buried one are published."""
    store = MemoryStore()
    await enqueue(store, record("x" * 2_000_000, key=None), record("behind", key=None))
    async with relaying(store, broker.producer()):
        await until(lambda: (store.counters.buried, store.counters.relayed) == (1, 1))

    assert {None: [b"behind"]} == by_key(broker)


async def test_nothing_overtakes_a_heavy_row() -> None:
    """What stands behind a row that may be too large is sent only when that was acknowledged."""
    store, sink = MemoryStore(), Sink()
    heavy = "x" * (HEAVY_BYTES + 1)
    await enqueue(store, record(heavy, key=b"a"), record("behind", key=b"a"), record("b", key=b"b"))
    async with relaying(store, sink):
        await until(lambda: store.counters.relayed == 3)

    assert [[heavy.encode(), b"b"], [b"behind"]] == sink.sends


@pytest.mark.slow
async def test_uncertain_rows_are_sent_again() -> None:
    """Nothing is deleted without an acknowledgement; the same rows come again, in the same order."""
    store, sink = MemoryStore(), Sink(PublishUncertain("deadline"), BrokerError("away"))
    await fill(store, "ab")
    async with relaying(store, sink):
        await until(lambda: store.counters.relayed == 2)

    assert [[b"a", b"b"]] * 3 == sink.sends
    assert 0 == store.counters.buried


async def test_a_commit_wakes_the_relay() -> None:
    """A relay that waits is rung out of bed, long before it would look again."""
    store, sink = MemoryStore(), Sink()
    relay = Relay(store, sink, RelayOptions(tick=60.0, busy_poll=30.0, idle_poll=60.0))
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(relay.run())
        await until(lambda: relay.owned)
        await fill(store, "a")
        await until(lambda: store.counters.relayed == 1)
        relay.stop()
        store.doorbell.ring()

    assert [[b"a"]] == sink.sends


class Waiting(MemoryBacklog):
    """A backlog whose waits end at once, and are noted."""

    def __init__(self, store: MemoryStore) -> None:
        """Note nothing yet."""
        super().__init__(store)
        self.waits: list[float] = []

    async def wait(self, timeout: float) -> None:
        """Note how long the relay would wait."""
        self.waits.append(timeout)
        await super().wait(0.0)


async def test_an_idle_relay_looks_less_and_less_often() -> None:
    """The pause doubles from round to round, up to its limit, and is short again after a round that found rows."""
    store, sink = MemoryStore(), Sink()
    backlog = Waiting(store)
    store._relays.append(backlog)
    relay = Relay(store, sink, RelayOptions(busy_poll=0.005, idle_poll=0.25, tick=60.0))
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(relay._serve(backlog))
        await until(lambda: len(backlog.waits) >= 8)
        idle = backlog.waits[:8]
        await fill(store, "a")
        await until(lambda: store.counters.relayed == 1)
        await until(lambda: 0.005 in backlog.waits[8:])
        relay.stop()

    assert [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.25, 0.25] == idle


class FullDisk(MemoryBacklog):
    """A backlog that takes no deletes while the disk is full."""

    full = True

    async def delete(self, ids: Sequence[int]) -> None:
        """Fail while there is no room."""
        if FullDisk.full:
            msg = "database or disk is full"
            raise StoreError(msg)
        await super().delete(ids)


class FullStore(MemoryStore):
    """A store on a full disk."""

    @asynccontextmanager
    async def backlog(self) -> AsyncIterator[MemoryBacklog]:
        """One relay's view."""
        backlog = FullDisk(self)
        self._relays.append(backlog)
        try:
            yield backlog
        finally:
            self._relays.remove(backlog)
            backlog.close()


@pytest.mark.slow
async def test_a_full_disk_publishes_nothing_twice() -> None:
    """Rows that were acknowledged and could not be deleted are deleted before anything is sent again."""
    store, sink = FullStore(), Sink()
    FullDisk.full = True
    await fill(store, "ab")
    async with relaying(store, sink) as [relay]:
        await until(lambda: relay.failure is not None)
        await until(lambda: relay._store_failures > 2)
        FullDisk.full = False
        await until(lambda: store.counters.relayed == 2)
        await until(lambda: relay.failure is None)

    assert [[b"a", b"b"]] == sink.sends


class Mortal(MemoryBacklog):
    """A backlog whose connection dies once in the life of its store, at one of its calls."""

    _store: MortalStore

    async def _live(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call, and die before or after it if it is the one."""
        self._store.calls += 1
        dies = self._store.calls == self._store.last
        if dies and not self._store.acts:
            self.close()
        answer = await call()
        if dies:
            self.close()
            self._require_open()
        return answer

    async def share(self) -> Collection[int]:
        """May die."""
        return await self._live(super().share)

    async def read(self, buckets: Collection[int], limit: int, without: Collection[Lane] = ()) -> Sequence[OutboxRow]:
        """May die."""
        return await self._live(partial(super().read, buckets, limit, without))

    async def delete(self, ids: Sequence[int]) -> None:
        """May die."""
        await self._live(partial(super().delete, ids))

    async def bury(self, reasons: Mapping[int, str]) -> None:
        """May die."""
        await self._live(partial(super().bury, reasons))


class MortalStore(MemoryStore):
    """A store for one relay, of whose backlogs one dies."""

    def __init__(self, last: int, acts: bool) -> None:
        """Let the ``last`` call of all be the one at which a backlog dies, after it has taken effect or before."""
        super().__init__()
        self.last, self.acts, self.calls = last, acts, 0

    @asynccontextmanager
    async def backlog(self) -> AsyncIterator[MemoryBacklog]:
        """A new connection."""
        backlog = Mortal(self)
        self._relays.append(backlog)
        try:
            yield backlog
        finally:
            self._relays.remove(backlog)


@pytest.mark.slow
@pytest.mark.parametrize("acts", [True, False])
async def test_a_connection_that_dies_at_any_step_loses_and_inverts_nothing(acts: bool) -> None:
    """Whichever call it is, and whether it took effect, each row is published once and in order, or buried.

    Once, since the relay itself lives on and knows what it owes.
    """

    async def live(last: int) -> tuple[MortalStore, Picky]:
        store, sink = MortalStore(last, acts), Picky("missing")
        for number in range(6):
            await enqueue(store, *(record(f"{key}{number}", key=key.encode()) for key in "abc"))
            await enqueue(store, record(f"m{number}", key=b"%d" % (number % 2), topic="missing"))
        relay = Relay(store, sink, RelayOptions(batch=4, tick=0.0, refused_wait=0.0, busy_poll=0.0, idle_poll=0.0))
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            tasks.create_task(relay.run())
            await until(lambda: (len(store._rows), len(store._dead)) == (4, 2))
            relay.stop()
        return store, sink

    async with asyncio.TaskGroup() as tasks:
        lives = [tasks.create_task(live(last)) for last in range(1, 41)]

    for ended in lives:
        store, sink = ended.result()
        taken = [value or b"" for values in sink.sends for value in values]
        published = {key: [value for value in taken if value.startswith(key)] for key in (b"a", b"b", b"c")}
        dead = sorted(row.value or b"" for row, _ in store._dead.values())

        assert {key: [b"%s%d" % (key, n) for n in range(6)] for key in (b"a", b"b", b"c")} == published
        assert [b"m0", b"m1"] == dead
    first = [ended.result()[0] for ended in lives[:15]]  # five batches, three calls each

    assert all(store.calls >= store.last for store in first)


class Misplaced(MemoryStore):
    """A store behind something that no relay can work through."""

    @asynccontextmanager
    async def backlog(self) -> AsyncIterator[MemoryBacklog]:
        """Refuse."""
        msg = "a pooler is in between"
        raise StoreError(msg, retriable=False)
        yield


async def test_what_can_never_work_ends_the_relay() -> None:
    """An error that no waiting heals is raised."""
    with pytest.raises(StoreError, match="pooler"):
        await Relay(Misplaced(), Sink()).run()


class Beating(MemoryBacklog):
    """A backlog that counts its signs of life."""

    beats = 0

    async def beat(self) -> None:
        """Count."""
        Beating.beats += 1


async def test_a_slow_broker_does_not_cost_the_buckets() -> None:
    """While the broker takes its time, the relay gives signs of life."""
    store = MemoryStore()
    answer = asyncio.Event()
    Beating.beats = 0

    class Slow(Sink):
        async def send(self, records: Sequence[ProducerRecord]) -> Sequence[Outcome]:
            await answer.wait()
            return await super().send(records)

    backlog = Beating(store)
    store._relays.append(backlog)
    await fill(store, "a")
    relay = Relay(store, Slow(), RelayOptions(beat=0.001))
    relay.owned = await backlog.share()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(relay._round(backlog))
        await until(lambda: Beating.beats >= 3)
        answer.set()

    assert 1 == store.counters.relayed


async def test_old_claims_are_forgotten_by_the_relay() -> None:
    """The relay drops what is older than the window, as it starts and then now and then."""
    store = MemoryStore()
    old = new_claim(date(2020, 1, 1))
    await claims(store, old)
    async with relaying(store, Sink()):
        await until(lambda: not store._claims)

    assert await claims(store, old)
