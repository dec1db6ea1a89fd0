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
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from eventhub.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_fdatasync = getattr(os, "fdatasync", os.fsync)  # where there is no fdatasync, fsync is what SQLite itself calls


class Durability:
    """What of one file's write-ahead log is known to be on the disk."""

    def __init__(self, path: Path, sync: Callable[[int], None] = _fdatasync) -> None:
        """Know nothing yet of the log beside a database file.

        Args:
            path: The database file.
            sync: Brings to the disk what was written to the file of a descriptor, in a thread of its own.
        """
        self._path = path.with_name(f"{path.name}-wal")
        self._sync = sync
        self._turn = asyncio.Lock()
        # Syncs are numbered as they begin, one at a time.
        self._begun = 0
        # What became of them, written by their thread: who asked for one may have given up waiting.
        self._reached = 0  # the last that succeeded
        self._failure: OSError | None = None
        # Not the loop's own threads, which may all wait for something else, the broker's address for instance.
        self._thread: ThreadPoolExecutor | None = None
        self._log = -1

    def open(self) -> None:
        """Open the log, which is there as long as the database is open.

        It stays open: of what the system could not write, it tells once whoever had the file open by then. A
        checkpoint syncs the log as well, and SQLite keeps its failure to itself.

        Raises:
            OSError: If the log cannot be opened.
        """
        self._log = os.open(self._path, os.O_RDONLY)  # SQLite's locks are on other files: closing this one drops none
        self._thread = ThreadPoolExecutor(1, "eventhub-sync")
        self._failure = None

    def close(self) -> None:
        """Close the log, behind the sync that is under way."""
        if self._thread is not None:
            self._thread.submit(os.close, self._log)
            self._thread.shutdown(wait=False)
            self._thread = None

    async def reached(self) -> None:
        """Return once all that was committed before the call is on the disk.

        Raises:
            StoreError: If a sync failed, now or since ``open``: the system forgets what it could not write, so that a
                later sync succeeds without it. Open the store anew. Also if the log is not open.
        """
        asked_after = self._begun
        async with self._turn:
            if self._reached > asked_after:  # one began after the call, while it waited for its turn
                return
            if self._thread is None:
                msg = f"commits may not be on the disk, since {self._path} was closed before it was synced"
                raise StoreError(msg, retriable=False)
            self._begun += 1
            await asyncio.get_running_loop().run_in_executor(self._thread, self._bring, self._begun)
            if self._failure is not None:
                msg = f"commits may not be on the disk, since syncing {self._path} failed: {self._failure}"
                raise StoreError(msg, retriable=False) from self._failure

    def _bring(self, number: int) -> None:
        if self._failure is None:
            try:
                self._sync(self._log)
                self._reached = number
            except OSError as error:
                self._failure = error
