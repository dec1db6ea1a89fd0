"""Laws of sending: an outcome for each record, and refusals that harm nobody else."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import ClassVar

import pytest

from eventhub.brokers.base import Broker, NewTopic, Outcome, Producer
from eventhub.errors import PublishRefused
from eventhub.record import ProducerRecord, RecordMetadata
from eventhub.testing.conformance.brokers.features import Features
from eventhub.testing.conformance.brokers.reader import DEADLINE, reading, send, unique


class SendLaws:
    """Laws of a producer."""

    features: ClassVar[Features]

    async def test_sending_nothing_has_no_outcomes(self, producer: Producer) -> None:
        """A send of no records returns at once with no outcomes."""
        assert [] == list(await _send(producer))

    async def test_concurrent_sends_keep_the_order_of_their_calls(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """Sends that were called one after the other without waiting are written in that order."""
        values = [b"%d" % number for number in range(100)]
        async with asyncio.TaskGroup() as tasks:
            for value in values:
                tasks.create_task(send(producer, ProducerRecord(topic, b"key", value)))
        async with reading(broker, group, topic) as reader:
            records = await reader.read(len(values))

        assert values == [record.value for record in records]

    async def test_unknown_topic_is_refused_by_name(self, broker: Broker, producer: Producer) -> None:
        """A record for a topic that does not exist is refused with the topic's name, and the topic is not created."""
        missing = unique("missing")
        [refused] = await _send(producer, ProducerRecord(missing, b"key", b"value"))

        assert isinstance(refused, PublishRefused)
        assert missing in str(refused)
        assert missing not in await broker.admin.topics()

    async def test_unknown_partition_is_refused(self, topic: str, producer: Producer) -> None:
        """A record that names a partition which its topic does not have is refused."""
        [refused] = await _send(producer, ProducerRecord(topic, b"key", b"value", partition=999))

        assert isinstance(refused, PublishRefused)

    async def test_record_above_the_limit_is_refused(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """A record larger than its topic takes is refused; those around it and after it are written."""
        if not self.features.record_limit:
            pytest.skip("the broker has no limit")
        limit = (await broker.admin.topics())[topic].max_record_bytes
        outcomes = await _send(
            producer,
            ProducerRecord(topic, b"key", b"before"),
            ProducerRecord(topic, b"key", os.urandom(limit + 1)),
            ProducerRecord(topic, b"key", b"after"),
        )
        await send(producer, ProducerRecord(topic, b"key", b"later"))

        assert [RecordMetadata, PublishRefused, RecordMetadata] == [type(outcome) for outcome in outcomes]
        assert [b"before", b"after", b"later"] == await _values(broker, group, topic, 3)

    async def test_compacted_topic_refuses_a_record_without_a_key(self, broker: Broker, producer: Producer) -> None:
        """A compacted topic refuses a record without a key and goes on taking those with one."""
        if not self.features.compaction:
            pytest.skip("the broker has no compacted topics")
        topic = unique("compacted")
        await broker.admin.create_topics([NewTopic(topic, compacted=True)])
        outcomes = await _send(producer, ProducerRecord(topic, None, b"no key"), ProducerRecord(topic, b"key", b"kept"))

        assert [PublishRefused, RecordMetadata] == [type(outcome) for outcome in outcomes]

    async def test_refused_record_does_not_harm_the_others(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """What surrounds a refused record in the same send is written, and so is what is sent later."""
        outcomes = await _send(
            producer,
            ProducerRecord(topic, b"key", b"before"),
            ProducerRecord(unique("missing"), b"key", b"refused"),
            ProducerRecord(topic, b"key", b"after"),
        )
        await send(producer, ProducerRecord(topic, b"key", b"later"))

        assert [RecordMetadata, PublishRefused, RecordMetadata] == [type(outcome) for outcome in outcomes]
        assert [b"before", b"after", b"later"] == await _values(broker, group, topic, 3)


async def _send(producer: Producer, *records: ProducerRecord) -> Sequence[Outcome]:
    async with asyncio.timeout(DEADLINE):
        return await producer.send(records)


async def _values(broker: Broker, group: str, topic: str, count: int) -> Sequence[bytes | None]:
    async with reading(broker, group, topic) as reader:
        return [record.value for record in await reader.read(count)]
