"""What the chaos of outboxes shares: writers that keep the rule, relays, and the verdict over a run."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
import uuid
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import asyncpg

from eventhub.brokers.base import Broker, NewTopic, Producer
from eventhub.errors import StoreError
from eventhub.headers import ID
from eventhub.integrations.postgres import PostgresStore
from eventhub.outbox.relay import Relay, RelayOptions
from eventhub.record import ProducerRecord, Record
from eventhub.testing.conformance.stores.samples import Undone
from eventhub.testing.reading import read_topic

WRITERS, KEYS = 16, 24
DRAINED = 60.0  # seconds in which what was written must be published once the harm ends
PROMPT = RelayOptions(tick=0.1, beat=0.2, idle_poll=0.1)
_UNDONE = b"undone"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run came to."""

    committed: int
    lost: int
    inverted: int
    """Events first seen after a later one of their key, repetitions by id left out."""
    repeated: int
    undone: int
    """Events whose transaction or savepoint was rolled back."""


def verdict(committed: Sequence[bytes], records: Sequence[Record]) -> Verdict:
    """Compare what was committed, as ``key:version``, with what stands on the topic."""
    seen: set[bytes | None] = set()
    latest: dict[bytes | None, int] = {}
    inverted = undone = 0
    for record in records:
        if record.header(ID) in seen:
            continue
        seen.add(record.header(ID))
        if record.value == _UNDONE:
            undone += 1
            continue
        version = int((record.value or b"").rpartition(b":")[2])
        inverted += version < latest.get(record.key, 0)
        latest[record.key] = max(version, latest.get(record.key, 0))
    lost = len(set(committed) - {record.value for record in records})
    return Verdict(len(committed), lost, inverted, len(records) - len(seen), undone)


def event(topic: str, key: bytes, value: bytes) -> ProducerRecord:
    """A record with an id of its own."""
    return ProducerRecord(topic, key, value, ((ID, str(uuid.uuid4()).encode()),))


def undo() -> None:
    """Have the block around it undone."""
    raise Undone


async def write(store: PostgresStore, topic: str, committed: list[bytes], until: float) -> None:
    """Change rows of the business, some transactions slowly, some in vain, and say so in events."""
    while time.monotonic() < until:
        key = b"k%d" % random.randrange(KEYS)
        undone = random.random() < 0.1
        try:
            async with store.transaction() as transaction:
                if random.random() < 0.3:  # an id of a transaction, long before the lock
                    await transaction.connection.execute("SELECT pg_current_xact_id()")
                    await asyncio.sleep(random.random() * 0.01)
                version = await transaction.connection.fetchval(
                    "INSERT INTO versions AS v VALUES ($1, 1) "
                    "ON CONFLICT (key) DO UPDATE SET version = v.version + 1 RETURNING version",
                    key.decode(),
                )
                value = b"%b:%d" % (key, version)
                if random.random() < 0.1:
                    with suppress(Undone):
                        async with transaction.connection.transaction():
                            await transaction.defer([event(topic, key, _UNDONE)])
                            undo()
                await transaction.enqueue([event(topic, key, _UNDONE if undone else value)])
                if random.random() < 0.2:
                    await asyncio.sleep(random.random() * 0.01)
                if undone:
                    undo()
        except Undone:
            continue
        except StoreError:  # the database is away; a commit whose answer was lost may stand
            await asyncio.sleep(0.05)
            continue
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
async def relaying(dsn: str, schema: str, producer: Producer, **options: Any) -> AsyncIterator[Relay]:
    """A relay of this process, on connections of its own, for the length of the block."""
    async with asyncpg.create_pool(dsn, min_size=1, max_size=3) as pool, asyncio.TaskGroup() as tasks:
        relay = Relay(PostgresStore(pool, schema=schema, **options), producer, PROMPT)
        tasks.create_task(relay.run())
        yield relay
        relay.stop()


async def prepare(store: PostgresStore, broker: Broker) -> str:
    """A topic of its own, and the table that writers change."""
    topic = f"chaos-outbox-{uuid.uuid4().hex[:8]}"
    await broker.admin.create_topics([NewTopic(topic, 4)])
    await store.pool.execute("CREATE TABLE versions (key text PRIMARY KEY, version int)")
    return topic


async def drained(store: PostgresStore) -> None:
    """Return once no row waits."""
    async with asyncio.timeout(DRAINED):
        while (await store.status()).depth:  # noqa: ASYNC110 - nobody in this process knows
            await asyncio.sleep(0.05)


async def judged(store: PostgresStore, broker: Broker, topic: str, committed: Sequence[bytes]) -> Verdict:
    """The verdict once everything is published; no row may be dead, since none was to blame."""
    await drained(store)
    assert 0 == (await store.status()).dead
    return verdict(committed, await read_topic(broker, topic))
