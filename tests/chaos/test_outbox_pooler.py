"""A real PgBouncer in transaction mode: a relay refuses it, writers, claims and announcements go through."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from eventhub.errors import StoreError
from eventhub.integrations.postgres import PostgresStore
from eventhub.testing.conformance.stores.samples import Undone, claims, fill, new_claim, record, rows_of, values
from eventhub.testing.waiting import until
from tests.pgbouncer import SESSIONS, pgbouncer

pytestmark = [pytest.mark.postgres, pytest.mark.pooler, pytest.mark.slow]


@pytest.fixture
async def pooler_url(postgres_url: str, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of the pooler."""
    async with pgbouncer(postgres_url, tmp_path) as url:
        yield url


@asynccontextmanager
async def behind(url: str, tables: PostgresStore, relay_dsn: str | None = None) -> AsyncIterator[PostgresStore]:
    """A store on the same tables, whose pool goes through the pooler, as the documentation says."""
    schema = await tables.pool.fetchval("SELECT current_schema()")
    async with asyncpg.create_pool(url, min_size=1, max_size=4 * SESSIONS, statement_cache_size=0) as pool:
        yield PostgresStore(pool, schema=schema, relay_dsn=relay_dsn)


async def test_a_relay_behind_a_pooler_is_refused(tables: PostgresStore, pooler_url: str) -> None:
    """Whether it comes by the pool or by the way of its own, the message says what is wrong and what to do."""
    async with behind(pooler_url, tables) as pooled, behind(pooler_url, tables, pooler_url) as own:
        for store in (pooled, own):
            with pytest.raises(StoreError, match=r"a pooler is between .*relay_dsn=") as failure:
                await store.backlog().__aenter__()

            assert not failure.value.retriable


async def test_the_command_refuses_a_pooler_and_ends(tables: PostgresStore, pooler_url: str, kafka_url: str) -> None:
    """``eventhub relay`` does not wait for what never heals: one line, exit code 1."""
    schema = await tables.pool.fetchval("SELECT current_schema()")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "eventhub.cli", "relay", "--dsn", pooler_url, "--schema", schema, "--broker", kafka_url),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": "src"},
    )
    _, shown = await process.communicate()

    assert 1 == process.returncode
    assert b"a pooler is between the relay and PostgreSQL" in shown


async def test_locks_of_a_session_are_nobodys_behind_a_pooler(tables: PostgresStore, pooler_url: str) -> None:
    """Why it is refused: a second connection is given the first one's session, and takes its lock again."""
    del tables
    first, second = [await asyncpg.connect(pooler_url, statement_cache_size=0) for _ in range(2)]
    take = "SELECT pg_try_advisory_lock(4711)"
    taken = [await first.fetchval(take), await second.fetchval(take)]
    for connection in (first, second):
        await connection.fetchval("SELECT pg_advisory_unlock_all()")
        await connection.close()

    assert [True, True] == taken


async def test_writers_and_claims_go_through_a_pooler(tables: PostgresStore, pooler_url: str) -> None:
    """Many transactions on few sessions: an event is claimed once, what was undone is gone, ids follow locks."""
    events = [new_claim() for _ in range(20)]
    async with behind(pooler_url, tables) as store:
        await tables.pool.execute("INSERT INTO business VALUES ('version', '0')")

        async def handle(number: int) -> bool:
            async with store.claiming(events[number % 20]) as transaction:
                if transaction is None:
                    return False
                version = await transaction.connection.fetchval(
                    f"UPDATE {store.names.schema}.business SET value = value::int + 1 RETURNING value"  # noqa: S608 - ours
                )
                with suppress(Undone):
                    async with transaction.connection.transaction():
                        await transaction.defer([record("undone")])
                        raise Undone
                await transaction.defer([record(version, key=b"k")])
                return True

        async with asyncio.TaskGroup() as tasks:
            handled = [tasks.create_task(handle(number)) for number in range(40)]
        again = await claims(store, events[0])

    assert 20 == sum(task.result() for task in handled)
    assert not again
    assert [b"%d" % version for version in range(1, 21)] == values(await rows_of(tables))


async def test_a_relay_goes_its_own_way_past_the_pooler(
    tables: PostgresStore, pooler_url: str, postgres_url: str
) -> None:
    """With ``relay_dsn`` the same store writes through the pooler and relays beside it."""
    async with behind(pooler_url, tables, postgres_url) as store:
        await fill(store, "ab")
        async with store.backlog() as backlog:
            rows = await backlog.read(await backlog.share(), 10)

    assert [b"a", b"b"] == values(rows)


async def test_partitions_are_kept_past_the_pooler(tables: PostgresStore, pooler_url: str, postgres_url: str) -> None:
    """Making and dropping them takes a lock of the session, which behind a pooler would be left with somebody else."""
    today = datetime.now(UTC).date()
    async with behind(pooler_url, tables) as pooled, behind(pooler_url, tables, postgres_url) as own:
        with pytest.raises(StoreError, match="a pooler is between"):
            await pooled.forget(today)
        await own.forget(today)
    made = await tables.pool.fetchval("SELECT to_regclass($1)::text", f"eventhub_inbox_{today:%Y%m%d}")

    assert f"eventhub_inbox_{today:%Y%m%d}" == made


async def test_commits_are_announced_through_a_pooler(tables: PostgresStore, pooler_url: str) -> None:
    """A process behind the pooler wakes a relay that is not: NOTIFY needs no session."""
    async with (
        asyncio.timeout(10),
        behind(pooler_url, tables) as web,
        tables.backlog() as backlog,
        web.announcing(),
        asyncio.TaskGroup() as tasks,
    ):
        waiting = tasks.create_task(backlog.wait(60.0))
        await fill(web, "a")
        await until(waiting.done)

    assert waiting.done()
