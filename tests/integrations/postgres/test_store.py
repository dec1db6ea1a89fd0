"""What is PostgreSQL's own: sessions, poolers, partitions, lost connections, and relays that must not work."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from eventhub import DeclarationError
from eventhub.errors import StoreError
from eventhub.integrations.postgres import PostgresStore, debezium_ddl, postgres_ddl
from eventhub.integrations.postgres.backlog import PostgresBacklog
from eventhub.outbox.base import Lane, OutboxRow
from eventhub.outbox.rows import headers_from_text
from eventhub.record import ProducerRecord
from eventhub.testing.conformance.stores import ConcurrentLaws, SharingLaws
from eventhub.testing.conformance.stores.samples import claims, fill, new_claim, record, rows_of, values
from eventhub.testing.waiting import until
from tests.postgres import tables_of_its_own

pytestmark = pytest.mark.postgres


async def test_missing_tables_are_named_with_the_way_out(postgres_url: str) -> None:
    """A relay does not wait for tables that nobody makes."""
    async with asyncpg.create_pool(postgres_url, min_size=1, max_size=3) as pool:
        store = PostgresStore(pool, prefix="nowhere")
        with pytest.raises(StoreError, match=r"nowhere_meta.*eventhub outbox ddl") as failure:
            await store.backlog().__aenter__()

    assert not failure.value.retriable


async def test_another_number_of_buckets_is_refused(tables: PostgresStore) -> None:
    """Rows that were put in one of 16 buckets are not read by who knows of 4."""
    other = PostgresStore(tables.pool, buckets=4)
    with pytest.raises(StoreError, match="has 16 buckets, not 4; say buckets=16"):
        await other.backlog().__aenter__()
    with pytest.raises(StoreError, match="has 16 buckets, not 4"):
        await other.announcing().__aenter__()


def test_a_schema_that_is_no_plain_name_is_refused() -> None:
    """Nothing but a plain name becomes part of a statement."""
    pool: Any = None
    wrong: list[dict[str, Any]] = [{"prefix": 'x"; --'}, {"schema": "Public"}]
    for options in wrong:
        with pytest.raises(DeclarationError, match="no plain name"):
            PostgresStore(pool, **options)
        with pytest.raises(DeclarationError, match="no plain name"):
            postgres_ddl(**options)


async def test_outboxes_of_one_database_do_not_share_their_locks(tables: PostgresStore) -> None:
    """Another prefix is another outbox: a relay of each owns all its buckets."""
    await tables.pool.execute(postgres_ddl(prefix="billing"))
    billing = PostgresStore(tables.pool, prefix="billing")
    async with tables.backlog() as one, billing.backlog() as other:
        assert [16, 16] == [len(await one.share()), len(await other.share())]


async def test_errors_of_the_business_stay_what_they_are(tables: PostgresStore) -> None:
    """A statement that breaks a constraint is the handler's own failure, and undoes the block."""

    async def twice() -> None:
        async with tables.transaction() as transaction:
            await transaction.enqueue([record("a")])
            for _ in range(2):
                await transaction.connection.execute("INSERT INTO business VALUES ('tea', '1')")

    with pytest.raises(asyncpg.UniqueViolationError):
        await twice()

    assert [] == await rows_of(tables)


async def test_a_connection_that_is_lost_in_the_block_is_an_outage(tables: PostgresStore) -> None:
    """Whatever the block makes of it, the record is not to blame."""

    async def lose() -> None:
        async with tables.transaction() as transaction:
            await transaction.enqueue([record("a")])
            pid = await transaction.connection.fetchval("SELECT pg_backend_pid()")
            await tables.pool.fetch("SELECT pg_terminate_backend($1)", pid)
            await transaction.connection.execute("INSERT INTO business VALUES ('tea', '1')")

    with pytest.raises(StoreError) as failure:
        await lose()

    assert failure.value.retriable
    assert [] == await rows_of(tables)


