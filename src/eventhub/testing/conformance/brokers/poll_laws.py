"""Laws of polling: what is asked for, fairly, and how long it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

import pytest

from eventhub.brokers.base import Broker, OffsetRange, Producer
from eventhub.errors import OffsetOutOfRange
from eventhub.record import ProducerRecord, TopicPartition
from eventhub.testing.conformance.brokers.features import Features
from eventhub.testing.conformance.brokers.reader import DEADLINE, PARTITIONS, Reader, linger, reading, send

_SHORT = 0.2
"""Seconds that a poll is to wait in vain; clients that count in milliseconds may be 10 % early."""


class PollLaws:
    """Laws of polling and of positions."""

    features: ClassVar[Features]

    async def test_poll_without_records_returns_after_its_timeout(self, broker: Broker, topic: str, group: str) -> None:
        """A poll that finds nothing waits for its timeout and returns nothing."""
        async with reading(broker, group, topic) as reader:
            assert {} == await _poll_in_vain(reader, list(reader.owned))

    async def test_poll_of_no_partitions_only_waits(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """A poll that asks for no partitions returns nothing, whatever there is to read."""
        await send(producer, ProducerRecord(topic, b"key", b"value"))
        async with reading(broker, group, topic) as reader:
            assert {} == await _poll_in_vain(reader, [])
            assert 1 == len(await reader.read(1))

    async def test_pending_poll_returns_when_a_record_arrives(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """A poll that waits returns with the first record, long before its timeout."""
        async with reading(broker, group, topic) as reader, asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
            poll = tasks.create_task(reader.consumer.poll(reader.owned, max_records=10, timeout=10 * DEADLINE))
            await linger(broker)
            await send(producer, ProducerRecord(topic, b"key", b"value"))

            assert [b"value"] == [record.value for records in (await poll).values() for record in records]

    async def test_stop_ends_a_pending_poll(self, broker: Broker, topic: str, group: str) -> None:
        """A poll that waits returns nothing as soon as its consumer is stopped."""
        async with reading(broker, group, topic) as reader, asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
            poll = tasks.create_task(reader.consumer.poll(reader.owned, max_records=10, timeout=10 * DEADLINE))
            await linger(broker)
            await reader.consumer.stop()

            assert {} == await poll

    async def test_poll_returns_at_most_what_was_asked_for(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """No poll returns more than ``max_records`` in all, and the rest comes with the next ones."""
        await _fill(producer, topic, 10)
        async with reading(broker, group, topic) as reader, asyncio.timeout(DEADLINE):
            sizes: list[int] = []
            while sum(sizes) < 10 * PARTITIONS:
                polled = await reader.consumer.poll(reader.owned, max_records=7, timeout=1)
                sizes.append(sum(len(records) for records in polled.values()))

        assert max(sizes) <= 7
        assert 10 * PARTITIONS == sum(sizes)

    async def test_partitions_that_are_not_asked_keep_their_position(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """A poll returns records of the asked partitions only; the others are read later from where they were."""
        await _fill(producer, topic, 3)
        asked, other = TopicPartition(topic, 1), TopicPartition(topic, 2)
        async with reading(broker, group, topic) as reader:
            first = await _poll_all(reader, asked, 3)
            second = await _poll_all(reader, other, 3)

        assert [0, 1, 2] == first
        assert [0, 1, 2] == second

    async def test_busy_partition_does_not_starve_the_others(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """As long as several partitions have records ready, each has its turn in a few polls."""
        await _fill(producer, topic, 500)
        async with reading(broker, group, topic) as reader, asyncio.timeout(DEADLINE):
            for partition in reader.owned:  # once each has been read from, each is ready
                await _poll_all(reader, partition, 1)
            served: set[TopicPartition] = set()
            for _ in range(2 * PARTITIONS):
                served |= set(await reader.consumer.poll(reader.owned, max_records=PARTITIONS, timeout=1))

        assert reader.owned == served

    async def test_seek_goes_back_and_forth(self, broker: Broker, topic: str, group: str, producer: Producer) -> None:
        """After a seek the next record is the one at that offset, whatever was read before."""
        await _fill(producer, topic, 10)
        partition = TopicPartition(topic, 0)
        async with reading(broker, group, topic) as reader:
            await _poll_all(reader, partition, 3)
            reader.consumer.seek(partition, 0)
            again = await _poll_all(reader, partition, 10)
            reader.consumer.seek(partition, 8)
            late = await _poll_all(reader, partition, 2)

        assert list(range(10)) == again
        assert [8, 9] == late

    async def test_seek_of_a_foreign_partition_does_nothing(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """A seek of a partition that belongs to somebody else is no error and has no effect."""
        await _fill(producer, topic, 2)
        async with reading(broker, group, topic) as first, reading(broker, group, topic, first) as second:
            first.records.clear()
            for partition in second.owned:
                first.consumer.seek(partition, 0)

            assert {} == await first.consumer.poll(second.owned, max_records=10, timeout=_SHORT)

    async def test_position_past_the_end_is_reported_and_healed_by_seek(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """A position that is not in the log is an error that names it; after a seek the consumer reads on."""
        await _fill(producer, topic, 3)
        partition = TopicPartition(topic, 0)
        async with reading(broker, group, topic) as reader:
            reader.consumer.seek(partition, 1000)

            assert {partition: 1000} == await _out_of_range(reader, partition)
            reader.consumer.seek(partition, 1)
            assert [1, 2] == await _poll_all(reader, partition, 2)

    async def test_position_before_the_beginning_is_reported_and_healed_by_seek(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """A position whose record has been deleted is an error that names it, never a silent jump."""
        if self.features.delete_before is None:
            pytest.skip("records cannot be deleted by a test")
        await _fill(producer, topic, 5)
        partition = TopicPartition(topic, 0)
        async with reading(broker, group, topic) as reader:
            await self.features.delete_before(broker, partition, 3)
            reader.consumer.seek(partition, 1)

            assert {partition: 1} == await _out_of_range(reader, partition)
            reader.consumer.seek(partition, 3)
            assert [3, 4] == await _poll_all(reader, partition, 2)

    async def test_consumer_tells_what_it_has_seen(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """Ends and silence are None before the first fetch and known after it; a sound client has no failure."""
        await _fill(producer, topic, 3)
        partition = TopicPartition(topic, 0)
        consumer = broker.consumer(group, [topic], Reader(broker, group, topic))
        unseen = (consumer.end_offset(partition), consumer.silence(partition), consumer.failure())
        async with reading(broker, group, topic) as reader:
            await _poll_all(reader, partition, 3)

            assert (None, None, None) == unseen
            assert 3 == reader.consumer.end_offset(partition)
            assert 0 <= (reader.consumer.silence(partition) or 0) < DEADLINE
            assert reader.consumer.silence(partition) is not None
            assert reader.consumer.failure() is None
            assert {partition: OffsetRange(0, 3)} == await reader.consumer.offsets([partition])


async def _fill(producer: Producer, topic: str, count: int) -> None:
    """Write so many records to each partition."""
    for partition in range(PARTITIONS):
        await send(producer, *[ProducerRecord(topic, None, b"value", partition=partition)] * count)


async def _poll_in_vain(reader: Reader, partitions: Sequence[TopicPartition]) -> object:
    """What a poll returns that had to wait."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    async with asyncio.timeout(DEADLINE):
        polled = await reader.consumer.poll(partitions, max_records=10, timeout=_SHORT)

    assert loop.time() - begin >= 0.9 * _SHORT
    return polled


async def _poll_all(reader: Reader, partition: TopicPartition, count: int) -> Sequence[int]:
    """The offsets of the next records of a partition, which is the only one asked for."""
    offsets: list[int] = []
    async with asyncio.timeout(DEADLINE):
        while len(offsets) < count:
            polled = await reader.consumer.poll([partition], max_records=count - len(offsets), timeout=1)
            assert set(polled) <= {partition}
            offsets += [record.offset for record in polled.get(partition, ())]
    return offsets


async def _out_of_range(reader: Reader, partition: TopicPartition) -> object:
    """The positions that the next error names."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                await reader.consumer.poll([partition], max_records=10, timeout=1)
            except OffsetOutOfRange as error:
                return error.positions
