"""What a memory consumer does beyond the laws of brokers."""

from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet

import pytest

from eventhub.brokers.base import NewTopic
from eventhub.brokers.memory import MemoryBroker
from eventhub.clock import ManualClock
from eventhub.errors import BrokerError, CommitFailed, OffsetOutOfRange
from eventhub.record import ProducerRecord, TopicPartition
from eventhub.testing.conformance.brokers.reader import linger

_PARTITION = TopicPartition("orders", 0)


class Listener:
    """A listener that seeks nothing and fails, or hangs, where it is told to."""

    def __init__(self, *, fails_to: str = "", hangs_in: str = "") -> None:
        """Do nothing in either call unless told to."""
        self.fails_to = fails_to
        self.hangs_in = hangs_in
        self.assigned: AbstractSet[TopicPartition] = frozenset()

    async def on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Give up."""
        self.assigned -= partitions
        await self._behave("revoke")

    async def on_assigned(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Take over."""
        self.assigned = partitions
        await self._behave("assign")

    async def _behave(self, call: str) -> None:
        if call == self.fails_to:
            raise ZeroDivisionError(call)
        if call == self.hangs_in:
            await asyncio.Event().wait()


@pytest.fixture
async def broker() -> MemoryBroker:
    """A broker with one topic of one partition and three records."""
    broker = MemoryBroker(ManualClock())
    await broker.admin.create_topics([NewTopic("orders")])
    await broker.producer().send([ProducerRecord("orders", None, b"%d" % number) for number in range(3)])
    return broker


async def test_partition_that_was_not_sought_has_no_position(broker: MemoryBroker) -> None:
    """Positions are lost with every assignment; reading on without a seek is an error, not a guess."""
    consumer = broker.consumer("inventory", ["orders"], Listener())
    await consumer.start()
    with pytest.raises(OffsetOutOfRange) as caught:
        await consumer.poll([_PARTITION], max_records=10, timeout=1)
    await consumer.stop()

    assert {_PARTITION: None} == caught.value.positions


async def test_partitions_are_assigned_in_order(broker: MemoryBroker) -> None:
    """A listener that goes through its partitions meets them in the same order in every process."""
    topics = [f"topic-{number}" for number in range(5)]
    await broker.admin.create_topics([NewTopic(topic, 3) for topic in topics])
    listener = Listener()
    consumer = broker.consumer("inventory", topics, listener)
    await consumer.start()
    await consumer.stop()

    assert [TopicPartition(topic, number) for topic in topics for number in range(3)] == list(listener.assigned)


async def test_poll_waits_for_a_seek(broker: MemoryBroker) -> None:
    """A poll that is pending sees the records that a seek brings within reach."""
    consumer = broker.consumer("inventory", ["orders"], Listener())
    await consumer.start()
    consumer.seek(_PARTITION, 3)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        poll = tasks.create_task(consumer.poll([_PARTITION], max_records=10, timeout=60))
        await linger(broker)
        consumer.seek(_PARTITION, 1)
        polled = await poll
    await consumer.stop()

    assert [1, 2] == [record.offset for record in polled[_PARTITION]]


async def test_partitions_take_turns(broker: MemoryBroker) -> None:
    """Even polls of a single record go round all partitions that have some."""
    await broker.admin.create_topics([NewTopic("stock", 3)])
    await broker.producer().send([ProducerRecord("stock", None, b"")] * 9)
    partitions = [TopicPartition("stock", number) for number in range(3)]
    consumer = broker.consumer("inventory", ["stock"], Listener())
    await consumer.start()
    for partition in partitions:
        consumer.seek(partition, 0)
    polls = [list(await consumer.poll(partitions, max_records=1, timeout=0)) for _ in range(6)]
    await consumer.stop()

    assert [[partition] for partition in partitions] * 2 == polls


async def test_poll_shares_alike(broker: MemoryBroker) -> None:
    """One poll takes as much of each partition, and what one has not got the others give."""
    await broker.admin.create_topics([NewTopic("stock", 3)])
    producer = broker.producer()
    await producer.send(
        [ProducerRecord("stock", None, b"", partition=number) for number in (0, 1, 1, 1, 1, 2, 2, 2, 2)]
    )
    partitions = [TopicPartition("stock", number) for number in range(3)]
    consumer = broker.consumer("inventory", ["stock"], Listener())
    await consumer.start()
    for partition in partitions:
        consumer.seek(partition, 0)
    polled = await consumer.poll(partitions, max_records=7, timeout=0)
    await consumer.stop()

    assert [1, 3, 3] == [len(polled[partition]) for partition in partitions]


