"""A store in one SQLite file: ``pip install eventhub[sqlite]``.

One writer at a time, so the order of ids is the order of commits. A transaction has ended when it is
on the disk; those that commit meanwhile share that wait. One relay a file, which holds a lock on a
file beside it; the kernel gives the lock back however the relay ends. A network file system keeps
neither promise.
"""

from eventhub.outbox.sqlite.store import SqliteStore, SqliteTransaction
from eventhub.outbox.sqlite.tables import sqlite_ddl

__all__ = ["SqliteStore", "SqliteTransaction", "sqlite_ddl"]
