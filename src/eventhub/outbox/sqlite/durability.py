"""When what is committed to a SQLite file is on the disk: one wait for all who committed meanwhile.

SQLite waits for the disk in every commit (``synchronous=FULL``), one after the other, so a file takes
no more transactions a second than the disk takes waits. Here commits do not wait
(``synchronous=NORMAL``); whoever has to know that they are on the disk waits for the next sync of the
write-ahead log, and one sync serves everybody who asked before it began. What a sync has not reached
yet, a loss of power may undo, so nobody outside may hear of it before.

Source: SQLite, "Write-Ahead Logging" (a reader finds every whole commit of the log) and
"PRAGMA synchronous" (NORMAL loses commits with the power, never the file).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from eventhub.errors import StoreError

_fdatasync = getattr(os, "fdatasync", os.fsync)  # where there is no fdatasync, fsync is what SQLite itself calls


class Durability:
    """What of one file's write-ahead log is known to be on the disk."""

    def __init__(self, path: Path, sync: Callable[[], None] | None = None) -> None:
        """Know nothing yet of the log beside a database file.

        Args:
            path: The database file.
            sync: Brings the log to the disk, in a thread of its own; None for the system's way.
        """
        self._path = path.with_name(f"{path.name}-wal")
        self._sync = sync if sync is not None else partial(_sync_file, self._path)
        self._turn = asyncio.Lock()
        # Syncs are numbered as they begin, one at a time.
        self._begun = 0
        self._reached = 0  # the last that succeeded
        self._failure: OSError | None = None

    async def reached(self) -> None:
        """Return once all that was committed before the call is on the disk.

        Raises:
            StoreError: If a sync failed, now or ever: the system forgets what it could not write, so that a later
                sync succeeds without it. Open the store anew.
        """
        asked_after = self._begun
        async with self._turn:
            if self._reached > asked_after:  # one began after the call, while it waited for its turn
                return
            self._begun += 1
            if self._failure is None:
                try:
                    await asyncio.to_thread(self._sync)
                except OSError as error:
                    self._failure = error
            if self._failure is not None:
                msg = f"commits may not be on the disk, since syncing {self._path} failed: {self._failure}"
                raise StoreError(msg, retriable=False) from self._failure
            self._reached = self._begun


def _sync_file(path: Path) -> None:
    log = os.open(path, os.O_RDONLY)  # SQLite holds its locks on other files, so closing this one drops none
    try:
        _fdatasync(log)
    finally:
        os.close(log)
