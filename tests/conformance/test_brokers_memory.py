"""The memory broker keeps the laws of brokers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from eventhub.brokers.base import Broker
from eventhub.brokers.memory import MemoryBroker
from eventhub.record import TopicPartition
from eventhub.testing.conformance.brokers import BrokerConformance, Features

_REBALANCE_TIMEOUT = 0.1


async def _leave_gap(broker: Broker, partition: TopicPartition) -> None:
    assert isinstance(broker, MemoryBroker)
    broker.skip_offsets(partition, 3)


async def _delete_before(broker: Broker, partition: TopicPartition, offset: int) -> None:
    assert isinstance(broker, MemoryBroker)
    broker.delete_records(partition, offset)


class TestMemoryBroker(BrokerConformance):
    """Every law, with nothing left out."""

    features = Features(leave_gap=_leave_gap, delete_before=_delete_before, rebalance_timeout=_REBALANCE_TIMEOUT)

    @pytest.fixture
    async def broker(self) -> AsyncIterator[Broker]:
        """A broker that does not wait long for slow members."""
        broker = MemoryBroker(rebalance_timeout=_REBALANCE_TIMEOUT)
        await broker.start()
        yield broker
        await broker.stop()
