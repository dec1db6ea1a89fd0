"""A store whose transactions are SQLAlchemy sessions, on PostgreSQL and SQLite: ``pip install eventhub[sqlalchemy]``.

Events are written by the last statements before the outermost commit, when every lock of the
business is held, and without those of savepoints that were rolled back. The relay works on the
tables through the store of its database::

    store = SqlAlchemyStore(async_sessionmaker(engine), PostgresStore(pool))
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

from eventhub.errors import StoreError
from eventhub.outbox.base import Backlog, Claim, DeadRow, Status, Store
from eventhub.outbox.ending import ended_by_hand
from eventhub.outbox.rows import bucket_of, event_id, headers_text

try:
    from sqlalchemy import event, text
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError
    from sqlalchemy.exc import TimeoutError as PoolTimeout
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
    from sqlalchemy.orm import Session, SessionTransaction
except ImportError as error:
    msg = 'SqlAlchemyStore needs SQLAlchemy: pip install "eventhub[sqlalchemy]"'
    raise ImportError(msg) from error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from eventhub.record import ProducerRecord

_EPOCH = date(1970, 1, 1)
_SQLITE_OUTAGES = frozenset({5, 6, 8, 10, 13, 14})  # busy, locked, read-only, I/O error, full, cannot open
_POSTGRES_OUTAGES = ("08", "53", "57P", "25006")  # connections, resources, an operator's intervention, read-only
_IN_FAILED = "25P02"  # a statement in a transaction of PostgreSQL that has failed
_DEFERRED = "eventhub.deferred"  # records for the commit, each with the transaction that it belongs to
_WRITTEN = "eventhub.written"  # numbers of rows that were written, likewise
_OURS = "eventhub.ours"  # whether a block of the store is open, whose end alone commits


class _Names(Protocol):
    @property
    def outbox(self) -> str: ...
    @property
    def inbox(self) -> str: ...


class Tables(Store[Any], Protocol):
    """The store that made the tables: ``PostgresStore`` or ``SqliteStore``."""

    buckets: int

    @property
    def names(self) -> _Names:
        """The quoted names of its tables."""
        ...


class SqlAlchemyStore:
    """An inbox and an outbox beside the business's mapped classes.

    A transaction's ``connection`` is an ``AsyncSession``. Whatever a relay or an operator asks goes
    to the store of the tables.
    """

    def __init__(self, sessions: async_sessionmaker[AsyncSession], tables: Tables) -> None:
        """Open sessions here, and relay through the store of the same database."""
        self.tables = tables
        """The store that made the tables."""
        self.counters = tables.counters
        self.doorbell = tables.doorbell
        self.window_days = tables.window_days
        self._sessions = sessions

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqlAlchemyTransaction]:
        """Commit what the block does in a session of its own."""
        with _outages():
            async with self._sessions() as session, session.begin():
                with _outages(OSError, PoolTimeout):  # which in the block may be anybody's
                    _ = await session.connection()
                transaction = SqlAlchemyTransaction(self, session, alone=True)
                session.info[_OURS] = True
                async with transaction.unbroken():
                    yield transaction
                if session.in_transaction():
                    # To PostgreSQL the COMMIT of a transaction that has failed is a rollback, and no error.
                    _ = await session.execute(text("SELECT 1"))
                await transaction.require_open()
                session.info[_OURS] = False

    @asynccontextmanager
    async def claiming(self, claim: Claim) -> AsyncIterator[SqlAlchemyTransaction | None]:
        """A transaction that begins with a claim."""
        async with self.transaction() as transaction:
            yield transaction if await transaction.claim(claim) else None

    def join(self, session: AsyncSession) -> SqlAlchemyTransaction:
        """What writes into the transaction of a session that somebody else commits, a web framework for instance."""
        return SqlAlchemyTransaction(self, session)

    def backlog(self) -> AbstractAsyncContextManager[Backlog]:
        """A relay's connection."""
        return self.tables.backlog()

    def announcing(self) -> AbstractAsyncContextManager[None]:
        """Tell relays in other processes of this process's commits."""
        return self.tables.announcing()

    async def forget(self, today: date) -> int:
        """Drop claims older than the window."""
        return await self.tables.forget(today)

    async def status(self) -> Status:
        """What the outbox holds."""
        return await self.tables.status()

    async def dead(self, limit: int = 100) -> Sequence[DeadRow]:
        """The first dead rows."""
        return await self.tables.dead(limit)

    async def retry(self, ids: Sequence[int] | None = None) -> int:
        """Put dead rows back in their old places."""
        return await self.tables.retry(ids)

    async def drop(self, ids: Sequence[int]) -> int:
        """Let go of dead rows."""
        return await self.tables.drop(ids)


