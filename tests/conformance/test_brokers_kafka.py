"""A real Apache Kafka keeps the laws of brokers."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import ClassVar

import aiokafka
import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from eventhub.brokers.base import Broker
from eventhub.brokers.kafka import KafkaBroker
from eventhub.record import TopicPartition
from eventhub.testing.conformance.brokers import BrokerConformance, Features

REBALANCE_TIMEOUT = 7.0  # seconds; the session may not be longer, and the broker allows none below 6 s


async def leave_gap(broker: Broker, partition: TopicPartition) -> None:
    """Abort a transaction: its record and its marker take offsets that nobody reads."""
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=_address(broker), transactional_id=f"gap-{uuid.uuid4()}")
    await producer.start()
    try:
        await producer.begin_transaction()
        await producer.send_and_wait(partition.topic, b"aborted", partition=partition.partition)
        await producer.abort_transaction()
    finally:
        await producer.stop()


async def delete_before(broker: Broker, partition: TopicPartition, offset: int) -> None:
    """Ask the broker to delete records, as retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=_address(broker))
    await admin.start()
    try:
        await admin.delete_records({aiokafka.TopicPartition(*partition): RecordsToDelete(before_offset=offset)})
    finally:
        await admin.close()


def _address(broker: Broker) -> str:
    return broker.url.removeprefix("kafka://")


@pytest.mark.kafka
class TestKafkaBroker(BrokerConformance):
    """Every law."""

    features: ClassVar[Features] = Features(
        leave_gap=leave_gap, delete_before=delete_before, rebalance_timeout=REBALANCE_TIMEOUT
    )

    @pytest.fixture
    async def broker(self, kafka_url: str) -> AsyncIterator[Broker]:
        """A connection to the cluster that all tests share."""
        client = {"rebalance_timeout_ms": int(REBALANCE_TIMEOUT * 1000), "session_timeout_ms": 6000}
        broker = KafkaBroker(kafka_url, client=client)
        await broker.start()
        yield broker
        await broker.stop()
