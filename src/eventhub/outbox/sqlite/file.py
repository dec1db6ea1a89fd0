"""One SQLite file, as the store and the relays of this process share it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from eventhub.outbox.doorbell import Doorbell
from eventhub.outbox.sqlite.durability import Durability
from eventhub.outbox.sqlite.tables import names

if TYPE_CHECKING:
    from pathlib import Path


class File:
    """Where the tables are, and whose turn it is to write."""

    def __init__(self, path: Path, prefix: str, buckets: int) -> None:
        """Name the file and its tables; nothing is opened.

        Raises:
            DeclarationError: If the prefix is no plain name.
        """
        # SQLite follows links too, and names the log after what it finds there.
        self.path = path.resolve()
        """The file, by the one name that all its relays lock."""
        self.names = names(prefix)
        """The names of its tables."""
        self.buckets = buckets
        """With how many buckets they were made."""
        self.doorbell = Doorbell()
        """Rung after each commit of this process that wrote rows."""
        # One connection for all writers of this process, one at a time: waiting for a lock of our own is
        # fair and quick, waiting in SQLite's busy handler is neither.
        self.alone = asyncio.Lock()
        """Held by whoever of this process writes."""
        self.durability = Durability(self.path)
        """Tells when what is committed is on the disk."""
