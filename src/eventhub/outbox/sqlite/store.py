"""The store: transactions on one connection, one at a time."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventhub.errors import DeclarationError, StoreError
from eventhub.outbox.base import Claim, DeadRow, Status, StoreCounters
from eventhub.outbox.ending import ended_by_hand
from eventhub.outbox.rows import BUCKETS, bucket_of, event_id, headers_text
from eventhub.outbox.sqlite.backlog import SqliteBacklog
from eventhub.outbox.sqlite.connection import begun, is_outage, opened, ours
from eventhub.outbox.sqlite.file import File
from eventhub.outbox.sqlite.lock import RelayLock
from eventhub.outbox.sqlite.tables import sqlite_ddl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from typing import Self

    import aiosqlite

    from eventhub.record import ProducerRecord

_EPOCH = date(1970, 1, 1)
_FORGET_ROWS = 10_000  # claims of one delete: longer ones would keep writers waiting


class SqliteStore:
    """An inbox and an outbox in one file, beside the tables of the business.

    Use it as an async context manager. A transaction's ``connection`` is an ``aiosqlite.Connection``.
    """

    def __init__(
        self, path: Path | str, *, prefix: str = "eventhub", buckets: int = BUCKETS, window_days: int = 7
    ) -> None:
        """Declare a store; nothing is opened before it is entered.

        Args:
            path: The file.
            prefix: What the names of its tables begin with.
            buckets: Only of note for files that other stores read too.
            window_days: How many days an event's id is remembered.

        Raises:
            DeclarationError: If the prefix is no plain name.
        """
        self.file = File(Path(path), prefix, buckets)
        """What its relays know of it."""
        self.path = self.file.path
        """The file, by the one name that all its relays lock."""
        self.names = self.file.names
        """The names of its tables."""
        self.counters = StoreCounters()
        self.doorbell = self.file.doorbell
        self.window_days = window_days
        self.buckets = buckets
        self._ddl = sqlite_ddl(prefix=prefix, buckets=buckets)
        self._writer: aiosqlite.Connection | None = None

    async def __aenter__(self) -> Self:
        """Open the file and make the tables.

        Raises:
            StoreError: If the file cannot be opened or written.
            DeclarationError: If its outbox was made with another number of buckets.
        """
        self._writer = await opened(self.path)
        try:
            await self._make_tables(self._writer)
            with ours(self.path):
                self.file.durability.open()
        except BaseException:
            await self._writer.close()
            raise
        return self

    async def _make_tables(self, database: aiosqlite.Connection) -> None:
        """Make what is missing, and refuse an outbox that splits its rows otherwise."""
        with ours(self.path):
            await database.executescript(self._ddl)
            [(buckets,)] = await database.execute_fetchall(
                f"SELECT value FROM {self.names.meta} WHERE name = 'buckets'"
            )
        if int(buckets) != self.buckets:
            msg = f"the outbox in {self.path} has {buckets} buckets, not {self.buckets}; say buckets={buckets}"
            raise DeclarationError(msg)

    async def __aexit__(self, *_: object) -> None:
        """Close the file."""
        if self._writer is not None:
            await self._writer.close()
            self._writer = None
            self.file.durability.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqliteTransaction]:
        """Commit what the block does, and wait for the disk; one block of this process runs at a time."""
        async with self._writing() as writer:
            transaction = SqliteTransaction(self, writer)
            try:
                yield transaction
            except Exception as error:
                if not is_outage(error):  # for which SQLite ends it
                    transaction.require_open(error)
                raise
            transaction.require_open()
            enqueued = await transaction.count()
        if enqueued:
            self.counters.enqueued += enqueued
            self.doorbell.ring()

    @asynccontextmanager
    async def claiming(self, claim: Claim) -> AsyncIterator[SqliteTransaction | None]:
        """A transaction that begins with a claim."""
        async with self.transaction() as transaction:
            yield transaction if await transaction.claim(claim) else None

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[aiosqlite.Connection]:
        async with self.file.alone:
            writer = self._require_open()
            async with begun(writer, self.path):
                yield writer
        await self.file.durability.reached()  # beside the next block, whose commit the same sync may serve

    @asynccontextmanager
    async def backlog(self) -> AsyncIterator[SqliteBacklog]:
        """A relay's connection; of several relays one works, and the others stand by.

        Its deletes need not wait for the disk: one that a loss of power undoes has the row published twice.
        """
        backlog = SqliteBacklog(self.file, await opened(self.path))
        try:
            yield backlog
        finally:
            await backlog.close()

    @asynccontextmanager
    async def announcing(self) -> AsyncIterator[None]:
        """Do nothing; the relay sees by ``PRAGMA data_version`` that another process has written."""
        yield

    async def forget(self, today: date) -> int:
        """Drop claims older than the window, some at a time."""
        first = (today - _EPOCH).days - self.window_days
        forgotten = 0
        while True:
            async with self._writing() as writer:
                # A table without row ids is deleted from by its key, so the oldest day goes first.
                cursor = await writer.execute(
                    f"DELETE FROM {self.names.inbox} WHERE (day, consumer_group, scope, event_id) IN "
                    f"(SELECT day, consumer_group, scope, event_id FROM {self.names.inbox} WHERE day < ? LIMIT ?)",
                    (first, _FORGET_ROWS),
                )
            forgotten += cursor.rowcount
            if cursor.rowcount < _FORGET_ROWS:
                return forgotten

    async def status(self) -> Status:
        """What the outbox holds; the owner is whoever has the lock beside the file."""
        [(depth, oldest)] = await self._ask(f"SELECT count(*), min(created_at) FROM {self.names.outbox}")
        [(dead,)] = await self._ask(f"SELECT count(*) FROM {self.names.dead}")
        owner = RelayLock(self.path).holder()
        owners = dict.fromkeys(range(self.buckets), owner) if owner else {}
        return Status(depth, max(0.0, time.time() - oldest) if depth else 0.0, dead, owners)

    async def dead(self, limit: int = 100) -> Sequence[DeadRow]:
        """The first dead rows."""
        rows = await self._ask(
            f'SELECT id, topic, "key", event_id, reason, failed_at FROM {self.names.dead} ORDER BY id LIMIT ?',
            (limit,),
        )
        return [DeadRow(*row) for row in rows]

    async def retry(self, ids: Sequence[int] | None = None) -> int:
        """Put dead rows back in their old places."""
        columns = self.names.columns
        copy = f"INSERT INTO {self.names.outbox} ({columns}) SELECT {columns} FROM {self.names.dead}"
        number = await self._take(ids, copy)
        self.doorbell.ring()
        return number

    async def drop(self, ids: Sequence[int]) -> int:
        """Let go of dead rows."""
        number = await self._take(ids, None)
        self.doorbell.ring()
        return number

    async def _take(self, ids: Sequence[int] | None, copy: str | None) -> int:
        """Delete dead rows, all for None, after copying them if a statement for that is given."""
        number = 0
        async with self._writing() as writer:
            for where, values in [("", ())] if ids is None else [(" WHERE id = ?", (one,)) for one in ids]:
                if copy is not None:
                    await writer.execute(copy + where, values)
                number += (await writer.execute(f"DELETE FROM {self.names.dead}{where}", values)).rowcount
        return number

    async def _ask(self, query: str, values: Iterable[Any] = ()) -> Iterable[Any]:
        with ours(self.path):
            async with self.file.alone:
                return await self._require_open().execute_fetchall(query, values)

    def _require_open(self) -> aiosqlite.Connection:
        if self._writer is None:
            msg = f"the store in {self.path} is not open; use it as an async context manager"
            raise StoreError(msg, retriable=False)
        return self._writer


class SqliteTransaction:
    """One open transaction of a SQLite store."""

    def __init__(self, store: SqliteStore, connection: aiosqlite.Connection) -> None:
        """Write through a connection on which a transaction was begun."""
        self._store = store
        self.connection = connection
        """What the business writes through."""
        self._first_id: int | None = None  # of the rows that were written, those of a savepoint rolled back included

    async def claim(self, claim: Claim) -> bool:
        """Whether the event is new to the group."""
        with ours(self._store.path):
            cursor = await self.connection.execute(
                f"INSERT INTO {self._store.names.inbox} (day, consumer_group, scope, event_id) "
                "VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                ((claim.day - _EPOCH).days, claim.group, claim.scope, claim.event.bytes),
            )
        return cursor.rowcount == 1

    async def claim_all(self, claims: Sequence[Claim]) -> Sequence[bool]:
        """Of each event whether it is new to its group, one after the other."""
        return [await self.claim(claim) for claim in claims]

    def require_open(self, failure: Exception | None = None) -> None:
        """Refuse to go on in a transaction that is over, where each statement would be a transaction by itself.

        Args:
            failure: What its block has failed with, or None.

        Raises:
            HandlerFault: If the block has ended it, or swallowed an error for which SQLite did.
        """
        with ours(self._store.path):
            if not self.connection.in_transaction:
                raise ended_by_hand() from failure

    async def enqueue(self, records: Sequence[ProducerRecord]) -> None:
        """Write rows now."""
        if not records:
            return
        self.require_open()
        now = time.time()
        rows = [
            (
                bucket_of(record, self._store.buckets),
                event_id(record),
                record.topic,
                record.key,
                record.value,
                headers_text(record.headers),
                now,
            )
            for record in records
        ]
        insert = (
            f"INSERT INTO {self._store.names.outbox} "
            '(bucket, event_id, topic, "key", value, headers, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)'
        )
        with ours(self._store.path):
            cursor = await self.connection.execute(insert, rows[0])  # which tells its id, as many together do not
            self._first_id = self._first_id or cursor.lastrowid
            if rows[1:]:
                await self.connection.executemany(insert, rows[1:])

    async def count(self) -> int:
        """How many of the rows that were written are left, without those that a savepoint has undone."""
        if self._first_id is None:
            return 0
        query = f"SELECT count(*) FROM {self._store.names.outbox} WHERE id >= ?"
        with ours(self._store.path):
            [(left,)] = await self.connection.execute_fetchall(query, (self._first_id,))
        return int(left)

    async def defer(self, records: Sequence[ProducerRecord]) -> None:
        """Write rows now: the transaction has been alone since it began, so ids follow commits, and savepoints hold."""
        await self.enqueue(records)