class SqlAlchemyTransaction:
    """The open transaction of one session."""

    def __init__(self, store: SqlAlchemyStore, session: AsyncSession, *, alone: bool = False) -> None:
        """Write through a session; ``alone`` if its only transaction is the one that is open now."""
        self._alone = alone
        self._claimed = False
        self.connection = session
        """What the business writes through."""
        self._store = store
        self._session = session.sync_session
        self._sqlite = session.get_bind().dialect.name == "sqlite"
        if _DEFERRED not in self._session.info:
            self._session.info[_DEFERRED] = []
            self._session.info[_WRITTEN] = []
            event.listen(self._session, "before_commit", self._write_deferred)
            event.listen(self._session, "after_rollback", _forget_rolled_back)
            event.listen(self._session, "after_transaction_end", _let_go)
            event.listen(self._session, "after_commit", self._ring)

    async def claim(self, claim: Claim) -> bool:
        """Whether the event is new to the group."""
        day, identity = claim.day, claim.event
        with _ours():
            written = await self.connection.execute(
                text(
                    f"INSERT INTO {self._store.tables.names.inbox} (day, consumer_group, scope, event_id) "
                    "VALUES (:day, :consumer_group, :scope, :event_id) ON CONFLICT DO NOTHING"
                ),
                {
                    "day": (day - _EPOCH).days if self._sqlite else day,
                    "consumer_group": claim.group,
                    "scope": claim.scope,
                    "event_id": identity.bytes if self._sqlite else identity,
                },
            )
        self._claimed = True
        return bool(written.rowcount == 1)  # type: ignore[attr-defined]

    async def claim_all(self, claims: Sequence[Claim]) -> Sequence[bool]:
        """Of each event whether it is new to its group, one after the other."""
        return [await self.claim(claim) for claim in claims]

    async def enqueue(self, records: Sequence[ProducerRecord]) -> None:
        """Write rows now, behind what the session has not flushed yet."""
        if self._alone and self._claimed:  # else the driver, which begins at the first statement, may not have begun
            await self.require_open()
        await self.connection.flush()
        await self.connection.run_sync(self._write, records)

    async def require_open(self) -> None:
        """Refuse to go on in a transaction that is over, where each statement would be a transaction by itself.

        Raises:
            HandlerFault: If it is.
        """
        if not await self._is_open():
            raise ended_by_hand()

    @asynccontextmanager
    async def unbroken(self) -> AsyncIterator[None]:
        """Refuse a block that has ended its transaction and then failed, whatever it failed with.

        Raises:
            HandlerFault: If a COMMIT or ROLLBACK of the block's own has ended it.
        """
        try:
            yield
        except Exception as error:
            with suppress(SQLAlchemyError):  # a session that can do nothing more has not been ended by hand
                if self._claimed and not _has_outage(error) and not await self._is_open():
                    raise ended_by_hand() from error
            raise

    async def _is_open(self) -> bool:
        """Whether the transaction goes on, by the session's own word and, as far as that tells, by the driver's."""
        if not self._session.in_transaction():
            return False
        connection = await self.connection.connection()
        driver: Any = (await connection.get_raw_connection()).driver_connection
        return bool(driver.in_transaction if self._sqlite else getattr(driver, "is_in_transaction", lambda: True)())

    async def defer(self, records: Sequence[ProducerRecord]) -> None:
        """Keep rows for the outermost commit, with the savepoint that is open now."""
        if not self._session.in_transaction():
            self._session.begin()
        here = _innermost(self._session)
        self._session.info[_DEFERRED] += [(here, record) for record in records]

    def _write(self, session: Session, records: Sequence[ProducerRecord]) -> None:
        if not records:
            return
        extra, value = (", created_at", f", {time.time()!r}") if self._sqlite else ("", "")
        with _ours():
            session.execute(
                text(
                    f"INSERT INTO {self._store.tables.names.outbox} "
                    f'(bucket, event_id, topic, "key", value, headers{extra}) '
                    f"VALUES (:bucket, :event_id, :topic, :key, :value, :headers{value})"
                ),
                [
                    {
                        "bucket": bucket_of(record, self._store.tables.buckets),
                        "event_id": event_id(record),
                        "topic": record.topic,
                        "key": record.key,
                        "value": record.value,
                        "headers": headers_text(record.headers),
                    }
                    for record in records
                ],
            )
        session.info[_WRITTEN].append((_innermost(session), len(records)))

    # -- what the session tells -------------------------------------------------------------------
    # Each of these is also called for savepoints.

    def _write_deferred(self, session: Session) -> None:
        """Write what is left, as the last thing before the outermost commit."""
        if session.in_nested_transaction():
            return
        if session.info.get(_OURS):
            raise ended_by_hand()
        deferred = [record for _, record in session.info[_DEFERRED]]
        session.info[_DEFERRED].clear()
        if deferred:
            session.flush()
            self._write(session, deferred)

    def _ring(self, session: Session) -> None:
        """Let the relay know."""
        if session.in_nested_transaction():
            return
        written = sum(number for _, number in session.info[_WRITTEN])
        session.info[_WRITTEN].clear()
        if written:
            self._store.counters.enqueued += written
            self._store.doorbell.ring()


