"""The tables of inbox and outbox in SQLite."""

from __future__ import annotations

from dataclasses import dataclass

from eventhub.outbox.names import quoted
from eventhub.outbox.rows import BUCKETS


@dataclass(frozen=True, slots=True)
class Names:
    """The quoted names of the tables."""

    outbox: str
    dead: str
    inbox: str
    meta: str
    columns: str = 'id, bucket, event_id, topic, "key", value, headers, created_at'
    """The columns that outbox and dead rows share."""


def names(prefix: str) -> Names:
    """The names of the tables with a prefix.

    Raises:
        DeclarationError: If the prefix is no plain name.
    """
    return Names(*(quoted(prefix, table) for table in ("outbox", "outbox_dead", "inbox", "meta")))


def sqlite_ddl(*, prefix: str = "eventhub", buckets: int = BUCKETS) -> str:
    """The statements that make the tables; they may be run again.

    Raises:
        DeclarationError: If the prefix is no plain name.
    """
    named = names(prefix)
    return f"""\
CREATE TABLE IF NOT EXISTS {named.outbox} (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,  -- one writer at a time: the order of ids is that of commits
    bucket     INTEGER NOT NULL,
    event_id   TEXT NOT NULL,
    topic      TEXT NOT NULL,
    "key"      BLOB,
    value      BLOB,
    headers    TEXT NOT NULL,
    created_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS {named.dead} (
    id         INTEGER PRIMARY KEY,
    bucket     INTEGER NOT NULL,
    event_id   TEXT NOT NULL,
    topic      TEXT NOT NULL,
    "key"      BLOB,
    value      BLOB,
    headers    TEXT NOT NULL,
    created_at REAL NOT NULL,
    failed_at  REAL NOT NULL,
    reason     TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS {quoted(prefix, "outbox_dead_lane")} ON {named.dead} (topic, "key");
CREATE TABLE IF NOT EXISTS {named.inbox} (
    day            INTEGER NOT NULL,               -- days since 1970, of the event's own id
    consumer_group TEXT NOT NULL,
    scope          TEXT NOT NULL,
    event_id       BLOB NOT NULL,
    PRIMARY KEY (day, consumer_group, scope, event_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS {named.meta} (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO {named.meta} (name, value) VALUES ('buckets', '{buckets}') ON CONFLICT DO NOTHING;
"""