async def test_a_connection_that_is_lost_after_the_commit_is_no_failure(
    tables: PostgresStore, postgres_url: str
) -> None:
    """What was committed stays a success, although the session can no longer be reset."""

    async def lose(_: object) -> None:
        raise asyncpg.ConnectionDoesNotExistError

    schema = await tables.pool.fetchval("SELECT current_schema()")
    async with asyncpg.create_pool(postgres_url, min_size=1, max_size=1, reset=lose) as pool:
        await fill(PostgresStore(pool, schema=schema), "a")

    assert [b"a"] == values(await rows_of(tables))


async def test_who_loses_the_connection_loses_the_buckets(tables: PostgresStore) -> None:
    """Another relay owns the buckets at once, and the first can neither read nor delete."""
    await fill(tables, "a")
    async with tables.backlog() as second:
        with suppress(StoreError):
            async with tables.backlog() as first:
                for relay in (second, first, second):
                    shares = await relay.share()
                [row] = await _owner(first, second).read(range(16), 10)
                pid = await first._open().connection.fetchval("SELECT pg_backend_pid()")
                await tables.pool.fetch("SELECT pg_terminate_backend($1)", pid)
                with pytest.raises(StoreError):
                    await first.delete([row.id])
        await _eventually(second, 16)

    assert 8 == len(shares)
    assert [b"a"] == values(await rows_of(tables))


async def test_a_relay_that_hangs_is_taken_over(postgres_url: str) -> None:
    """A session without a sign of life is ended by the server, and its buckets are free."""
    async with (
        tables_of_its_own(postgres_url, idle_timeout=0.2) as hanging,
        asyncpg.create_pool(postgres_url, min_size=1, max_size=3) as pool,
    ):
        awake = PostgresStore(pool, schema=await hanging.pool.fetchval("SELECT current_schema()"))
        async with awake.backlog() as second:
            with suppress(StoreError):
                async with hanging.backlog() as first:  # which says nothing more
                    await first.share()
                    await _eventually(second, 16)
                    with pytest.raises(StoreError):
                        await first.beat()


@pytest.mark.slow
async def test_a_relay_that_hangs_in_the_middle_of_an_answer_is_taken_over(postgres_url: str) -> None:
    """A server that cannot get rid of its answer ends the session too, although that is not idle."""
    async with (
        tables_of_its_own(postgres_url, idle_timeout=0.5) as hanging,
        asyncpg.create_pool(postgres_url, min_size=1, max_size=3) as pool,
    ):
        awake = PostgresStore(pool, schema=await hanging.pool.fetchval("SELECT current_schema()"))
        async with hanging.transaction() as transaction:
            await transaction.enqueue([record("x" * 500_000) for _ in range(40)])
        async with awake.backlog() as second, asyncio.TaskGroup() as tasks:
            with suppress(StoreError):
                async with hanging.backlog() as first:
                    await first.share()
                    connection: Any = first._open().connection
                    connection._con._transport.pause_reading()
                    reading = tasks.create_task(_error_of(first.read(range(16), 1000)))
                    await _eventually(second, 16)
                    connection._con._transport.resume_reading()
                    failed = await reading

    assert isinstance(failed, StoreError)


async def test_a_commit_of_another_process_wakes_the_relay(tables: PostgresStore) -> None:
    """A process without a relay announces its commits through the database."""
    web = PostgresStore(tables.pool)
    async with asyncio.timeout(10), tables.backlog() as backlog, web.announcing(), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(backlog.wait(60.0))
        await fill(web, "a")
        await until(waiting.done)

    assert waiting.done()


async def test_a_relay_works_through_a_connection_of_its_own(tables: PostgresStore, postgres_url: str) -> None:
    """With a way of its own it takes none of the pool's connections."""
    schema = await tables.pool.fetchval("SELECT current_schema()")
    store = PostgresStore(tables.pool, schema=schema, relay_dsn=postgres_url)
    await fill(store, "a")
    before = tables.pool.get_size() - tables.pool.get_idle_size()
    async with store.backlog() as backlog:
        rows = await backlog.read(await backlog.share(), 10)
        during = tables.pool.get_size() - tables.pool.get_idle_size()

    assert [b"a"] == values(rows)
    assert before == during


