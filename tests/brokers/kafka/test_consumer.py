"""The consumer on a real Kafka: rebalances, rights, and a client or a broker that fails in silence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager

import pytest
from aiokafka.admin import NewPartitions

from eventhub.brokers.base import NewTopic, OffsetAndMetadata
from eventhub.brokers.kafka import KafkaBroker
from eventhub.errors import AuthorizationFailed, BrokerError, CommitFailed, OffsetOutOfRange
from eventhub.record import ProducerRecord, TopicPartition
from eventhub.testing.conformance.brokers.reader import DEADLINE, send, unique
from eventhub.testing.kafka import ADMIN, Acl, KafkaCluster, KafkaOptions, Operation, Resource, Security, User, kafka
from tests.brokers.kafka.helpers import Member, as_user, client_admin, own_cluster, running, until, until_gone

pytestmark = [pytest.mark.anyio, pytest.mark.kafka]

CLERK = User("clerk", "clerks-password")
READ_TOPIC = Acl(CLERK.name, Operation.READ, Resource.TOPIC, "orders")
READ_GROUP = Acl(CLERK.name, Operation.READ, Resource.GROUP, "shop")


class FailingMember(Member):
    """A member whose listener has a fault."""

    async def on_assigned(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Fail."""
        msg = f"cannot take {len(partitions)} partitions"
        raise ZeroDivisionError(msg)


