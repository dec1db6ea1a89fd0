"""Laws of the log: what was written is what is read, in order."""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar

import pytest

from eventhub.brokers.base import Broker, NewTopic, OffsetRange, Producer
from eventhub.record import ProducerRecord, TopicPartition
from eventhub.testing.conformance.brokers.features import Features
from eventhub.testing.conformance.brokers.reader import DEADLINE, PARTITIONS, reading, send, unique

# Values of Java's ``Utils.murmur2``, from Apache Kafka's own UtilsTest.
_MURMUR2 = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


class LogLaws:
    """Laws of topics, partitions and records."""

    features: ClassVar[Features]

    async def test_topic_is_listed_with_its_partitions(self, broker: Broker, topic: str) -> None:
        """A topic that was created is listed with its name and its number of partitions."""
        info = (await broker.admin.topics())[topic]

        assert (topic, PARTITIONS, False) == (info.name, info.partitions, info.compacted)

    async def test_compacted_topic_is_listed_as_such(self, broker: Broker) -> None:
        """A topic that was created compacted is listed as compacted."""
        if not self.features.compaction:
            pytest.skip("the broker has no compacted topics")
        topic = unique("compacted")
        await broker.admin.create_topics([NewTopic(topic, compacted=True)])

        assert (await broker.admin.topics())[topic].compacted

    async def test_creating_an_existing_topic_leaves_it_as_it_is(self, broker: Broker, topic: str) -> None:
        """A topic that exists is not changed by creating it again, and does not keep others from being made."""
        other = unique("topic")
        await broker.admin.create_topics([NewTopic(topic, PARTITIONS + 3), NewTopic(other, 2)])
        topics = await broker.admin.topics()

        assert (PARTITIONS, 2) == (topics[topic].partitions, topics[other].partitions)

    async def test_records_are_read_in_the_order_written(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """The records of a partition are read in the order of one large send, at rising offsets."""
        values = [b"%d" % number for number in range(2000)]
        await send(producer, *[ProducerRecord(topic, b"key", value) for value in values])
        async with reading(broker, group, topic) as reader:
            records = await reader.read(len(values))

        assert values == [record.value for record in records]
        assert sorted({record.offset for record in records}) == [record.offset for record in records]

    async def test_records_read_apart_are_those_that_are_polled(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """Reading apart begins and ends where it is told to, says where to go on, and moves no position."""
        await send(producer, *[ProducerRecord(topic, None, b"%d" % number, (), 0) for number in range(5)])
        place = TopicPartition(topic, 0)
        async with reading(broker, group, topic) as reader, asyncio.timeout(DEADLINE):
            middle, following = await reader.consumer.read_apart(place, 1, max_records=2)
            rest, end = await reader.consumer.read_apart(place, following, max_records=10)
            polled = await reader.read(5)

        assert (polled[1:3], 3) == ([*middle], following)
        assert (polled[3:], 5) == ([*rest], end)

    async def test_gaps_between_offsets_are_passed_over(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """Offsets without records, as transaction markers leave them, stop nobody."""
        if self.features.leave_gap is None:
            pytest.skip("the broker's log has no gaps")
        partition = TopicPartition(topic, 0)
        await send(producer, ProducerRecord(topic, None, b"before", partition=0))
        await self.features.leave_gap(broker, partition)
        [after] = await send(producer, ProducerRecord(topic, None, b"after", partition=0))
        async with reading(broker, group, topic) as reader:
            records = await reader.read(2)

        assert [b"before", b"after"] == [record.value for record in records]
        assert after.offset == records[1].offset
        assert records[1].offset > records[0].offset + 1

    @pytest.mark.parametrize("key", _MURMUR2)
    async def test_key_goes_to_the_partition_that_java_gives_it(
        self, topic: str, producer: Producer, key: bytes
    ) -> None:
        """A key's partition is its murmur2 hash, made positive, modulo the number of partitions."""
        [written] = await send(producer, ProducerRecord(topic, key, b"value"))

        assert (_MURMUR2[key] & 0x7FFFFFFF) % PARTITIONS == written.partition

    async def test_partition_that_is_named_is_obeyed(self, topic: str, producer: Producer) -> None:
        """A record that names its partition goes there, whatever its key."""
        written = await send(producer, *[ProducerRecord(topic, b"key", b"", partition=n) for n in range(PARTITIONS)])

        assert list(range(PARTITIONS)) == [metadata.partition for metadata in written]

    async def test_acknowledged_offset_is_where_the_record_is_read(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """Each outcome names the place at which its own record is read."""
        sent = [ProducerRecord(topic, b"key-%d" % number, b"value-%d" % number) for number in range(20)]
        written = await send(producer, *sent)
        async with reading(broker, group, topic) as reader:
            records = await reader.read(len(sent))
        read = {(record.topic, record.partition, record.offset): record.value for record in records}

        assert [record.value for record in sent] == [
            read[metadata.topic, metadata.partition, metadata.offset or 0] for metadata in written
        ]

    async def test_headers_are_kept_byte_for_byte(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """Headers keep their order, repeated names, null values, empty ones, and every byte."""
        headers = (
            ("a", b"1"),
            ("a", b"2"),
            ("null", None),
            ("empty", b""),
            ("bytes", bytes(range(256))),
            ("größe €", b"x"),
        )
        await send(producer, ProducerRecord(topic, b"key", b"value", headers))
        async with reading(broker, group, topic) as reader:
            [record] = await reader.read(1)

        assert headers == record.headers

    @pytest.mark.parametrize("value", [None, b"", b"\x00\xff"])
    @pytest.mark.parametrize("key", [None, b"", b"\x00\xff"])
    async def test_null_and_empty_are_not_the_same(
        self, broker: Broker, topic: str, group: str, producer: Producer, key: bytes | None, value: bytes | None
    ) -> None:
        """Keys and values are kept as they are; null, which makes a tombstone, is not empty."""
        await send(producer, ProducerRecord(topic, key, value))
        async with reading(broker, group, topic) as reader:
            [record] = await reader.read(1)

        assert (key, value, ()) == (record.key, record.value, record.headers)

    async def test_timestamp_is_kept_to_the_millisecond(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """A record that brings a timestamp keeps it, in whole milliseconds."""
        timestamp = int(time.time()) - 3600 + 0.123
        await send(producer, ProducerRecord(topic, b"key", b"value", timestamp=timestamp))
        async with reading(broker, group, topic) as reader:
            [record] = await reader.read(1)

        assert round(timestamp * 1000) == round(record.timestamp * 1000)

    async def test_record_without_a_timestamp_is_stamped_when_sent(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """The time of sending stands in for a timestamp that is not given."""
        before = time.time()
        await send(producer, ProducerRecord(topic, b"key", b"value"))
        after = time.time()
        async with reading(broker, group, topic) as reader:
            [record] = await reader.read(1)

        assert before - 1 <= record.timestamp <= after + 1

    async def test_offsets_tell_what_a_partition_holds(self, broker: Broker, topic: str, producer: Producer) -> None:
        """The range of a partition begins at 0 and ends after the last record."""
        await send(producer, *[ProducerRecord(topic, None, b"", partition=1)] * 3)
        empty, full = TopicPartition(topic, 0), TopicPartition(topic, 1)

        assert {empty: OffsetRange(0, 0), full: OffsetRange(0, 3)} == await broker.admin.offsets([empty, full])

    async def test_deleted_records_are_out_of_the_range(self, broker: Broker, topic: str, producer: Producer) -> None:
        """The range of a partition begins after the records that were deleted."""
        if self.features.delete_before is None:
            pytest.skip("records cannot be deleted by a test")
        partition = TopicPartition(topic, 0)
        await send(producer, *[ProducerRecord(topic, None, b"", partition=0)] * 5)
        await self.features.delete_before(broker, partition, 3)

        assert {partition: OffsetRange(3, 5)} == await broker.admin.offsets([partition])
