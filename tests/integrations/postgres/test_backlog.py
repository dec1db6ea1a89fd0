"""The backlog in PostgreSQL: sessions that own buckets, hang and are lost; and relays that must not work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import pytest

from eventhub.errors import StoreError
from eventhub.integrations.postgres import PostgresStore, postgres_ddl
from eventhub.integrations.postgres.backlog import PostgresBacklog
from eventhub.outbox.base import Lane, OutboxRow
from eventhub.outbox.rows import headers_from_text
from eventhub.testing.conformance.stores import ConcurrentLaws, SharingLaws
from eventhub.testing.conformance.stores.samples import fill, record, rows_of, values
from tests.postgres import tables_of_its_own

pytestmark = pytest.mark.postgres


async def test_outboxes_of_one_database_do_not_share_their_locks(tables: PostgresStore) -> None:
    """Another prefix is another outbox: a relay of each owns all its buckets."""
    await tables.pool.execute(postgres_ddl(prefix="billing"))
    billing = PostgresStore(tables.pool, prefix="billing")
    async with tables.backlog() as one, billing.backlog() as other:
        assert [16, 16] == [len(await one.share()), len(await other.share())]


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


async def test_only_a_relay_does_not_wait_for_the_disk(tables: PostgresStore, postgres_url: str) -> None:
    """Its deletes need not be on the disk; a writer that gets the connection after it waits again."""
    schema = await tables.pool.fetchval("SELECT current_schema()")
    asked, settings = "SHOW synchronous_commit", {"synchronous_commit": "on"}
    async with asyncpg.create_pool(postgres_url, min_size=3, max_size=3, server_settings=settings) as pool:
        async with PostgresStore(pool, schema=schema).backlog() as backlog:
            during = await backlog._open().connection.fetchval(asked)
        async with pool.acquire() as one, pool.acquire() as two, pool.acquire() as three:
            afterwards = {await connection.fetchval(asked) for connection in (one, two, three)}

    assert "off" == during
    assert {"on"} == afterwards


async def test_lanes_that_rest_are_hashed_also_where_memory_is_short(tables: PostgresStore, postgres_url: str) -> None:
    """Else each row would be compared with each of them, which takes minutes for some ten thousand."""
    schema = await tables.pool.fetchval("SELECT current_schema()")
    topics, keys = ["orders"] * 20_000, [number.to_bytes(4, "big") for number in range(20_000)]
    async with (
        asyncpg.create_pool(postgres_url, min_size=1, max_size=3, server_settings={"work_mem": "64kB"}) as pool,
        PostgresStore(pool, schema=schema).backlog() as backlog,
    ):
        plan = await backlog._open().read.explain([0], 10, topics, keys)

    assert "hashed SubPlan" in str(plan)


async def test_a_pool_that_is_too_small_is_refused(tables: PostgresStore, postgres_url: str) -> None:
    """A relay would else wait for ever for the connection that keeps the inbox."""
    schema = await tables.pool.fetchval("SELECT current_schema()")
    async with asyncpg.create_pool(postgres_url, min_size=1, max_size=2) as pool:
        with pytest.raises(StoreError, match="needs 3 connections, but the pool has 2") as failure:
            await PostgresStore(pool, schema=schema).backlog().__aenter__()

    assert not failure.value.retriable


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
        return [OutboxRow(row[0], row[1], row[2], row[3], headers_from_text(row[4]), row[5], 0.0) for row in found]


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
        return [OutboxRow(row[0], row[1], row[2], row[3], headers_from_text(row[4]), row[5], 0.0) for row in found]


def mutant(tables: PostgresStore, kind: type[PostgresBacklog]) -> PostgresStore:
    """The store, read by another backlog."""

    class Mutant(PostgresStore):
        @asynccontextmanager
        async def backlog(self) -> AsyncIterator[PostgresBacklog]:
            async with super().backlog() as sound:
                yield kind(self.database, sound._open(), sound._space)

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
