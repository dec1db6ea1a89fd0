"""A real Apache Kafka keeps the laws of brokers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from eventhub.brokers.base import Broker
from eventhub.brokers.kafka import KafkaBroker
from eventhub.testing.conformance.brokers import BrokerConformance, Features


@pytest.mark.kafka
class TestKafkaBroker(BrokerConformance):
    """Every law."""

    features = Features()

    @pytest.fixture
    async def broker(self, kafka_url: str) -> AsyncIterator[Broker]:
        """A connection to the cluster that all tests share."""
        broker = KafkaBroker(kafka_url)
        await broker.start()
        yield broker
        await broker.stop()
