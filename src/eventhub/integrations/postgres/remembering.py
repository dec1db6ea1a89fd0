"""How long claims are remembered: a partition a day, made ahead and dropped as a whole."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import asyncpg
import structlog

from eventhub.integrations.postgres.backlog import PRESENT
from eventhub.integrations.postgres.connecting import place_of, session
from eventhub.integrations.postgres.failures import ours

if TYPE_CHECKING:
    from eventhub.integrations.postgres.database import Connection, Database

log = structlog.get_logger()

_AHEAD = 2  # days whose partitions are made before they begin
_CHUNK = 10_000  # claims of one delete, where a day has no partition of its own
_PATIENCE = "1s"  # for a lock: better tried again in an hour than writers queueing behind it
_MAINTAINING = PRESENT - 1
_NOT_NOW = (asyncpg.LockNotAvailableError, asyncpg.InsufficientPrivilegeError, asyncpg.CheckViolationError)


async def forget(database: Database, today: date) -> int:
    """Make the partitions of the next days, drop those older than the window, empty the rest of what is old.

    What fails for want of a lock or a right is left for the next time, and for the partition of
    all other days, from which old claims are deleted some at a time.
    """
    with ours():
        async with session(database) as connection:
            space = (await place_of(database, connection)).space
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", space, _MAINTAINING):
                return 0  # another relay is at it
            try:
                for days in range(_AHEAD + 1):
                    await _make(database, connection, today + timedelta(days=days))
                first = today - timedelta(days=database.window_days)
                await _drop_before(database, connection, first)
                return await _delete_before(database, connection, first)
            finally:
                await connection.execute("SELECT pg_advisory_unlock($1, $2)", space, _MAINTAINING)


async def _make(database: Database, connection: Connection, day: date) -> None:
    partition = database.names.inbox_of(f"{day:%Y%m%d}")
    if not await connection.fetchval("SELECT to_regclass($1)", partition):
        await _alter(
            connection, f"CREATE TABLE {partition} PARTITION OF {database.names.inbox} FOR VALUES IN ('{day:%Y-%m-%d}')"
        )


async def _drop_before(database: Database, connection: Connection, first: date) -> None:
    partitions = await connection.fetch(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1::regclass",
        database.names.inbox,
    )
    for (name,) in partitions:
        day = name.rpartition("_")[2]
        if day.isdigit() and day < f"{first:%Y%m%d}":
            await _alter(connection, f"DROP TABLE {database.names.inbox_of(day)}")


async def _delete_before(database: Database, connection: Connection, first: date) -> int:
    rest = database.names.inbox_of("other")
    deleted = 0
    while True:
        tag = await connection.execute(
            f"DELETE FROM {rest} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {rest} WHERE day < $1 LIMIT {_CHUNK}))", first
        )
        number = int(tag.split()[-1])
        deleted += number
        if number < _CHUNK:
            return deleted


async def _alter(connection: Connection, statement: str) -> None:
    """Change a partition if that can be done now.

    In one message, which is one transaction: whoever stood still between two would keep all claims waiting.
    """
    try:
        await connection.execute(f"SET LOCAL lock_timeout = '{_PATIENCE}'; {statement}")
    except _NOT_NOW as error:
        log.warning("eventhub.inbox_partition_waits", error=type(error).__name__)
