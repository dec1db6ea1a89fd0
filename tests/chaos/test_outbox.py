"""Relays that are killed and cut off from their database, on a real PostgreSQL and a real Kafka."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from eventhub.brokers.kafka import KafkaBroker
from eventhub.headers import ID
from eventhub.integrations.postgres import PostgresStore
from eventhub.record import Record
from tests.chaos.outbox_runs import WRITERS, Verdict, judged, prepare, start_relay, verdict, write

RELAYS, SECONDS = 4, 12.0
_CUT_OFF = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'eventhub relay%'"


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


@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.slow
async def test_relays_that_are_killed_lose_and_invert_nothing(
    tables: PostgresStore, postgres_url: str, kafka_url: str
) -> None:
    """Four relays, sixteen writers; kill -9 and lost connections at random: nothing lost, inverted or undone."""
    schema = await tables.pool.fetchval("SELECT current_schema()")
    broker = KafkaBroker(kafka_url)
    await broker.start()
    topic = await prepare(tables, broker)
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
        found = await judged(tables, broker, topic, committed)
    await broker.stop()

    assert found.committed > 100
    assert (0, 0, 0) == (found.lost, found.inverted, found.undone)


def test_the_verdict_sees_what_went_wrong() -> None:
    """A lost event, an inversion, a repetition and one that was rolled back are told apart."""

    def read(value: bytes, identity: bytes) -> Record:
        return Record("t", 0, 0, 0.0, value.partition(b":")[0], value, ((ID, identity),))

    records = [read(b"a:1", b"1"), read(b"a:3", b"3"), read(b"a:2", b"2"), read(b"a:1", b"1"), read(b"undone", b"9")]

    assert Verdict(committed=4, lost=1, inverted=1, repeated=1, undone=1) == verdict(
        [b"a:1", b"a:2", b"a:3", b"a:4"], records
    )
