"""A real Apache Kafka keeps the laws of brokers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as ClientPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from eventhub.brokers.base import Broker
from eventhub.brokers.kafka import KafkaBroker
from eventhub.record import TopicPartition
from eventhub.testing.conformance.brokers import BrokerConformance, Features

_REBALANCE_TIMEOUT = 2.0


async def _leave_gap(broker: Broker, partition: TopicPartition) -> None:
    """Abort a transaction: its record and its marker take an offset each, and are never read."""
    producer = AIOKafkaProducer(bootstrap_servers=_bootstrap(broker), transactional_id=partition.topic)
    await producer.start()
    try:
        await producer.begin_transaction()
        await producer.send_and_wait(partition.topic, b"aborted", partition=partition.partition)
        await producer.abort_transaction()
    finally:
        await producer.stop()


async def _delete_before(broker: Broker, partition: TopicPartition, offset: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=_bootstrap(broker))
    await admin.start()
    try:
        await admin.delete_records({ClientPartition(*partition): RecordsToDelete(offset)})
    finally:
        await admin.close()


def _bootstrap(broker: Broker) -> str:
    return broker.url.removeprefix("kafka://")


@pytest.mark.kafka
class TestKafkaBroker(BrokerConformance):
    """Every law, with nothing left out."""

    features = Features(leave_gap=_leave_gap, delete_before=_delete_before, rebalance_timeout=_REBALANCE_TIMEOUT)

    @pytest.fixture
    async def broker(self, kafka_url: str) -> AsyncIterator[Broker]:
        """A connection to the cluster that all tests share; its groups do not wait long for slow members."""
        broker = KafkaBroker(kafka_url, client={"rebalance_timeout_ms": int(_REBALANCE_TIMEOUT * 1000)})
        await broker.start()
        yield broker
        await broker.stop()
