"""What operators ask of an outbox and do with its dead rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventhub.integrations.postgres.connecting import place_of
from eventhub.integrations.postgres.failures import ours
from eventhub.outbox.base import DeadRow, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventhub.integrations.postgres.database import Database


async def status(database: Database) -> Status:
    """What the outbox holds, and who owns its buckets."""
    names = database.names
    with ours():
        async with database.pool.acquire() as connection:
            place = await place_of(database, connection)
            [(depth, age)] = await connection.fetch(
                "SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 "
                f"FROM {names.outbox}"
            )
            dead = await connection.fetchval(f"SELECT count(*) FROM {names.dead}")
            owners = await connection.fetch(
                "SELECT l.objid::int, a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
                "WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted AND l.classid::bigint = $1 "
                "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
                "AND l.objid::bigint < $2 ORDER BY 1",
                *(place.space & 0xFFFF_FFFF, database.buckets),
            )
    return Status(depth, max(0.0, age), dead, {row[0]: row[1] for row in owners})


async def dead(database: Database, limit: int) -> Sequence[DeadRow]:
    """The first dead rows."""
    with ours():
        rows = await database.pool.fetch(
            "SELECT id, topic, key, event_id, reason, extract(epoch FROM failed_at)::float8 "
            f"FROM {database.names.dead} ORDER BY id LIMIT $1",
            limit,
        )
    return [DeadRow(*row) for row in rows]


async def retry(database: Database, ids: Sequence[int] | None) -> int:
    """Put dead rows back in their old places."""
    names = database.names
    with ours():
        rows = await database.pool.fetch(
            f"WITH back AS (DELETE FROM {names.dead} WHERE $1::bigint[] IS NULL OR id = ANY($1) "
            f"RETURNING {names.columns}) INSERT INTO {names.outbox} ({names.columns}) "
            f"SELECT {names.columns} FROM back RETURNING id",
            ids,
        )
    return len(rows)


async def drop(database: Database, ids: Sequence[int]) -> int:
    """Let go of dead rows."""
    with ours():
        rows = await database.pool.fetch(
            f"DELETE FROM {database.names.dead} WHERE id = ANY($1::bigint[]) RETURNING id", ids
        )
    return len(rows)
