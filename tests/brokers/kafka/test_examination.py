"""What keeps a group from reading, found on a real Kafka by asking each part by itself."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from aiokafka.admin import NewTopic as ClientTopic

from eventhub.brokers.base import NewTopic
from eventhub.brokers.kafka import KafkaBroker
from eventhub.testing.conformance.brokers.reader import unique
from eventhub.testing.kafka import ADMIN, Acl, KafkaOptions, Operation, Resource, Security, User, kafka
from tests.brokers.kafka.helpers import as_user, client_admin, own_cluster, running

pytestmark = [pytest.mark.anyio, pytest.mark.kafka]

CLERK = User("clerk", "clerks-password")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens at, and that nobody else takes meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


async def test_address_that_fails_beside_a_good_one_is_told(kafka_url: str, topic: str, closed_port: int) -> None:
    """The others are asked for the rest."""
    broker = KafkaBroker(f"{kafka_url},127.0.0.1:{closed_port}")
    missing = unique("missing")
    found = await broker.examine("shop", [topic, missing])

    assert [f"127.0.0.1:{closed_port}: Connection refused", f"topic {missing}: UNKNOWN_TOPIC_OR_PARTITION [3]"] == [
        said.partition(";")[0] for said in found
    ]


async def test_address_that_the_cluster_gives_is_tried_too() -> None:
    """A cluster that sends its readers where nobody listens is told by that address."""
    settings = {"advertised.listeners": "CLIENT://127.0.0.1:1,INTERNAL://127.0.0.1:1"}
    async with kafka(KafkaOptions(settings=settings)) as cluster:
        found = await KafkaBroker(f"kafka://{cluster.bootstrap}").examine("shop", [])

    assert ["127.0.0.1:1: Connection refused"] == [said.partition(";")[0] for said in found]


async def test_broker_that_is_gone_is_told_with_its_cause() -> None:
    """No answer of a cluster is needed to know that there is none."""
    async with own_cluster() as (cluster, broker):
        await broker.admin.create_topics([NewTopic("orders")])
        await cluster.nodes[0].kill()
        found = await broker.examine("shop", ["orders"])

    assert [f"{cluster.bootstrap}: Connection refused"] == [said.partition(";")[0] for said in found]


async def test_each_right_that_is_missing_is_told_by_itself() -> None:
    """To see a topic, to read it, to read as a group: one after the other is granted, and no longer told."""
    rights = [
        Acl(CLERK.name, Operation.DESCRIBE, Resource.TOPIC, "orders"),
        Acl(CLERK.name, Operation.READ, Resource.TOPIC, "orders"),
        Acl(CLERK.name, Operation.DESCRIBE, Resource.GROUP, "shop"),
        Acl(CLERK.name, Operation.READ, Resource.GROUP, "shop"),
    ]
    found = []
    async with kafka(KafkaOptions(security=Security.SCRAM, users=(CLERK,))) as cluster:
        async with running(as_user(cluster, ADMIN)) as admin:
            await admin.admin.create_topics([NewTopic("orders")])
        found.append(await as_user(cluster, CLERK).examine("shop", ["orders"]))
        for right in rights:
            await cluster.allow(right)
            found.append(await as_user(cluster, CLERK).examine("shop", ["orders"]))
    see, read = "the right to see topic orders", "the right to read topic orders"
    group = "the right to read as group shop"

    assert [[see, group], [read, group], [group], [group], []] == [
        [said.partition(" is missing")[0] for said in one] for one in found
    ]


async def test_partition_without_a_leader_is_told() -> None:
    """Of a topic without copies one broker has nothing while it is down."""
    async with kafka(KafkaOptions(nodes=3)) as cluster, running(KafkaBroker(f"kafka://{cluster.bootstrap}")) as broker:
        async with client_admin(broker) as admin:
            await admin.create_topics([ClientTopic("orders", -1, -1, replica_assignments={0: [2]})])
        await cluster.nodes[1].stop()
        found = await broker.examine("shop", ["orders"])

    assert [f"{cluster.nodes[1].address}: Connection refused", "no broker leads orders[0]"] == [
        said.partition(";")[0] for said in found
    ]
