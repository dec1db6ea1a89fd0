"""What the commands for outboxes share: a store behind a DSN."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eventhub.errors import StoreError

if TYPE_CHECKING:
    from eventhub.outbox.base import Store

Dsn = Annotated[
    str, typer.Option(help="postgresql://user:password@host/database or sqlite:///path.", envvar="EVENTHUB_OUTBOX")
]
Prefix = Annotated[str, typer.Option(help="What the names of the tables begin with.")]
Schema = Annotated[str | None, typer.Option(help="The schema of the tables in PostgreSQL; none for the search path.")]


@asynccontextmanager
async def opened_store(dsn: str, prefix: str, schema: str | None) -> AsyncIterator[Store[Any]]:
    """The store that a DSN names.

    Raises:
        StoreError: If the database cannot be reached.
        DeclarationError: If a name is no plain one.
    """
    if dsn.startswith("sqlite:///"):
        from eventhub.outbox.sqlite import SqliteStore  # noqa: PLC0415 - an extra

        async with SqliteStore(Path(dsn.removeprefix("sqlite:///")), prefix=prefix) as store:
            yield store
    elif dsn.startswith(("postgresql://", "postgres://")):
        from eventhub.integrations.postgres import connected  # noqa: PLC0415 - an extra

        async with connected(dsn, prefix=prefix, schema=schema) as postgres:
            yield postgres
    else:
        scheme = dsn.partition(":")[0]  # never the rest: there may be a password in it
        msg = f"{scheme!r} is no database of an outbox; a DSN begins with postgresql:// or sqlite:///"
        raise StoreError(msg, retriable=False)
