"""A batch that is small on the wire and large in memory: written and read by processes of their own."""

from __future__ import annotations

import json
import resource

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from eventhub.brokers.kafka import KafkaBroker
from eventhub.errors import RecordUnreadable
from eventhub.record import TopicPartition
from tests.brokers.kafka.helpers import Member, running

BOMB_MIB = 200
_GZIP = 1
_MIB = 1024 * 1024


async def write(bootstrap: str, topic: str) -> None:
    """Write one record of zeros, compressed."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=2 * _MIB)
    await producer.start()
    try:
        batch = BatchBuilder(BOMB_MIB * 2 * _MIB, _GZIP)
        batch.append(key=None, value=bytes(BOMB_MIB * _MIB), timestamp=None)
        batch.close()
        await (await producer.send_batch(batch, topic, partition=0))
    finally:
        await producer.stop()


async def read(bootstrap: str, topic: str) -> None:
    """Read the bomb, twice, then what is beside it; prints what came of it, and by how many MiB this process grew."""
    member, told = Member(KafkaBroker(f"kafka://{bootstrap}"), [topic]), dict[str, str]()
    async with running(member.consumer):
        before = _peak_mib()
        while "unreadable" not in told:
            try:
                await member.consumer.poll([TopicPartition(topic, 0)], max_records=10, timeout=1)
            except RecordUnreadable:
                try:
                    await member.consumer.read_apart(TopicPartition(topic, 0), 0, max_records=10)
                except RecordUnreadable as error:
                    told["unreadable"] = str(error)
        while "read" not in told:
            polled = await member.consumer.poll([TopicPartition(topic, 1)], max_records=10, timeout=1)
            for record in polled.get(TopicPartition(topic, 1), ()):
                told["read"] = (record.value or b"").decode()
    print(json.dumps({**told, "grown_mib": _peak_mib() - before}))  # noqa: T201 - read by the test


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
