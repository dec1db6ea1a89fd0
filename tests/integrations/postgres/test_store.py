"""What is PostgreSQL's own: sessions, poolers, partitions, lost connections, and relays that must not work."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhub import DeclarationError
from eventhub.errors import StoreError
from eventhub.integrations.postgres import PostgresStore, debezium_ddl, postgres_ddl
from eventhub.record import ProducerRecord
from eventhub.testing.conformance.stores.samples import Undone, claims, fill, new_claim, record, rows_of, values
from eventhub.testing.waiting import until
from tests.nestings import Block, blocks, kept, play
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


async def test_what_is_deferred_to_the_commit_is_the_blocks_own_error(tables: PostgresStore) -> None:
    """A constraint that only COMMIT looks at is broken by the record, however often it is tried: no outage."""
    await tables.pool.execute("CREATE TABLE deferred (name text UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    claim = new_claim()

    async def twice() -> None:
        async with tables.claiming(claim) as transaction:
            assert transaction is not None
            await transaction.connection.execute("INSERT INTO deferred VALUES ('tea'), ('tea')")

    with pytest.raises(asyncpg.UniqueViolationError):
        await twice()

    assert await claims(tables, claim)


async def test_a_conflict_that_shows_at_the_commit_is_no_fault_of_the_block(tables: PostgresStore) -> None:
    """Of two serializable transactions that read what the other writes one fails, and may be tried again."""
    count = "INSERT INTO business SELECT {name}, count(*) FROM business"

    async def conflict() -> None:
        async with tables.transaction() as one:
            await one.connection.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
            await one.connection.execute(count.format(name="'one'"))
            async with tables.transaction() as other:
                await other.connection.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
                await other.connection.execute(count.format(name="'other'"))

    with pytest.raises(StoreError) as failure:
        await conflict()

    assert failure.value.retriable


async def test_a_statement_that_takes_too_long_is_the_blocks_own_error(tables: PostgresStore) -> None:
    """It may take too long at each attempt, so it is given up in the end; an outage would hold its key for ever."""

    async def dawdle() -> None:
        async with tables.transaction() as transaction:
            await transaction.connection.execute("SET LOCAL statement_timeout = 1")
            await transaction.connection.execute("SELECT pg_sleep(60)")

    with pytest.raises(asyncpg.QueryCanceledError):
        await dawdle()


@pytest.mark.parametrize("name", ["date", "text", "uuid"])
async def test_whatever_types_values_come_back_in_claims_are_told(tables: PostgresStore, name: str) -> None:
    """A pool may give its connections codecs of its own."""
    known, *new = (new_claim() for _ in range(3))
    assert await claims(tables, known)
    async with tables.transaction() as transaction:
        await transaction.connection.set_type_codec(
            name, schema="pg_catalog", encoder=str, decoder=lambda text: f"<{text}>"
        )
        answers = await transaction.claim_all([new[0], known, new[1], new[0]])

    assert [True, False, True, False] == list(answers)


@pytest.mark.parametrize("records", [[], [record("b")]])
async def test_a_block_that_swallows_a_failed_statement_does_not_end_well(
    tables: PostgresStore, records: list[ProducerRecord]
) -> None:
    """PostgreSQL has undone the whole of it by then; that is the block's own failure, and no outage."""
    claim = new_claim()

    async def swallow() -> None:
        async with tables.transaction() as transaction:
            await transaction.claim(claim)
            with suppress(asyncpg.UniqueViolationError):
                for _ in range(2):
                    await transaction.connection.execute("INSERT INTO business VALUES ('tea', '1')")
            await transaction.enqueue(records)

    with pytest.raises(asyncpg.InFailedSQLTransactionError):
        await swallow()

    assert await claims(tables, claim)


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


@pytest.mark.slow
@settings(max_examples=40)
@given(block=blocks, fails=st.booleans())
def test_any_nesting_publishes_what_is_left(postgres_url: str, block: Block, fails: bool) -> None:
    """Whatever fails at whatever depth, exactly the rows of savepoints that were kept are written, in their order."""

    async def run() -> list[bytes | None]:
        async with tables_of_its_own(postgres_url) as store:
            with suppress(Undone):
                async with store.transaction() as transaction:
                    await play(transaction, block, transaction.connection.transaction)
                    if fails:
                        raise Undone
            return values(await rows_of(store))

    assert ([] if fails else [b"%d" % number for number in kept(block)]) == asyncio.run(run())


