"""Who may come in, and what they may do: on the real Apache Kafka."""

import asyncio
import ssl

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAuthorizationFailedError

from eventhub.testing.kafka import (
    ADMIN,
    Acl,
    KafkaCluster,
    KafkaOptions,
    Operation,
    Resource,
    Security,
    StartKafka,
    User,
)

pytestmark = pytest.mark.kafka

CLERK = User("clerk", "clerks-password")


def _client(cluster: KafkaCluster, user: User | None = None) -> dict[str, object]:
    settings: dict[str, object] = {
        "bootstrap_servers": cluster.bootstrap,
        "security_protocol": cluster.options.security.value,
    }
    if cluster.certificates:
        settings["ssl_context"] = ssl.create_default_context(cafile=cluster.certificates.ca)
    if user:
        settings |= {
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": user.name,
            "sasl_plain_password": user.password,
        }
    return settings


async def _create_topic(name: str, client: dict[str, object]) -> None:
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1)])
    finally:
        await admin.close()


async def _publish(topic: str, client: dict[str, object]) -> int:
    producer = AIOKafkaProducer(**client)
    try:
        await producer.start()
        return int((await producer.send_and_wait(topic, b"value", partition=0)).offset)
    finally:
        await producer.stop()


async def test_a_user_may_do_what_was_allowed_and_no_more(start_kafka: StartKafka) -> None:
    """Rights are effective as soon as they are given, and gone as soon as they are taken back."""
    write = Acl(CLERK.name, Operation.WRITE, Resource.TOPIC, "orders")
    async with start_kafka(KafkaOptions(security=Security.SCRAM, users=(CLERK,))) as cluster:
        clerk = _client(cluster, CLERK)
        await _create_topic("orders", _client(cluster, ADMIN))
        with pytest.raises(TopicAuthorizationFailedError):
            await _publish("orders", clerk)
        await cluster.allow(write)
        offset = await _publish("orders", clerk)
        await cluster.revoke(write)
        with pytest.raises(TopicAuthorizationFailedError):
            await _publish("orders", clerk)

    assert 0 == offset


async def test_a_wrong_password_does_not_come_in(start_kafka: StartKafka) -> None:
    """A user with another password is refused."""
    async with start_kafka(KafkaOptions(security=Security.SCRAM, users=(CLERK,))) as cluster:
        with pytest.raises(KafkaError):
            await _publish("orders", _client(cluster, User(CLERK.name, "guessed")))


async def test_a_password_that_was_changed_lets_in_and_the_old_one_does_not(start_kafka: StartKafka) -> None:
    """Who logs in afterwards needs the new one."""
    changed = User(CLERK.name, "another-password")
    async with start_kafka(KafkaOptions(security=Security.SCRAM, users=(CLERK,))) as cluster:
        await _create_topic("orders", _client(cluster, ADMIN))
        await cluster.allow(Acl(CLERK.name, Operation.WRITE, Resource.TOPIC, "orders"))
        await cluster.change_password(changed)
        offset = await _published_in_the_end("orders", _client(cluster, changed))
        with pytest.raises(KafkaConnectionError):
            await _publish("orders", _client(cluster, CLERK))
        with pytest.raises(ValueError, match="stranger"):
            await cluster.change_password(User("stranger", "password"))

    assert 0 == offset


async def _published_in_the_end(topic: str, client: dict[str, object]) -> int:
    async with asyncio.timeout(30):
        while True:
            try:
                return await _publish(topic, client)
            except KafkaConnectionError:  # until the node has heard of the password
                continue


@pytest.mark.parametrize("user", [None, ADMIN], ids=["without login", "with login"])
async def test_a_client_that_trusts_the_authority_speaks_tls(start_kafka: StartKafka, user: User | None) -> None:
    """With the cluster's authority a client is served; without it, it does not trust the cluster."""
    security = Security.SCRAM_TLS if user else Security.TLS
    async with start_kafka(KafkaOptions(security=security)) as cluster:
        client = _client(cluster, user)
        await _create_topic("orders", client)
        offset = await _publish("orders", client)
        with pytest.raises(KafkaConnectionError):
            await _publish("orders", {**client, "ssl_context": ssl.create_default_context()})

    assert 0 == offset


async def test_a_cluster_without_users_has_no_rights_to_give(start_kafka: StartKafka) -> None:
    """Giving rights where nobody logs in is an error that says so."""
    acl = Acl(CLERK.name, Operation.READ, Resource.TOPIC, "orders")
    async with start_kafka() as cluster:
        with pytest.raises(ValueError, match="No Authorizer is configured"):
            await cluster.allow(acl)
