"""Lanes: order within a key, concurrency between keys, and offsets that never run ahead."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar

import pytest
from anyio.lowlevel import checkpoint

from eventhub.clock import ManualClock, SystemClock
from eventhub.record import Record, TopicPartition
from eventhub.runtime.lanes import Lanes
from eventhub.runtime.offsets import Offsets
from eventhub.runtime.partition import Partition
from eventhub.subscription import Ordering
from eventhub.testing.waiting import until

Process = Callable[[Record, Partition], Awaitable[None]]


def partition(ordering: Ordering = Ordering.KEY) -> Partition:
    """A partition that starts at offset 0."""
    return Partition(TopicPartition("orders", 0), ordering, Offsets(0), 0)


def records(keys: str) -> list[Record]:
    """One record a character, whose key is that character."""
    return [Record("orders", 0, offset, 0.0, key.encode(), b"value") for offset, key in enumerate(keys)]


def lanes(process: Process, *, concurrency: int = 16) -> Lanes:
    """Started lanes."""
    made = Lanes(process, concurrency=concurrency, clock=SystemClock())
    made.start()
    return made


async def settled(made: Lanes) -> None:
    """Return once everything that was fed is finished."""
    await until(lambda: made.hungry and made.in_flight == 0)


async def test_a_handler_that_does_not_suspend_costs_no_task() -> None:
    """All records of a burst are processed in one and the same task."""
    tasks = set()

    async def process(_: Record, __: Partition) -> None:
        tasks.add(asyncio.current_task())

    owned, made = partition(), lanes(process)
    made.feed([(owned, records("abcabc"))])
    await settled(made)

    assert 1 == len(tasks)
    assert 6 == owned.offsets.committable


async def test_records_of_one_key_are_processed_one_after_the_other_in_order() -> None:
    """However handlers suspend, a key's records neither overlap nor overtake each other."""
    seen: dict[bytes | None, list[int]] = defaultdict(list)
    running: set[bytes | None] = set()

    async def process(record: Record, _: Partition) -> None:
        assert record.key not in running
        running.add(record.key)
        for _turn in range(record.offset % 4):
            await checkpoint()
        seen[record.key].append(record.offset)
        running.discard(record.key)

    owned, made = partition(), lanes(process)
    fed = records("abcabdacbbbaadc" * 20)
    made.feed([(owned, fed)])
    await settled(made)

    assert all(offsets == sorted(offsets) for offsets in seen.values())
    assert len(fed) == sum(map(len, seen.values()))
    assert len(fed) == owned.offsets.committable


async def test_other_keys_go_on_while_one_is_held_up() -> None:
    """A key that waits holds up its own records only, and the commit stays before it."""
    gate = asyncio.Event()
    done: list[int] = []

    async def process(record: Record, _: Partition) -> None:
        if record.offset == 0:
            await gate.wait()
        done.append(record.offset)

    owned, made = partition(), lanes(process)
    made.feed([(owned, records("abab"))])
    await until(lambda: len(done) == 2)

    assert [1, 3] == done
    assert 0 == owned.offsets.committable

    gate.set()
    await settled(made)

    assert [1, 3, 0, 2] == done
    assert 4 == owned.offsets.committable


@pytest.mark.parametrize(("ordering", "most"), [(Ordering.KEY, 2), (Ordering.PARTITION, 1), (Ordering.NONE, 4)])
async def test_the_ordering_decides_what_may_overlap(ordering: Ordering, most: int) -> None:
    """Two keys overlap by key, nothing by partition, everything without ordering."""
    peak = running = 0

    async def process(_: Record, __: Partition) -> None:
        nonlocal peak, running
        running += 1
        peak = max(peak, running)
        for _turn in range(10):
            await checkpoint()
        running -= 1

    owned, made = partition(ordering), lanes(process)
    made.feed([(owned, records("aabb"))])
    await settled(made)

    assert most == peak


async def test_no_more_handlers_run_than_may() -> None:
    """The limit counts running handlers, and all records are processed all the same."""
    peak = running = 0

    async def process(_: Record, __: Partition) -> None:
        nonlocal peak, running
        running += 1
        peak = max(peak, running)
        for _turn in range(5):
            await checkpoint()
        running -= 1

    owned, made = partition(), lanes(process, concurrency=3)
    made.feed([(owned, records("abcdefghijklmnopqrstuvwxyz"))])
    await settled(made)

    assert 3 == peak
    assert 26 == owned.offsets.committable


