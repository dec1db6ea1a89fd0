"""``eventhub outbox``: tables, status, and dead rows."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner

from eventhub.cli import app
from eventhub.integrations.postgres import PostgresStore
from eventhub.outbox.sqlite import SqliteStore
from eventhub.testing.conformance.stores.samples import fill, rows_of, values
from tests.postgres import schema_of_its_own


def said(*arguments: str) -> str:
    """What a command that succeeds prints."""
    result = CliRunner().invoke(app, ["outbox", *arguments])

    assert 0 == result.exit_code, result.output
    return result.output


def refused(*arguments: str) -> str:
    """What a command that fails prints."""
    result = CliRunner().invoke(app, ["outbox", *arguments])

    assert 1 == result.exit_code
    return result.output


@pytest.fixture
def dsn(tmp_path: Path) -> str:
    """A file with three rows, of which the first is dead."""
    path = tmp_path / "store.sqlite3"

    async def prepare() -> None:
        async with SqliteStore(path) as store:
            await fill(store, "aab")
            async with store.backlog() as backlog:
                await backlog.bury({(await backlog.read(await backlog.share(), 10))[0].id: "too large"})

    asyncio.run(prepare())
    return f"sqlite:///{path}"


def waiting(dsn: str) -> list[bytes | None]:
    """The values that a relay would be shown."""

    async def read() -> list[bytes | None]:
        async with SqliteStore(dsn.removeprefix("sqlite:///")) as store:
            return values(await rows_of(store))

    return asyncio.run(read())


def test_the_tables_for_sqlite_can_be_made_twice() -> None:
    """What is printed is what the store needs."""
    statements = said("ddl", "--dialect", "sqlite", "--prefix", "shop")
    with sqlite3.connect(":memory:") as database:
        database.executescript(statements)
        database.executescript(statements)
        tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    database.close()

    assert {"shop_outbox", "shop_outbox_dead", "shop_inbox", "shop_meta"} < tables


@pytest.mark.postgres
@pytest.mark.parametrize("dialect", ["postgres", "debezium"])
async def test_the_tables_for_postgres_can_be_made_twice(postgres_url: str, dialect: str) -> None:
    """What is printed is taken by a real server, in the schema that is named."""
    async with schema_of_its_own(postgres_url) as schema:
        statements = said("ddl", "--dialect", dialect, "--schema", schema)
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(statements)
        await connection.execute(statements)
        made = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = $1", schema)
        await connection.close()

    assert made == {"postgres": 5, "debezium": 1}[dialect]


def test_a_name_that_is_no_plain_one_is_refused() -> None:
    """Nothing else becomes part of a statement, and the command fails."""
    for dialect in ("postgres", "sqlite"):
        assert "no plain name" in refused("ddl", "--dialect", dialect, "--prefix", 'x"; DROP TABLE y; --')


def test_status_tells_what_waits_and_what_is_dead(dsn: str) -> None:
    """Depth, owners and each dead row with its reason are shown, and no payload."""
    shown = said("status", "--dsn", dsn)

    assert "waiting  2 rows" in shown
    assert "nobody: no relay runs" in shown
    assert "dead     1 rows" in shown
    assert "orders" in shown
    assert "too large" in shown


def test_dead_rows_are_retried(dsn: str) -> None:
    """Without ids all of them go back, in their old places."""
    before = waiting(dsn)

    assert "1 rows will be tried again" in said("retry", "--dsn", dsn)
    assert [[b"b"], [b"a", b"a", b"b"]] == [before, waiting(dsn)]


def test_dead_rows_are_dropped_by_id(dsn: str) -> None:
    """What is dropped no longer holds up its key."""
    assert "0 rows are gone" in said("drop", "--dsn", dsn, "999")
    assert "1 rows are gone" in said("drop", "--dsn", dsn, "1")
    assert [b"a", b"b"] == waiting(dsn)


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """A name that is misspelt would look like an outbox without a row."""
    shown = refused("status", "--dsn", f"sqlite:///{tmp_path}/stroe.sqlite3")

    assert f"there is no file {tmp_path}/stroe.sqlite3" in shown
    assert [] == list(tmp_path.iterdir())


def test_an_unknown_database_is_refused_without_its_password() -> None:
    """The message names the two kinds that there are."""
    shown = refused("status", "--dsn", "mysql://me:secret@host/db")

    assert "postgresql:// or sqlite:///" in shown
    assert "secret" not in shown


@pytest.mark.postgres
async def test_status_names_the_owners_in_postgres(tables: PostgresStore, postgres_url: str) -> None:
    """Each relay stands there with machine, process and buckets; dead rows are retried and dropped by id."""
    schema = await tables.pool.fetchval("SELECT current_schema()")
    here = ("--dsn", postgres_url, "--schema", schema)
    await fill(tables, "aab")
    async with tables.backlog() as backlog:
        rows = await backlog.read(await backlog.share(), 10)
        await backlog.bury({rows[0].id: "too large"})
        shown = await asyncio.to_thread(said, "status", *here)
    retried = await asyncio.to_thread(said, "retry", *here, str(rows[0].id))
    dropped = await asyncio.to_thread(said, "drop", *here, str(rows[0].id))

    assert f"owner    eventhub relay {socket.gethostname()}:{os.getpid()}: buckets 0, 1, 2" in shown
    assert "dead     1 rows" in shown
    assert "1 rows will be tried again" in retried
    assert "0 rows are gone" in dropped


@pytest.mark.postgres
async def test_status_of_tables_that_are_not_there_says_how_to_make_them(postgres_url: str) -> None:
    """A first look at a new database ends with one helpful line."""
    shown = await asyncio.to_thread(refused, "status", "--dsn", postgres_url, "--prefix", "nowhere")

    assert "eventhub outbox ddl" in shown
