"""Questions to a real Kafka: every code is looked at, and nothing is created by looking."""

from __future__ import annotations

import asyncio
import math
from typing import Any, cast

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import BrokerMetadata
from anyio.lowlevel import checkpoint

from eventhub.brokers.base import NewTopic, OffsetAndMetadata, OffsetRange, TopicInfo
from eventhub.brokers.kafka import KafkaBroker, admin
from eventhub.brokers.kafka.admin import KafkaAdmin, owned_partitions
from eventhub.brokers.kafka.options import client_options
from eventhub.errors import AuthorizationFailed, BrokerError, PublishRefused
from eventhub.record import ProducerRecord, TopicPartition
from eventhub.settings import Security
from eventhub.testing.conformance.brokers.reader import send, unique
from eventhub.testing.kafka import ADMIN, Acl, KafkaOptions, Operation, Resource, User, kafka
from eventhub.testing.kafka import Security as ClusterSecurity
from tests.brokers.kafka.helpers import Member, as_user, client_admin, own_cluster, running

pytestmark = [pytest.mark.anyio, pytest.mark.kafka]

CLERK = User("clerk", "clerks-password")


async def test_created_topic_is_as_it_was_wanted(broker: KafkaBroker) -> None:
    """Partitions and compaction are as declared, and the size is the broker's own."""
    plain, compacted = unique("plain"), unique("compacted")
    await broker.admin.create_topics([NewTopic(plain, 3), NewTopic(compacted, compacted=True)])
    topics = await broker.admin.topics()

    assert TopicInfo(plain, 3, max_record_bytes=1048588, retention=7 * 86400.0) == topics[plain]
    assert TopicInfo(compacted, 1, max_record_bytes=1048588, compacted=True, retention=7 * 86400.0) == topics[compacted]


@pytest.mark.parametrize(("milliseconds", "seconds"), [("5000", 5.0), ("-1", math.inf)])
async def test_how_long_a_topic_keeps_its_records_is_told(
    broker: KafkaBroker, topic: str, milliseconds: str, seconds: float
) -> None:
    """In seconds, or for ever."""
    async with client_admin(broker) as client:
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": milliseconds})])
    async with asyncio.timeout(30):
        while (told := (await broker.admin.topics())[topic].retention) == 7 * 86400.0:  # a broker hears of it later
            await checkpoint()

    assert seconds == told


async def test_topic_that_exists_is_left_as_it_is(broker: KafkaBroker, topic: str) -> None:
    """Creating it again, beside a new one, neither fails nor changes it."""
    other = unique("topic")
    await broker.admin.create_topics([NewTopic(topic, 7, compacted=True), NewTopic(other)])
    topics = await broker.admin.describe([topic, other])

    assert {topic: (2, False), other: (1, False)} == {
        name: (info.partitions, info.compacted) for name, info in topics.items()
    }


async def test_every_topic_that_cannot_be_created_is_named_with_its_reason(broker: KafkaBroker) -> None:
    """Codes in an answer are raised, each with its topic and the broker's words."""
    with pytest.raises(BrokerError) as caught:
        await broker.admin.create_topics([NewTopic("no/slashes"), NewTopic(unique("none"), 0)])

    assert "no/slashes: INVALID_TOPIC" in str(caught.value)
    assert "INVALID_PARTITIONS" in str(caught.value)
    assert not caught.value.retriable


async def test_internal_topics_are_not_listed(broker: KafkaBroker, topic: str) -> None:
    """Where Kafka keeps its offsets is nobody's business."""
    member = Member(broker, [topic])
    async with running(member.consumer):
        await member.consumer.commit({TopicPartition(topic, 0): OffsetAndMetadata(1)})

    assert [] == [name for name in await broker.admin.topics() if name.startswith("__")]


async def test_nothing_is_created_by_looking() -> None:
    """On a cluster that creates unknown topics, a misspelt name creates none, whoever uses it."""
    options = KafkaOptions(settings={"auto.create.topics.enable": "true"})
    async with kafka(options) as cluster, running(KafkaBroker(f"kafka://{cluster.bootstrap}")) as broker:
        described = await broker.admin.describe(["misspelt"])
        with pytest.raises(BrokerError, match="misspelt"):
            await Member(broker, ["misspelt"]).consumer.start()
        async with running(broker.producer()) as producer:
            [outcome] = await producer.send([ProducerRecord("misspelt", b"key", b"value")])
        topics = await broker.admin.topics()

    assert {} == described
    assert isinstance(outcome, PublishRefused)
    assert {} == topics


async def test_positions_of_a_group_are_read_from_outside(broker: KafkaBroker, topic: str) -> None:
    """All that a group has committed, with its notes; nothing for a group that nobody knows."""
    member = Member(broker, [topic], group := unique("group"))
    async with running(member.consumer):
        await member.consumer.commit({TopicPartition(topic, 1): OffsetAndMetadata(3, "größe")})

    assert {TopicPartition(topic, 1): OffsetAndMetadata(3, "größe")} == await broker.admin.committed(group)
    assert {} == await broker.admin.committed(unique("stranger"))