async def test_a_resting_record_gives_its_place_to_others_and_keeps_its_key() -> None:
    """While a record waits for its next attempt, other keys use its place and its own key queues."""
    clock = ManualClock()
    done: list[int] = []

    async def process(record: Record, _: Partition) -> None:
        if record.offset == 0:
            await made.rest(10.0)
        done.append(record.offset)

    made = Lanes(process, concurrency=1, clock=clock)
    made.start()
    owned = partition()
    made.feed([(owned, records("aab"))])
    await until(lambda: 2 in done)

    assert [2] == done
    assert (1, 2) == (made.parked_keys, made.parked_records)

    clock.advance(10.0)
    await settled(made)

    assert [2, 0, 1] == done
    assert (0, 0, 0) == (made.parked_keys, made.parked_records, made.running)


async def test_a_task_that_a_handler_starts_waits_aside_for_its_record() -> None:
    """Its place is given to others meanwhile, as if the handler itself waited."""
    seen: list[int] = []
    waiting, over = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        async with made.aside():
            waiting.set()
            await over.wait()

    async def process(record: Record, _: Partition) -> None:
        if record.key == b"a":
            await asyncio.create_task(wait())
        seen.append(record.offset)

    made = lanes(process, concurrency=1)
    made.feed([(partition(), records("ab"))])
    await waiting.wait()
    await until(lambda: seen == [1])
    over.set()
    await settled(made)

    assert [1, 0] == seen
    assert 0 == made.running


async def test_a_task_that_outlives_its_attempt_keeps_no_place() -> None:
    """What a middleware left behind ends when it likes, and nobody runs less for it."""
    waiting, over, left = asyncio.Event(), asyncio.Event(), list[asyncio.Task[None]]()

    async def wait() -> None:
        async with made.aside():
            waiting.set()
            await over.wait()

    async def process(record: Record, _: Partition) -> None:
        if record.key == b"a":
            left.append(asyncio.create_task(wait()))
            await waiting.wait()

    made = lanes(process, concurrency=1)
    made.feed([(partition(), records("ab"))])
    await waiting.wait()
    await settled(made)
    over.set()
    await asyncio.wait(left)

    assert 0 == made.running


async def test_who_asks_for_a_record_in_hand_where_there_is_none_is_told_so() -> None:
    """It is a fault of whoever asks, and says what may be wrong."""
    made = lanes(ignore)

    with pytest.raises(RuntimeError, match="no record is in hand here"):
        await made.rest(0.0)


async def test_draining_lets_handlers_finish_and_starts_nothing_more() -> None:
    """A running record counts as finished, the one behind it is left for the next owner."""
    gate = asyncio.Event()

    async def process(_: Record, __: Partition) -> None:
        await gate.wait()

    owned, made = partition(), lanes(process)
    made.feed([(owned, records("aab"))])
    await until(lambda: made.running == 2)
    asyncio.get_running_loop().call_soon(gate.set)
    await made.drain([owned], grace=5.0)

    assert 1 == owned.offsets.committable
    assert owned.closed
    assert 0 == made.in_flight


async def test_a_handler_that_outlives_the_grace_is_cancelled_and_not_finished() -> None:
    """Its record stays unfinished, so the next owner handles it."""
    cancelled = []

    async def process(record: Record, _: Partition) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(record.offset)
            raise

    owned, made = partition(), lanes(process)
    made.feed([(owned, records("a"))])
    await until(lambda: made.running == 1)
    await made.drain([owned], grace=0.0)

    assert [0] == cancelled
    assert 0 == owned.offsets.committable
    assert 0 == made.in_flight


