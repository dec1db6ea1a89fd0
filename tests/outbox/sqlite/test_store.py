"""What is SQLite's own: the file, its lock, its failures, and other processes."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import aiosqlite
import pytest

from eventhub import DeclarationError
from eventhub.errors import StoreError
from eventhub.outbox.sqlite import SqliteStore
from eventhub.testing.conformance.stores.samples import Undone, claims, fill, new_claim, record, rows_of, values
from eventhub.testing.waiting import until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is kept."""
    return tmp_path / "store.sqlite3"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    """An open store with a table of the business."""
    async with SqliteStore(path) as store:
        async with store.transaction() as transaction:
            await transaction.connection.execute("CREATE TABLE stock (sku TEXT, pieces INTEGER CHECK (pieces >= 0))")
        yield store


async def test_what_was_committed_outlives_the_process(path: Path) -> None:
    """Rows and claims are there when the file is opened again."""
    claim = new_claim()
    async with SqliteStore(path) as store:
        await fill(store, "ab")
        await claims(store, claim)
    async with SqliteStore(path) as again:
        assert [b"a", b"b"] == values(await rows_of(again))
        assert not await claims(again, claim)


async def test_another_number_of_buckets_is_refused(path: Path) -> None:
    """An outbox keeps the buckets that it was made with, and says how many."""
    async with SqliteStore(path, buckets=4):
        pass

    with pytest.raises(DeclarationError, match="has 4 buckets, not 16; say buckets=4"):
        await SqliteStore(path).__aenter__()


def test_a_prefix_that_is_no_plain_name_is_refused(path: Path) -> None:
    """Nothing but a plain name becomes part of a statement."""
    with pytest.raises(DeclarationError, match="no plain name"):
        SqliteStore(path, prefix='x"; DROP TABLE stock; --')


async def test_two_prefixes_are_two_stores(path: Path) -> None:
    """Tables of another prefix are another outbox in the same file."""
    async with SqliteStore(path) as one, SqliteStore(path, prefix="billing") as other:
        await fill(one, "a")

        assert [] == await rows_of(other)


async def test_a_store_that_is_not_open_says_so(path: Path) -> None:
    """The message names the file and what to do."""
    store = SqliteStore(path)

    with pytest.raises(StoreError, match="is not open; use it as an async context manager"):
        await fill(store, "a")


async def test_a_file_that_cannot_be_opened_is_a_store_error(tmp_path: Path) -> None:
    """The path stands in the message."""
    with pytest.raises(StoreError, match=r"nowhere/store\.sqlite3"):
        await SqliteStore(tmp_path / "nowhere" / "store.sqlite3").__aenter__()


async def test_errors_of_the_business_stay_what_they_are(store: SqliteStore) -> None:
    """A statement that breaks a constraint is the handler's own failure."""

    async def oversell() -> None:
        async with store.transaction() as transaction:
            await transaction.enqueue([record("a")])
            await transaction.connection.execute("INSERT INTO stock VALUES ('tea', -1)")

    with pytest.raises(sqlite3.IntegrityError):
        await oversell()

    assert [] == await rows_of(store)


async def test_what_is_deferred_to_the_commit_is_the_blocks_own_error(store: SqliteStore) -> None:
    """A constraint that only COMMIT looks at is broken by the record, however often it is tried: no outage."""
    claim = new_claim()

    async def dangle() -> None:
        async with store.transaction() as transaction:
            await transaction.claim(claim)
            await transaction.connection.execute("INSERT INTO shelf VALUES ('tea')")

    async with store.transaction() as transaction:
        await transaction.connection.execute("CREATE TABLE item (sku TEXT PRIMARY KEY)")
        await transaction.connection.execute(
            "CREATE TABLE shelf (sku TEXT REFERENCES item DEFERRABLE INITIALLY DEFERRED)"
        )
        connection = transaction.connection
    await connection.execute("PRAGMA foreign_keys = ON")
    with pytest.raises(sqlite3.IntegrityError):
        await dangle()

    assert await claims(store, claim)


