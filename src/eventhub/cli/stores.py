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
        StoreError: If the database cannot be reached; no command makes a file that is not there.
        DeclarationError: If a name is no plain one.
    """
    if dsn.startswith("sqlite:///"):
        from eventhub.outbox.sqlite import SqliteStore  # noqa: PLC0415 - an extra

        async with SqliteStore(_file(dsn), prefix=prefix) as store:
            yield store
    elif dsn.startswith(("postgresql://", "postgres://")):
        from eventhub.integrations.postgres import connected  # noqa: PLC0415 - an extra

        async with connected(dsn, prefix=prefix, schema=schema) as postgres:
            yield postgres
    else:
        scheme = dsn.partition(":")[0]  # never the rest: there may be a password in it
        msg = f"{scheme!r} is no database of an outbox; a DSN begins with postgresql:// or sqlite:///"
        raise StoreError(msg, retriable=False)


def _file(dsn: str) -> Path:
    """The file that a DSN names; a misspelt one, made here, would look like an outbox without a row."""
    path = Path(dsn.removeprefix("sqlite:///"))
    if not path.is_file():
        msg = f"there is no file {path.absolute()}; the service that writes to it makes it"
        raise StoreError(msg, retriable=False)
    return path
