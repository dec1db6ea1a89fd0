"""The store: transactions on connections of a pool."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from eventhub.headers import TYPE
from eventhub.integrations.postgres.backlog import PostgresBacklog, opened_backlog
from eventhub.integrations.postgres.connecting import IDLE_TIMEOUT, announced
from eventhub.integrations.postgres.database import Database
from eventhub.integrations.postgres.failures import (
    FOREIGN,
    committing,
    given_back,
    ours,
    outages,
    require_open,
    unbroken,
)
from eventhub.integrations.postgres.operating import dead, drop, retry, status
from eventhub.integrations.postgres.remembering import forget
from eventhub.integrations.postgres.tables import Names
from eventhub.integrations.postgres.transacting import begin, begin_claiming, commit
from eventhub.outbox.base import Claim, DeadRow, Status, StoreCounters
from eventhub.outbox.doorbell import Doorbell
from eventhub.outbox.names import quoted
from eventhub.outbox.rows import BUCKETS, bucket_of, event_id, headers_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from asyncpg.pool import PoolConnectionProxy
    from asyncpg.transaction import Transaction

    from eventhub.integrations.postgres.database import Connection
    from eventhub.record import ProducerRecord

_DEFERRED = "eventhub.deferred"  # a setting of PostgreSQL that only we know


class PostgresStore:
    """An inbox and an outbox in PostgreSQL, beside the tables of the business.

    A transaction's ``connection`` is the pool's. A relay holds two of the pool's connections and now and then a
    third, so the pool needs three more than there are handlers at once; with ``relay_dsn`` it opens its own.
    """

    def __init__(
        self,
        pool: asyncpg.Pool[Any],
        *,
        prefix: str = "eventhub",
        schema: str | None = None,
        buckets: int = BUCKETS,
        window_days: int = 7,
        relay_dsn: str | None = None,
        idle_timeout: float = IDLE_TIMEOUT,
        debezium: bool = False,
    ) -> None:
        """Use a pool whose database has the tables of ``postgres_ddl``.

        Args:
            pool: Where connections come from.
            prefix: What the names of the tables begin with.
            schema: Where the tables are, or None for the search path.
            buckets: With how many buckets the tables were made.
            window_days: How many days an event's id is remembered.
            relay_dsn: A direct way to the database for the relay, where the pool goes through a
                pooler such as PgBouncer; None for the pool.
            idle_timeout: Seconds without a sign of life, after which a relay's buckets go to another.
            debezium: Whether rows go to the table that Debezium reads, instead of the relay.

        Raises:
            DeclarationError: If prefix or schema is no plain name.
        """
        quoted(prefix, "outbox", schema)
        self.pool = pool
        self.names = Names(prefix, schema)
        """The names of the tables."""
        self.counters = StoreCounters()
        self.doorbell = Doorbell()
        self.window_days = window_days
        self.buckets = buckets
        self.debezium = debezium
        self.database = Database(pool, self.names, self.doorbell, buckets, window_days, relay_dsn, idle_timeout)
        """What its relays know of it."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        """Commit what the block does."""
        async with self._given() as connection:
            with ours():
                begun = await begin(connection)
            async with self._ended(PostgresTransaction(self, connection), begun) as transaction:
                yield transaction

    @asynccontextmanager
    async def claiming(self, claim: Claim) -> AsyncIterator[PostgresTransaction | None]:
        """A transaction that begins with a claim, in one round trip."""
        async with self._given() as connection:
            with ours():
                begun, new = await begin_claiming(connection, self.names.inbox, claim)
            async with self._ended(PostgresTransaction(self, connection), begun) as transaction:
                yield transaction if new else None

    @asynccontextmanager
    async def _given(self) -> AsyncIterator[PoolConnectionProxy[Any]]:
        """A connection of the pool."""
        with ours():
            connection = await self.pool.acquire()
        try:
            yield connection
        finally:
            await given_back(self.pool, connection)

    @asynccontextmanager
    async def _ended(self, transaction: PostgresTransaction, begun: Transaction) -> AsyncIterator[PostgresTransaction]:
        """Commit at the end of the block, or roll back; then let the relay know."""
        try:
            with outages(transaction.connection), unbroken(transaction.connection):
                yield transaction
            with ours():
                await transaction.write_deferred()
        except BaseException:
            with suppress(*FOREIGN):  # a lost connection has rolled back already
                await begun.rollback()
            raise
        with committing(transaction.connection):
            await commit(begun)
        if transaction.enqueued:
            self.counters.enqueued += transaction.enqueued
            self.doorbell.ring()

    @asynccontextmanager
    async def backlog(self) -> AsyncIterator[PostgresBacklog]:
        """A relay's connections."""
        async with opened_backlog(self.database) as backlog:
            yield backlog

    @asynccontextmanager
    async def announcing(self) -> AsyncIterator[None]:
        """Tell relays in other processes of this one's commits, on a connection of its own."""
        async with announced(self.database):
            yield

    async def forget(self, today: date) -> int:
        """Make the partitions of the next days, drop those older than the window."""
        return await forget(self.database, today)

    async def status(self) -> Status:
        """What the outbox holds."""
        return await status(self.database)

    async def dead(self, limit: int = 100) -> Sequence[DeadRow]:
        """The first dead rows."""
        return await dead(self.database, limit)

    async def retry(self, ids: Sequence[int] | None = None) -> int:
        """Put dead rows back in their old places."""
        number = await retry(self.database, ids)
        self.doorbell.ring()
        return number

    async def drop(self, ids: Sequence[int]) -> int:
        """Let go of dead rows."""
        number = await drop(self.database, ids)
        self.doorbell.ring()
        return number


