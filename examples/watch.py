"""Reading along: every record that is written to the demo's topics from now on."""

from collections.abc import AsyncIterator, Collection
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager

from eventhub.brokers.base import Broker
from eventhub.headers import ERROR_MESSAGE, ERROR_STAGE, ID, TYPE
from eventhub.record import Record, TopicPartition
from examples.evidence import DeadLetter, Fact

GROUP = "demo-watch"  # reads beside the services, and never commits
MAX_RECORDS = 500  # a poll, so that the table moves


class Watch:
    """What was read so far, and where reading goes on."""

    def __init__(self, broker: Broker, positions: dict[TopicPartition, int]) -> None:
        """Begin at these offsets."""
        self.facts: list[Fact] = []
        self.dead_letters: list[DeadLetter] = []
        self._admin = broker.admin
        self._positions = positions
        self._consumer = broker.consumer(GROUP, sorted({partition.topic for partition in positions}), self)

    async def on_assigned(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Go on where reading stopped."""
        for partition in partitions:
            self._consumer.seek(partition, self._positions[partition])

    async def on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Do nothing: between two polls nothing is under way."""

    async def start(self) -> None:
        """Begin to read."""
        await self._consumer.start()

    async def stop(self) -> None:
        """Read no more."""
        await self._consumer.stop()

    async def poll(self, timeout: float) -> int:
        """Take in what was written, waiting at most ``timeout`` seconds for it; returns how many records that were."""
        polled = await self._consumer.poll(self._positions, max_records=MAX_RECORDS, timeout=timeout)
        for partition, records in polled.items():
            self._positions[partition] = records[-1].offset + 1
            for record in records:
                self._take(record)
        return sum(map(len, polled.values()))

    async def catch_up(self) -> None:
        """Read everything up to the ends that the topics have by now."""
        ends = await self._admin.offsets(self._positions)
        while any(self._positions[partition] < end for partition, (_, end) in ends.items()):
            await self.poll(timeout=1.0)

    def _take(self, record: Record) -> None:
        """Keep a record as what it is; the hostile ones carry no type and are kept as dead letters only."""
        if record.topic.endswith(".dlt"):
            self.dead_letters.append(dead_letter(record))
        elif record.header(TYPE) is not None:
            self.facts.append(fact(record))


@asynccontextmanager
async def watching(broker: Broker, topics: Collection[str]) -> AsyncIterator[Watch]:
    """Read what is written to these topics from now on; what they held before is left alone."""
    found = await broker.admin.topics()
    partitions = [TopicPartition(topic, number) for topic in topics for number in range(found[topic].partitions)]
    ends = await broker.admin.offsets(partitions)
    watch = Watch(broker, {partition: end for partition, (_, end) in ends.items()})
    await watch.start()
    try:
        yield watch
    finally:
        await watch.stop()


def fact(record: Record) -> Fact:
    """An event's record, as far as the verdict needs it: all of it stands in the key and the headers."""
    return Fact(
        type=_text(record.header(TYPE)),
        id=_text(record.header(ID)),
        order_id=_text(record.key),
        value=record.value or b"",
    )


def dead_letter(record: Record) -> DeadLetter:
    """A dead letter's record, as far as the verdict needs it."""
    return DeadLetter(
        topic=record.topic,
        value=record.value or b"",
        stage=_text(record.header(ERROR_STAGE)),
        reason=_text(record.header(ERROR_MESSAGE)),
    )


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")