async def test_announcing_outlives_its_connection(tables: PostgresStore) -> None:
    """A web process whose connection is ended goes on, and wakes the relay by another one."""
    web = PostgresStore(tables.pool)
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_notify%'"
    async with asyncio.timeout(20), web.announcing(), tables.backlog() as backlog, asyncio.TaskGroup() as tasks:
        for letter, kill in (("a", False), ("b", True)):
            if kill:
                await tables.pool.execute(ended)
            waiting = tasks.create_task(backlog.wait(60.0))
            await fill(web, letter)
            await until(waiting.done)

    assert [b"a", b"b"] == values(await rows_of(tables))


_A_LOG_OF_INSERTS = """
    CREATE TABLE seen (LIKE eventhub_outbox_debezium);
    CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN INSERT INTO seen VALUES (NEW.*); RETURN NEW; END $$;
    CREATE TRIGGER log AFTER INSERT ON eventhub_outbox_debezium FOR EACH ROW EXECUTE FUNCTION see();
"""


async def test_debezium_finds_its_columns(tables: PostgresStore) -> None:
    """Each row is inserted into the router's table, where the log shows it, and leaves nothing behind."""
    await tables.pool.execute(debezium_ddl())
    await tables.pool.execute(_A_LOG_OF_INSERTS)
    store = PostgresStore(tables.pool, debezium=True)
    identity = uuid.uuid4()
    headers = (("ce_id", str(identity).encode()), ("ce_type", b"Order"))
    async with store.transaction() as transaction:
        await transaction.defer([ProducerRecord("orders", b"o-1", b"\x00framed", headers)])
    seen = await tables.pool.fetch("SELECT * FROM seen")

    assert [(identity, "orders", "o-1", "Order", b"\x00framed")] == [tuple(row) for row in seen]
    assert 0 == await tables.pool.fetchval("SELECT count(*) FROM eventhub_outbox_debezium")
    assert [] == await rows_of(tables)


async def test_each_day_has_a_partition_that_is_dropped_as_a_whole(tables: PostgresStore) -> None:
    """The partitions of the next days are made ahead; those older than the window go with their claims."""
    today = datetime.now(UTC).date()
    await tables.forget(today)
    claim = new_claim(today)
    await claims(tables, claim)
    made = await _partitions(tables)
    await tables.forget(today + timedelta(days=tables.window_days))
    remembered = not await claims(tables, claim)
    await tables.forget(today + timedelta(days=tables.window_days + 1))

    assert {f"eventhub_inbox_{today + timedelta(days=days):%Y%m%d}" for days in range(3)} < made
    assert remembered
    assert f"eventhub_inbox_{today:%Y%m%d}" not in await _partitions(tables)


async def test_a_day_that_began_without_its_partition_stays_with_the_others(tables: PostgresStore) -> None:
    """Claims that came before the partition could be made are kept and forgotten all the same."""
    day = date(2030, 1, 1)
    await claims(tables, new_claim(day))
    await tables.forget(day)
    kept = await tables.pool.fetchval("SELECT count(*) FROM eventhub_inbox_other")
    forgotten = await tables.forget(day + timedelta(days=8))

    assert [1, 1] == [kept, forgotten]


# -- relays that must not work: each law fails on the mistake that it is there for ----------------


class CursorBacklog(PostgresBacklog):
    """Reads on from the highest id that it has seen."""

    last = 0

    async def read(self, buckets: Collection[int], limit: int, without: Collection[Lane] = ()) -> Sequence[OutboxRow]:
        """Skip whatever is committed late."""
        rows = [row for row in await super().read(buckets, limit, without) if row.id > self.last]
        self.last = max([self.last, *(row.id for row in rows)])
        return rows


class TransactionOrderBacklog(PostgresBacklog):
    """Reads in the order of transaction ids."""

    async def read(self, buckets: Collection[int], limit: int, without: Collection[Lane] = ()) -> Sequence[OutboxRow]:
        """Take the order of beginning for that of locking."""
        found = await self._open().connection.fetch(
            "SELECT id, topic, key, value, headers, event_id FROM eventhub_outbox ORDER BY xmin::text::bigint, id"
        )
        del buckets, limit, without
        return [OutboxRow(row[0], row[1], row[2], row[3], headers_from_text(row[4]), row[5]) for row in found]


