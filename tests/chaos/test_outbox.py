"""Relays that are killed, stopped and cut off from their database, on a real PostgreSQL and a real Kafka."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
import uuid
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from eventhub.brokers.base import NewTopic
from eventhub.brokers.kafka import KafkaBroker
from eventhub.headers import ID
from eventhub.integrations.postgres import PostgresStore
from eventhub.record import ProducerRecord, Record
from eventhub.testing.reading import read_topic

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]

RELAYS, WRITERS, KEYS, SECONDS = 4, 16, 24, 12.0
DRAINED = 60.0  # seconds in which what was written must be published once the killing ends
_CUT_OFF = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'eventhub relay%'"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run came to."""

    committed: int
    lost: int
    inverted: int
    """Events first seen after a later one of their key, repetitions by id left out."""
    repeated: int


def verdict(committed: Sequence[bytes], records: Sequence[Record]) -> Verdict:
    """Compare what was committed, as ``key:version``, with what stands on the topic."""
    seen: set[bytes | None] = set()
    latest: dict[bytes | None, int] = {}
    inverted = 0
    for record in records:
        if record.header(ID) in seen:
            continue
        seen.add(record.header(ID))
        version = int((record.value or b"").rpartition(b":")[2])
        inverted += version < latest.get(record.key, 0)
        latest[record.key] = max(version, latest.get(record.key, 0))
    lost = len(set(committed) - {record.value for record in records})
    return Verdict(len(committed), lost, inverted, len(records) - len(seen))


async def write(store: PostgresStore, topic: str, committed: list[bytes], until: float) -> None:
    """Change rows of the business, some transactions slowly, and say so in events."""
    while time.monotonic() < until:
        key = b"k%d" % random.randrange(KEYS)
        async with store.transaction() as transaction:
            if random.random() < 0.3:  # an id of a transaction, long before the lock
                await transaction.connection.execute("SELECT pg_current_xact_id()")
                await asyncio.sleep(random.random() * 0.01)
            version = await transaction.connection.fetchval(
                "INSERT INTO versions VALUES ($1, 1) ON CONFLICT (key) DO UPDATE SET version = versions.version + 1 "
                "RETURNING version",
                key.decode(),
            )
            value = b"%b:%d" % (key, version)
            identity = str(uuid.uuid4()).encode()
            await transaction.enqueue([ProducerRecord(topic, key, value, ((ID, identity),))])
            if random.random() < 0.2:
                await asyncio.sleep(random.random() * 0.01)
        committed.append(value)


async def start_relay(dsn: str, schema: str, broker: str) -> Process:
    """A relay as a process of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "eventhub.cli", "relay", "--dsn", dsn, "--schema", schema, "--broker", broker),
        env={**os.environ, "PYTHONPATH": "src"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


@asynccontextmanager
async def relays(dsn: str, schema: str, broker: str) -> AsyncIterator[list[Process]]:
    """Four relays; none of them outlives the block."""
    running = [await start_relay(dsn, schema, broker) for _ in range(RELAYS)]
    try:
        yield running
    finally:
        for relay in running:
            if relay.returncode is None:
                relay.kill()
            await relay.wait()


async def test_relays_that_are_killed_lose_and_invert_nothing(
    tables: PostgresStore, postgres_url: str, kafka_url: str
) -> None:
    """Four relays, sixteen writers; kill -9 and lost connections at random: 0 lost, 0 inverted per key."""
    topic = f"chaos-outbox-{uuid.uuid4().hex[:8]}"
    schema = await tables.pool.fetchval("SELECT current_schema()")
    await tables.pool.execute("CREATE TABLE versions (key text PRIMARY KEY, version int)")
    broker = KafkaBroker(kafka_url)
    await broker.start()
    await broker.admin.create_topics([NewTopic(topic, 4)])
    committed: list[bytes] = []
    end = time.monotonic() + SECONDS

    async def harm(running: list[Process]) -> None:
        while time.monotonic() < end:
            await asyncio.sleep(random.uniform(0.5, 1.5))
            victim = random.randrange(RELAYS)
            if random.random() < 0.3:
                await tables.pool.execute(_CUT_OFF)
                continue
            running[victim].send_signal(signal.SIGKILL)
            await running[victim].wait()
            running[victim] = await start_relay(postgres_url, schema, kafka_url)

    async with relays(postgres_url, schema, kafka_url) as running:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(harm(running))
            for _ in range(WRITERS):
                tasks.create_task(write(tables, topic, committed, end))
        async with asyncio.timeout(DRAINED):
            while (await tables.status()).depth:  # noqa: ASYNC110 - nobody in this process knows
                await asyncio.sleep(0.05)
    found = verdict(committed, await read_topic(broker, topic))
    await broker.stop()

    assert found.committed > 100
    assert (0, 0) == (found.lost, found.inverted)


def test_the_verdict_sees_what_went_wrong() -> None:
    """A lost event, an inversion and a repetition are told apart."""

    def read(value: bytes, identity: bytes) -> Record:
        return Record("t", 0, 0, 0.0, value.partition(b":")[0], value, ((ID, identity),))

    records = [read(b"a:1", b"1"), read(b"a:3", b"3"), read(b"a:2", b"2"), read(b"a:1", b"1")]

    assert Verdict(committed=4, lost=1, inverted=1, repeated=1) == verdict([b"a:1", b"a:2", b"a:3", b"a:4"], records)
