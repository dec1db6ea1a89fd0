"""When what is committed to a SQLite file counts as being on the disk."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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

    def sync(self, _: int) -> None:
        """Take part in a sync."""
        self.begun += 1
        self.end.acquire()
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def disk() -> Disk:
    """The disk."""
    return Disk()


@pytest.fixture
def durability(disk: Disk, tmp_path: Path) -> Iterator[Durability]:
    """An open log on that disk."""
    (tmp_path / "shop.sqlite3-wal").touch()
    durability = Durability(tmp_path / "shop.sqlite3", disk.sync)
    durability.open()
    yield durability
    durability.close()


async def test_one_sync_serves_all_who_asked_before_it_began(disk: Disk, durability: Durability) -> None:
    """Who asks while one is under way waits for the next: what was committed meanwhile may not be in it."""
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


async def test_who_gives_up_waiting_takes_nobody_along(disk: Disk, durability: Durability) -> None:
    """The next one in turn does not rely on a sync whose end nobody saw."""
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(durability.reached())
        await until(lambda: disk.begun == 1)
        second = tasks.create_task(durability.reached())
        first.cancel()
        disk.end.release()
        await until(lambda: disk.begun == 2)
        early = second.done()
        disk.end.release()

    assert (False, True) == (early, second.done())


async def test_a_sync_that_fails_is_remembered_though_nobody_waits_for_it(disk: Disk, durability: Durability) -> None:
    """The one who asked for it was cancelled; the next one hears of it."""
    disk.failure = OSError(5, "Input/output error")
    first = asyncio.ensure_future(durability.reached())
    await until(lambda: disk.begun == 1)
    first.cancel()
    await asyncio.wait({first})
    disk.end.release(2)

    with pytest.raises(StoreError, match="Input/output error"):
        await durability.reached()
    assert 1 == disk.begun


async def test_a_sync_needs_none_of_the_loops_own_threads(disk: Disk, durability: Durability) -> None:
    """They may all wait, for the address of a broker for instance."""
    go_on = threading.Event()
    disk.end.release()
    with ThreadPoolExecutor(1) as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        waiting = asyncio.ensure_future(asyncio.to_thread(go_on.wait))
        async with asyncio.timeout(10):
            await durability.reached()
        go_on.set()
        await waiting

    assert 1 == disk.begun


async def test_a_sync_that_failed_is_remembered(disk: Disk, durability: Durability) -> None:
    """The system reports a lost page once; a later sync would succeed without it."""
    disk.failure = OSError(5, "Input/output error")
    disk.end.release(2)
    with pytest.raises(StoreError, match="Input/output error"):
        await durability.reached()
    disk.failure = None

    with pytest.raises(StoreError, match="Input/output error") as refused:
        await durability.reached()
    assert not refused.value.retriable


async def test_neither_a_transaction_nor_a_relay_believes_what_is_not_on_the_disk(tmp_path: Path) -> None:
    """A log that cannot be synced, since it is closed, fails the transaction, and no relay gets its row."""
    async with SqliteStore(tmp_path / "shop.sqlite3") as store, store.backlog() as backlog:
        await backlog.share()
        store.file.durability.close()
        with pytest.raises(StoreError, match="may not be on the disk"):
            async with store.transaction() as transaction:
                await transaction.enqueue([ProducerRecord("orders", b"k", b"v")])
        with pytest.raises(StoreError, match="may not be on the disk"):
            await backlog.read(range(store.buckets), 10)
        status = await store.status()

    assert 1 == status.depth


async def test_a_delete_of_a_relay_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    """One that a loss of power undoes is a repetition, which readers know by its id."""
    async with SqliteStore(tmp_path / "shop.sqlite3") as store, store.backlog() as backlog:
        async with store.transaction() as transaction:
            await transaction.enqueue([ProducerRecord("orders", b"k", b"v")])
        await backlog.share()
        [row] = await backlog.read(range(store.buckets), 10)
        store.file.durability.close()
        await backlog.delete([row.id])
        status = await store.status()

    assert 0 == status.depth