class HastyMember(Member):
    """A member that polls before it has sought."""

    def __init__(self, broker: KafkaBroker, topics: Sequence[str], group: str) -> None:
        super().__init__(broker, topics, group)
        self.early: list[object] = []

    async def on_assigned(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Poll, then take over."""
        for _ in range(3):
            self.early.append(await self.consumer.poll(partitions, max_records=10, timeout=0.2))
        await super().on_assigned(partitions)


async def test_members_in_one_process_keep_their_partitions(broker: KafkaBroker) -> None:
    """The assignor moves as few partitions as it must, although the client keeps its state on a class."""
    topic, group = unique("topic"), unique("group")
    await broker.admin.create_topics([NewTopic(topic, 12)])
    members: list[Member] = []
    moved = []
    try:
        for _ in range(4):
            before = [member.owned for member in members]
            members.append(Member(broker, [topic], group))
            await members[-1].consumer.start()
            await until(lambda: all(len(member.owned) == 12 // len(members) for member in members))
            moved.append(sum(len(had - member.owned) for had, member in zip(before, members, strict=False)))
    finally:
        for member in members:
            await member.consumer.stop()

    assert [0, 6, 4, 3] == moved


async def test_record_that_was_taken_over_a_rebalance_comes_again(broker: KafkaBroker, topic: str) -> None:
    """A poll that began before a rebalance may not keep what it finds after it."""
    members = [Member(broker, [topic], group) for group in [unique("group")] * 2]
    first, second = members
    async with running(first.consumer), running(broker.producer()) as producer:
        # Without a commit the client would miss the position of its new assignment, and end the poll with that.
        await first.consumer.commit(dict.fromkeys(first.owned, OffsetAndMetadata(0)))
        before = asyncio.ensure_future(first.poll(DEADLINE))
        async with running(second.consumer):
            await until(lambda: len(first.owned) == len(second.owned) == 1)
            [partition] = first.owned
            await send(producer, ProducerRecord(topic, None, b"value", partition=partition.partition))
            polled = await before or await first.poll(DEADLINE)

    assert [b"value"] == [record.value for record in polled[partition]]


async def test_nothing_is_polled_before_the_listener_has_its_say(broker: KafkaBroker, topic: str) -> None:
    """The client has the committed position at once; a poll waits until the listener has sought its own."""
    group = unique("group")
    async with running(broker.producer()) as producer:
        await send(producer, *[ProducerRecord(topic, None, b"value", partition=0)] * 2)
    member = Member(broker, [topic], group)
    async with running(member.consumer):
        await member.consumer.commit(dict.fromkeys(member.owned, OffsetAndMetadata(0)))
    hasty = HastyMember(broker, [topic], group)
    async with running(hasty.consumer):
        polled = await hasty.poll(DEADLINE)

    assert [{}, {}, {}] == hasty.early
    assert 2 == len(polled[TopicPartition(topic, 0)])


async def test_one_poll_takes_its_share_from_each_partition(broker: KafkaBroker, topic: str) -> None:
    """A partition with much to read does not keep the others waiting, and what one leaves the other gets."""
    async with running(broker.producer()) as producer:
        full = [ProducerRecord(topic, None, b"value", partition=0)] * 20
        await send(producer, *full, *[ProducerRecord(topic, None, b"value", partition=1)] * 7)
    member = Member(broker, [topic])
    shares = []
    async with running(member.consumer):
        await until(lambda: len(_read_ahead(member)) == 2)
        for _ in range(2):
            polled = await member.consumer.poll(member.owned, max_records=10, timeout=1)
            shares.append([len(polled[TopicPartition(topic, number)]) for number in range(2)])

    assert [[5, 5], [8, 2]] == shares


async def test_what_a_late_poll_took_comes_before_what_was_read_since(broker: KafkaBroker, topic: str) -> None:
    """A poll of the client may outlive the call that began it; what it took is older than what waits in the client."""
    member = Member(broker, [topic])
    offsets: list[int] = []
    async with running(member.consumer), running(broker.producer()) as producer:
        call = asyncio.ensure_future(member.consumer.poll(member.owned, max_records=4, timeout=DEADLINE))
        await until(lambda: member.consumer._waiting is not None)
        call.cancel()
        await send(producer, *[ProducerRecord(topic, None, b"value", partition=0)] * 6)
        await until(lambda: member.consumer._waiting is None or member.consumer._waiting.done())
        while len(offsets) < 6:
            offsets += [record.offset for record in (await member.poll()).get(TopicPartition(topic, 0), ())]

    assert [0, 1, 2, 3, 4, 5] == offsets


async def test_error_of_one_partition_costs_no_record_of_another(broker: KafkaBroker, topic: str) -> None:
    """Records that were taken before an error are returned, and the error comes with the next poll."""
    lost, sound = TopicPartition(topic, 0), TopicPartition(topic, 1)
    async with running(broker.producer()) as producer:
        await send(producer, *[ProducerRecord(topic, None, b"value", partition=1)] * 2)
    member = Member(broker, [topic])
    polled, errors = [], []
    async with running(member.consumer):
        for turn in range(2):  # each of them is the first to be asked, once
            member.consumer.seek(lost, 1000)
            member.consumer.seek(sound, turn)
            await until(lambda: {lost, sound} <= _read_ahead(member))
            for _ in range(2):
                try:
                    polled += [record.offset for record in (await member.poll()).get(sound, ())]
                except OffsetOutOfRange as error:
                    errors.append(error.positions)

    assert [0, 1, 1] == polled
    assert [{lost: 1000}] * 2 == errors


async def test_fault_of_the_listener_is_told(broker: KafkaBroker, topic: str) -> None:
    """The client would only log it, and the partitions would never be read."""
    member = FailingMember(broker, [topic])
    async with running(member.consumer):
        failure = member.consumer.failure()

    assert isinstance(failure, ZeroDivisionError)


@pytest.mark.parametrize(
    ("owner", "name"),
    [("_fetcher", "_fetch_task"), ("_coordinator", "_coordination_task"), ("_client", "_sync_task")],
)
async def test_dead_task_of_the_client_is_told(broker: KafkaBroker, topic: str, owner: str, name: str) -> None:
    """A client whose background has died goes on polling nothing, without an error; it is seen all the same."""
    member = Member(broker, [topic])
    async with running(member.consumer):
        sound = member.consumer.failure()
        task = getattr(getattr(member.consumer._client, owner), name)
        task.cancel()
        await asyncio.wait([task])
        failure = member.consumer.failure()

    assert sound is None
    assert isinstance(failure, BrokerError)
    assert name in str(failure)


async def test_stopped_consumer_can_do_nothing(broker: KafkaBroker, topic: str) -> None:
    """After the stop, questions about partitions have no answer, and the broker is not asked."""
    member = Member(broker, [topic])
    async with running(member.consumer):
        await member.poll(1)
        pending = asyncio.ensure_future(member.poll(DEADLINE))
        await asyncio.wait([pending], timeout=0.01)
    partition = TopicPartition(topic, 0)
    with pytest.raises(BrokerError, match="not running"):
        await member.poll()
    with pytest.raises(BrokerError, match="not running"):
        await member.consumer.commit({partition: OffsetAndMetadata(1)})
    member.consumer.seek(partition, 1)
    await member.consumer.stop()

    assert {} == await pending
    assert (None, None, None) == (
        member.consumer.end_offset(partition),
        member.consumer.silence(partition),
        member.consumer.failure(),
    )


async def test_partitions_that_were_added_are_assigned(kafka_url: str, topic: str) -> None:
    """A topic that grows is noticed when the client looks again."""
    async with _attentive(kafka_url) as broker, running((member := Member(broker, [topic])).consumer):
        async with client_admin(broker) as admin:
            await admin.create_partitions({topic: NewPartitions(3)})
        await until(lambda: len(member.owned) == 3)

    assert [2, 3] == [len(owned) for owned in member.assignments]


async def test_topic_that_was_made_again_is_read_from_its_beginning(kafka_url: str, topic: str) -> None:
    """A topic that was deleted and made again is not read on in silence from a position of the old one."""
    async with _attentive(kafka_url) as broker, running((member := Member(broker, [topic])).consumer):
        async with client_admin(broker) as admin:
            await admin.delete_topics([topic])
            await until_gone(broker, topic)
        await until(lambda: not member.owned)
        await broker.admin.create_topics([NewTopic(topic, 2)])
        async with running(broker.producer()) as producer:
            await send(producer, ProducerRecord(topic, None, b"new", partition=0))
        await until(lambda: len(member.owned) == 2)
        polled = await member.poll(DEADLINE)

    assert [b"new"] == [record.value for record in polled[TopicPartition(topic, 0)]]


async def test_commit_of_a_foreign_partition_fails(broker: KafkaBroker, topic: str) -> None:
    """A partition that is not assigned cannot be committed, and the client's own check says so."""
    member = Member(broker, [topic])
    async with running(member.consumer):
        with pytest.raises(CommitFailed):
            await member.consumer.commit({TopicPartition(topic, 99): OffsetAndMetadata(1)})


async def test_commit_that_is_under_way_does_not_outlive_its_assignment(broker: KafkaBroker, topic: str) -> None:
    """The client would try it again as the next generation, and move a position that belongs to another member."""
    first, second = (Member(broker, [topic], group) for group in [unique("group")] * 2)
    async with running(first.consumer):
        offsets = dict.fromkeys(first.owned, OffsetAndMetadata(7))
        assert first.consumer._client is not None
        async with first.consumer._client._coordinator._commit_lock:  # the client is busy with another
            late = asyncio.ensure_future(first.consumer.commit(offsets))
            await asyncio.wait([late], timeout=0)
            async with running(second.consumer):
                await until(lambda: len(first.owned) == len(second.owned) == 1)
        with pytest.raises(CommitFailed, match="revoked meanwhile"):
            await late
        committed = await first.consumer.committed(offsets)

    assert dict.fromkeys(offsets) == committed


async def test_clients_of_one_broker_do_not_wait_for_each_other(broker: KafkaBroker, topic: str) -> None:
    """A node that takes a connection and says nothing holds up one client for its timeout, and no other.

    The client opens all its connections under one lock; whoever holds that does what such a node would do.
    """
    member = Member(broker, [topic])
    async with running(member.consumer), running(broker.producer()) as producer:
        await send(producer, ProducerRecord(topic, None, b"first", partition=0))
        assert member.consumer._client is not None
        assert producer._session is not None
        consumers, producers = member.consumer._client._client, producer._session._client.client
        async with asyncio.timeout(DEADLINE), consumers._get_conn_lock:
            [sent] = await send(producer, ProducerRecord(topic, None, b"second", partition=0))
            ends = await broker.admin.offsets([TopicPartition(topic, 0)])
        async with asyncio.timeout(DEADLINE), producers._get_conn_lock:
            topics = await broker.admin.topics()
            async with running(Member(broker, [topic]).consumer):
                read = await member.poll(DEADLINE)

    assert (1, 2) == (sent.offset, ends[TopicPartition(topic, 0)].end)
    assert topic in topics
    assert read
    assert 3 == len({id(consumers), id(producers), id(broker.admin._client)})


async def test_silence_grows_while_the_broker_does_not_answer() -> None:
    """On a quiet topic only the age of the last answer tells a healthy consumer from a dead one."""
    async with own_cluster() as (cluster, broker):
        await broker.admin.create_topics([NewTopic("orders")])
        member = Member(broker, ["orders"])
        async with running(member.consumer):
            partition = TopicPartition("orders", 0)
            await until(lambda: member.consumer.silence(partition) is not None)
            await cluster.nodes[0].pause()
            await until(lambda: (member.consumer.silence(partition) or 0) > 1.5)
            failure = member.consumer.failure()
            await cluster.nodes[0].resume()
            await until(lambda: (member.consumer.silence(partition) or 0) < 1)

    assert failure is None


async def test_silence_is_not_measured_by_the_time_of_day(
    broker: KafkaBroker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that steps makes no sound consumer look dead: not when it goes ahead, and not when it is set back."""
    member, partition, right = Member(broker, [topic]), TopicPartition(topic, 0), time.time
    async with running(member.consumer):
        await until(lambda: member.consumer.silence(partition) is not None)
        seen = []
        for step in (3600.0, -3600.0):
            with monkeypatch.context() as clock:
                clock.setattr(time, "time", lambda step=step: right() + step)
                seen.append(member.consumer.silence(partition))

    assert [True, True] == [silence is not None and 0 <= silence < DEADLINE for silence in seen]


async def test_commit_and_stop_do_not_wait_for_a_silent_broker() -> None:
    """A commit is given up after five seconds, a stop takes two at most, and nothing goes on behind it."""
    async with own_cluster() as (cluster, broker):
        await broker.admin.create_topics([NewTopic("orders")])
        before = asyncio.all_tasks()
        member = Member(broker, ["orders"])
        await member.consumer.start()
        await member.poll()
        await cluster.nodes[0].pause()
        begin = time.monotonic()
        with pytest.raises(BrokerError, match="no answer in time"):
            await member.consumer.commit({TopicPartition("orders", 0): OffsetAndMetadata(1)})
        committed = time.monotonic()
        await member.consumer.stop()
        stopped = time.monotonic()
        await cluster.nodes[0].resume()
        left = asyncio.all_tasks() - before

    assert committed - begin < 6
    assert stopped - committed < 2
    assert set() == left


async def test_a_commit_that_its_caller_gives_up_goes_on_nowhere() -> None:
    """The runtime's own deadline may be shorter; what went on behind it could reach the broker after a newer commit."""
    async with own_cluster() as (cluster, broker):
        await broker.admin.create_topics([NewTopic("orders")])
        member = Member(broker, ["orders"])
        async with running(member.consumer):
            await member.poll()
            await cluster.nodes[0].pause()
            before = asyncio.all_tasks()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await member.consumer.commit({TopicPartition("orders", 0): OffsetAndMetadata(1)})
            left = [task for task in asyncio.all_tasks() - before if "commit" in str(task.get_coro())]
            await cluster.nodes[0].resume()

    assert [] == left


async def test_consumer_goes_on_after_a_restart_of_the_broker() -> None:
    """A broker that was killed and comes back is read again, without a new consumer."""
    async with own_cluster() as (cluster, broker):
        await broker.admin.create_topics([NewTopic("orders")])
        member = Member(broker, ["orders"])
        async with running(member.consumer), running(broker.producer()) as producer:
            await cluster.nodes[0].kill()
            await cluster.nodes[0].start()
            await send(producer, ProducerRecord("orders", b"key", b"value"))
            async with asyncio.timeout(DEADLINE):
                while not (records := await member.poll()):
                    pass

    assert [b"value"] == [record.value for record in records[TopicPartition("orders", 0)]]


async def test_unreachable_broker_is_an_error_within_the_timeout() -> None:
    """A consumer that cannot connect says so, and can be stopped."""
    async with own_cluster() as (cluster, broker):
        await broker.admin.create_topics([NewTopic("orders")])
        member = Member(broker, ["orders"])
        await cluster.nodes[0].kill()
        async with asyncio.timeout(16):
            with pytest.raises(BrokerError):
                await member.consumer.start()
        await member.consumer.stop()


async def test_right_to_the_topic_that_is_lost_and_given_back_heals() -> None:
    """Without the right each poll says what is missing; with it the same consumer reads on."""
    async with _shop() as cluster, running(as_user(cluster, CLERK)) as broker:
        member = Member(broker, ["orders"], "shop")
        async with running(member.consumer):
            await member.poll()
            await cluster.revoke(READ_TOPIC)
            error = await _first_failure(member)
            await cluster.allow(READ_TOPIC)
            async with running(as_user(cluster, ADMIN)) as admin, running(admin.producer()) as producer:
                await send(producer, ProducerRecord("orders", b"key", b"value"))
            read = await _read_through_failures(member)

    assert "topic" == error.resource
    assert [b"value"] == read


async def test_missing_right_to_the_group_is_told_at_start_and_later() -> None:
    """Both who never had the right and who lost it hear which right it is."""
    async with _shop() as cluster, running(as_user(cluster, CLERK)) as broker:
        outsider = Member(broker, ["orders"], "other-shop")
        with pytest.raises(AuthorizationFailed, match="grant READ on the group") as never:
            await outsider.consumer.start()
        member = Member(broker, ["orders"], "shop")
        async with running(member.consumer):
            await member.poll()
            await cluster.revoke(READ_GROUP)
            lost = await _first_failure(member)

    assert "group" == never.value.resource
    assert "group" == lost.resource


async def test_topic_that_may_not_be_seen_is_told_at_start() -> None:
    """A topic without any right on it is not called missing."""
    async with _shop() as cluster, running(as_user(cluster, CLERK)) as broker:
        await cluster.revoke(READ_TOPIC)
        with pytest.raises(AuthorizationFailed, match="orders"):
            await Member(broker, ["orders"], "shop").consumer.start()


def _read_ahead(member: Member) -> AbstractSet[TopicPartition]:
    """The partitions of which something waits in the client to be polled."""
    assert member.consumer._client is not None
    return {TopicPartition(*partition) for partition in member.consumer._client._fetcher._records}


@asynccontextmanager
async def _attentive(url: str) -> AsyncIterator[KafkaBroker]:
    """A broker whose clients look at the cluster twice a second."""
    async with running(KafkaBroker(url, client={"metadata_max_age_ms": 500})) as broker:
        yield broker


@asynccontextmanager
async def _shop() -> AsyncIterator[KafkaCluster]:
    """A cluster with one topic, which the clerk may read in one group."""
    options = KafkaOptions(security=Security.SCRAM, users=(CLERK,))
    async with kafka(options) as cluster, running(as_user(cluster, ADMIN)) as admin:
        await admin.admin.create_topics([NewTopic("orders")])
        await cluster.allow(READ_TOPIC, READ_GROUP)
        yield cluster


async def _first_failure(member: Member) -> AuthorizationFailed:
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                await member.poll()
            except AuthorizationFailed as error:
                return error


async def _read_through_failures(member: Member) -> list[bytes | None]:
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                if polled := await member.poll():
                    return [record.value for records in polled.values() for record in records]
            except AuthorizationFailed:  # until the client has heard of the right
                continue