async def test_a_key_waits_for_a_handler_that_swallowed_its_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the partition comes back, the key's record starts only after the stubborn handler has ended."""
    monkeypatch.setattr("eventhub.runtime.grace.CANCEL_GRACE", 0.0)
    gate = asyncio.Event()
    log: list[str] = []

    async def process(record: Record, own: Partition) -> None:
        name = "old" if own is old else "new"
        log.append(f"{name} {record.offset} starts")
        while name == "old" and not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                log.append("cancellation swallowed")
        log.append(f"{name} {record.offset} ends")

    old, new, made = partition(), partition(), lanes(process)
    made.feed([(old, records("a"))])
    await until(lambda: made.running == 1)
    await made.drain([old], grace=0.0)
    made.adopt(new)
    made.feed([(new, records("a"))])
    await until(lambda: made.in_flight == 2)
    gate.set()
    await settled(made)

    assert ["old 0 starts", "cancellation swallowed", "old 0 ends", "new 0 starts", "new 0 ends"] == log
    assert 1 == made.stale
    assert 1 == new.offsets.committable


async def test_a_careful_partition_waits_for_every_stubborn_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its records share a lane, whatever keys its predecessor's handlers have."""
    monkeypatch.setattr("eventhub.runtime.grace.CANCEL_GRACE", 0.0)
    gates, handled = [asyncio.Event(), asyncio.Event()], list[int]()

    async def process(record: Record, own: Partition) -> None:
        if own is old:
            with suppress(asyncio.CancelledError):
                await gates[record.offset].wait()
            await gates[record.offset].wait()
        handled.append(record.offset)

    old, new, made = partition(), partition(), lanes(process)
    new.careful = True
    made.feed([(old, records("ab"))])
    await until(lambda: made.running == 2)
    await made.drain([old], grace=0.0)
    made.adopt(new)
    made.feed([(new, records("ccc")[2:])])
    await until(lambda: made.in_flight == 3)
    gates[1].set()
    await until(lambda: made.in_flight == 2)
    before = list(handled)
    gates[0].set()
    await settled(made)

    assert [1] == before
    assert [1, 0, 2] == handled


async def test_order_survives_the_end_of_a_careful_stretch() -> None:
    """What is fetched after it waits for what queued in it, although keys have lanes of their own again."""
    handled: list[int] = []

    async def process(record: Record, own: Partition) -> None:
        own.careful = False
        for _turn in range(10):
            await checkpoint()
        handled.append(record.offset)

    owned, made = partition(), lanes(process)
    owned.careful = True
    made.feed([(owned, records("aba"))])
    await until(lambda: made.in_flight == 3)
    made.feed([(owned, records("abaab")[3:])])
    await settled(made)

    assert [0, 2, 3] == [offset for offset in handled if offset in {0, 2, 3}]
    assert 5 == owned.offsets.committable


async def test_a_lead_that_a_handler_cancels_is_a_failure() -> None:
    """Nobody would take up records any more; without a failure the service would look healthy."""

    async def process(_: Record, __: Partition) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    owned, made = partition(), lanes(process)
    made.feed([(owned, records("a"))])
    await until(lambda: made.failure is not None)

    assert isinstance(made.failure, RuntimeError)
    assert 1 == owned.offsets.committable


async def test_what_a_handler_leaves_in_its_context_is_not_seen_by_the_next() -> None:
    """Context variables set by a handler that does not suspend end with it."""
    left: ContextVar[int | None] = ContextVar("left", default=None)
    seen = []

    async def process(record: Record, _: Partition) -> None:
        seen.append(left.get())
        left.set(record.offset)

    owned, made = partition(), lanes(process)
    made.feed([(owned, records("abc"))])
    await settled(made)

    assert [None, None, None] == seen


async def turns_during(process: Process, keys: str, clock: ManualClock, *, bursts: int = 1) -> int:
    """How often another task has its turn until the last of these records is processed."""
    turns = needed = 0

    async def counted(record: Record, owned: Partition) -> None:
        nonlocal needed
        await process(record, owned)
        needed = turns

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await checkpoint()

    made = Lanes(counted, concurrency=16, clock=clock)
    made.start()
    watching = asyncio.create_task(other())
    for _ in range(bursts):
        made.feed([(partition(), records(keys))])
    await settled(made)
    watching.cancel()
    return needed


async def test_the_loop_is_yielded_while_handlers_never_suspend() -> None:
    """Other tasks run during a long burst."""
    clock = ManualClock()

    async def process(_: Record, __: Partition) -> None:
        clock.advance(0.001)

    assert await turns_during(process, "a" * 100, clock) > 10


