"""Reading a topic once, on the memory broker: where it begins, where it ends, and what is remembered."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest

from eventhub.brokers.base import NewTopic, OffsetAndMetadata
from eventhub.brokers.memory import MemoryBroker
from eventhub.brokers.memory.consumer import MemoryConsumer
from eventhub.errors import BrokerError, CommitFailed
from eventhub.record import ProducerRecord, Record, TopicPartition
from eventhub.runtime.offset_map import OffsetMap, encode_map
from eventhub.runtime.reading import Reading
from eventhub.testing.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventhub.brokers.base import RebalanceListener
    from eventhub.brokers.memory.faults import Faults, Operation

FIRST = TopicPartition("letters", 0)


class Deaf(MemoryBroker):
    """A broker whose consumers never hear of an answer."""

    def consumer(self, group: str, topics: Sequence[str], listener: RebalanceListener) -> MemoryConsumer:
        """A consumer that has not heard anything yet."""

        class Unheard(MemoryConsumer):
            def silence(self, partition: TopicPartition) -> float | None:  # noqa: ARG002 - the port's shape
                return None

        return Unheard(self._cluster, group, topics, listener)


class Forgetful:
    """A network that loses questions for what was committed."""

    async def before(self, operation: Operation, client: str) -> None:
        """Lose them."""
        if operation == "committed":
            msg = f"{client} asks in vain"
            raise BrokerError(msg)

    async def after(self, operation: Operation, client: str) -> None:
        """Let answers pass."""


class Counted:
    """A network that counts commits."""

    def __init__(self) -> None:
        """Begin at nought."""
        self.commits = 0

    async def before(self, operation: Operation, client: str) -> None:  # noqa: ARG002 - the port's shape
        """Count commits."""
        self.commits += operation == "commit"

    async def after(self, operation: Operation, client: str) -> None:
        """Let answers pass."""


async def broker_with(
    records: int, *, partitions: int = 1, kind: type[MemoryBroker] = MemoryBroker, faults: Faults | None = None
) -> MemoryBroker:
    """A broker with so many records, in turn over the partitions."""
    broker = kind(faults=faults)
    await broker.admin.create_topics([NewTopic("letters", partitions)])
    await write(broker, records, partitions)
    return broker


async def write(broker: MemoryBroker, records: int, partitions: int = 1) -> None:
    """Write so many records."""
    await broker.producer().send(
        [ProducerRecord("letters", None, b"%d" % n, partition=n % partitions) for n in range(records)]
    )


def run(broker: MemoryBroker) -> Reading:
    """A reading that remembers."""
    return Reading(broker, "letters", memory="run", remembers=True)


async def read(reading: Reading) -> list[Record]:
    """All that is not settled."""
    async with reading:
        return await all_of(reading)


async def all_of(reading: Reading) -> list[Record]:
    """All that is not settled, in a reading that has begun."""
    return [record async for batch in reading.batches(3) for record in batch]


async def settle(broker: MemoryBroker, *offsets: int) -> None:
    """Settle some offsets of the first partition in a run of its own."""
    async with run(broker) as reading:
        async for batch in reading.batches(100):
            for record in batch:
                if record.topic_partition == FIRST and record.offset in offsets:
                    reading.settle(record)
        await reading.commit(None)


async def test_everything_is_read_in_order() -> None:
    """Without a memory every record is new."""
    records = await read(Reading(await broker_with(10, partitions=3), "letters"))

    assert 10 == len(records)
    assert [0, 3, 6, 9] == [int(record.value or b"") for record in records if record.partition == 0]


async def test_an_empty_topic_ends_at_once() -> None:
    """There is nothing to wait for."""
    assert [] == await read(Reading(await broker_with(0), "letters"))


async def test_what_is_written_meanwhile_is_not_read() -> None:
    """The ends are those of the beginning."""
    broker = await broker_with(4)
    async with Reading(broker, "letters") as reading:
        await write(broker, 4)
        records = await all_of(reading)

    assert [0, 1, 2, 3] == [record.offset for record in records]


@pytest.mark.slow
async def test_offsets_without_records_are_not_waited_for() -> None:
    """Markers of transactions end the reading once the broker has answered that nothing is there."""
    broker = await broker_with(3)
    broker.skip_offsets(FIRST, 2)

    assert [0, 1, 2] == [record.offset for record in await read(Reading(broker, "letters"))]


@pytest.mark.slow
async def test_a_broker_that_no_longer_answers_is_given_up() -> None:
    """Silence is not taken for the end."""
    broker = await broker_with(3, kind=Deaf)
    broker.skip_offsets(FIRST, 1)
    with pytest.raises(BrokerError, match="letters is no longer answered for"):
        await read(Reading(broker, "letters", patience=0.0))


async def test_what_was_settled_is_not_read_again() -> None:
    """Neither below the commit nor beyond it, whoever reads with that memory."""
    broker = await broker_with(6)
    await settle(broker, 0, 1, 4)
    by_run = await read(run(broker))
    by_look = await read(Reading(broker, "letters", memory="run"))
    by_stranger = await read(Reading(broker, "letters", memory="other"))

    assert [2, 3, 5] == [record.offset for record in by_run]
    assert [2, 3, 5] == [record.offset for record in by_look]
    assert [0, 1, 2, 3, 4, 5] == [record.offset for record in by_stranger]


async def test_a_run_that_settles_nothing_more_forgets_nothing() -> None:
    """What an earlier run settled stays settled, in whichever order runs settle."""
    broker = await broker_with(6)
    for offset in (4, 1, 0):
        await settle(broker, offset)
    await settle(broker)

    assert [2, 3, 5] == [record.offset for record in await read(run(broker))]


async def test_a_mark_stays_until_a_run_ends() -> None:
    """Marks of runs that broke off add up; they are seen by the next, and go when one ends."""
    broker = await broker_with(2)
    seen: list[int] = []
    for mark in (1, 2, None, None):
        async with run(broker) as reading:
            seen += [reading.mark(batch[0]) async for batch in reading.batches(3)]
            await reading.commit(mark)

    assert [0, 1, 3, 0] == seen


async def test_deleted_records_are_skipped() -> None:
    """Retention may be faster than the reader, before a run and during it."""
    broker = await broker_with(9)
    broker.delete_records(FIRST, 2)
    await settle(broker, 2, 6)
    broker.delete_records(FIRST, 4)
    offsets = []
    async with run(broker) as reading:
        async for batch in reading.batches(1):
            offsets += [record.offset for record in batch]
            broker.delete_records(FIRST, 7)

    assert [4, 7, 8] == offsets


async def test_an_end_that_is_gone_is_not_waited_for() -> None:
    """An unclean leader election may lose the records between the reader and the end."""
    broker = await broker_with(6)
    offsets = []
    async with Reading(broker, "letters") as reading:
        async for batch in reading.batches(4):
            offsets += [record.offset for record in batch]
            broker.truncate(FIRST, 2)

    assert [0, 1, 2, 3] == offsets


async def test_a_topic_that_was_made_anew_is_read_from_its_start() -> None:
    """A memory of offsets that do not exist says nothing."""
    broker = await broker_with(6)
    await settle(broker, 0, 1, 2, 3, 5)
    broker.truncate(FIRST, 2)

    assert [0, 1] == [record.offset for record in await read(run(broker))]


async def test_memory_that_cannot_be_read_is_an_error() -> None:
    """Nothing is settled twice since somebody forgot."""
    broker = await broker_with(3, faults=Forgetful())
    with pytest.raises(BrokerError, match="in vain"):
        await read(run(broker))


async def test_foreign_metadata_is_no_memory() -> None:
    """The offset counts, the text does not."""
    broker = await broker_with(4)
    broker._cluster.group("run").committed[FIRST] = OffsetAndMetadata(1, "eh1:not a map")

    assert [1, 2, 3] == [record.offset for record in await read(run(broker))]


async def test_there_is_always_room_for_fewer_gaps() -> None:
    """Where what is remembered fills a commit, older records can still be settled."""
    random = Random(1)
    gaps = frozenset(random.sample(range(23_000), 11_500))
    text = encode_map(OffsetMap(min(gaps), 23_000, gaps)) or ""
    broker = await broker_with(100)
    broker.skip_offsets(FIRST, 24_000)
    broker._cluster.group("run").committed[FIRST] = OffsetAndMetadata(min(gaps), text)
    async with run(broker) as reading:
        batch = await anext(reading.batches(100))
        older = reading.has_room(batch)

    assert len(text) > 3072
    assert older


async def test_a_topic_without_a_share_is_not_read() -> None:
    """A second run says who has the partitions; a look disturbs nobody."""
    broker = await broker_with(3)
    async with run(broker):
        with pytest.raises(BrokerError, match="read by another run of run"):
            await read(run(broker))
        looked = await read(Reading(broker, "letters", memory="run"))

    assert 3 == len(looked)


async def test_a_missing_topic_is_named() -> None:
    """Nothing is created by looking."""
    with pytest.raises(BrokerError, match="no topic letters"):
        await read(Reading(MemoryBroker(), "letters"))


async def test_a_run_that_lost_its_partitions_cannot_remember() -> None:
    """What it held when the group moved on is not settled, and the new owner reads it."""
    broker = await broker_with(4, partitions=2)
    async with run(broker) as first:
        async for batch in first.batches(4):
            async with run(broker) as second:
                for record in batch:
                    first.settle(record)
                with pytest.raises(CommitFailed, match="moved on"):
                    await first.commit(None)
                with pytest.raises(CommitFailed, match="moved on"):
                    first.has_room(batch)
                by_second = [record async for batch in second.batches(4) for record in batch]
            break

    assert 2 == len(by_second)
    assert not any(position.metadata for position in (await broker.admin.committed("run")).values())


async def test_a_run_goes_on_with_what_it_gets_back() -> None:
    """After a rebalance it reads anew what is its own and not settled."""
    broker = await broker_with(4, partitions=2)
    seen: list[Record] = []
    async with run(broker) as first:
        async for batch in first.batches(2):
            if not seen:
                async with run(broker):
                    await until(lambda: len(first._books) == 1)
                await until(lambda: len(first._books) == 2)
            seen += batch

    assert {record.value for record in seen[2:]} == {b"0", b"1", b"2", b"3"}


@pytest.mark.slow
async def test_a_run_that_polls_during_a_rebalance_goes_on() -> None:
    """It waits until it has its partitions back, then finds that there is nothing in them."""
    broker = await broker_with(0, partitions=2)
    for partition in (0, 1):
        broker.skip_offsets(TopicPartition("letters", partition), 3)
    async with run(broker) as reading, asyncio.TaskGroup() as tasks:
        rest = tasks.create_task(all_of(reading))
        async with run(broker):
            await until(lambda: len(reading._books) == 1)
        await until(lambda: len(reading._books) == 2)

    assert [] == rest.result()


async def test_what_is_remembered_already_is_not_committed_again() -> None:
    """A run asks the broker for as little as it can."""
    counted = Counted()
    broker = await broker_with(4, faults=counted)
    async with run(broker) as reading:
        async for batch in reading.batches(4):
            reading.settle(batch[0])
            for _ in range(3):
                await reading.commit(1)

    assert 1 == counted.commits
