"""The laws of a broker, one test each.

A broker's own test module derives a class and gives it a started broker::

    class TestMemoryBroker(BrokerConformance):
        features = Features(rebalance_timeout=0.1)

        @pytest.fixture
        async def broker(self) -> AsyncIterator[Broker]:
            yield MemoryBroker(rebalance_timeout=0.1)

The tests make topics and groups of their own, so they can share one cluster with others. They do not sleep
and do not expect speed; what waits has a deadline that only a hang reaches.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar

import pytest

from eventhub.brokers.base import Broker, NewTopic, Producer
from eventhub.testing.conformance.brokers.examination_laws import ExaminationLaws
from eventhub.testing.conformance.brokers.features import Features
from eventhub.testing.conformance.brokers.group_laws import CommitLaws, MemberLaws
from eventhub.testing.conformance.brokers.log_laws import LogLaws
from eventhub.testing.conformance.brokers.poll_laws import PollLaws
from eventhub.testing.conformance.brokers.reader import PARTITIONS, unique
from eventhub.testing.conformance.brokers.send_laws import SendLaws

__all__ = ["BrokerConformance", "Features"]


class BrokerConformance(LogLaws, SendLaws, MemberLaws, CommitLaws, PollLaws, ExaminationLaws):
    """Every law of a broker; derive from it, say its ``features`` and define the fixture ``broker``."""

    pytestmark = pytest.mark.anyio
    features: ClassVar[Features] = Features()

    @pytest.fixture(scope="session")
    @classmethod
    def anyio_backend(cls) -> str:
        """The ports are asyncio's."""
        return "asyncio"

    @pytest.fixture
    async def topic(self, broker: Broker) -> str:
        """A new topic of four partitions."""
        topic = unique("topic")
        await broker.admin.create_topics([NewTopic(topic, PARTITIONS)])
        return topic

    @pytest.fixture
    def group(self) -> str:
        """The name of a new group."""
        return unique("group")

    @pytest.fixture
    async def producer(self, broker: Broker) -> AsyncIterator[Producer]:
        """A started producer."""
        producer = broker.producer()
        await producer.start()
        yield producer
        await producer.stop()
