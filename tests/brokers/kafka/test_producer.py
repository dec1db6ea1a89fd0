"""The producer on a real Kafka: order, refusals that harm nobody, and what happens when the broker fails."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest
from aiokafka.admin import NewPartitions
from aiokafka.admin import NewTopic as ClientTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from structlog.testing import capture_logs

from eventhub.brokers.base import NewTopic, Outcome, Producer
from eventhub.brokers.kafka import KafkaBroker
from eventhub.brokers.kafka.consumer import KafkaConsumer
from eventhub.brokers.kafka.options import client_options
from eventhub.brokers.kafka.producer import MAX_PENDING, KafkaProducer
from eventhub.errors import AuthorizationFailed, BrokerError, PublishRefused, PublishUncertain
from eventhub.record import ProducerRecord, RecordMetadata, TopicPartition
from eventhub.settings import Security
from eventhub.testing.conformance.brokers.reader import DEADLINE, send, unique
from eventhub.testing.kafka import ADMIN, Acl, KafkaOptions, Operation, Resource, User, kafka
from eventhub.testing.kafka import Security as ClusterSecurity
from tests.brokers.kafka.helpers import Member, as_user, client_admin, own_cluster, read_all, running, until, until_gone

pytestmark = [pytest.mark.anyio, pytest.mark.kafka]

CLERK = User("clerk", "clerks-password")


@pytest.fixture
async def producer(broker: KafkaBroker) -> AsyncIterator[Producer]:
    """A started producer."""
    async with running(broker.producer()) as producer:
        yield producer


async def test_order_per_key_is_kept_while_the_producer_is_replaced(
    broker: KafkaBroker, topic: str, producer: Producer
) -> None:
    """A refused batch of one partition costs the others neither a record nor their order, and doubles none."""
    poisoned = await _lower_limit(broker, producer)
    values = [b"%d" % number for number in range(2000)]
    with capture_logs() as logs:
        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
            for number, value in enumerate(values):
                sent = tasks.create_task(send(producer, ProducerRecord(topic, b"key", value)))
                if number == 1000:  # two that make too large a batch together
                    tasks.create_task(producer.send([ProducerRecord(poisoned, b"key", b"x" * 900)] * 2))
                if not number % 50:
                    await sent

    assert values == await _values(broker, topic)
    assert ["eventhub.producer_replaced"] == [entry["event"] for entry in logs]


async def test_batch_refused_for_one_record_loses_only_that_record(broker: KafkaBroker, producer: Producer) -> None:
    """When a topic takes less than it did, its large records are refused and the others are written in order."""
    topic = await _lower_limit(broker, producer)
    with capture_logs() as logs:
        outcomes = await _send(
            producer,
            ProducerRecord(topic, b"key", b"before"),
            ProducerRecord(topic, b"key", b"x" * 5000),
            ProducerRecord(topic, b"key", b"after"),
        )
    await send(producer, ProducerRecord(topic, b"key", b"later"))

    assert [RecordMetadata, PublishRefused, RecordMetadata] == [type(outcome) for outcome in outcomes]
    assert "max.message.bytes is 1000" in str(outcomes[1])
    assert [b"warm", b"before", b"after", b"later"] == await _values(broker, topic)
    assert ["eventhub.producer_replaced"] == [entry["event"] for entry in logs]


async def test_batch_larger_than_the_topic_takes_is_split(broker: KafkaBroker, producer: Producer) -> None:
    """Records that are small enough each are written, although they would make too large a batch together."""
    topic = await _lower_limit(broker, producer)
    values = [b"%03d" % number * 100 for number in range(20)]
    await send(producer, *[ProducerRecord(topic, b"key", value) for value in values])

    assert [b"warm", *values] == await _values(broker, topic)


async def test_topic_that_becomes_compacted_refuses_only_records_without_a_key(
    broker: KafkaBroker, producer: Producer
) -> None:
    """The broker refuses such a batch without a reason; the reason is found, and the rest is written."""
    topic = await _warm_topic(broker, producer)
    await _configure(broker, topic, {"cleanup.policy": "compact"})
    outcomes = await _send(producer, *[ProducerRecord(topic, key, b"") for key in (b"one", None, b"two")])

    assert [RecordMetadata, PublishRefused, RecordMetadata] == [type(outcome) for outcome in outcomes]
    assert "compacted" in str(outcomes[1])


async def test_record_of_the_far_future_does_not_harm_later_ones(topic: str, producer: Producer) -> None:
    """A timestamp that the broker would refuse is refused before, so that the partition goes on."""
    await send(producer, ProducerRecord(topic, b"key", b""))
    [refused] = await _send(producer, ProducerRecord(topic, b"key", b"", timestamp=time.time() + 7200))
    await send(producer, ProducerRecord(topic, b"key", b""))

    assert isinstance(refused, PublishRefused)


async def test_timestamp_that_this_topic_refuses_does_not_harm_later_ones(
    broker: KafkaBroker, producer: Producer
) -> None:
    """A limit that is not known beforehand costs the record and a new producer, nothing else."""
    topic = await _warm_topic(broker, producer)
    await _configure(broker, topic, {"message.timestamp.after.max.ms": "1000"})
    outcomes = await _send(
        producer,
        ProducerRecord(topic, b"key", b"before"),
        ProducerRecord(topic, b"key", b"", timestamp=time.time() + 60),
        ProducerRecord(topic, b"key", b"after"),
    )

    assert [RecordMetadata, PublishRefused, RecordMetadata] == [type(outcome) for outcome in outcomes]
    assert "INVALID_TIMESTAMP" in str(outcomes[1])
    assert [b"warm", b"before", b"after"] == await _values(broker, topic)


async def test_refused_time_of_this_machine_is_no_fault_of_a_record(broker: KafkaBroker, producer: Producer) -> None:
    """A record that brings no time waits until the clock is right; here it is the topic that thinks it is wrong."""
    topic, refused = await _warm_topic(broker, producer), list[Outcome]()
    await _configure(broker, topic, {"message.timestamp.before.max.ms": "0"})  # a record is older when it arrives
    async with asyncio.timeout(DEADLINE):
        while not refused:  # unless it arrives in the same millisecond
            outcomes = await _send(producer, ProducerRecord(topic, b"key", b"early"))
            refused = [outcome for outcome in outcomes if isinstance(outcome, BrokerError)]
    await _configure(broker, topic, {"message.timestamp.before.max.ms": "86400000"})
    await send(producer, ProducerRecord(topic, b"key", b"late"))

    assert [BrokerError] == [type(outcome) for outcome in refused]
    assert "set this machine's clock right" in str(refused[0])
    assert b"late" == (await _values(broker, topic))[-1]


async def test_partition_that_was_added_is_written_to(broker: KafkaBroker, topic: str, producer: Producer) -> None:
    """A partition that neither we nor the client had heard of is found before it is refused."""
    await send(producer, ProducerRecord(topic, b"key", b""))
    async with client_admin(broker) as admin:
        await admin.create_partitions({topic: NewPartitions(5)})
    refused = True
    while refused:  # what was just read is believed for a second
        [outcome] = await _send(producer, ProducerRecord(topic, b"key", b"", partition=4))
        refused = isinstance(outcome, PublishRefused)

    assert RecordMetadata(topic, 4, 0) == outcome


async def test_topic_that_was_made_again_is_written_to(broker: KafkaBroker, topic: str, producer: Producer) -> None:
    """A producer outlives the topic that it knew."""
    await send(producer, ProducerRecord(topic, b"key", b"old"))
    async with client_admin(broker) as admin:
        await admin.delete_topics([topic])
        await until_gone(broker, topic)
    await broker.admin.create_topics([NewTopic(topic, 2)])
    await send(producer, ProducerRecord(topic, b"key", b"new"))

    assert [b"new"] == await _values(broker, topic)


async def test_records_without_a_key_are_spread(topic: str, producer: Producer) -> None:
    """Records without a key go to the partitions in turn."""
    written = await send(producer, *[ProducerRecord(topic, None, b"")] * 10)

    assert [5, 5] == [sum(record.partition == number for record in written) for number in range(2)]


async def test_cancelled_caller_does_not_cancel_the_batch(broker: KafkaBroker, topic: str, producer: Producer) -> None:
    """A record that was given to ``send`` is written, whether its caller waits or not, and so are its neighbours."""
    await send(producer, ProducerRecord(topic, b"key", b"warm"))
    async with asyncio.TaskGroup() as tasks:
        impatient = tasks.create_task(_send(producer, ProducerRecord(topic, b"key", b"first")))
        patient = tasks.create_task(_send(producer, ProducerRecord(topic, b"key", b"second")))
        await asyncio.wait([impatient], timeout=0)
        impatient.cancel()

    assert impatient.cancelled()
    assert [RecordMetadata] == [type(outcome) for outcome in patient.result()]
    assert [b"warm", b"first", b"second"] == await _values(broker, topic)


async def test_stop_confirms_what_is_on_its_way(broker: KafkaBroker, topic: str) -> None:
    """Records that were sent before a stop are written."""
    async with asyncio.TaskGroup() as tasks, running(broker.producer()) as producer:
        await send(producer, ProducerRecord(topic, b"key", b"warm"))
        sent = tasks.create_task(_send(producer, *[ProducerRecord(topic, b"key", b"")] * 100))
        await asyncio.wait([sent], timeout=0)

    assert {RecordMetadata} == {type(outcome) for outcome in sent.result()}


async def test_stopped_producer_writes_nothing(broker: KafkaBroker, topic: str) -> None:
    """What is sent after the stop has an outcome, too."""
    async with running(broker.producer()) as producer:
        pass
    [outcome] = await _send(producer, ProducerRecord(topic, b"key", b""))

    assert isinstance(outcome, PublishUncertain)


async def test_nothing_acknowledged_is_lost_when_the_broker_is_killed() -> None:
    """Over kill -9 and a restart every acknowledged record is in the log, and each key in order."""
    async with own_cluster() as (cluster, broker), running(broker.producer()) as producer:
        await broker.admin.create_topics([NewTopic("orders", 3)])
        acknowledged: list[list[int]] = [[] for _ in range(5)]
        stop = asyncio.Event()

        async def publish(key: int) -> None:
            number = 0
            while not stop.is_set():
                [outcome] = await producer.send([ProducerRecord("orders", b"%d" % key, b"%d" % number)])
                if isinstance(outcome, RecordMetadata):
                    acknowledged[key].append(number)
                    number += 1

        async with asyncio.TaskGroup() as tasks, asyncio.timeout(DEADLINE):
            for key in range(5):
                tasks.create_task(publish(key))
            await until(lambda: all(len(numbers) > 50 for numbers in acknowledged))
            await cluster.nodes[0].kill()
            before = [len(numbers) for numbers in acknowledged]
            await cluster.nodes[0].start()
            await until(lambda: all(len(n) > b + 50 for n, b in zip(acknowledged, before, strict=True)))
            stop.set()
        records = await read_all(broker, "orders")

    for key, numbers in enumerate(acknowledged):
        written = [int(record.value or b"") for record in records if record.key == b"%d" % key]

        assert numbers == [number for number, _ in itertools.groupby(written)][: len(numbers)]


async def test_what_only_its_leader_has_is_not_acknowledged() -> None:
    """It would be lost with that broker; what was acknowledged is still there when others take over."""
    async with kafka(KafkaOptions(nodes=3)) as cluster, running(KafkaBroker(f"kafka://{cluster.bootstrap}")) as broker:
        leader, *followers = cluster.nodes
        async with client_admin(broker) as admin:
            copies = {0: [node.id for node in cluster.nodes]}  # the first of them leads
            await admin.create_topics([ClientTopic("orders", -1, -1, replica_assignments=copies)])
        options = client_options(broker.url, Security(), {})
        async with running(KafkaProducer(options.producer, broker.admin, delivery_timeout=3.0)) as producer:
            await send(producer, ProducerRecord("orders", b"key", b"0"))
            for node in followers:
                await node.pause()
            [alone] = await _send(producer, ProducerRecord("orders", b"key", b"1"))
            await leader.kill()
            for node in followers:
                await node.resume()
            await cluster.ready()
            async with asyncio.timeout(DEADLINE):
                while not isinstance(
                    (await _send(producer, ProducerRecord("orders", b"key", b"2")))[0], RecordMetadata
                ):
                    pass
        values = [record.value for record in await read_all(broker, "orders")]

    assert isinstance(alone, PublishUncertain)
    assert b"0" == values[0]
    assert b"2" == values[-1]


async def test_silent_broker_makes_a_record_uncertain_and_the_next_ones_go_on() -> None:
    """A broker that stops answering costs the deadline; when it is back, so is the producer."""
    async with own_cluster() as (cluster, broker):
        await broker.admin.create_topics([NewTopic("orders")])
        options = client_options(broker.url, Security(), {})
        async with running(KafkaProducer(options.producer, broker.admin, delivery_timeout=1.0)) as producer:
            await send(producer, ProducerRecord("orders", b"key", b"0"))
            await cluster.nodes[0].pause()
            outcomes = await _send(producer, ProducerRecord("orders", b"key", b"1"))
            await cluster.nodes[0].resume()
            while isinstance((await _send(producer, ProducerRecord("orders", b"key", b"2")))[0], PublishUncertain):
                pass

    assert [PublishUncertain] == [type(outcome) for outcome in outcomes]
    assert "orders[0]: no answer within 1 s" in str(outcomes[0])


async def test_stop_does_not_wait_for_a_silent_broker() -> None:
    """What is unconfirmed when a producer stops is uncertain, and the stop takes two seconds at most."""
    async with own_cluster() as (cluster, broker):
        await broker.admin.create_topics([NewTopic("orders")])
        before = asyncio.all_tasks()
        producer = broker.producer()
        await producer.start()
        await send(producer, ProducerRecord("orders", b"key", b"0"))
        async with asyncio.TaskGroup() as tasks:
            await cluster.nodes[0].pause()
            sent = tasks.create_task(_send(producer, ProducerRecord("orders", b"key", b"1")))
            await asyncio.wait([sent], timeout=0)
            begin = time.monotonic()
            await producer.stop()
            seconds = time.monotonic() - begin
        await cluster.nodes[0].resume()
        left = asyncio.all_tasks() - before

    assert [PublishUncertain] == [type(outcome) for outcome in sent.result()]
    assert seconds < 2
    assert set() == left


async def test_more_than_fits_waits_in_front() -> None:
    """A silent broker does not make the process grow: senders wait for room, who came first goes first."""
    async with own_cluster() as (cluster, broker), running(broker.producer()) as producer:
        await broker.admin.create_topics([NewTopic("orders")])
        await send(producer, ProducerRecord("orders", b"key", b""))
        await cluster.nodes[0].pause()
        async with asyncio.TaskGroup() as tasks:
            for value in (b"first", b"second"):
                tasks.create_task(send(producer, *[ProducerRecord("orders", b"key", value)] * (MAX_PENDING - 5000)))
            await until(lambda: producer._pending >= MAX_PENDING)
            pending = producer._pending
            await cluster.nodes[0].resume()
        written = [value for value, _ in itertools.groupby(await _values(broker, "orders"))]

    assert MAX_PENDING == pending
    assert [b"", b"first", b"second"] == written


async def test_healthy_partitions_settle_before_the_producer_is_replaced() -> None:
    """What is under way to another node is waited for, so that it is not written twice."""
    async with kafka(KafkaOptions(nodes=3)) as cluster, running(KafkaBroker(f"kafka://{cluster.bootstrap}")) as broker:
        await broker.admin.create_topics([NewTopic("orders", 3)])
        options = client_options(broker.url, Security(), {}).producer
        patient = KafkaProducer(options, broker.admin, settle_timeout=DEADLINE)
        async with running(patient) as producer, running(Member(broker, ["orders"]).consumer) as consumer:
            healthy = next(number for number in range(3) if 2 == _leader(consumer, number))
            poisoned = next(number for number in range(3) if 1 == _leader(consumer, number))
            await send(producer, *[ProducerRecord("orders", None, b"", partition=number) for number in range(3)])
            await _configure(broker, "orders", {"max.message.bytes": "1000"})
            await cluster.nodes[1].pause()
            async with asyncio.TaskGroup() as tasks:
                slow = tasks.create_task(_send(producer, ProducerRecord("orders", None, b"slow", partition=healthy)))
                large = ProducerRecord("orders", None, b"x" * 5000, partition=poisoned)
                refused = tasks.create_task(_send(producer, large))
                await until(lambda: producer._session is None)
                await cluster.nodes[1].resume()
        written = [value for value in await _values(broker, "orders") if value]

    assert [PublishRefused] == [type(outcome) for outcome in refused.result()]
    assert [RecordMetadata] == [type(outcome) for outcome in slow.result()]
    assert [b"slow"] == written


async def test_right_to_write_that_is_lost_and_given_back_heals() -> None:
    """Without the right records fail as unauthorised, not as refused; with it they are written again."""
    write = Acl(CLERK.name, Operation.WRITE, Resource.TOPIC, "orders")
    options = KafkaOptions(security=ClusterSecurity.SCRAM, users=(CLERK,))
    async with kafka(options) as cluster, running(as_user(cluster, ADMIN)) as admin:
        await admin.admin.create_topics([NewTopic("orders")])
        await cluster.allow(write)
        async with running(as_user(cluster, CLERK)) as broker, running(broker.producer()) as producer:
            await send(producer, ProducerRecord("orders", b"key", b"0"))
            await cluster.revoke(write)
            outcomes = await _send(producer, *[ProducerRecord("orders", b"key", b"1")] * 3)
            await cluster.allow(write)
            [written] = await send(producer, ProducerRecord("orders", b"key", b"2"))

    assert [AuthorizationFailed] * 3 == [type(outcome) for outcome in outcomes]
    assert RecordMetadata("orders", 0, 1) == written


def _leader(consumer: KafkaConsumer, partition: int) -> int:
    """The node that a partition is written to."""
    assert consumer._client is not None
    leader: int = consumer._client._client.cluster.leader_for_partition(TopicPartition("orders", partition))
    return leader


async def _lower_limit(broker: KafkaBroker, producer: Producer) -> str:
    """A topic that the producer knows, and that takes less since."""
    topic = await _warm_topic(broker, producer)
    await _configure(broker, topic, {"max.message.bytes": "1000"})
    return topic


async def _warm_topic(broker: KafkaBroker, producer: Producer) -> str:
    """A topic that the producer has written to: only later batches leave a gap in its sequence."""
    topic = unique("warm")
    await broker.admin.create_topics([NewTopic(topic)])
    await send(producer, ProducerRecord(topic, b"key", b"warm"))
    return topic


async def _configure(broker: KafkaBroker, topic: str, settings: Mapping[str, str]) -> None:
    async with client_admin(broker) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, dict(settings))])


async def _send(producer: Producer, *records: ProducerRecord) -> Sequence[Outcome]:
    async with asyncio.timeout(DEADLINE):
        return await producer.send(records)


async def _values(broker: KafkaBroker, topic: str) -> Sequence[bytes | None]:
    return [record.value for record in await read_all(broker, topic)]