async def test_offsets_tell_where_a_partition_begins_and_ends(broker: KafkaBroker, topic: str) -> None:
    """The end is where the next record goes."""
    async with running(broker.producer()) as producer:
        await send(producer, *[ProducerRecord(topic, None, b"", partition=1)] * 3)
    partitions = [TopicPartition(topic, number) for number in range(2)]

    assert [OffsetRange(0, 0), OffsetRange(0, 3)] == list((await broker.admin.offsets(partitions)).values())
    assert {} == await broker.admin.offsets([])


async def test_new_topic_is_known_to_every_node() -> None:
    """Whichever node is asked next knows a leader for each partition."""
    async with kafka(KafkaOptions(nodes=3)) as cluster, running(KafkaBroker(f"kafka://{cluster.bootstrap}")) as broker:
        await broker.admin.create_topics([NewTopic("orders", 6)])
        seen = []
        for node in cluster.nodes:
            async with running(KafkaBroker(f"kafka://{node.address}")) as single:
                seen.append((await single.admin.describe(["orders"]))["orders"].partitions)
        partitions = [TopicPartition("orders", number) for number in range(6)]

        assert [6, 6, 6] == seen
        assert {OffsetRange(0, 0)} == set((await broker.admin.offsets(partitions)).values())


async def test_questions_are_answered_again_after_a_restart() -> None:
    """While the broker is down a question is an error; when it is back it is answered, without a new start."""
    async with own_cluster() as (cluster, broker):
        admin = _quick_admin(broker)
        await admin.start()
        await cluster.nodes[0].kill()
        with pytest.raises(BrokerError, match=r"listing topics: gave up after 0\.5 s"):
            await admin.topics()
        await cluster.nodes[0].start()
        await admin.create_topics([NewTopic("orders")])
        topics = await admin.topics()
        await admin.stop()

    assert ["orders"] == list(topics)


async def test_brokers_that_moved_are_found_again(broker: KafkaBroker, topic: str) -> None:
    """When none of the brokers that it knows is there any longer, the URL is asked where they are now."""
    admin = _quick_admin(broker)
    await admin.start()
    assert admin._client is not None
    await admin._client.close()
    admin._client.cluster._brokers = {1: BrokerMetadata(1, "127.0.0.1", 1, None)}
    with pytest.raises(BrokerError):
        await admin.describe([topic])
    topics = await admin.describe([topic])
    await admin.stop()

    assert [topic] == list(topics)


async def test_missing_right_is_named() -> None:
    """A topic that one may not see is not called missing, and settings that one may not read have defaults."""
    options = KafkaOptions(security=ClusterSecurity.SCRAM, users=(CLERK,))
    async with kafka(options) as cluster, running(as_user(cluster, CLERK)) as clerk:
        async with running(as_user(cluster, ADMIN)) as admin:
            await admin.admin.create_topics([NewTopic("orders", compacted=True)])
        with pytest.raises(AuthorizationFailed, match="orders") as hidden:
            await clerk.admin.describe(["orders"])
        with pytest.raises(AuthorizationFailed) as foreign:
            await clerk.admin.committed("shop")
        with pytest.raises(BrokerError, match="AUTHORIZATION_FAILED"):
            await clerk.admin.create_topics([NewTopic("own")])
        await cluster.allow(Acl(CLERK.name, Operation.READ, Resource.TOPIC, "orders"))
        seen = await clerk.admin.topics()

    assert ("topic", "group") == (hidden.value.resource, foreign.value.resource)
    assert {"orders": TopicInfo("orders", 1)} == seen


def _quick_admin(broker: KafkaBroker) -> KafkaAdmin:
    """An administration that does not wait long for an answer."""
    return KafkaAdmin(client_options(broker.url, Security(), {}).admin, timeout=0.5)


NOBODYS = b"\x00\x00" + b"\xff" * 8  # a share without a list of topics


@pytest.mark.parametrize("share", [b"no share", NOBODYS, b"\x00\x00\x00\x00\x00\x01\x00\x01\xff\x00\x00\x00\x00"])
async def test_a_share_that_makes_no_sense_is_named(share: bytes) -> None:
    """A group's leader may be any program; what it gives to others is read by us, too."""
    with pytest.raises(BrokerError, match="group shop was given cannot be read"):
        owned_partitions("shop", [share])


class HalfSilent:
    """A client of three brokers, of which the first ones that it asks never answer."""

    def __init__(self, silent: int) -> None:
        """Know that so many will be silent."""
        self.cluster = self
        self.asked: list[int] = []
        self._silent = silent

    def brokers(self) -> set[BrokerMetadata]:
        """All three."""
        return {BrokerMetadata(node, "localhost", 9092, None) for node in (1, 2, 3)}

    async def send(self, node: int, _: object) -> str:
        """Answer, if it is not one of those."""
        self.asked.append(node)
        if len(self.asked) <= self._silent:
            await asyncio.Event().wait()
        return "answer"


@pytest.mark.parametrize("silent", [0, 1, 2])
async def test_a_broker_that_is_silent_leaves_the_question_to_the_next(
    silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks any of several brokers has an answer while one of them answers."""
    monkeypatch.setattr(admin, "_SILENCE", 0.0)
    client = HalfSilent(silent)

    assert "answer" == await admin.send(cast("Any", client), "question")
    assert silent + 1 == len(set(client.asked)) == len(client.asked)
