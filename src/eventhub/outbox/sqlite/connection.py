"""A connection to a SQLite file that commits only when told to, and what its failures mean."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from eventhub.errors import StoreError

try:
    import aiosqlite
except ImportError as error:
    msg = 'SqliteStore needs aiosqlite: pip install "eventhub[sqlite]"'
    raise ImportError(msg) from error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=NORMAL",  # commits do not wait for the disk one by one; who has to know asks Durability
    "wal_autocheckpoint=4000",  # pages, 16 MiB: the commit that comes to it waits for the disk more than once
    "busy_timeout=5000",
)

# Failures of the file rather than of a statement (SQLite: result codes); extended codes are above the lowest byte.
_OUTAGES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
    }
)


async def opened(path: Path) -> aiosqlite.Connection:
    """An open connection, whose commits are on the disk once ``Durability`` says so.

    Raises:
        StoreError: If the file cannot be opened.
    """
    with ours(path):
        # aiosqlite leaves its thread to itself when it cannot open a file, so the module itself tries first.
        await asyncio.to_thread(_try, path)
        # Not the module's own transactions: their BEGIN DEFERRED takes the write lock late, and then
        # fails with SQLITE_BUSY at once, which no timeout heals.
        database = await aiosqlite.connect(path, isolation_level=None)
        try:
            for pragma in _PRAGMAS:
                await database.execute(f"PRAGMA {pragma}")
        except BaseException:
            await database.close()
            raise
    return database


def _try(path: Path) -> None:
    sqlite3.connect(path).close()


@asynccontextmanager
async def begun(database: aiosqlite.Connection, path: Path) -> AsyncIterator[None]:
    """Write alone until the block ends; undo everything if it fails or is cancelled.

    Raises:
        StoreError: If the file fails, also under a statement of the block.
    """
    try:
        with ours(path):
            await database.execute("BEGIN IMMEDIATE")
        with outages(path):
            yield
        with ours(path):
            await database.execute("COMMIT")
    except BaseException:
        await _undone(database)
        raise


async def _undone(database: aiosqlite.Connection) -> None:
    """Roll back what is open, however often the caller is cancelled meanwhile.

    A scope of anyio cancels at every turn of the loop. Who left at the second would let the next block
    begin before the ROLLBACK, which then undid that one's.
    """
    undoing, cancelled = asyncio.ensure_future(_undo(database)), None
    while not undoing.done():
        try:
            await asyncio.shield(undoing)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def _undo(database: aiosqlite.Connection) -> None:
    """Roll back what is open.

    A statement whose caller was cancelled still runs in the connection's thread, so one that says
    nothing goes first: after it, what ``in_transaction`` says is true. SQLite itself rolls back
    when the disk is full, and a second ROLLBACK would hide the true error.
    """
    try:
        await database.execute("SELECT 1")
        if database.in_transaction:
            await database.execute("ROLLBACK")
    except (sqlite3.Error, ValueError):
        return  # closed meanwhile, which undoes as well


@contextmanager
def ours(path: Path) -> Iterator[None]:
    """Make a StoreError of whatever SQLite fails with, under statements of our own.

    Those break no constraint, but a COMMIT meets the caller's that are deferred; that is the caller's error.
    """
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except (sqlite3.Error, ValueError, OSError) as error:  # a closed connection is a ValueError to aiosqlite
        msg = f"the store in {path} failed: {error}"
        raise StoreError(msg) from error


@contextmanager
def outages(path: Path) -> Iterator[None]:
    """Make a StoreError of what the file fails with; errors of the caller's own statements stay what they are."""
    try:
        yield
    except sqlite3.Error as error:
        if not is_outage(error):
            raise
        msg = f"the store in {path} failed: {error}"
        raise StoreError(msg) from error


def is_outage(error: BaseException | None) -> bool:
    """Whether an error, or what it was raised from, is a failure of the file rather than of a statement."""
    while error is not None and not isinstance(error, sqlite3.Error):
        error = error.__cause__ or error.__context__
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _OUTAGES