class SkipLockedBacklog(PostgresBacklog):
    """Takes whatever rows nobody has locked at the moment."""

    async def share(self) -> Collection[int]:
        """Own everything, as every other relay does."""
        return range(16)

    async def read(self, buckets: Collection[int], limit: int, without: Collection[Lane] = ()) -> Sequence[OutboxRow]:
        """Lock rows until they are deleted, and leave out those that another relay has locked."""
        connection = self._open().connection
        if not connection.is_in_transaction():
            await connection.execute("BEGIN")
        del buckets, without
        found = await connection.fetch(
            "SELECT id, topic, key, value, headers, event_id FROM eventhub_outbox "
            "ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED",
            limit,
        )
        return [OutboxRow(row[0], row[1], row[2], row[3], headers_from_text(row[4]), row[5]) for row in found]


def mutant(tables: PostgresStore, kind: type[PostgresBacklog]) -> PostgresStore:
    """The store, read by another backlog."""

    class Mutant(PostgresStore):
        @asynccontextmanager
        async def backlog(self) -> AsyncIterator[PostgresBacklog]:
            async with super().backlog() as sound:
                yield kind(self, sound._open(), sound._space)

    return Mutant(tables.pool)


async def test_a_cursor_over_ids_is_caught(tables: PostgresStore) -> None:
    """It loses the row that is committed late."""
    with pytest.raises(AssertionError):
        await ConcurrentLaws().test_a_row_that_is_committed_late_is_not_lost(mutant(tables, CursorBacklog))


async def test_the_order_of_transactions_is_caught(tables: PostgresStore) -> None:
    """It inverts two events of one key."""
    law = ConcurrentLaws().test_rows_are_in_the_order_in_which_their_key_was_locked
    with pytest.raises(AssertionError):
        await law(mutant(tables, TransactionOrderBacklog))


@pytest.mark.parametrize(
    "law",
    [
        SharingLaws().test_a_bucket_has_one_owner_and_shares_are_even,
        SharingLaws().test_two_relays_never_have_one_key_in_hand,
    ],
)
async def test_rows_that_nobody_has_locked_are_caught(tables: PostgresStore, law: Any) -> None:
    """Two relays that skip what the other has locked have the same key in their hands, and either may be first."""
    with pytest.raises(AssertionError):
        await law(mutant(tables, SkipLockedBacklog))


async def test_an_insert_before_the_lock_is_caught(tables: PostgresStore) -> None:
    """Rows that get their ids when they are published, and not at the end, invert two events of one key."""

    class Hasty(PostgresStore):
        @asynccontextmanager
        async def transaction(self) -> AsyncIterator[Any]:
            async with super().transaction() as transaction:
                transaction.defer = transaction.enqueue  # type: ignore[method-assign]
                yield transaction

    with pytest.raises(AssertionError):
        await ConcurrentLaws().test_deferred_rows_get_their_ids_at_the_end(Hasty(tables.pool))


# -- what the tests share -------------------------------------------------------------------------


def _owner(first: PostgresBacklog, second: PostgresBacklog) -> PostgresBacklog:
    """The one whose buckets hold the sample; either may read everything that it asks for."""
    return first if first._owned else second


async def _error_of(work: Awaitable[object]) -> BaseException | None:
    """What something fails with, or None."""
    try:
        await work
    except StoreError as error:
        return error
    return None


async def _eventually(backlog: PostgresBacklog, buckets: int) -> None:
    """Return once the relay owns so many buckets."""
    async with asyncio.timeout(10):
        while len(await backlog.share()) != buckets:
            await backlog.wait(0.01)


async def _partitions(store: PostgresStore) -> set[str]:
    rows = await store.pool.fetch(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'eventhub_inbox'::regclass"
    )
    return {row[0] for row in rows}
