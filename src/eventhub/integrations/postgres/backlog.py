"""What a relay sees of an outbox in PostgreSQL, and the buckets that it owns.

A bucket is owned by an advisory lock of the session that reads and deletes: who loses the
connection loses both. How many relays there are is seen by a lock that they all share.
"""

from __future__ import annotations

import random
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from eventhub.errors import StoreError
from eventhub.integrations.postgres.connecting import announcing, check_buckets, listening, place_of, session, who
from eventhub.integrations.postgres.failures import ours
from eventhub.outbox.base import OutboxRow
from eventhub.outbox.rows import headers_from_text, share_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence

    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

    from eventhub.integrations.postgres.store import PostgresStore
    from eventhub.outbox.base import Lane

    Connection = asyncpg.Connection[Any] | PoolConnectionProxy[Any]

PRESENT = 32_767
"""The second half of the lock that every relay shares; buckets are below it."""

# Rows are read by their ids, whatever the statistics of a table say that is empty most of the time.
_PLANS = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off"


@asynccontextmanager
async def opened_backlog(store: PostgresStore) -> AsyncIterator[PostgresBacklog]:
    """The connections of one relay: one that owns, reads and deletes, and one that listens and announces.

    Raises:
        StoreError: If the database cannot be reached, or not in the way that a relay needs.
    """
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(session(store))
        await check_buckets(store, connection)
        space, channel = await place_of(store, connection)
        backlog = PostgresBacklog(store, connection, space)
        stack.callback(backlog.close)
        with ours():
            await connection.execute("SELECT set_config('application_name', $1, false)", who())
            await connection.execute(_PLANS)
            await connection.execute("SELECT pg_advisory_lock_shared($1, $2)", space, PRESENT)
        side = await stack.enter_async_context(session(store))
        await stack.enter_async_context(listening(side, channel, backlog.hear))
        await stack.enter_async_context(announcing(store, side, channel))
        yield backlog


class PostgresBacklog:
    """One relay's connection."""

    def __init__(self, store: PostgresStore, connection: Connection, space: int) -> None:
        """Own nothing yet; ``space`` is the first half of the locks' names."""
        self._store = store
        self._space = space
        self._connection: Connection | None = connection
        self._listener = store.doorbell.listen()
        self._owned: set[int] = set()

    def close(self) -> None:
        """Do nothing more; the session's end gives the buckets back."""
        self._connection = None
        self._listener.close()

    def hear(self, *_: object) -> None:
        """Wake the relay: another process has committed rows."""
        self._listener.wake()

    async def share(self) -> Collection[int]:
        """Give back what is above the fair share, take what is free below it."""
        connection, space = self._open(), self._space
        with ours():
            relays = await connection.fetchval(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
                "AND classid::bigint = $1 AND objid = $2",
                *(space & 0xFFFF_FFFF, PRESENT),
            )
            quota = share_of(self._store.buckets, relays)
            for bucket in sorted(self._owned)[quota:]:
                self._owned.discard(bucket)
                await connection.execute("SELECT pg_advisory_unlock($1, $2)", space, bucket)
            free = [bucket for bucket in range(self._store.buckets) if bucket not in self._owned]
            random.shuffle(free)  # so that relays do not all try the same ones
            for bucket in free:
                if len(self._owned) >= quota:
                    break
                if await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", space, bucket):
                    self._owned.add(bucket)
        return frozenset(self._owned)

    async def beat(self) -> None:
        """Say something, so that the session is not ended as idle."""
        with ours():
            await self._open().execute("SELECT")

    async def read(self, buckets: Collection[int], limit: int, without: Collection[Lane] = ()) -> Sequence[OutboxRow]:
        """The first rows of these buckets."""
        names = self._store.names
        rests, values = "", [list(buckets), limit]
        if without:
            rests = (
                "AND NOT EXISTS (SELECT FROM unnest($3::text[], $4::bytea[]) AS resting (topic, key) "
                "WHERE resting.topic = o.topic AND resting.key IS NOT DISTINCT FROM o.key)"
            )
            values += [[lane[0] for lane in without], [lane[1] for lane in without]]
        with ours():
            rows = await self._open().fetch(
                f"SELECT id, topic, key, value, headers, event_id FROM {names.outbox} AS o "
                "WHERE bucket = ANY($1::smallint[]) "
                f"AND NOT EXISTS (SELECT FROM {names.dead} AS d WHERE d.topic = o.topic AND d.key = o.key) "
                f"{rests} ORDER BY id LIMIT $2",
                *values,
            )
        return [OutboxRow(row[0], row[1], row[2], row[3], headers_from_text(row[4]), row[5]) for row in rows]

    async def delete(self, ids: Sequence[int]) -> None:
        """Let go of rows."""
        with ours():
            await self._open().execute(f"DELETE FROM {self._store.names.outbox} WHERE id = ANY($1::bigint[])", ids)

    async def bury(self, row: OutboxRow, reason: str) -> None:
        """Move a row to the dead ones."""
        names = self._store.names
        with ours():
            await self._open().execute(
                f"WITH gone AS (DELETE FROM {names.outbox} WHERE id = $1 RETURNING {names.columns}) "
                f"INSERT INTO {names.dead} ({names.columns}, reason) SELECT {names.columns}, $2 FROM gone",
                *(row.id, reason.replace("\0", "")),
            )

    async def wait(self, timeout: float) -> None:
        """Wait for the bell, which other processes ring through the database."""
        await self._listener.wait(timeout)

    def _open(self) -> Connection:
        if self._connection is None:
            msg = f"this backlog of {self._store.names.outbox} is closed, and its buckets may belong to another relay"
            raise StoreError(msg)
        return self._connection
