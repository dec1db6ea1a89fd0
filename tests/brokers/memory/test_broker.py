"""What the memory broker and its administration do beyond the laws of brokers."""

from __future__ import annotations

import pytest

from eventhub.brokers.base import Broker, NewTopic
from eventhub.brokers.memory import MemoryBroker
from eventhub.errors import BrokerError
from eventhub.record import ProducerRecord, TopicPartition


def test_memory_broker_is_a_broker() -> None:
    """The broker fits the port and goes by its URL."""
    broker: Broker = MemoryBroker()

    assert "memory://" == broker.url


async def test_topic_without_partitions_is_refused_by_name() -> None:
    """A topic needs a partition."""
    broker = MemoryBroker()
    with pytest.raises(BrokerError, match="orders"):
        await broker.admin.create_topics([NewTopic("orders", 0)])


@pytest.mark.parametrize("partition", [TopicPartition("missing", 0), TopicPartition("orders", 1)])
async def test_offsets_of_an_unknown_partition_are_an_error(partition: TopicPartition) -> None:
    """Asking for a partition that does not exist names it."""
    broker = MemoryBroker()
    await broker.admin.create_topics([NewTopic("orders", 1)])
    with pytest.raises(BrokerError, match=partition.topic) as caught:
        await broker.admin.offsets([partition])

    assert not caught.value.retriable


async def test_truncated_records_are_gone() -> None:
    """After an unclean leader election the log ends earlier, and offsets are given out again."""
    broker = MemoryBroker()
    await broker.admin.create_topics([NewTopic("orders")])
    producer = broker.producer()
    await producer.send([ProducerRecord("orders", None, b"%d" % number) for number in range(3)])
    broker.truncate(TopicPartition("orders", 0), 1)
    await producer.send([ProducerRecord("orders", None, b"again")])

    assert [(0, b"0"), (1, b"again")] == [(record.offset, record.value) for record in broker.records("orders")]
