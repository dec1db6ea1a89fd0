"""What clients of a memory broker go through when the network or a process fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from eventhub.brokers.base import NewTopic, OffsetAndMetadata
from eventhub.brokers.memory import MemoryBroker, Operation
from eventhub.brokers.memory.consumer import MemoryConsumer
from eventhub.errors import BrokerError, CommitFailed, PublishUncertain
from eventhub.record import ProducerRecord, TopicPartition
from eventhub.testing.conformance.brokers.reader import PARTITIONS, Reader, linger, send, share

_PARTITION = TopicPartition("orders", 0)
_SESSION = 0.1  # seconds


class Network:
    """Faults that a test switches on and off."""

    def __init__(self) -> None:
        """Begin without faults."""
        self.lost: frozenset[Operation] = frozenset()
        self.lost_answers: frozenset[Operation] = frozenset()
        self.cut_off = ""
        self.held: frozenset[Operation] = frozenset()
        self.stopped = ""
        self.goes_on = asyncio.Event()
        self.has_lost = asyncio.Event()

    async def before(self, operation: Operation, client: str) -> None:
        """Lose what is to be lost, and hold what comes from a process that stands still."""
        if operation in self.held or client == self.stopped:
            await self.goes_on.wait()
        if operation in self.lost or client == self.cut_off:
            self.has_lost.set()
            msg = f"{operation} is lost"
            raise PublishUncertain(msg)

    async def after(self, operation: Operation, client: str) -> None:
        """Lose the answers that are to be lost."""
        if operation in self.lost_answers:
            msg = f"the answer to {operation} of {client} is lost"
            raise PublishUncertain(msg)


@pytest.fixture
def network() -> Network:
    """A network without faults so far."""
    return Network()


@pytest.fixture
async def broker(network: Network) -> MemoryBroker:
    """A broker behind that network, with one topic."""
    broker = MemoryBroker(faults=network, session_timeout=_SESSION)
    await broker.admin.create_topics([NewTopic("orders", PARTITIONS)])
    return broker


@asynccontextmanager
async def member(broker: MemoryBroker) -> AsyncIterator[Reader]:
    """The only member of a group."""
    reader = Reader(broker, "inventory", "orders")
    await share([reader], joining=reader)
    yield reader
    await reader.consumer.stop()


async def test_lost_send_is_uncertain_and_not_written(broker: MemoryBroker, network: Network) -> None:
    """A send that does not reach the broker says so for each of its records."""
    network.lost = frozenset({Operation.SEND})
    outcomes = await broker.producer().send([ProducerRecord("orders", None, b"value")] * 2)

    assert [PublishUncertain, PublishUncertain] == [type(outcome) for outcome in outcomes]
    assert [] == broker.records("orders")


async def test_send_whose_answer_is_lost_is_uncertain_and_written(broker: MemoryBroker, network: Network) -> None:
    """A send whose answer does not come back has written its records all the same."""
    network.lost_answers = frozenset({Operation.SEND})
    [outcome] = await broker.producer().send([ProducerRecord("orders", None, b"value")])

    assert isinstance(outcome, PublishUncertain)
    assert [b"value"] == [record.value for record in broker.records("orders")]


async def test_send_that_is_held_up_is_not_overtaken(broker: MemoryBroker, network: Network) -> None:
    """The sends of a producer reach the broker in order, however long the first one takes."""
    producer = broker.producer()
    network.stopped = "producer-1"
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(send(producer, ProducerRecord("orders", b"key", b"first")))
        await linger(broker)
        network.stopped = ""
        tasks.create_task(send(producer, ProducerRecord("orders", b"key", b"second")))
        await linger(broker)
        network.goes_on.set()

    assert [b"first", b"second"] == [record.value for record in broker.records("orders")]


@pytest.mark.parametrize("stored", [True, False], ids=["answer lost", "request lost"])
async def test_commit_that_is_lost_may_be_stored(broker: MemoryBroker, network: Network, *, stored: bool) -> None:
    """A commit fails for the member both when it is lost and when only its answer is."""
    async with member(broker) as reader:
        if stored:
            network.lost_answers = frozenset({Operation.COMMIT})
        else:
            network.lost = frozenset({Operation.COMMIT})
        with pytest.raises(BrokerError):
            await reader.commit(_PARTITION, 1)

        assert (OffsetAndMetadata(1) if stored else None) == await reader.committed(_PARTITION)


async def test_commit_that_is_held_up_over_a_rebalance_fails(broker: MemoryBroker, network: Network) -> None:
    """A commit counts in the generation in which it was begun, and in no later one."""
    async with member(broker) as reader:
        network.held = frozenset({Operation.COMMIT})
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            tasks.create_task(_refused_commit(reader))
            other = Reader(broker, "inventory", "orders")
            await share([reader, other], joining=other)
            network.goes_on.set()
        await other.consumer.stop()

        assert await reader.committed(_PARTITION) is None


async def test_join_that_is_lost_fails_the_start(broker: MemoryBroker, network: Network) -> None:
    """A member that cannot join does not start."""
    network.lost = frozenset({Operation.JOIN})
    consumer = broker.consumer("inventory", ["orders"], Reader(broker, "inventory", "orders"))
    with pytest.raises(BrokerError, match="join is lost"):
        await consumer.start()
    await consumer.stop()


async def test_member_that_dies_is_replaced_when_its_session_has_expired(
    broker: MemoryBroker, network: Network
) -> None:
    """A process that ends without a word keeps its partitions for a session timeout, no longer."""
    async with member(broker) as dead:
        network.cut_off = _name(dead)
        await dead.consumer.stop()
        async with asyncio.timeout(10), member(broker) as heir:
            assert PARTITIONS == len(heir.owned)


@pytest.mark.slow
async def test_stop_gives_up_on_a_broker_that_does_not_answer(broker: MemoryBroker, network: Network) -> None:
    """A stop ends in time, although the broker never hears of it."""
    async with member(broker) as reader:
        network.stopped = _name(reader)
        async with asyncio.timeout(2.5):
            await reader.consumer.stop()
        network.goes_on.set()


async def test_process_that_stood_still_learns_that_it_lost_its_partitions(
    broker: MemoryBroker, network: Network
) -> None:
    """A member that wakes after its session is refused its commit, revokes, and joins again."""
    async with member(broker) as sleeper:
        network.stopped = _name(sleeper)
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            heir = Reader(broker, "inventory", "orders")
            commit = tasks.create_task(_refused_commit(sleeper))
            await share([heir], joining=heir)
            asleep = list(sleeper.heard)
            network.stopped = ""
            network.goes_on.set()
            await commit
            await share([sleeper, heir])
            await heir.consumer.stop()

    assert ["assigned"] == [call for call, _ in asleep]
    assert ["assigned", "revoked", "assigned"] == [call for call, _ in sleeper.heard][:3]


async def test_lost_heartbeats_are_sent_again(broker: MemoryBroker, network: Network) -> None:
    """A member hears of a rebalance as soon as its heartbeats pass again, and keeps its session until then."""
    async with member(broker) as reader:
        network.lost = frozenset({Operation.HEARTBEAT})
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            other = Reader(broker, "inventory", "orders")
            shared = tasks.create_task(share([reader, other], joining=other))
            for _ in range(4):  # the member asks again, and its session goes on asking beside it
                network.has_lost.clear()
                await network.has_lost.wait()
            network.lost = frozenset()
            await shared
        await other.consumer.stop()

        assert ["assigned", "revoked", "assigned"] == [call for call, _ in reader.heard][:3]


def _name(reader: Reader) -> str:
    assert isinstance(reader.consumer, MemoryConsumer)
    return reader.consumer.name


async def _refused_commit(reader: Reader) -> None:
    with pytest.raises(CommitFailed):
        await reader.commit(_PARTITION, 1)
