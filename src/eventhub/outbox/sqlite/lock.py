"""The lock on a file beside a SQLite file: one relay works, the others stand by."""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import suppress
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class RelayLock:
    """The lock that makes a relay the only one of a file; the kernel gives it back however its holder ends."""

    def __init__(self, path: Path) -> None:
        """Name the lock of a database file."""
        self._path = path.with_name(f"{path.name}.relay.lock")
        self._file: IO[str] | None = None

    def take(self) -> bool:
        """Whether the lock is held now."""
        if self._file is not None:
            return True
        file = self._path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        with suppress(OSError):  # a full disk has no room for the name; the lock needs none
            file.truncate(0)
            os.write(file.fileno(), f"{socket.gethostname()}:{os.getpid()}".encode())
        return True

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def holder(self) -> str | None:
        """Who holds the lock, as ``host:process``, or None for nobody."""
        try:
            file = self._path.open()
        except FileNotFoundError:
            return None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read() or "a process whose name found no room on the disk"
        return None
