"""Outages of the database, of the broker and of a relay, on a real PostgreSQL and a real Kafka."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from eventhub.brokers.base import Outcome, Producer
from eventhub.brokers.kafka import KafkaBroker
from eventhub.headers import read_stamp
from eventhub.integrations.postgres import PostgresStore, postgres_ddl
from eventhub.outbox.relay import Relay
from eventhub.outbox.rows import claim_of
from eventhub.record import ProducerRecord
from eventhub.testing.conformance.stores.samples import claims
from eventhub.testing.kafka import StartKafka
from eventhub.testing.postgres import PostgresServer
from eventhub.testing.reading import read_topic
from eventhub.testing.waiting import until
from tests.chaos.outbox_runs import WRITERS, drained, judged, prepare, relaying, verdict, write

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]

OUTAGE = float(os.environ.get("EVENTHUB_CHAOS_OUTAGE", "5"))
"""Seconds without a broker; the issue's minute is run by hand."""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[KafkaBroker, Producer]]:
    """A broker and a producer of it."""
    broker = KafkaBroker(url)
    await broker.start()
    producer = broker.producer()
    await producer.start()
    try:
        yield broker, producer
    finally:
        await producer.stop()
        await broker.stop()


@asynccontextmanager
async def writing(store: PostgresStore, topic: str, seconds: float) -> AsyncIterator[list[bytes]]:
    """Writers that go on for so many seconds, beside the block; what they committed."""
    committed: list[bytes] = []
    async with asyncio.TaskGroup() as tasks:
        for _ in range(WRITERS):
            tasks.create_task(write(store, topic, committed, time.monotonic() + seconds))
        yield committed


async def schema_of(store: PostgresStore) -> str:
    """Where a test's tables are."""
    schema: str = await store.pool.fetchval("SELECT current_schema()")
    return schema


async def test_a_broker_that_is_away_costs_time_and_nothing_else(
    tables: PostgresStore, postgres_url: str, start_kafka: StartKafka
) -> None:
    """Writers do not notice; once the broker is back the relay goes on by itself, in order, and blames no row."""
    async with start_kafka() as cluster, connected(f"kafka://{cluster.bootstrap}") as (broker, producer):
        topic = await prepare(tables, broker)
        async with relaying(postgres_url, await schema_of(tables), producer) as relay:
            async with writing(tables, topic, OUTAGE + 2.0) as committed:
                await until(lambda: relay.owned and committed)
                await cluster.nodes[0].kill()
                before = len(committed)
                await asyncio.sleep(OUTAGE)
                during = len(committed) - before
                await cluster.nodes[0].start()
            found = await judged(tables, broker, topic, committed)

    assert during > 100
    assert (0, 0, 0) == (found.lost, found.inverted, found.undone)


def goes_on(relay: Relay, committed: Sequence[bytes], goal: int) -> bool:
    """Whether the relay works, and so many events were committed."""
    return bool(relay.owned) and relay.failure is None and len(committed) > goal


async def test_a_database_that_crashes_and_comes_back(postgres_server: PostgresServer, kafka_url: str) -> None:
    """What was committed before and after is published; relay and writers go on by themselves."""
    url = postgres_server.url
    async with connected(kafka_url) as (broker, producer), asyncpg.create_pool(url, max_size=20) as pool:
        await pool.execute(postgres_ddl())
        store = PostgresStore(pool)
        topic = await prepare(store, broker)
        async with relaying(url, "public", producer) as relay:
            async with writing(store, topic, 6.0) as committed:
                await until(lambda: relay.owned and len(committed) > 100)
                for _ in range(2):
                    await asyncio.to_thread(postgres_server.kill)
                    await until(lambda: relay.failure is not None)
                    assert () == relay.owned
                    await asyncio.to_thread(postgres_server.start)
                    await until(
                        partial(goes_on, relay, committed, len(committed) + 50),
                        timeout=30,
                    )
            found = await judged(store, broker, topic, committed)

    assert (0, 0, 0) == (found.lost, found.inverted, found.undone)


class CutsAfterwards:
    """A producer that ends the relay's sessions once the broker has answered, some times in a row."""

    def __init__(self, producer: Producer, pool: asyncpg.Pool, times: int) -> None:
        """Send through another producer."""
        self._producer, self._pool, self.left = producer, pool, times
        self.start, self.stop = producer.start, producer.stop

    async def send(self, records: Sequence[ProducerRecord]) -> Sequence[Outcome]:
        """Send, and cut."""
        outcomes = await self._producer.send(records)
        if self.left:
            self.left -= 1
            await self._pool.execute(
                "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity "
                "WHERE application_name LIKE 'eventhub relay%' AND datname = current_database()"
            )
        return outcomes


