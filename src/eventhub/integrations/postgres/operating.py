"""What operators ask of an outbox and do with its dead rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventhub.integrations.postgres.connecting import place_of
from eventhub.integrations.postgres.failures import ours
from eventhub.outbox.base import DeadRow, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventhub.integrations.postgres.store import PostgresStore


async def status(store: PostgresStore) -> Status:
    """What the outbox holds, and who owns its buckets."""
    names = store.names
    with ours():
        async with store.pool.acquire() as connection:
            place = await place_of(store, connection)
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
                *(place.space & 0xFFFF_FFFF, store.buckets),
            )
    return Status(depth, max(0.0, age), dead, {row[0]: row[1] for row in owners})


async def dead(store: PostgresStore, limit: int) -> Sequence[DeadRow]:
    """The first dead rows."""
    with ours():
        rows = await store.pool.fetch(
            "SELECT id, topic, key, event_id, reason, extract(epoch FROM failed_at)::float8 "
            f"FROM {store.names.dead} ORDER BY id LIMIT $1",
            limit,
        )
    return [DeadRow(*row) for row in rows]


async def retry(store: PostgresStore, ids: Sequence[int] | None) -> int:
    """Put dead rows back in their old places."""
    names = store.names
    with ours():
        rows = await store.pool.fetch(
            f"WITH back AS (DELETE FROM {names.dead} WHERE $1::bigint[] IS NULL OR id = ANY($1) "
            f"RETURNING {names.columns}) INSERT INTO {names.outbox} ({names.columns}) "
            f"SELECT {names.columns} FROM back RETURNING id",
            ids,
        )
    return len(rows)


async def drop(store: PostgresStore, ids: Sequence[int]) -> int:
    """Let go of dead rows."""
    with ours():
        rows = await store.pool.fetch(f"DELETE FROM {store.names.dead} WHERE id = ANY($1::bigint[]) RETURNING id", ids)
    return len(rows)
