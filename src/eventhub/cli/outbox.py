"""``eventhub outbox``: the tables of an outbox, what it holds, and what becomes of its dead rows."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from eventhub.cli.stores import Dsn, Prefix, Schema, opened_store
from eventhub.errors import EventHubError

if TYPE_CHECKING:
    from eventhub.outbox.base import Store

outbox = typer.Typer(name="outbox", help="Make, watch and mend the tables of an outbox.", no_args_is_help=True)

Dialect = Literal["postgres", "sqlite", "debezium"]
Ids = Annotated[list[int] | None, typer.Argument(help="Ids of dead rows, as status shows them.", metavar="ID")]


@outbox.command()
def ddl(
    dialect: Annotated[Dialect, typer.Option(help="Whose statements; debezium for the table of its router.")],
    prefix: Prefix = "eventhub",
    schema: Schema = None,
) -> None:
    """Print the statements that make the tables, for a migration; they may be run again."""

    def statements() -> str:
        if dialect == "sqlite":
            from eventhub.outbox.sqlite import sqlite_ddl  # noqa: PLC0415 - an extra

            return sqlite_ddl(prefix=prefix)
        from eventhub.integrations.postgres import debezium_ddl, postgres_ddl  # noqa: PLC0415 - an extra

        make = debezium_ddl if dialect == "debezium" else postgres_ddl
        return make(prefix=prefix, schema=schema)

    try:
        typer.echo(statements(), nl=False)
    except EventHubError as error:
        _fail(error)


@outbox.command()
def status(dsn: Dsn, prefix: Prefix = "eventhub", schema: Schema = None) -> None:
    """Say how many rows wait, for how long, who owns the buckets, and which rows are dead."""

    async def show(store: Store[Any]) -> None:
        found = await store.status()
        typer.echo(f"waiting  {found.depth} rows, the oldest for {found.oldest_age:.1f} s")
        for owner in sorted(set(found.owners.values())):
            buckets = [str(bucket) for bucket, name in found.owners.items() if name == owner]
            typer.echo(f"owner    {owner}: buckets {', '.join(buckets)}")
        if not found.owners:
            typer.echo("owner    nobody: no relay runs")
        typer.echo(f"dead     {found.dead} rows")
        for row in await store.dead():
            failed = datetime.fromtimestamp(row.failed_at, UTC).isoformat(timespec="seconds")
            typer.echo(f"         {row.id}  {failed}  {row.topic}  event {row.event_id}: {row.reason}")

    _run(show, dsn, prefix, schema)


@outbox.command()
def retry(dsn: Dsn, ids: Ids = None, prefix: Prefix = "eventhub", schema: Schema = None) -> None:
    """Put dead rows back in their old places, all of them if none is named."""

    async def put_back(store: Store[Any]) -> None:
        typer.echo(f"{await store.retry(ids or None)} rows will be tried again")

    _run(put_back, dsn, prefix, schema)


@outbox.command()
def drop(dsn: Dsn, ids: Ids, prefix: Prefix = "eventhub", schema: Schema = None) -> None:
    """Delete dead rows for ever, so that the later rows of their keys go on."""

    async def let_go(store: Store[Any]) -> None:
        typer.echo(f"{await store.drop(ids or [])} rows are gone")

    _run(let_go, dsn, prefix, schema)


def _run(work: Callable[[Store[Any]], Coroutine[Any, Any, None]], dsn: str, prefix: str, schema: str | None) -> None:
    """Do something with the store that the options name."""

    async def with_store() -> None:
        async with opened_store(dsn, prefix, schema) as store:
            await work(store)

    try:
        asyncio.run(with_store())
    except EventHubError as error:
        _fail(error)


def _fail(error: EventHubError) -> None:
    typer.echo(f"{type(error).__name__}: {error}", err=True)
    sys.exit(1)