async def test_the_loop_is_yielded_between_bursts() -> None:
    """Other tasks run however many short bursts were fed at once."""
    clock = ManualClock()

    async def process(_: Record, __: Partition) -> None:
        clock.advance(0.001)

    assert await turns_during(process, "abc", clock, bursts=30) >= 29


async def test_the_loop_is_yielded_while_those_that_waited_never_suspend() -> None:
    """Other tasks run while a lane takes up what has queued in it, also after it was suspended once."""
    clock, ended = ManualClock(), asyncio.Event()

    async def process(record: Record, _: Partition) -> None:
        clock.advance(0.001)
        if record.offset == 0:
            await ended.wait()
        if record.offset == 101:
            ended.set()

    assert await turns_during(process, "a" * 101 + "b", clock) > 15


async def test_a_handler_that_was_suspended_is_not_made_to_wait_for_another_turn() -> None:
    """Two keys whose handlers give way once a record need a turn a record, however long they take."""
    clock = ManualClock()

    async def process(_: Record, __: Partition) -> None:
        await checkpoint()
        clock.advance(0.1)

    assert await turns_during(process, "ab" * 100, clock) < 150


@pytest.mark.parametrize(("is_begun", "finished"), [(True, 2), (False, 0)])
async def test_what_another_lane_handles_may_finish_before_its_partition_goes(is_begun: bool, finished: int) -> None:
    """Records of a batch have no place to run of their own; once the batch has begun they are no longer waiting."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def process(_: Record, __: Partition) -> None:
        async with made.aside(begun):
            await ended.wait()

    owned, made = partition(), lanes(process)
    made.feed([(owned, records("ab"))])
    await until(lambda: made.in_flight == 2 and made.running == 0)
    if is_begun:
        begun.set()
    draining = asyncio.create_task(made.drain([owned], grace=60.0))
    await until(lambda: owned.draining)
    for _turn in range(10):
        await checkpoint()
    ended.set()
    await draining

    assert finished == owned.offsets.committable


async def test_who_begins_to_rest_while_its_partition_is_drained_is_cancelled_at_once() -> None:
    """A handler that fails then is not tried again, and nobody waits for its next attempt."""
    begun, failed = asyncio.Event(), asyncio.Event()

    async def process(_: Record, __: Partition) -> None:
        begun.set()
        await failed.wait()
        await made.rest(3600.0)

    owned, made = partition(), lanes(process)
    made.feed([(owned, records("a"))])
    await begun.wait()
    draining = asyncio.create_task(made.drain([owned], grace=3600.0))
    await until(lambda: owned.draining)
    failed.set()
    async with asyncio.timeout(10):
        await draining

    assert 0 == owned.offsets.committable
    assert 0 == made.parked_keys


async def test_whoever_hurries_ends_the_grace() -> None:
    """A handler that swallows its cancellation does not hold up the end for the whole grace."""
    gate = asyncio.Event()

    async def process(_: Record, __: Partition) -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue

    owned, made = partition(), lanes(process)
    made.feed([(owned, records("a"))])
    await until(lambda: made.running == 1)
    asyncio.get_running_loop().call_soon(made.hurry)
    async with asyncio.timeout(10):
        await made.drain([owned], grace=3600.0)
    gate.set()

    assert owned.closed
    assert 0 == owned.offsets.committable


async def test_waiting_for_room_lets_the_others_run_although_there_is_room() -> None:
    """Who feeds nothing for a reason of its own, such as too many parked keys, does not keep the loop busy."""
    owned, made, waited = partition(), lanes(ignore), asyncio.Event()
    made.feed([(owned, records("a"))])
    await settled(made)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(until_set(made, waited))
        await checkpoint()
        seen_before = waited.is_set()
        made.feed([(owned, records("b"))])

    assert not seen_before


async def until_set(made: Lanes, waited: asyncio.Event) -> None:
    """Note that the wait for room is over."""
    await made.room(1, timeout=10)
    waited.set()


async def ignore(_: Record, __: Partition) -> None:
    """Handle a record."""