async def test_a_connection_that_dies_between_answer_and_delete_repeats_events_with_their_ids(
    tables: PostgresStore, postgres_url: str, kafka_url: str
) -> None:
    """Rows whose delete was lost are published again by whoever owns them next: doubles, which an inbox drops."""
    async with connected(kafka_url) as (broker, producer):
        topic = await prepare(tables, broker)
        cutting, committed = CutsAfterwards(producer, tables.pool, times=5), list[bytes]()
        other = relaying(postgres_url, await schema_of(tables), producer)
        async with relaying(postgres_url, await schema_of(tables), cutting), other:
            while cutting.left:  # however long a relay takes to come back
                async with writing(tables, topic, 1.0) as more:
                    pass
                committed += more
            await drained(tables)
        records = await read_topic(broker, topic)
        found = verdict(committed, records)
        fresh = [await claims(tables, claim_of(read_stamp(record, "any"), "reader")) for record in records]

    assert found.repeated > 0
    assert (0, 0, 0) == (found.lost, found.inverted, found.undone)
    assert len(records) - found.repeated == sum(fresh)


HANGING = """
import asyncio, sys
import asyncpg
from eventhub.brokers.kafka import KafkaBroker
from eventhub.integrations.postgres import PostgresStore
from eventhub.outbox.relay import Relay
from tests.chaos.outbox_runs import PROMPT

dsn, schema, url = sys.argv[1:]


async def main():
    broker = KafkaBroker(url)
    await broker.start()
    producer = broker.producer()
    await producer.start()
    async with asyncpg.create_pool(dsn, min_size=1, max_size=3) as pool:
        await Relay(PostgresStore(pool, schema=schema, idle_timeout=1.0), producer, PROMPT).run()

asyncio.run(main())
"""


async def test_a_relay_that_stands_still_is_taken_over_and_does_no_harm_when_it_wakes(
    tables: PostgresStore, postgres_url: str, kafka_url: str, tmp_path: Path
) -> None:
    """SIGSTOP for longer than ``idle_timeout``: the other owns everything; SIGCONT: they share again."""
    schema, program = await schema_of(tables), tmp_path / "hanging.py"
    program.write_text(HANGING)
    async with connected(kafka_url) as (broker, producer):
        topic = await prepare(tables, broker)
        async with relaying(postgres_url, schema, producer) as awake, writing(tables, topic, 8.0) as committed:
            hanging = await asyncio.create_subprocess_exec(
                *(sys.executable, str(program), postgres_url, schema, kafka_url),
                env={**os.environ, "PYTHONPATH": f"src{os.pathsep}."},
            )
            try:
                await until(lambda: len(awake.owned) == 8, timeout=30)
                hanging.send_signal(signal.SIGSTOP)
                await until(lambda: len(awake.owned) == 16, timeout=30)
                hanging.send_signal(signal.SIGCONT)
                await until(lambda: len(awake.owned) == 8, timeout=30)
                alive = hanging.returncode is None
            finally:
                hanging.kill()
                await hanging.wait()
        async with relaying(postgres_url, schema, producer):
            found = await judged(tables, broker, topic, committed)

    assert alive
    assert (0, 0, 0) == (found.lost, found.inverted, found.undone)


async def test_two_relays_at_once_share_the_work_without_doubles(
    tables: PostgresStore, postgres_url: str, kafka_url: str
) -> None:
    """While nothing fails, each event is published once, whoever publishes it."""
    schema = await schema_of(tables)
    async with connected(kafka_url) as (broker, producer):
        topic = await prepare(tables, broker)
        async with (
            relaying(postgres_url, schema, producer) as one,
            relaying(postgres_url, schema, producer) as other,
        ):
            await until(lambda: [8, 8] == [len(one.owned), len(other.owned)])
            async with writing(tables, topic, 3.0) as committed:
                pass
            found = await judged(tables, broker, topic, committed)
        relayed = [relay._store.counters.relayed for relay in (one, other)]

    assert all(relayed)
    assert (0, 0, 0, 0) == (found.lost, found.inverted, found.undone, found.repeated)