@asynccontextmanager
async def connected(dsn: str, *, prefix: str = "eventhub", schema: str | None = None) -> AsyncIterator[PostgresStore]:
    """A store on a small pool of its own, for a process that does nothing else.

    Raises:
        StoreError: If the database cannot be reached.
        DeclarationError: If prefix or schema is no plain name.
    """
    with ours():
        pool = await asyncpg.create_pool(dsn, min_size=1, max_size=4)
    try:
        yield PostgresStore(pool, prefix=prefix, schema=schema)
    finally:
        await pool.close()


class PostgresTransaction:
    """One open transaction."""

    def __init__(self, store: PostgresStore, connection: Connection) -> None:
        """Write through a connection on which a transaction was begun."""
        self._store = store
        self.connection = connection
        """What the business writes through: a connection of the pool."""
        self.enqueued = 0
        """How many rows were written, those in a savepoint that was rolled back since included."""
        self._deferred: list[ProducerRecord] = []

    async def claim(self, claim: Claim) -> bool:
        """Whether the event is new to the group; waits for another transaction that claims it."""
        with ours():
            claimed = await self.connection.fetchval(
                f"INSERT INTO {self._store.names.inbox} (day, consumer_group, scope, event_id) "
                "VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING true",
                *(claim.day, claim.group, claim.scope, claim.event),
            )
        return bool(claimed)

    async def claim_all(self, claims: Sequence[Claim]) -> Sequence[bool]:
        """Of each event whether it is new to its group, in one statement."""
        columns = [[getattr(claim, name) for claim in claims] for name in ("day", "group", "scope", "event")]
        with ours():
            # Told by their places: values come back in whatever types the pool's connections were given codecs for.
            claimed = await self.connection.fetch(
                "WITH asked AS (SELECT * FROM unnest($1::date[], $2::text[], $3::text[], $4::uuid[]) "
                "WITH ORDINALITY AS _ (day, consumer_group, scope, event_id, place)), "
                f"claimed AS (INSERT INTO {self._store.names.inbox} (day, consumer_group, scope, event_id) "
                "SELECT day, consumer_group, scope, event_id FROM asked ORDER BY place "
                "ON CONFLICT DO NOTHING RETURNING day, consumer_group, scope, event_id) "
                "SELECT min(place)::int FROM asked NATURAL JOIN claimed GROUP BY day, consumer_group, scope, event_id",
                *columns,
            )
        new = {place for (place,) in claimed}
        return [place in new for place in range(1, len(claims) + 1)]

    async def enqueue(self, records: Sequence[ProducerRecord]) -> None:
        """Write rows now, all in one statement."""
        if not records:
            return
        require_open(self.connection)
        if self._store.debezium:
            await self._enqueue_for_debezium(records)
            return
        insert = f"INSERT INTO {self._store.names.outbox} (bucket, event_id, topic, key, value, headers) "
        rows = [self._row(record) for record in records]
        with ours():
            if len(rows) == 1:  # mostly, and quicker than through arrays
                await self.connection.execute(f"{insert} VALUES ($1, $2, $3, $4, $5, $6)", *rows[0])
            else:
                await self.connection.execute(
                    f"{insert} SELECT * FROM unnest"
                    "($1::smallint[], $2::text[], $3::text[], $4::bytea[], $5::bytea[], $6::text[])",
                    *zip(*rows, strict=True),
                )
        self.enqueued += len(records)

    async def _enqueue_for_debezium(self, records: Sequence[ProducerRecord]) -> None:
        """Write rows and delete them: Debezium reads the log, where both stand, and ignores the deletes."""
        named = self._store.names.debezium
        stamps = [dict(record.headers) for record in records]
        rows = [
            (UUID(event_id(record)), record.topic, _text(record.key), _text(stamp.get(TYPE)), record.value)
            for record, stamp in zip(records, stamps, strict=True)
        ]
        with ours():
            await self.connection.executemany(
                f"INSERT INTO {named} (id, aggregatetype, aggregateid, type, payload) VALUES ($1, $2, $3, $4, $5)", rows
            )
            await self.connection.execute(f"DELETE FROM {named} WHERE id = ANY($1::uuid[])", [row[0] for row in rows])
        self.enqueued += len(records)

    async def defer(self, records: Sequence[ProducerRecord]) -> None:
        """Keep rows for the end of the block.

        Which of them belong to a savepoint that is rolled back, only the database knows; so their numbers
        stand in a setting that is local to the transaction, which is rolled back with the savepoint.
        """
        numbers = "".join(f"{len(self._deferred) + place}," for place in range(len(records)))
        self._deferred += records
        with ours():
            await self.connection.execute(
                "SELECT set_config($1, coalesce(current_setting($1, true), '') || $2, true)", _DEFERRED, numbers
            )

    async def write_deferred(self) -> None:
        """Write what was deferred and not rolled back."""
        if self._deferred:
            kept = await self.connection.fetchval("SELECT current_setting($1, true)", _DEFERRED)
            await self.enqueue([self._deferred[int(number)] for number in (kept or "").split(",") if number])

    def _row(self, record: ProducerRecord) -> tuple[object, ...]:
        bucket = bucket_of(record, self._store.buckets)
        headers = headers_text(record.headers)
        return bucket, event_id(record), record.topic, record.key, record.value, headers


def _text(value: bytes | None) -> str | None:
    """A key or a header as Debezium's columns hold it; PostgreSQL's text has no zero bytes."""
    return None if value is None else value.decode(errors="replace").replace("\0", "\ufffd")
