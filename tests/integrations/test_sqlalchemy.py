"""Events in SQLAlchemy's sessions: however blocks are nested, what was rolled back is not published."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from eventhub import Event, Hub
from eventhub.errors import HandlerFault, StoreError
from eventhub.integrations.postgres import PostgresStore, postgres_ddl
from eventhub.integrations.sqlalchemy import SqlAlchemyStore, immediate
from eventhub.outbox.sqlite import SqliteStore
from eventhub.testing.conformance.stores.samples import Undone, claims, fill, new_claim, record, rows_of, values
from eventhub.testing.postgres import PostgresServer
from tests.nestings import Block, blocks, kept, play


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqlAlchemyStore]:
    """A store in a file."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    immediate(engine)
    async with SqliteStore(path) as tables:
        yield SqlAlchemyStore(async_sessionmaker(engine), tables)
        await engine.dispose()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlAlchemyStore]:
    """A store in a file of its own."""
    async with opened(tmp_path / "store.sqlite3") as store:
        yield store


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(block=blocks, fails=st.booleans())
def test_any_nesting_publishes_what_is_left(block: Block, fails: bool) -> None:
    """Whatever fails at whatever depth, exactly the rows of blocks that were kept are written, in their order."""

    async def run(folder: Path) -> list[bytes | None]:
        async with opened(folder / "store.sqlite3") as store:
            with suppress(Undone):
                async with store.transaction() as transaction:
                    await play(transaction, block, transaction.connection.begin_nested)
                    if fails:
                        raise Undone
            return values(await rows_of(store))

    with tempfile.TemporaryDirectory() as folder:
        written = asyncio.run(run(Path(folder)))

    assert ([] if fails else [b"%d" % number for number in kept(block)]) == written


async def test_a_buffer_that_is_cleared_at_any_rollback_is_caught(store: SqlAlchemyStore) -> None:
    """The obvious way loses the outer events when a savepoint is rolled back; the property above would see it."""
    async with store.transaction() as transaction:
        session = transaction.connection.sync_session
        event.listen(session, "after_rollback", lambda session: session.info["eventhub.deferred"].clear())
        await play(transaction, [1, ([2], True), 3], transaction.connection.begin_nested)

    assert [b"1", b"3"] != values(await rows_of(store))


STEPS = [
    "defer",
    "defer",
    "enqueue",
    "fail",
    "nest",
    "nest",
    "release",
    "undo",
    "undo-all",
    "commit",
    "rollback",
    "close",
]


class Player:
    """Does to a session whatever one may do, and writes a row of the business with each event."""

    def __init__(self, store: SqlAlchemyStore, session: AsyncSession) -> None:
        """Begin without any savepoint."""
        self._store, self._session, self._number = store, session, 0
        self._nested: list[Any] = []

    async def play(self, step: str) -> None:
        """Take one step; a session that can do nothing more until it is rolled back is rolled back."""
        try:
            await self._play(step)
        except SQLAlchemyError:
            self._nested.clear()
            await self._session.rollback()

    async def _play(self, step: str) -> None:
        if step in {"defer", "enqueue"}:
            self._number += 1
            await self._session.execute(text("INSERT INTO stock VALUES (:sku)"), {"sku": self._number})
            await getattr(self._store.join(self._session), step)([record(str(self._number))])
        elif step == "fail":
            await self._session.execute(text("INSERT INTO stock VALUES (0)"))
        elif step == "nest":
            self._nested.append(await self._session.begin_nested())
        elif step in {"release", "undo", "undo-all"}:
            if self._nested:
                savepoint = self._nested[0 if step == "undo-all" else -1]
                del self._nested[0 if step == "undo-all" else -1 :]
                await (savepoint.commit() if step == "release" else savepoint.rollback())
        else:
            self._nested.clear()
            await getattr(self._session, step)()


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(steps=st.lists(st.sampled_from(STEPS), max_size=20))
def test_whatever_is_done_to_a_session_events_share_the_fate_of_writes(steps: list[str]) -> None:
    """What was written beside an event is committed exactly if the event is published, and both are counted once."""

    async def run(folder: Path) -> tuple[list[int], list[int], int]:
        async with opened(folder / "store.sqlite3") as store:
            async with store._sessions() as session:
                await session.execute(text("CREATE TABLE stock (sku INTEGER UNIQUE)"))
                await session.execute(text("INSERT INTO stock VALUES (0)"))
                await session.commit()
                player = Player(store, session)
                for step in [*steps, "commit"]:
                    await player.play(step)
                stock = list(await session.scalars(text("SELECT sku FROM stock WHERE sku > 0 ORDER BY sku")))
            rows = [int(value or b"") for value in values(await rows_of(store))]
            return stock, sorted(rows), store.counters.enqueued

    with tempfile.TemporaryDirectory() as folder:
        stock, published, counted = asyncio.run(run(Path(folder)))

    assert stock == published
    assert len(published) == counted


