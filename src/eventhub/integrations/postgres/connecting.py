"""Connections of a relay: direct ones, whose session is ours alone, and what is said through them."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from contextlib import asynccontextmanager, closing, suppress
from typing import TYPE_CHECKING, NamedTuple

import asyncpg
import structlog

from eventhub.errors import StoreError
from eventhub.integrations.postgres.failures import FOREIGN, given_back, ours
from eventhub.retry import backoff

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from eventhub.integrations.postgres.database import Connection, Database
    from eventhub.outbox.doorbell import Listener

log = structlog.get_logger()

OLDEST = 14
"""The oldest release that ends idle sessions by itself (``idle_session_timeout``)."""
IDLE_TIMEOUT = 15.0
"""Seconds without a statement, after which the server ends the session and with it the locks of a relay that hangs."""
_OURS = 0x6F7574  # mixed into the names of locks, so that they are nobody else's by chance
_PAUSE = 0.005  # seconds between two announcements: one speaks for all commits since the last

# A host that vanished without a word is noticed after 10 + 3 * 5 seconds. Who stops reading in the middle of an
# answer keeps the server waiting in its send, where a session is not idle: only the socket's own timeout ends that.
_SESSION = """
    SET idle_session_timeout = '{milliseconds}ms';
    SET tcp_user_timeout = '{milliseconds}ms';
    SET tcp_keepalives_idle = 10;
    SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 3;
"""


@asynccontextmanager
async def session(database: Database) -> AsyncIterator[Connection]:
    """A connection whose session is ours alone, until the server ends it as idle.

    Raises:
        StoreError: If the database cannot be reached; for good, if a pooler is in between or the server is too old.
    """
    async with _way(database) as connection:
        await _check(database, connection)
        yield connection


@asynccontextmanager
async def _way(database: Database) -> AsyncIterator[Connection]:
    """A connection of the pool, or one that goes the relay's own way."""
    if database.relay_dsn is None:
        with ours():
            pooled = await database.pool.acquire()
        try:
            yield pooled
        finally:
            await given_back(database.pool, pooled)  # and with it locks and settings
    else:
        with ours():
            connection = await asyncpg.connect(database.relay_dsn)
        try:
            yield connection
        finally:
            connection.terminate()


async def _check(database: Database, connection: Connection) -> None:
    """Refuse what no relay can work through.

    A pooler answers the client with a process id of its own making: session locks through it may
    belong to anybody's session.
    """
    with ours():
        version = connection.get_server_version()
        if version.major < OLDEST:
            msg = f"a relay needs PostgreSQL {OLDEST} or newer, not {version.major}, to be taken over when it hangs"
            raise StoreError(msg, retriable=False)
        if await connection.fetchval("SELECT pg_backend_pid()") != connection.get_server_pid():
            msg = (
                "a pooler is between the relay and PostgreSQL, and the locks of a session do not work through one; "
                "give the store a direct way: PostgresStore(pool, relay_dsn=...)"
            )
            raise StoreError(msg, retriable=False)
        await connection.execute(_SESSION.format(milliseconds=int(database.idle_timeout * 1000)))


class Place(NamedTuple):
    """What one outbox calls its locks and its announcements: no other in the database does."""

    space: int
    """The first half of the names of its advisory locks: 32 bits, signed."""
    channel: str
    """Where commits are announced."""


async def place_of(database: Database, connection: Connection) -> Place:
    """The place of an outbox, by the identity of its table, wherever the search path found that.

    Raises:
        StoreError: For good, if the tables are missing.
    """
    with ours():
        oid: int = await connection.fetchval("SELECT $1::text::regclass::oid::bigint", database.names.outbox)
    return Place(((oid ^ _OURS) & 0xFFFF_FFFF) - 2**31, f"eventhub_outbox_{oid}")


async def check_buckets(database: Database, connection: Connection) -> None:
    """Refuse an outbox that splits its rows otherwise.

    Raises:
        StoreError: For good, if the tables are missing or were made with another number of buckets.
    """
    with ours():
        buckets = await connection.fetchval(f"SELECT value FROM {database.names.meta} WHERE name = 'buckets'")
    if buckets is None or int(buckets) != database.buckets:
        msg = f"the outbox {database.names.outbox} has {buckets} buckets, not {database.buckets}; say buckets={buckets}"
        raise StoreError(msg, retriable=False)


@asynccontextmanager
async def listening(connection: Connection, channel: str, hear: Callable[..., None]) -> AsyncIterator[None]:
    """Hear what other processes announce until the block ends."""
    with ours():
        await connection.add_listener(channel, hear)
    try:
        yield
    finally:
        with suppress(*FOREIGN):
            await connection.remove_listener(channel, hear)


@asynccontextmanager
async def announced(database: Database) -> AsyncIterator[None]:
    """Tell other processes of this one's commits until the block ends, also through a pooler.

    A database that goes away takes no part in the block: relays look by themselves meanwhile.

    Raises:
        StoreError: If the database cannot be reached at first, or the tables are not as they must be.
    """
    async with _way(database) as connection:
        await check_buckets(database, connection)
    with closing(database.doorbell.listen()) as listener:
        async with _beside(_announce_for_good(database, listener)):
            yield


async def _announce_for_good(database: Database, listener: Listener) -> None:
    """Announce on one connection after the other."""
    failures = 0
    while True:
        try:
            async with _way(database) as connection:
                place = await place_of(database, connection)
                failures = 0
                await _announce(database, connection, place.channel, listener)
        except StoreError as error:
            failures += 1
            wait = backoff(failures, initial=0.1, limit=5.0, jitter=random.random())  # noqa: S311 - spreads load, keeps no secret
            log.warning("eventhub.announcer_waits", error=str(error), wait=round(wait, 2))
            await asyncio.sleep(wait)
            listener.wake()  # for what was committed meanwhile


@asynccontextmanager
async def announcing(database: Database, connection: Connection, channel: str) -> AsyncIterator[None]:
    """Tell other processes of this one's commits until the block ends or the connection is lost.

    Never in the business's own transaction: NOTIFY takes a lock of the whole database at commit.
    """
    with closing(database.doorbell.listen()) as listener:
        async with _beside(_announce(database, connection, channel, listener)):
            yield


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Work that goes on until the block ends, and whose failure ends the block."""
    try:
        async with asyncio.TaskGroup() as tasks:
            working = tasks.create_task(work)
            yield
            working.cancel()
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def _announce(database: Database, connection: Connection, channel: str, listener: Listener) -> None:
    while True:
        rung = await listener.wait(database.idle_timeout / 3)
        with ours():
            if rung:
                await connection.execute("SELECT pg_notify($1, '')", channel)
            else:
                await connection.execute("SELECT")  # a sign of life
        await asyncio.sleep(_PAUSE)


def who() -> str:
    """This process, for ``application_name``."""
    return f"eventhub relay {socket.gethostname()}:{os.getpid()}"[:63]