async def test_nothing_is_known_of_a_partition_before_the_first_poll(broker: MemoryBroker) -> None:
    """A consumer that has not polled knows no ends, and takes the time from the first poll."""
    consumer = broker.consumer("inventory", ["orders"], Listener())
    await consumer.start()
    known = (consumer.end_offset(_PARTITION), consumer.silence(_PARTITION))
    await consumer.stop()

    assert (None, None) == known


async def test_silence_is_the_time_since_the_last_poll(broker: MemoryBroker) -> None:
    """A partition is silent from the poll that asked for it last, and never while one waits for it."""
    clock = ManualClock()
    broker = MemoryBroker(clock)
    await broker.admin.create_topics([NewTopic("orders")])
    consumer = broker.consumer("inventory", ["orders"], Listener())
    await consumer.start()
    consumer.seek(_PARTITION, 0)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        poll = tasks.create_task(consumer.poll([_PARTITION], max_records=10, timeout=60))
        await linger(broker)
        clock.advance(5)
        during = consumer.silence(_PARTITION)
        await broker.producer().send([ProducerRecord("orders", None, b"value")])
        await poll
    clock.advance(7)
    after = consumer.silence(_PARTITION)
    await consumer.stop()

    assert (0.0, 7.0) == (during, after)


async def test_member_whose_listener_fails_has_failed(broker: MemoryBroker) -> None:
    """An exception of the listener ends the member: start raises it, and so does every later poll."""
    consumer = broker.consumer("inventory", ["orders"], Listener(fails_to="assign"))
    with pytest.raises(BrokerError, match="inventory"):
        await consumer.start()
    with pytest.raises(BrokerError, match="inventory"):
        await consumer.poll([_PARTITION], max_records=10, timeout=60)
    failure = consumer.failure()
    await consumer.stop()

    assert isinstance(failure, ZeroDivisionError)


async def test_pending_poll_hears_of_a_failure(broker: MemoryBroker) -> None:
    """A poll that waits raises as soon as its member has failed."""
    consumer = broker.consumer("inventory", ["orders"], Listener(fails_to="revoke"))
    other = broker.consumer("inventory", ["orders"], Listener())
    await consumer.start()
    consumer.seek(_PARTITION, 3)
    async with asyncio.timeout(10):
        joining = asyncio.ensure_future(other.start())
        with pytest.raises(BrokerError, match="inventory"):
            await consumer.poll([_PARTITION], max_records=10, timeout=60)
        await consumer.stop()
        await joining
    await other.stop()


async def test_start_that_is_cancelled_leaves_no_task(broker: MemoryBroker) -> None:
    """A start that is cancelled while the listener works takes the member's task with it."""
    consumer = broker.consumer("inventory", ["orders"], Listener(hangs_in="assign"))
    before = asyncio.all_tasks()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await consumer.start()
    await consumer.stop()

    assert before == asyncio.all_tasks()


async def test_commit_after_stop_fails(broker: MemoryBroker) -> None:
    """A member that has left has nothing to say in its group."""
    consumer = broker.consumer("inventory", ["orders"], Listener())
    await consumer.start()
    await consumer.stop()
    with pytest.raises(CommitFailed):
        await consumer.commit({})


async def test_consumer_that_was_never_started_can_be_stopped(broker: MemoryBroker) -> None:
    """Stopping is safe at any time, and a stopped consumer polls nothing."""
    consumer = broker.consumer("inventory", ["orders"], Listener())
    await consumer.stop()

    assert {} == await consumer.poll([_PARTITION], max_records=10, timeout=60)
    assert consumer.failure() is None


async def test_stop_ends_a_poll_that_came_before_the_start(broker: MemoryBroker) -> None:
    """A poll of a consumer that has not joined yet waits, and a stop ends it all the same."""
    consumer = broker.consumer("inventory", ["orders"], Listener())
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        poll = tasks.create_task(consumer.poll([_PARTITION], max_records=10, timeout=60))
        await linger(broker)
        await consumer.stop()

        assert {} == await poll


async def test_unknown_topic_is_no_use_trying_again(broker: MemoryBroker) -> None:
    """The error of a consumer of a missing topic says that it will not heal by itself."""
    consumer = broker.consumer("inventory", ["missing"], Listener())
    with pytest.raises(BrokerError, match="missing") as caught:
        await consumer.start()

    assert not caught.value.retriable
