"""What the runtime costs a record, over a hand-written loop that decodes and handles the same records.

Run: python -m benchmarks.runtime [--records 100000] [--rounds 7]

No broker and no codec: records are there already and both sides share one decoder, which looks
the event up. What is compared is processor time, in medians of interleaved rounds, since the
speed of a shared machine drifts; the ratio drifts less than the microseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from eventhub import Event, Limits, Options, Ordering, Service, subscribe
from eventhub.brokers.memory import MemoryBroker
from eventhub.codecs.serde import Serde
from eventhub.record import Record, TopicPartition
from eventhub.registry.client import embedded_registry
from eventhub.runtime.counters import Counters
from eventhub.runtime.offsets import Offsets
from eventhub.runtime.partition import Partition
from eventhub.runtime.publisher import Publisher
from eventhub.runtime.wiring import Wiring
from eventhub.runtime.worker import Worker
from eventhub.testing.waiting import until

BATCH = 500
KEYS = 997


class Tick(Event, topic="ticks", key="number"):
    """Something happened."""

    number: int


class Decoder:
    """Stands in for the codec: one look-up a record, on both sides."""

    def __init__(self, events: Sequence[Event]) -> None:
        """Know the events by offset."""
        self._events = events

    def decode(self, record: Record) -> Event:
        """The event of a record."""
        return self._events[record.offset % KEYS]


async def handle(_: Tick) -> None:
    """Do nothing, without suspending."""


def suspend(seconds: float) -> Callable[[Tick], Coroutine[Any, Any, None]]:
    """A handler that does nothing for so long."""

    async def suspended(_: Tick) -> None:
        await asyncio.sleep(seconds)

    return suspended


def worker(
    function: Callable[[Tick], Coroutine[Any, Any, None]], ordering: Ordering, decoder: Decoder, concurrency: int
) -> Worker:
    """A worker that is fed by hand."""
    subscription = subscribe(Tick, ordering=ordering)(function)
    service = Service("bench", [subscription], limits=Limits(concurrency=concurrency, max_in_flight=10**9))
    wiring = Wiring(
        broker=MemoryBroker(),
        publisher=Publisher(MemoryBroker().producer(), Serde(embedded_registry(), auto_register=False)),
        reader=decoder,  # type: ignore[arg-type]
        record_bytes={},
        companions=lambda _service, _state: (),
        options=Options(),
    )
    return Worker(service, None, wiring, Counters())


async def by_hand(batches: Sequence[Sequence[Record]], decoder: Decoder) -> None:
    """The loop that one would write."""
    decode, following = decoder.decode, 0
    for batch in batches:
        for record in batch:
            await handle(decode(record))  # type: ignore[arg-type]
            following = record.offset + 1
        await asyncio.sleep(0)
    check(following, batches)


async def by_worker(batches: Sequence[Sequence[Record]], made: Worker, ordering: Ordering) -> None:
    """The same through lanes and worker."""
    partition = Partition(TopicPartition("ticks", 0), ordering, Offsets(0), 0)
    made.lanes.start()
    for batch in batches:
        made.lanes.feed([(partition, batch)])
    await until(lambda: made.lanes.hungry and made.lanes.in_flight == 0, timeout=600)
    check(partition.offsets.committable, batches)
    await made.lanes.stop()


async def by_tasks(rounds: int, seconds: float) -> None:
    """What the event loop itself can do: a task a key that only sleeps, with nothing to decode, order or commit."""

    async def sleep() -> None:
        for _ in range(rounds):
            await asyncio.sleep(seconds)

    await asyncio.gather(*(sleep() for _ in range(KEYS)))


def suspended(batches: Sequence[Sequence[Record]], decoder: Decoder, seconds: float) -> str:
    """How near handlers that suspend come to the ideal, in which every key is busy all the time."""
    records = sum(map(len, batches))
    rounds = -(-records // KEYS)
    ideal = rounds * seconds
    shares: dict[str, list[float]] = {"eventhub": [], "bare tasks": []}
    for _ in range(5):
        made = worker(suspend(seconds), Ordering.KEY, decoder, 4000)
        shares["eventhub"].append(ideal / timed(by_worker(batches, made, Ordering.KEY), time.perf_counter))
        shares["bare tasks"].append(ideal / timed(by_tasks(rounds, seconds), time.perf_counter))
    told = ", ".join(f"{name} {statistics.median(share):.0%}" for name, share in shares.items())
    return f"{records} records of {KEYS} keys, {seconds * 1000:.0f} ms each, of the ideal: {told}"


def check(following: int, batches: Sequence[Sequence[Record]]) -> None:
    """Refuse to time work that was not done."""
    if following != sum(map(len, batches)):
        msg = f"only {following} records were handled"
        raise SystemExit(msg)


def timed(work: Awaitable[None], clock: Callable[[], float]) -> float:
    """Seconds that some work takes by a clock."""

    async def timing() -> float:
        started = clock()
        await work
        return clock() - started

    return asyncio.run(timing())


async def longest_gap(batches: Sequence[Sequence[Record]], made: Worker) -> float:
    """The longest time that another task does not get its turn, in seconds."""
    longest, last, over = 0.0, time.perf_counter(), False

    async def watch() -> None:
        nonlocal longest, last
        while not over:
            await asyncio.sleep(0)
            longest, last = max(longest, time.perf_counter() - last), time.perf_counter()

    watching = asyncio.create_task(watch())
    await by_worker(batches, made, Ordering.KEY)
    over = True
    await watching
    return longest


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    decoder = Decoder([Tick(number=number) for number in range(KEYS)])
    records = [Record("ticks", 0, offset, 0.0, b"%d" % (offset % KEYS), b"v") for offset in range(arguments.records)]
    batches = [records[start : start + BATCH] for start in range(0, len(records), BATCH)]
    cases: dict[str, Callable[[], Awaitable[None]]] = {
        "by hand": lambda: by_hand(batches, decoder),
        "by partition": lambda: by_worker(batches, worker(handle, Ordering.PARTITION, decoder, 16), Ordering.PARTITION),
        "by key": lambda: by_worker(batches, worker(handle, Ordering.KEY, decoder, 16), Ordering.KEY),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _round in range(arguments.rounds):
        for name, case in cases.items():
            times[name].append(timed(case(), time.process_time) / len(records) * 1e6)
    floor = statistics.median(times["by hand"])
    for name, measured in times.items():
        median = statistics.median(measured)
        print(
            f"{name:14} {median:6.2f} us a record   {median - floor:+6.2f} us   {median / floor:5.2f} times as much"
            f"   {min(measured):.2f}-{max(measured):.2f}"
        )
    gap = asyncio.run(longest_gap(batches[:60], worker(handle, Ordering.KEY, decoder, 16)))
    print(f"longest time without a turn, 30,000 records: {gap * 1000:.1f} ms")
    for seconds in (0.01, 0.1):
        print(suspended(batches[:40], decoder, seconds))


if __name__ == "__main__":
    main()
