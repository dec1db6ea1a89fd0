"""What inbox and outbox cost a transaction, and how fast a relay carries rows to a real Kafka.

Run: python -m benchmarks.outbox [--rows 60000] [--seconds 3] [--rounds 3]

PostgreSQL writes to the disk as a real one does, Kafka is real. Variants of writers take turns and
the best of their rounds are compared, since the speed of a shared machine drifts.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from eventhub.brokers.base import NewTopic, Outcome, Producer
from eventhub.brokers.kafka import KafkaBroker
from eventhub.integrations.postgres import PostgresStore, postgres_ddl
from eventhub.outbox.base import Claim, Store
from eventhub.outbox.relay import Relay
from eventhub.outbox.rows import day_of
from eventhub.outbox.sqlite import SqliteStore
from eventhub.record import ProducerRecord
from eventhub.testing.kafka.shared import shared_kafka
from eventhub.testing.postgres import postgres
from eventhub.testing.waiting import until

WRITERS = 16
KEYS = 64
VALUE = b"x" * 200


class Timed:
    """A producer that notes, by event id, when a record was acknowledged."""

    def __init__(self, producer: Producer) -> None:
        """Send through another producer."""
        self._producer = producer
        self.acknowledged: dict[bytes, float] = {}
        self.start, self.stop = producer.start, producer.stop

    async def send(self, records: Sequence[ProducerRecord]) -> Sequence[Outcome]:
        """Send and note."""
        outcomes = await self._producer.send(records)
        now = time.perf_counter()
        for record in records:
            self.acknowledged[record.headers[0][1] or b""] = now
        return outcomes


def event(topic: str) -> ProducerRecord:
    """A record of some key."""
    identity = str(uuid.uuid4()).encode()
    return ProducerRecord(topic, b"key-%d" % random.randrange(KEYS), VALUE, (("ce_id", identity),))  # noqa: S311 - spreads load, keeps no secret


@asynccontextmanager
async def relaying(store: Store[Any], producer: Producer) -> AsyncIterator[Relay]:
    """A relay for the length of the block."""
    relay = Relay(store, producer)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(relay.run())
        yield relay
        relay.stop()


async def drain(store: Store[Any], producer: Producer, topic: str, rows: int) -> float:
    """Rows a second from a full outbox to acknowledged and deleted."""
    for _ in range(rows // 1000):
        async with store.transaction() as transaction:
            await transaction.enqueue([event(topic) for _ in range(1000)])
    before, started = store.counters.relayed, time.perf_counter()
    async with relaying(store, producer):
        await until(lambda: store.counters.relayed - before >= rows, timeout=300)
        return rows / (time.perf_counter() - started)


async def latency(store: Store[Any], producer: Producer, topic: str, rate: int, seconds: float) -> str:
    """From just after the commit to acknowledged, in milliseconds."""
    timed, committed, asked = Timed(producer), dict[bytes, float](), dict[bytes, float]()
    turns = asyncio.Semaphore(WRITERS)

    async def write() -> None:
        record = event(topic)
        identity = record.headers[0][1] or b""
        asked[identity] = time.perf_counter()
        async with turns, store.transaction() as transaction:
            await transaction.enqueue([record])
        committed[identity] = time.perf_counter()

    async with relaying(store, timed) as relay:
        await until(lambda: relay.owned)  # what is committed before waits for the relay's start, which is no latency
        started = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number in range(int(rate * seconds)):
                await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
                tasks.create_task(write())
        await until(lambda: len(timed.acknowledged) == len(committed), timeout=60)
    took = sorted(timed.acknowledged[identity] - at for identity, at in committed.items())
    wrote = sorted(at - asked[identity] for identity, at in committed.items())
    return (
        f"p50 {_ms(took, 0.5)} ms, p99 {_ms(took, 0.99)} ms at {len(took) / seconds:.0f} tx/s "
        f"(the transaction itself: p50 {_ms(wrote, 0.5)} ms, p99 {_ms(wrote, 0.99)} ms)"
    )


def _ms(took: Sequence[float], share: float) -> str:
    return f"{1000 * took[min(len(took) - 1, int(share * len(took)))]:.1f}"


async def costs(store: PostgresStore, topic: str, seconds: float, rounds: int) -> dict[str, list[float]]:
    """Transactions a second of 16 writers that change one row: alone, with an event, with a claim."""

    async def plain(connection: Any) -> None:  # noqa: ANN401 - a connection or a pool's proxy of one
        key = random.randrange(KEYS * 16)  # noqa: S311 - likewise
        await connection.execute("UPDATE stock SET pieces = pieces + 1 WHERE sku = $1", key)

    async def alone() -> None:
        async with store.pool.acquire() as connection, connection.transaction():
            await plain(connection)

    async def with_event() -> None:
        async with store.transaction() as transaction:
            await plain(transaction.connection)
            await transaction.enqueue([event(topic)])

    async def with_claim() -> None:
        async with store.claiming(Claim("bench", uuid.uuid4(), day_of(time.time()))) as transaction:
            if transaction is not None:  # as every id is new
                await plain(transaction.connection)

    variants: dict[str, Callable[[], Awaitable[None]]] = {
        "alone": alone,
        "with an event": with_event,
        "with a claim": with_claim,
    }
    rates: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, work in variants.items():
            rates[name].append(await _rate(work, seconds))
    return rates


async def _rate(work: Callable[[], Awaitable[None]], seconds: float) -> float:
    done = 0
    end = time.perf_counter() + seconds

    async def repeat() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await work()
            done += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(WRITERS):
            tasks.create_task(repeat())
    return done / seconds


async def on_postgres(url: str, broker: KafkaBroker, arguments: argparse.Namespace) -> None:
    """Drain, latency and the cost for writers."""
    topic = await _topic(broker)
    producer = broker.producer()
    await producer.start()
    async with asyncpg.create_pool(url, min_size=WRITERS, max_size=WRITERS + 4) as pool:
        await pool.execute(postgres_ddl() + "CREATE TABLE stock (sku int PRIMARY KEY, pieces int);")
        await pool.execute("INSERT INTO stock SELECT n, 0 FROM generate_series(0, $1::int) AS n", KEYS * 16)
        store = PostgresStore(pool)
        drains = [await drain(store, producer, topic, arguments.rows) for _ in range(arguments.rounds)]
        print(f"PostgreSQL drain: {max(drains):,.0f} rows/s, median {statistics.median(drains):,.0f}")
        print(f"PostgreSQL commit -> acknowledged: {await latency(store, producer, topic, 500, arguments.seconds * 2)}")
        rates = await costs(store, topic, arguments.seconds, arguments.rounds)
        for name, found in rates.items():
            cost = statistics.median(1 - rate / alone for rate, alone in zip(found, rates["alone"], strict=True))
            print(f"PostgreSQL one-statement transaction {name}: {max(found):,.0f} tx/s, costs {cost:.0%}")
    await producer.stop()


async def on_sqlite(path: Path, broker: KafkaBroker, arguments: argparse.Namespace) -> None:
    """Drain, latency and rate of one file."""
    topic = await _topic(broker)
    producer = broker.producer()
    await producer.start()
    async with SqliteStore(path) as store:
        print(f"SQLite drain: {await drain(store, producer, topic, arguments.rows):,.0f} rows/s")
        print(f"SQLite commit -> acknowledged: {await latency(store, producer, topic, 300, arguments.seconds * 2)}")

        async def write() -> None:
            async with store.transaction() as transaction:
                await transaction.enqueue([event(topic)])

        print(f"SQLite transactions with an event: {await _rate(write, arguments.seconds):,.0f} tx/s")
    await producer.stop()


async def _topic(broker: KafkaBroker) -> str:
    topic = f"bench-outbox-{uuid.uuid4().hex[:8]}"
    await broker.admin.create_topics([NewTopic(topic, 8)])
    return topic


async def _run(bootstrap: str, arguments: argparse.Namespace) -> None:
    broker = KafkaBroker(f"kafka://{bootstrap}")
    await broker.start()
    with postgres(durable=True) as url:
        await on_postgres(url, broker, arguments)
    with tempfile.TemporaryDirectory() as folder:
        await on_sqlite(Path(folder) / "outbox.sqlite3", broker, arguments)
    await broker.stop()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with shared_kafka() as kafka:
        asyncio.run(_run(kafka.bootstrap, arguments))


if __name__ == "__main__":
    main()
