"""Where one outbox is and how to reach it: what its store and its relays share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

    from eventhub.integrations.postgres.tables import Names
    from eventhub.outbox.doorbell import Doorbell

    Connection = asyncpg.Connection[Any] | PoolConnectionProxy[Any]


@dataclass(frozen=True, slots=True)
class Database:
    """The database of one outbox."""

    pool: asyncpg.Pool[Any]
    """Where connections come from."""
    names: Names
    """The names of the tables."""
    doorbell: Doorbell
    """Rung after each commit of this process that wrote rows."""
    buckets: int
    """With how many buckets the tables were made."""
    window_days: int
    """How many days an event's id is remembered."""
    relay_dsn: str | None
    """A direct way for the relay, or None for the pool."""
    idle_timeout: float
    """Seconds without a sign of life, after which a relay's buckets go to another."""
