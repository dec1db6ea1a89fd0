"""When what is committed to a SQLite file counts as being on the disk."""

import asyncio
import threading
from pathlib import Path

import pytest

from eventhub.errors import StoreError
from eventhub.outbox.sqlite import SqliteStore
from eventhub.outbox.sqlite.durability import Durability
from eventhub.record import ProducerRecord
from eventhub.testing.waiting import until


class Disk:
    """A disk whose syncs end when they are told to."""

    def __init__(self) -> None:
        """Let no sync end."""
        self.begun = 0
        self.end = threading.Semaphore(0)
        self.failure: OSError | None = None

    def sync(self) -> None:
        """Take part in a sync."""
        self.begun += 1
        self.end.acquire()
        if self.failure is not None:
            raise self.failure


async def test_one_sync_serves_all_who_asked_before_it_began() -> None:
    """Who asks while one is under way waits for the next: what was committed meanwhile may not be in it."""
    disk = Disk()
    durability = Durability(Path("shop.sqlite3"), disk.sync)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(durability.reached())
        await until(lambda: disk.begun == 1)
        others = [tasks.create_task(durability.reached()) for _ in range(20)]
        disk.end.release()
        await until(lambda: disk.begun == 2)
        early = [task.done() for task in (first, *others)]
        disk.end.release()

    assert [True] + [False] * 20 == early
    assert 2 == disk.begun


async def test_who_gives_up_waiting_takes_nobody_along() -> None:
    """The next one in turn does not rely on a sync whose end nobody saw."""
    disk = Disk()
    durability = Durability(Path("shop.sqlite3"), disk.sync)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(durability.reached())
        await until(lambda: disk.begun == 1)
        second = tasks.create_task(durability.reached())
        first.cancel()
        await until(lambda: disk.begun == 2)
        disk.end.release(2)

    assert second.done()


async def test_a_sync_that_failed_is_remembered() -> None:
    """The system reports a lost page once; a later sync would succeed without it."""
    disk = Disk()
    disk.failure = OSError(5, "Input/output error")
    durability = Durability(Path("shop.sqlite3"), disk.sync)
    disk.end.release(2)
    with pytest.raises(StoreError, match="Input/output error"):
        await durability.reached()
    disk.failure = None

    with pytest.raises(StoreError, match="Input/output error") as refused:
        await durability.reached()
    assert not refused.value.retriable


async def test_neither_a_transaction_nor_a_relay_believes_what_is_not_on_the_disk(tmp_path: Path) -> None:
    """A log that cannot be synced fails the transaction, and its row is not handed to the relay."""
    async with SqliteStore(tmp_path / "shop.sqlite3") as store, store.backlog() as backlog:
        await backlog.share()
        (tmp_path / "shop.sqlite3-wal").rename(tmp_path / "elsewhere")
        with pytest.raises(StoreError, match="may not be on the disk"):
            async with store.transaction() as transaction:
                await transaction.enqueue([ProducerRecord("orders", b"k", b"v")])
        with pytest.raises(StoreError, match="may not be on the disk"):
            await backlog.read(range(store.buckets), 10)
        (tmp_path / "elsewhere").rename(tmp_path / "shop.sqlite3-wal")
        status = await store.status()

    assert 1 == status.depth


async def test_a_delete_of_a_relay_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    """One that a loss of power undoes is a repetition, which readers know by its id."""
    async with SqliteStore(tmp_path / "shop.sqlite3") as store, store.backlog() as backlog:
        async with store.transaction() as transaction:
            await transaction.enqueue([ProducerRecord("orders", b"k", b"v")])
        await backlog.share()
        [row] = await backlog.read(range(store.buckets), 10)
        (tmp_path / "shop.sqlite3-wal").rename(tmp_path / "elsewhere")
        await backlog.delete([row.id])
        (tmp_path / "elsewhere").rename(tmp_path / "shop.sqlite3-wal")
        status = await store.status()

    assert 0 == status.depth
