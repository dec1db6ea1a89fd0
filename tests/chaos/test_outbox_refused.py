"""Rows that a real Kafka refuses, in a real PostgreSQL: each is parked with its reason, and other keys flow."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from eventhub.brokers.base import NewTopic
from eventhub.integrations.postgres import PostgresStore
from eventhub.outbox.relay import Relay, RelayOptions
from eventhub.record import Record
from eventhub.testing.conformance.stores.samples import record
from eventhub.testing.kafka import ADMIN, Acl, KafkaOptions, Operation, Resource, Security, StartKafka, User
from eventhub.testing.reading import read_topic
from eventhub.testing.waiting import until
from tests.brokers.kafka.helpers import as_user, running

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]

CLERK = User("clerk", "clerks-password")
HASTY = RelayOptions(tick=0.05, idle_poll=0.02, refused_wait=0.05)
RIGHTS = [
    Acl(CLERK.name, Operation.WRITE, Resource.TOPIC, "orders"),
    Acl(CLERK.name, Operation.DESCRIBE, Resource.TOPIC, "nowhere"),
    Acl(CLERK.name, Operation.WRITE, Resource.TOPIC, "nowhere"),
    Acl(CLERK.name, Operation.DESCRIBE, Resource.TOPIC, "secret"),
]


async def test_refused_rows_are_parked_with_their_reasons_while_other_keys_flow(
    tables: PostgresStore, postgres_url: str, start_kafka: StartKafka
) -> None:
    """Too large, no such topic, no right; put right and retried, they are published before what waited behind them."""
    schema = await tables.pool.fetchval("SELECT current_schema()")
    async with tables.transaction() as transaction:
        for topic, value in (("orders", "x" * 1_100_000), ("nowhere", "first"), ("secret", "first")):
            await transaction.enqueue([record(value, key=b"k", topic=topic), record("behind", key=b"k", topic=topic)])
        await transaction.enqueue([record("flows", key=b"%d" % key) for key in range(20)])
    options = KafkaOptions(security=Security.SCRAM, users=(CLERK,))
    async with (
        start_kafka(options) as cluster,
        running(as_user(cluster, ADMIN)) as admin,
        running(as_user(cluster, CLERK)) as broker,
        asyncpg.create_pool(postgres_url, min_size=1, max_size=3) as pool,
    ):
        await admin.admin.create_topics([NewTopic("orders"), NewTopic("secret")])
        await cluster.allow(*RIGHTS)
        store = PostgresStore(pool, schema=schema)
        async with running(broker.producer()) as producer, asyncio.TaskGroup() as tasks:
            relay = Relay(store, producer, HASTY)
            tasks.create_task(relay.run())
            await until(lambda: (store.counters.relayed, store.counters.buried) == (20, 3), timeout=60)
            reasons = {row.topic: row.reason for row in await tables.dead()}
            parked = await tables.status()
            await admin.admin.create_topics([NewTopic("nowhere")])
            await cluster.allow(Acl(CLERK.name, Operation.WRITE, Resource.TOPIC, "secret"))
            dead = {row.topic: row.id for row in await tables.dead()}
            await tables.drop([dead["orders"]])
            await tables.retry()
            await until(lambda: store.counters.relayed == 25, timeout=60)
            relay.stop()
        written = {topic: values(await read_topic(admin, topic)) for topic in ("orders", "nowhere", "secret")}

    assert "max.message.bytes is 1048576" in reasons["orders"]
    assert "nowhere" in reasons["nowhere"]
    assert "secret" in reasons["secret"]
    assert (3, 3) == (parked.depth, parked.dead)
    assert [b"flows"] * 20 + [b"behind"] == written["orders"]
    assert [b"first", b"behind"] == written["nowhere"] == written["secret"]


def values(records: list[Record]) -> list[bytes | None]:
    """The values of records."""
    return [read.value for read in records]
