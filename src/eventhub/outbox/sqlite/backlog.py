"""What a relay sees of a SQLite file."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from eventhub.errors import StoreError
from eventhub.outbox.base import OutboxRow
from eventhub.outbox.rows import headers_from_text
from eventhub.outbox.sqlite.connection import begun, ours
from eventhub.outbox.sqlite.lock import RelayLock

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import aiosqlite

    from eventhub.outbox.base import Lane
    from eventhub.outbox.sqlite.file import File

_GLANCE = 0.02  # seconds between two looks whether another process has written


class SqliteBacklog:
    """The connection of one relay; it owns all buckets or none."""

    def __init__(self, file: File, database: aiosqlite.Connection) -> None:
        """Read through a connection of its own, and write when no other task of this process does."""
        self._file = file
        self._database: aiosqlite.Connection | None = database
        self._lock = RelayLock(file.path)
        self._listener = file.doorbell.listen()
        self._version = -1
        self._remove = f"DELETE FROM {file.names.outbox} WHERE id IN (SELECT value FROM json_each(?))"

    async def close(self) -> None:
        """Give everything back."""
        self._lock.release()
        self._listener.close()
        if self._database is not None:
            await self._database.close()
            self._database = None

    async def share(self) -> Collection[int]:
        """All buckets, or none while another relay has the file."""
        with ours(self._file.path):
            return range(self._file.buckets) if self._lock.take() else ()

    async def beat(self) -> None:
        """Do nothing: a lock of the kernel needs no sign of life."""

    async def read(self, buckets: Collection[int], limit: int, without: Collection[Lane] = ()) -> Sequence[OutboxRow]:
        """The first rows of these buckets, all of them on the disk: what power could undo is no event yet."""
        names = self._file.names
        where = ""
        if len(buckets) < self._file.buckets:
            where = f"AND bucket IN ({', '.join(str(int(bucket)) for bucket in buckets)})"
        # One text a lane, hashed once however many rest: pairs would be taken apart again for each row.
        resting = json.dumps([f"{'-' if key is None else key.hex().upper()} {topic}" for topic, key in without])
        with ours(self._file.path):
            rows = await self._connection().execute_fetchall(
                f'SELECT id, topic, "key", value, headers, event_id, created_at FROM {names.outbox} AS o '
                f'WHERE NOT EXISTS (SELECT 1 FROM {names.dead} AS d WHERE d.topic = o.topic AND d."key" = o."key") '
                "AND iif(\"key\" IS NULL, '-', hex(\"key\")) || ' ' || topic NOT IN (SELECT value FROM json_each(?)) "
                f"{where} ORDER BY id LIMIT ?",
                (resting, limit),
            )
        if rows:
            await self._file.durability.reached()
        return [
            OutboxRow(number, topic, key, value, headers_from_text(headers), event_id, created_at)
            for number, topic, key, value, headers, event_id, created_at in rows
        ]

    async def delete(self, ids: Sequence[int]) -> None:
        """Let go of rows in one statement, a transaction by itself: writers wait for one turn, not three."""
        async with self._file.alone:
            with ours(self._file.path):
                await self._connection().execute(self._remove, (json.dumps(ids),))

    async def bury(self, reasons: Mapping[int, str]) -> None:
        """Move rows to the dead ones."""
        names, now = self._file.names, time.time()
        copy = f"""INSERT INTO {names.dead} ({names.columns}, failed_at, reason)
                   SELECT {names.columns}, ?, ? FROM {names.outbox} WHERE id = ?"""
        async with self._file.alone:
            database = self._connection()
            async with begun(database, self._file.path):
                await database.executemany(copy, [(now, reason, number) for number, reason in reasons.items()])
                await database.execute(self._remove, (json.dumps(list(reasons)),))

    async def wait(self, timeout: float) -> None:
        """Wait for the bell, and for other processes' commits."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            if await self._listener.wait(min(_GLANCE, left)) or await self._changed():
                return

    async def _changed(self) -> bool:
        """Whether another connection has written since the last look."""
        with ours(self._file.path):
            rows = await self._connection().execute_fetchall("PRAGMA data_version")
        version, self._version = self._version, next(iter(rows))[0]
        return version != self._version

    def _connection(self) -> aiosqlite.Connection:
        if self._database is None:
            msg = f"this backlog of {self._file.path} is closed, and may belong to another relay"
            raise StoreError(msg)
        return self._database
