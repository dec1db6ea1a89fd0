"""What the Kafka broker costs a record, over what one would write with aiokafka itself.

Run: python -m benchmarks.kafka [--records 100000] [--rounds 5] [--broker kafka://host:port]

Both sides write with all replicas' confirmation and idempotence, and read without deserializers, on
the same topic. Rounds are interleaved and the medians are compared, since the speed of a shared
machine drifts. Seconds include the broker, which shares the machine; CPU is this process's alone.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from eventhub.brokers.base import NewTopic, Producer
from eventhub.brokers.kafka import KafkaBroker
from eventhub.record import ProducerRecord, RecordMetadata, TopicPartition
from eventhub.testing.kafka.shared import shared_kafka

PARTITIONS = 4
KEYS = 997
VALUE = b"v" * 100
CALLERS = 1000
AT_ONCE = 1000  # sends that the hand-written loop gathers


@dataclass(frozen=True)
class Bench:
    """What all cases share."""

    url: str
    topic: str
    records: Sequence[ProducerRecord]
    ours: Producer
    theirs: AIOKafkaProducer


async def bulk(bench: Bench) -> None:
    """All records in one call."""
    check(await bench.ours.send(bench.records), bench)


async def bulk_by_hand(bench: Bench) -> None:
    """Sends in the background, gathered a thousand at a time."""
    for start in range(0, len(bench.records), AT_ONCE):
        sends = [
            await bench.theirs.send(record.topic, record.value, record.key)
            for record in bench.records[start : start + AT_ONCE]
        ]
        await asyncio.gather(*sends)


async def callers(bench: Bench) -> None:
    """A thousand callers, each of which waits for each of its records."""
    await _share(bench, lambda record: bench.ours.send([record]))


async def callers_by_hand(bench: Bench) -> None:
    """The same with ``send_and_wait``."""
    await _share(bench, lambda record: bench.theirs.send_and_wait(record.topic, record.value, record.key))


async def _share(bench: Bench, send: Callable[[ProducerRecord], Awaitable[object]]) -> None:
    waiting = iter(bench.records)

    async def call() -> None:
        for record in waiting:
            await send(record)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(CALLERS):
            tasks.create_task(call())


class Member:
    """Reads from the beginning."""

    def __init__(self, bench: Bench, broker: KafkaBroker) -> None:
        """Join a group of its own."""
        self.consumer = broker.consumer(f"bench-{uuid.uuid4()}", [bench.topic], self)
        self.owned: AbstractSet[TopicPartition] = frozenset()

    async def on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Nobody else joins."""

    async def on_assigned(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Begin at the beginning."""
        self.owned = partitions
        for partition in partitions:
            self.consumer.seek(partition, 0)


async def read(bench: Bench) -> None:
    """Polls of 500, a share from each partition."""
    broker = KafkaBroker(bench.url)
    member = Member(bench, broker)
    await member.consumer.start()
    count = 0
    while count < len(bench.records):
        polled = await member.consumer.poll(member.owned, max_records=500, timeout=1)
        count += sum(len(records) for records in polled.values())
    await member.consumer.stop()
    await broker.stop()


async def read_by_hand(bench: Bench) -> None:
    """The loop that one would write."""
    consumer = AIOKafkaConsumer(
        bench.topic,
        bootstrap_servers=bench.url.removeprefix("kafka://"),
        group_id=f"bench-{uuid.uuid4()}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    count = 0
    while count < len(bench.records):
        polled = await consumer.getmany(timeout_ms=1000, max_records=500)
        count += sum(len(records) for records in polled.values())
    await consumer.stop()


CASES = (bulk_by_hand, bulk, callers_by_hand, callers, read_by_hand, read)


def check(outcomes: Sequence[object], bench: Bench) -> None:
    """Refuse to time work that was not done."""
    written = sum(isinstance(outcome, RecordMetadata) for outcome in outcomes)
    if written != len(bench.records):
        msg = f"only {written} records were written"
        raise SystemExit(msg)


@asynccontextmanager
async def prepared(url: str, records: int) -> AsyncIterator[Bench]:
    """A topic, and producers that know it."""
    broker = KafkaBroker(url)
    topic = f"bench-{uuid.uuid4()}"
    theirs = AIOKafkaProducer(
        bootstrap_servers=url.removeprefix("kafka://"), acks="all", enable_idempotence=True, max_batch_size=256 * 1024
    )
    await broker.start()
    await broker.admin.create_topics([NewTopic(topic, PARTITIONS)])
    ours = broker.producer()
    await ours.start()
    await theirs.start()
    sample = [ProducerRecord(topic, b"key-%d" % (number % KEYS), VALUE) for number in range(records)]
    try:
        await ours.send(sample[:1])
        await theirs.send_and_wait(topic, VALUE, b"key-0")
        yield Bench(url, topic, sample, ours, theirs)
    finally:
        await theirs.stop()
        await ours.stop()
        await broker.stop()


async def measure(url: str, records: int, rounds: int) -> None:
    """Run all cases in turn, and print their medians."""
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    cpu: defaultdict[str, list[float]] = defaultdict(list)
    async with prepared(url, records) as bench:
        for _ in range(rounds):
            for case in CASES:
                wall, busy = time.perf_counter(), time.process_time()
                await case(bench)
                seconds[case.__name__].append(time.perf_counter() - wall)
                cpu[case.__name__].append(time.process_time() - busy)
    for case in CASES:
        name = case.__name__
        floor = f"{name.removesuffix('_by_hand')}_by_hand"
        wall, busy = statistics.median(seconds[name]), statistics.median(cpu[name])
        print(
            f"{name:16} {records / wall:9,.0f} records/s  {busy / records * 1e6:6.2f} us CPU"
            f"   {busy / statistics.median(cpu[floor]):5.2f} of the CPU by hand"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--broker", help="kafka://host:port; a real Kafka is started without it")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        url = arguments.broker or f"kafka://{stack.enter_context(shared_kafka()).bootstrap}"
        asyncio.run(measure(url, arguments.records, arguments.rounds))


if __name__ == "__main__":
    main()
