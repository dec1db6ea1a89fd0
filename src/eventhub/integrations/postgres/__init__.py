"""A store in PostgreSQL 14 or newer, through asyncpg: ``pip install eventhub[postgres]``."""

try:
    import asyncpg  # noqa: F401 - the extra
except ImportError as error:
    msg = 'PostgresStore needs asyncpg: pip install "eventhub[postgres]"'
    raise ImportError(msg) from error

from eventhub.integrations.postgres.store import PostgresStore, PostgresTransaction, connected
from eventhub.integrations.postgres.tables import debezium_ddl, postgres_ddl

__all__ = ["PostgresStore", "PostgresTransaction", "connected", "debezium_ddl", "postgres_ddl"]