async def test_a_session_of_somebody_else_is_joined(store: SqlAlchemyStore) -> None:
    """Its owner commits, several times over; what each commit covers is written once, and rings the bell."""
    listener = store.doorbell.listen()
    async with store._sessions() as session:
        for number in range(3):
            await store.join(session).defer([record(str(number))])
            await session.commit()
        await store.join(session).defer([record("never")])
        await session.rollback()

    assert [b"0", b"1", b"2"] == values(await rows_of(store))
    assert 3 == store.counters.enqueued
    assert await listener.wait(0.0)


async def test_a_session_that_is_closed_without_a_commit_publishes_nothing_later(store: SqlAlchemyStore) -> None:
    """Closing undoes its transaction; what it commits when it is used again is without the events of that one."""
    async with store._sessions() as session:
        joined = store.join(session)
        await joined.enqueue([record("a")])
        async with session.begin_nested():
            await joined.defer([record("b")])
        await session.close()
        await joined.defer([record("c")])
        await session.commit()

    assert [b"c"] == values(await rows_of(store))
    assert 1 == store.counters.enqueued


async def test_what_the_business_has_not_flushed_comes_first(store: SqlAlchemyStore) -> None:
    """Rows are written behind whatever the session writes at its commit."""
    statements: list[str] = []
    async with store.transaction() as transaction:
        session = transaction.connection
        await session.execute(text("CREATE TABLE stock (sku TEXT UNIQUE)"))
        event.listen(
            session.get_bind(),
            "before_cursor_execute",
            lambda _c, _cursor, statement, *_: statements.append(statement),
        )
        await transaction.defer([record("a")])
        await session.execute(text("INSERT INTO stock VALUES ('tea')"))

    assert ["stock", '"eventhub_outbox"'] == [said.split()[2] for said in statements if said.startswith("INSERT")]


async def test_errors_of_the_business_stay_what_they_are(store: SqlAlchemyStore) -> None:
    """A broken constraint is the handler's own failure."""

    async def twice() -> None:
        async with store.transaction() as transaction:
            await transaction.connection.execute(text("CREATE TABLE stock (sku TEXT UNIQUE)"))
            for _ in range(2):
                await transaction.connection.execute(text("INSERT INTO stock VALUES ('tea')"))

    with pytest.raises(IntegrityError):
        await twice()


@pytest.mark.postgres
@pytest.mark.slow
async def test_a_server_that_is_away_is_an_outage(postgres_server: PostgresServer) -> None:
    """A connection that was lost and one that is refused are no fault of a record; afterwards the store goes on."""
    engine = create_async_engine(postgres_server.url.replace("postgresql://", "postgresql+asyncpg://"))
    async with asyncpg.create_pool(postgres_server.url, min_size=1, max_size=1) as pool:
        await pool.execute(postgres_ddl())
        store = SqlAlchemyStore(async_sessionmaker(engine), PostgresStore(pool))
        await fill(store, "a")
        postgres_server.kill()
        for _ in ("lost", "refused"):
            with pytest.raises(StoreError) as failure:
                await fill(store, "b")

            assert failure.value.retriable
        postgres_server.start()
        await fill(store, "c")
        kept = await pool.fetch("SELECT value FROM eventhub_outbox ORDER BY id")
    await engine.dispose()

    assert [b"a", b"c"] == [row["value"] for row in kept]


