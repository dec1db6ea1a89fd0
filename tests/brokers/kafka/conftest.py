"""What the tests of the Kafka broker share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from eventhub.brokers.base import NewTopic
from eventhub.brokers.kafka import KafkaBroker
from eventhub.testing.conformance.brokers.reader import unique


@pytest.fixture
async def broker(kafka_url: str) -> AsyncIterator[KafkaBroker]:
    """A connection to the cluster that all tests share."""
    broker = KafkaBroker(kafka_url)
    await broker.start()
    yield broker
    await broker.stop()


@pytest.fixture
async def topic(broker: KafkaBroker) -> str:
    """A new topic of two partitions."""
    topic = unique("topic")
    await broker.admin.create_topics([NewTopic(topic, 2)])
    return topic
