"""What a memory producer does beyond the laws of brokers."""

from __future__ import annotations

from collections import Counter

from eventhub.brokers.base import NewTopic
from eventhub.brokers.memory import MemoryBroker
from eventhub.clock import ManualClock
from eventhub.record import ProducerRecord, RecordMetadata


async def test_records_without_a_key_take_turns() -> None:
    """Records without a key are spread evenly over the partitions, within a send and from send to send."""
    broker = MemoryBroker()
    await broker.admin.create_topics([NewTopic("orders", 4)])
    producer = broker.producer()
    for count in (1, 1, 6, 4):
        await producer.send([ProducerRecord("orders", None, b"value")] * count)

    assert {0: 3, 1: 3, 2: 3, 3: 3} == Counter(record.partition for record in broker.records("orders"))


async def test_record_is_stamped_by_the_brokers_clock() -> None:
    """A record without a timestamp carries the time of the clock, in whole milliseconds."""
    broker = MemoryBroker(ManualClock(now=1_700_000_000.1239))
    await broker.admin.create_topics([NewTopic("orders")])
    await broker.producer().send([ProducerRecord("orders", None, b"value")])

    assert [1_700_000_000.124] == [record.timestamp for record in broker.records("orders")]


async def test_producers_of_one_broker_write_to_one_log() -> None:
    """What one producer writes stands behind what another has written."""
    broker = MemoryBroker()
    await broker.admin.create_topics([NewTopic("orders")])
    one, other = broker.producer(), broker.producer()
    await one.send([ProducerRecord("orders", None, b"first")])
    outcomes = await other.send([ProducerRecord("orders", None, b"second")])

    assert [RecordMetadata("orders", 0, 1)] == outcomes
    assert [b"first", b"second"] == [record.value for record in broker.records("orders")]
