"""What a relay sees of an outbox in PostgreSQL, and the buckets that it owns.

A bucket is owned by an advisory lock of the session that reads and deletes: who loses the
connection loses both. How many relays there are is seen by a lock that they all share.
"""

from __future__ import annotations

import random
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventhub.errors import StoreError
from eventhub.integrations.postgres.connecting import announcing, check_buckets, listening, place_of, session, who
from eventhub.integrations.postgres.failures import ours
from eventhub.outbox.base import OutboxRow
from eventhub.outbox.rows import headers_from_text, share_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence

    import asyncpg
    from asyncpg.prepared_stmt import PreparedStatement

    from eventhub.integrations.postgres.database import Connection, Database
    from eventhub.integrations.postgres.tables import Names
    from eventhub.outbox.base import Lane

    Prepared = PreparedStatement[asyncpg.Record]

PRESENT = 32_767
"""The second half of the lock that every relay shares; buckets are below it."""

NEEDED = 3
"""Connections of a relay: one owns, reads and deletes, one listens and announces, at times one keeps the inbox."""

# Rows are read by their ids, whatever the statistics of a table say that is empty most of the time. Lanes that rest are
# hashed, as long as the hash table fits: else each row is compared with each of them. Deletes need not wait for the
# disk: one that a crash of the database undoes has the row published twice.
_SETTINGS = """
    SET enable_seqscan = off;
    SET enable_bitmapscan = off;
    SET enable_sort = off;
    SET work_mem = '64MB';
    SET synchronous_commit = off;
"""


@asynccontextmanager
async def opened_backlog(database: Database) -> AsyncIterator[PostgresBacklog]:
    """The connections of one relay: one that owns, reads and deletes, and one that listens and announces.

    Raises:
        StoreError: If the database cannot be reached; for good, if the pool is too small or not direct.
    """
    size = database.pool.get_max_size()
    if database.relay_dsn is None and size < NEEDED:
        msg = f"a relay needs {NEEDED} connections, but the pool has {size}; give it a larger max_size"
        raise StoreError(msg, retriable=False)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(session(database))
        await check_buckets(database, connection)
        space, channel = await place_of(database, connection)
        with ours():
            await connection.execute("SELECT set_config('application_name', $1, false)", who())
            await connection.execute(_SETTINGS)
            statements = await prepared(database.names, connection)
            backlog = PostgresBacklog(database, statements, space)
            stack.callback(backlog.close)
            await statements.attend.fetchval(space, PRESENT)
        side = await stack.enter_async_context(session(database))
        await stack.enter_async_context(listening(side, channel, backlog.hear))
        await stack.enter_async_context(announcing(database, side, channel))
        yield backlog


@dataclass(frozen=True, slots=True)
class Statements:
    """What one relay says, prepared before it owns anything.

    The client prepares a statement in two steps, and between them the server takes the session for busy: a relay that
    hung right there would never be ended as idle. What is prepared is one message.
    """

    connection: Connection
    attend: Prepared
    """Take the lock that all relays share."""
    count: Prepared
    """How many hold it."""
    take: Prepared
    """Own a bucket if nobody does."""
    leave: Prepared
    """Give one back."""
    read: Prepared
    """The first rows of buckets without some lanes."""
    delete: Prepared
    bury: Prepared


async def prepared(names: Names, connection: Connection) -> Statements:
    """Prepare everything that a relay says."""
    read = (
        "SELECT id, topic, key, value, headers, event_id, extract(epoch FROM created_at)::float8 "
        f"FROM {names.outbox} AS o "
        "WHERE bucket = ANY($1::smallint[]) "
        f"AND NOT EXISTS (SELECT FROM {names.dead} AS d WHERE d.topic = o.topic AND d.key = o.key) "
        # Hashed once, however many rest; null, which would equal nothing, is told by the byte that others begin with.
        "AND (topic, coalesce('\\x01'::bytea || key, '')) NOT IN (SELECT * FROM unnest($3::text[], $4::bytea[])) "
        "ORDER BY id LIMIT $2"
    )
    count = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND classid::bigint = $1::bigint AND objid::bigint = $2::bigint"
    )
    bury = (
        f"WITH gone AS (DELETE FROM {names.outbox} WHERE id = ANY($1::bigint[]) RETURNING {names.columns}) "
        f"INSERT INTO {names.dead} ({names.columns}, reason) SELECT {names.columns}, reason FROM gone "
        "JOIN unnest($1::bigint[], $2::text[]) AS why (id, reason) USING (id)"
    )
    statements = (
        "SELECT pg_advisory_lock_shared($1, $2)",
        count,
        "SELECT pg_try_advisory_lock($1, $2)",
        "SELECT pg_advisory_unlock($1, $2)",
        read,
        f"DELETE FROM {names.outbox} WHERE id = ANY($1::bigint[])",
        bury,
    )
    return Statements(connection, *[await connection.prepare(statement) for statement in statements])


class PostgresBacklog:
    """One relay's connection."""

    def __init__(self, database: Database, statements: Statements, space: int) -> None:
        """Own nothing yet; ``space`` is the first half of the locks' names."""
        self._database = database
        self._space = space
        self._statements: Statements | None = statements
        self._listener = database.doorbell.listen()
        self._owned: set[int] = set()

    def close(self) -> None:
        """Do nothing more; the session's end gives the buckets back."""
        self._statements = None
        self._listener.close()

    def hear(self, *_: object) -> None:
        """Wake the relay: another process has committed rows."""
        self._listener.wake()

    async def share(self) -> Collection[int]:
        """Give back what is above the fair share, take what is free below it."""
        say, space = self._open(), self._space
        with ours():
            quota = share_of(self._database.buckets, await say.count.fetchval(space & 0xFFFF_FFFF, PRESENT))
            for bucket in sorted(self._owned)[quota:]:
                self._owned.discard(bucket)
                await say.leave.fetchval(space, bucket)
            free = [bucket for bucket in range(self._database.buckets) if bucket not in self._owned]
            random.shuffle(free)  # so that relays do not all try the same ones
            for bucket in free:
                if len(self._owned) >= quota:
                    break
                if await say.take.fetchval(space, bucket):
                    self._owned.add(bucket)
        return frozenset(self._owned)

    async def beat(self) -> None:
        """Say something, so that the session is not ended as idle."""
        with ours():
            await self._open().connection.execute("SELECT")

    async def read(self, buckets: Collection[int], limit: int, without: Collection[Lane] = ()) -> Sequence[OutboxRow]:
        """The first rows of these buckets."""
        topics = [topic for topic, _ in without]
        keys = [b"" if key is None else b"\x01" + key for _, key in without]
        with ours():
            rows = await self._open().read.fetch(list(buckets), limit, topics, keys)
        return [OutboxRow(row[0], row[1], row[2], row[3], headers_from_text(row[4]), row[5], row[6]) for row in rows]

    async def delete(self, ids: Sequence[int]) -> None:
        """Let go of rows."""
        with ours():
            await self._open().delete.fetch(ids)

    async def bury(self, reasons: Mapping[int, str]) -> None:
        """Move rows to the dead ones."""
        with ours():
            await self._open().bury.fetch(list(reasons), [reason.replace("\0", "") for reason in reasons.values()])

    async def wait(self, timeout: float) -> None:
        """Wait for the bell, which other processes ring through the database."""
        await self._listener.wait(timeout)

    def _open(self) -> Statements:
        if self._statements is None:
            msg = (
                f"this backlog of {self._database.names.outbox} is closed, and its buckets may belong to another relay"
            )
            raise StoreError(msg)
        return self._statements