def immediate(engine: AsyncEngine) -> None:
    """Let transactions of an engine on SQLite take the write lock when they begin, and give it back when cancelled.

    Else a transaction takes it at its first write, and fails at once if another has written since
    it first read: no timeout heals that. And a connection that is closed in the middle of a statement
    would hold the lock until the statement is collected as garbage.
    """

    @event.listens_for(engine.sync_engine, "connect")
    def connect(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's
        connection.isolation_level = None  # the driver begins nothing by itself
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:  # noqa: ANN401 - likewise
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    @event.listens_for(engine.sync_engine, "invalidate")
    def invalidate(connection: Any, _: object, __: object) -> None:  # noqa: ANN401 - likewise
        # Also if cancelled once more: what was said to the driver's thread is done, and the first cancellation goes on.
        with suppress(Exception, asyncio.CancelledError):
            connection.rollback()


def _forget_rolled_back(session: Session) -> None:
    """Drop what belongs to the transaction that is rolled back, or to one inside it."""
    rolled_back = _innermost(session)
    for notes in (session.info[_DEFERRED], session.info[_WRITTEN]):
        notes[:] = [(owner, what) for owner, what in notes if not _inside(owner, rolled_back)]


def _let_go(session: Session, ended: SessionTransaction) -> None:
    """Let what a released savepoint did belong to the transaction around it; without one, nothing is left.

    A session that is closed without a commit undoes its transaction and tells of no rollback.
    """
    for notes in (session.info[_DEFERRED], session.info[_WRITTEN]):
        if ended.parent is None:
            notes.clear()
        elif ended.nested:
            notes[:] = [(ended.parent if owner is ended else owner, what) for owner, what in notes]


def _innermost(session: Session) -> SessionTransaction | None:
    return session.get_nested_transaction() or session.get_transaction()


def _inside(transaction: SessionTransaction | None, outer: SessionTransaction | None) -> bool:
    while transaction is not None:
        if transaction is outer:
            return True
        transaction = transaction.parent
    return False


@contextmanager
def _ours() -> Iterator[None]:
    """Make a StoreError of whatever the database fails with, under statements of our own.

    That a statement of the caller's had failed before is the caller's error, and stays what it is.
    """
    try:
        yield
    except DBAPIError as error:
        if _state(error) == _IN_FAILED:
            raise
        msg = f"the database failed: {error.orig}"
        raise StoreError(msg) from error


@contextmanager
def _outages(*others: type[Exception]) -> Iterator[None]:
    """Make a StoreError of an outage of the database, and of other errors; a statement's own stay what they are."""
    known: tuple[type[Exception], ...] = (DBAPIError, *others)
    try:
        yield
    except known as error:
        if isinstance(error, DBAPIError) and not _is_outage(error):
            raise
        failure = f"the database failed: {getattr(error, 'orig', error)}"
        raise StoreError(failure) from error


def _has_outage(error: BaseException | None) -> bool:
    """Whether an error, or what it was raised from, is an outage of the database."""
    while error is not None and not isinstance(error, DBAPIError):
        error = error.__cause__ or error.__context__
    return error is not None and _is_outage(error)


def _is_outage(error: DBAPIError) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    return error.connection_invalidated or code in _SQLITE_OUTAGES or _state(error).startswith(_POSTGRES_OUTAGES)


def _state(error: DBAPIError) -> str:
    """What PostgreSQL calls an error, or an empty text."""
    return str(getattr(error.orig, "sqlstate", None) or "")
