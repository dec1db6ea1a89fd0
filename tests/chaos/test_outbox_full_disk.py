"""A disk that is really full, under a store: a file system of 2 MiB in memory."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from eventhub.brokers.base import NewTopic
from eventhub.brokers.memory import MemoryBroker
from eventhub.errors import StoreError
from eventhub.integrations.postgres import PostgresStore, postgres_ddl
from eventhub.outbox.base import Store
from eventhub.outbox.relay import Relay
from eventhub.outbox.sqlite import SqliteStore
from eventhub.testing.conformance.stores.samples import record
from eventhub.testing.postgres import PostgresServer
from eventhub.testing.waiting import until
from tests.chaos.outbox_runs import PROMPT

pytestmark = pytest.mark.slow


@contextmanager
def small_disk(owner: int) -> Iterator[Path]:
    """A disk of 2 MiB that belongs to a user; where none can be mounted the test is skipped, with CI set it fails."""
    folder = Path(tempfile.mkdtemp(prefix="eventhub-disk-"))
    made = run("mount", "-t", "tmpfs", "-o", f"size=2m,uid={owner},mode=0700", "tmpfs", str(folder))
    try:
        if made.returncode:
            pytest.skip(f"no small disk can be mounted here: {made.stderr.strip()}")  # with CI set a skip is a failure
        try:
            yield folder
        finally:
            run("umount", "-l", str(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def overdrawn_disk() -> Iterator[Path]:
    """A file system of 64 MiB on a disk of 2 MiB: it takes what is written, and can not bring it to the disk."""
    with small_disk(os.getuid()) as disk:
        image, folder = disk / "image", disk / "folder"
        folder.mkdir()
        with image.open("wb") as file:
            file.truncate(64 * 1024 * 1024)
        made = run("mkfs.ext4", "-q", "-F", "-O", "^has_journal", str(image))
        if not made.returncode:
            made = run("mount", "-o", "loop", str(image), str(folder))
        if made.returncode:
            pytest.skip(f"no file system in a file can be mounted here: {made.stderr.strip()}")  # as above
        try:
            yield folder
        finally:
            run("umount", "-l", str(folder))


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(command, capture_output=True, text=True, check=False)


def grow(disk: Path) -> None:
    """Make room."""
    assert 0 == run("mount", "-o", "remount,size=8m", str(disk)).returncode


async def fill_up(store: Store[Any]) -> list[bytes]:
    """What could be committed before the disk was full; the failure is an outage that waiting heals."""
    committed: list[bytes] = []

    async def write() -> None:
        for number in range(100_000):
            value = f"{number}-{'x' * 500}"
            async with store.transaction() as transaction:
                await transaction.enqueue([record(value, key=b"k%d" % (number % 7))])
            committed.append(value.encode())

    with pytest.raises(StoreError) as failure:
        await write()

    assert failure.value.retriable
    return committed


@asynccontextmanager
async def relaying(store: Store[Any]) -> AsyncIterator[tuple[Relay, MemoryBroker]]:
    """A relay into a broker of its own."""
    broker = MemoryBroker()
    await broker.admin.create_topics([NewTopic("orders")])
    relay = Relay(store, broker.producer(), PROMPT)
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(relay.run())
        yield relay, broker
        relay.stop()


def published(broker: MemoryBroker) -> Sequence[bytes | None]:
    """What the broker has, in its order."""
    return [read.value for read in broker.records("orders")]


async def test_a_file_on_a_full_disk_publishes_each_event_once() -> None:
    """While not even a delete fits, nothing is sent again; with room, relay and writers go on by themselves."""
    with small_disk(os.geteuid()) as disk:
        async with SqliteStore(disk / "store.sqlite3") as store:
            committed = await fill_up(store)
            (disk / "rest").write_bytes(b"")
            with pytest.raises(OSError, match="No space left"):
                (disk / "rest").write_bytes(bytes(2**21))
            async with relaying(store) as (relay, broker):
                await until(lambda: relay._store_failures > 2)
                stuck = list(published(broker))
                grow(disk)
                await until(lambda: store.counters.relayed == len(committed))
                async with store.transaction() as transaction:
                    await transaction.enqueue([record("after", key=b"k0")])
                await until(lambda: store.counters.relayed == len(committed) + 1)

    assert committed == stuck
    assert [*committed, b"after"] == published(broker)


async def test_what_the_disk_lost_is_not_believed() -> None:
    """A transaction so large that SQLite itself meets the failure first, at a checkpoint, and says nothing of it."""
    with overdrawn_disk() as disk:
        async with SqliteStore(disk / "store.sqlite3") as store, store.backlog() as backlog:
            owned = await backlog.share()
            with pytest.raises(StoreError, match="may not be on the disk"):
                await write_megabytes(store, 20)
            with pytest.raises(StoreError, match="may not be on the disk") as refused:
                await backlog.read(owned, 10)

    assert not refused.value.retriable


async def write_megabytes(store: SqliteStore, number: int) -> None:
    """One transaction with a row for the relay."""
    async with store.transaction() as transaction:
        await transaction.connection.execute("CREATE TABLE blobs (value BLOB)")
        for _ in range(number):
            await transaction.connection.execute("INSERT INTO blobs VALUES (randomblob(1048576))")
        await transaction.enqueue([record("a")])


@pytest.mark.postgres
async def test_tables_on_a_full_disk_are_relayed(postgres_server: PostgresServer) -> None:
    """Writers fail, the relay drains the tables; with room, writers go on."""
    connection = await asyncpg.connect(postgres_server.url)
    data = Path(await connection.fetchval("SHOW data_directory"))
    with small_disk(data.stat().st_uid) as disk:
        await connection.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        await connection.close()
        async with asyncpg.create_pool(
            postgres_server.url, min_size=1, max_size=5, server_settings={"default_tablespace": "small"}
        ) as pool:
            await pool.execute(postgres_ddl())
            store = PostgresStore(pool)
            committed = await fill_up(store)
            async with relaying(store) as (relay, broker):
                await until(lambda: store.counters.relayed == len(committed), timeout=30)
                await until(lambda: relay.failure is None)
                grow(disk)
                async with store.transaction() as transaction:
                    await transaction.enqueue([record("after", key=b"k0")])
                await until(lambda: store.counters.relayed == len(committed) + 1, timeout=30)
        postgres_server.kill()

    assert [*committed, b"after"] == published(broker)