async def test_a_full_disk_that_the_block_says_in_its_own_words_stays_that(store: SqliteStore) -> None:
    """SQLite has undone the transaction; nobody has ended it by hand, so the event may be tried again."""
    claim = new_claim()

    async def fill_up() -> None:
        async with store.transaction() as transaction:
            await transaction.claim(claim)
            await transaction.connection.execute("PRAGMA max_page_count = 1")
            try:
                for _ in range(10):
                    await transaction.connection.execute("INSERT INTO stock VALUES (hex(zeroblob(50000)), 1)")
            except sqlite3.OperationalError as error:
                raise Undone from error

    with pytest.raises(Undone):
        await fill_up()
    async with store.transaction() as transaction:
        await transaction.connection.execute("PRAGMA max_page_count = 1000000")

    assert await claims(store, claim)


async def test_a_full_disk_leaves_nothing_half_written(store: SqliteStore) -> None:
    """The transaction fails as a whole and as an outage; what was committed is still relayed, then there is room."""
    async with store.transaction() as transaction:
        [(pages,)] = await transaction.connection.execute_fetchall("PRAGMA page_count")
    writer = store._require_open()
    await writer.execute(f"PRAGMA max_page_count = {pages + 8}")

    async def fill_up() -> int:
        for number in range(10_000):
            async with store.transaction() as transaction:
                await transaction.connection.execute("INSERT INTO stock VALUES (?, 1)", (f"tea-{number}",))
                await transaction.enqueue([record("x" * 500)])
        return 0

    with pytest.raises(StoreError, match="disk is full"):
        await fill_up()
    rows = await rows_of(store)
    [(stock,)] = await writer.execute_fetchall("SELECT count(*) FROM stock")
    async with store.backlog() as backlog:
        await backlog.share()
        await backlog.delete([row.id for row in rows])
    await fill(store, "a")

    assert stock == len(rows) > 0
    assert [b"a"] == values(await rows_of(store))


async def test_a_file_that_another_process_writes_for_long_is_an_outage(store: SqliteStore) -> None:
    """Who does not get the write lock in time waits as for any outage."""
    await store._require_open().execute("PRAGMA busy_timeout = 1")
    async with aiosqlite.connect(store.path, isolation_level=None) as other:
        await other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            await fill(store, "a")
        await other.execute("ROLLBACK")
    await fill(store, "b")

    assert [b"b"] == values(await rows_of(store))


async def test_of_two_relays_one_stands_by(store: SqliteStore) -> None:
    """The second owns nothing until the first is gone, and status names the owner."""
    async with store.backlog() as second:
        async with store.backlog() as first:
            shares = [len(await first.share()), len(await second.share())]
            owners = set((await store.status()).owners.values())
        taken_over = len(await second.share())

    assert [16, 0] == shares
    assert 16 == taken_over
    assert 1 == len(owners)


async def test_a_link_to_the_file_is_the_same_store(store: SqliteStore, path: Path) -> None:
    """Its transactions end, and its relay stands by while one of the file itself works."""
    link = path.with_name("link.sqlite3")
    link.symlink_to(path)
    async with SqliteStore(link) as linked, store.backlog() as first, linked.backlog() as second:
        await fill(linked, "a")
        shares = [len(await first.share()), len(await second.share())]

    assert [b"a"] == values(await rows_of(store))
    assert [16, 0] == shares


async def test_the_lock_of_a_killed_relay_is_free(store: SqliteStore) -> None:
    """The kernel gives back the lock of a process that was killed with -9."""
    program = (
        "import sys, time; from pathlib import Path; from eventhub.outbox.sqlite.lock import RelayLock;"
        "lock = RelayLock(Path(sys.argv[1])); print(lock.take(), flush=True); sys.stdin.read()"
    )
    holder = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", program, str(store.path)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert holder.stdout is not None
    held = await holder.stdout.readline()
    async with store.backlog() as backlog:
        before = len(await backlog.share())
        holder.kill()
        await holder.wait()
        after = len(await backlog.share())

    assert b"True\n" == held
    assert [0, 16] == [before, after]


async def test_a_commit_of_another_process_wakes_the_relay(store: SqliteStore, path: Path) -> None:
    """Without a bell, the relay sees that the file has changed."""
    async with asyncio.timeout(10), SqliteStore(path) as other, store.backlog() as backlog:
        await backlog.wait(0.05)
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(backlog.wait(60.0))
            await fill(other, "a")
            await until(waiting.done)

    assert waiting.done()


async def test_it_is_counted_what_was_forgotten(store: SqliteStore) -> None:
    """Old claims are counted once."""
    for _ in range(5):
        await claims(store, new_claim(date(2020, 1, 1)))

    assert 5 == await store.forget(date(2020, 2, 1))
    assert 0 == await store.forget(date(2020, 2, 1))