async def test_no_commit_waits_for_an_announcement(tables: PostgresStore) -> None:
    """Nothing that the business's own connection says is NOTIFY, which would make all commits wait for each other."""
    said: list[str] = []
    async with tables.backlog(), tables.announcing(), tables.transaction() as transaction:
        transaction.connection.add_query_logger(lambda query: said.append(query.query))
        await transaction.claim(new_claim())
        await transaction.defer([record("deferred")])
        await transaction.enqueue([record("enqueued")])

    assert {"INSERT", "SELECT", "COMMIT;"} <= {query.split(" ")[0] for query in said}
    assert not [query for query in said if "notify" in query.lower()]


async def test_deleted_rows_are_vacuumed_soon(tables: PostgresStore) -> None:
    """The server has the table's own settings: every 5,000 deleted rows, however large the table was."""
    found = await tables.pool.fetchval("SELECT reloptions FROM pg_class WHERE oid = 'eventhub_outbox'::regclass")

    assert {"autovacuum_vacuum_scale_factor=0", "autovacuum_vacuum_threshold=5000"} <= set(found)
    assert "autovacuum_vacuum_cost_delay=0" in found


async def test_a_commit_of_another_process_wakes_the_relay(tables: PostgresStore) -> None:
    """A process without a relay announces its commits through the database."""
    web = PostgresStore(tables.pool)
    async with asyncio.timeout(10), tables.backlog() as backlog, web.announcing(), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(backlog.wait(60.0))
        await fill(web, "a")
        await until(waiting.done)

    assert waiting.done()


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


async def test_debezium_gets_keys_that_are_no_text(tables: PostgresStore) -> None:
    """A key with zero bytes, or of no UTF-8, is written with replacements: else its transaction could never commit."""
    await tables.pool.execute(debezium_ddl())
    await tables.pool.execute(_A_LOG_OF_INSERTS)
    store = PostgresStore(tables.pool, debezium=True)
    headers = (("ce_id", str(uuid.uuid4()).encode()), ("ce_type", b"Order"))
    async with store.transaction() as transaction:
        await transaction.enqueue([ProducerRecord("orders", b"\x00o\xff", b"framed", headers)])

    assert "\ufffdo\ufffd" == await tables.pool.fetchval("SELECT aggregateid FROM seen")


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


async def test_without_the_right_to_make_tables_old_claims_are_deleted(
    tables: PostgresStore, postgres_url: str
) -> None:
    """Who may only write rows keeps the inbox all the same, without partitions."""
    schema = await tables.pool.fetchval("SELECT current_schema()")
    clerk, day = f"clerk_{schema}", date(2030, 1, 1)
    await tables.pool.execute(
        f"CREATE ROLE {clerk}; GRANT USAGE ON SCHEMA {schema} TO {clerk}; "
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {clerk}"
    )
    settings = {"search_path": schema, "role": clerk}
    async with asyncpg.create_pool(postgres_url, min_size=1, max_size=3, server_settings=settings) as pool:
        store = PostgresStore(pool)
        old, young = new_claim(day), new_claim(day + timedelta(days=8))
        first = [await claims(store, claim) for claim in (old, young)]
        forgotten = await store.forget(day + timedelta(days=8))
        again = [await claims(store, claim) for claim in (old, young)]
    made = await _partitions(tables)
    await tables.pool.execute(f"DROP OWNED BY {clerk}; DROP ROLE {clerk}")

    assert ([True, True], 1, [True, False]) == (first, forgotten, again)
    assert {"eventhub_inbox_other"} == made


# -- what the tests share -------------------------------------------------------------------------


async def _partitions(store: PostgresStore) -> set[str]:
    rows = await store.pool.fetch(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'eventhub_inbox'::regclass"
    )
    return {row[0] for row in rows}