@pytest.mark.postgres
async def test_a_block_that_swallows_a_failed_statement_does_not_end_well(postgres_server: PostgresServer) -> None:
    """PostgreSQL has undone the whole of it by then; that is the block's own failure, and no outage."""
    engine = create_async_engine(postgres_server.url.replace("postgresql://", "postgresql+asyncpg://"))
    claim = new_claim()

    async def swallow(store: SqlAlchemyStore) -> None:
        async with store.transaction() as transaction:
            await transaction.claim(claim)
            with suppress(DBAPIError):
                await transaction.connection.execute(text("SELECT 1 / 0"))

    async with asyncpg.create_pool(postgres_server.url, min_size=1, max_size=1) as pool:
        await pool.execute(postgres_ddl())
        store = SqlAlchemyStore(async_sessionmaker(engine), PostgresStore(pool))
        with pytest.raises(DBAPIError, match="aborted"):
            await swallow(store)
        free = await claims(store, claim)
    await engine.dispose()

    assert free


@pytest.mark.postgres
async def test_a_claim_that_waits_too_long_is_an_outage(tables: PostgresStore, postgres_url: str) -> None:
    """Whoever has it may commit it or not; a record that was given up meanwhile would have been so for nothing."""
    server = {"search_path": await tables.pool.fetchval("SHOW search_path"), "statement_timeout": "100"}
    engine = create_async_engine(
        postgres_url.replace("postgresql://", "postgresql+asyncpg://"), connect_args={"server_settings": server}
    )
    store, claim = SqlAlchemyStore(async_sessionmaker(engine), tables), new_claim()
    async with tables.claiming(claim):
        with pytest.raises(StoreError, match="statement timeout") as failure:
            await claims(store, claim)
    await engine.dispose()

    assert failure.value.retriable


@pytest.mark.parametrize("call", ["commit", "rollback", "close"])
async def test_a_session_of_a_block_is_ended_by_the_block_alone(store: SqlAlchemyStore, call: str) -> None:
    """Who commits, rolls back or closes it is told so, and nothing of the block is left."""
    claim = new_claim()

    async def end() -> None:
        async with store.transaction() as transaction:
            await transaction.claim(claim)
            await transaction.defer([record("a")])
            await getattr(transaction.connection, call)()

    with pytest.raises(HandlerFault, match="ended inside its block"):
        await end()

    assert [] == await rows_of(store)
    assert await claims(store, claim)


async def test_what_only_looks_like_an_outage_is_the_blocks_own(store: SqlAlchemyStore) -> None:
    """A service that the handler cannot reach is not the database."""

    async def call() -> None:
        async with store.transaction() as transaction:
            await transaction.defer([record("a")])
            raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        await call()

    assert [] == await rows_of(store)


async def test_a_file_that_is_locked_is_an_outage(store: SqlAlchemyStore) -> None:
    """Who does not get the write lock waits as for any outage."""
    engine = store._sessions.kw["bind"]
    event.listen(engine.sync_engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=1"))
    async with store.tables.transaction() as holder:
        await holder.enqueue([record("holder")])
        with pytest.raises(StoreError, match="locked"):
            await fill(store, "a")

    assert [b"holder"] == values(await rows_of(store))


class Placed(Event, topic="sqlalchemy.placed", key="order_id"):
    """An order was placed."""

    order_id: str


async def test_a_web_request_publishes_in_its_own_session(store: SqlAlchemyStore) -> None:
    """The outbox joins the session that the framework opens and commits."""
    async with Hub("memory://", source="web") as hub, hub.outbox(store, Placed) as outbox:
        async with store._sessions() as session, session.begin():
            await outbox.join(store.join(session)).publish(Placed(order_id="o-1"))
        [row] = await rows_of(store)

    assert ("sqlalchemy.placed", b"o-1") == row.lane
