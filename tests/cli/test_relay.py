"""``eventhub relay``: a relay as a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from pathlib import Path

import pytest

from eventhub.brokers.base import NewTopic
from eventhub.brokers.kafka import KafkaBroker
from eventhub.outbox.sqlite import SqliteStore
from eventhub.testing.conformance.stores.samples import record
from eventhub.testing.reading import read_topic


@pytest.mark.kafka
@pytest.mark.slow
async def test_it_relays_until_it_is_told_to_stop(kafka_url: str, tmp_path: Path) -> None:
    """Rows of a file reach a real Kafka; SIGTERM ends the process with exit code 0."""
    topic, path = f"relay-{uuid.uuid4().hex[:8]}", tmp_path / "store.sqlite3"
    broker = KafkaBroker(kafka_url)
    await broker.start()
    await broker.admin.create_topics([NewTopic(topic)])
    async with asyncio.timeout(60), SqliteStore(path) as store:
        async with store.transaction() as transaction:
            await transaction.enqueue([record(letter, topic=topic) for letter in "abc"])
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "eventhub.cli", "relay", "--dsn", f"sqlite:///{path}", "--broker", kafka_url),
            env={**os.environ, "PYTHONPATH": "src"},
        )
        listener = store.doorbell.listen()
        while (await store.status()).depth:
            await listener.wait(0.05)
        process.send_signal(signal.SIGTERM)
        code = await process.wait()
    written = [read.value for read in await read_topic(broker, topic)]
    await broker.stop()

    assert 0 == code
    assert [b"a", b"b", b"c"] == written


async def test_a_broker_that_is_no_kafka_is_refused() -> None:
    """The memory broker of another process cannot be reached; one line says so."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "eventhub.cli", "relay", "--dsn", "sqlite:///nowhere", "--broker", "memory://"),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": "src"},
    )
    _, shown = await process.communicate()

    assert 1 == process.returncode
    assert b"kafka://" in shown
