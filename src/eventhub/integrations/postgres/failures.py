"""What failures of asyncpg mean: an outage of the database, or a fault of the statement."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import asyncpg

from eventhub.errors import StoreError
from eventhub.outbox.ending import ended_by_hand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncpg.pool import PoolConnectionProxy

# asyncpg raises unrelated classes when a connection dies under it, InternalClientError among them.
FOREIGN = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)

_OUTAGES = (
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,  # disk full, out of memory, too many connections
    asyncpg.OperatorInterventionError,  # shut down, crashed, terminated
    asyncpg.ReadOnlySQLTransactionError,  # after a failover: not the primary any more
    asyncpg.InternalClientError,
)
# What COMMIT fails with though no statement of the block has caused it.
_UNSETTLED = (asyncpg.TransactionRollbackError, asyncpg.InterfaceError, OSError, TimeoutError)
_MISSING = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)


@contextmanager
def ours() -> Iterator[None]:
    """Make a StoreError of whatever the database fails with, under statements of our own.

    That a statement of the caller's had failed before is the caller's error, and stays what it is.
    """
    try:
        yield
    except asyncpg.InFailedSQLTransactionError:
        raise
    except FOREIGN as error:
        raise translated(error) from error


@contextmanager
def outages(connection: Any) -> Iterator[None]:  # noqa: ANN401 - a connection or a pool's proxy of one
    """Make a StoreError of a lost database; errors of the caller's own statements stay what they are."""
    try:
        yield
    except asyncpg.QueryCanceledError:  # by statement_timeout: the statement may be slow at each attempt
        raise
    except _OUTAGES as error:
        raise translated(error) from error
    except Exception as error:
        if isinstance(error, StoreError) or not _lost(connection):
            raise
        raise translated(error) from error


@contextmanager
def committing(connection: Any) -> Iterator[None]:  # noqa: ANN401 - a connection or a pool's proxy of one
    """Make a StoreError of a COMMIT that fails; what it finds wrong with the block is the caller's error and stays.

    That is what was deferred to the COMMIT: constraints, and triggers of constraints.
    """
    with outages(connection):
        try:
            yield
        except _UNSETTLED as error:
            raise translated(error) from error


@contextmanager
def unbroken(connection: Any) -> Iterator[None]:  # noqa: ANN401 - a connection or a pool's proxy of one
    """Refuse a block whose transaction is over when the block is, whatever else it failed with.

    Raises:
        HandlerFault: If a COMMIT or ROLLBACK of the block's own has ended it.
    """
    try:
        yield
    except Exception as error:
        if _is_ended(connection):
            raise ended_by_hand() from error
        raise
    require_open(connection)


def require_open(connection: Any) -> None:  # noqa: ANN401 - a connection or a pool's proxy of one
    """Refuse to write into a transaction that is over, where each statement would be a transaction by itself.

    Raises:
        HandlerFault: If it is.
    """
    if _is_ended(connection):
        raise ended_by_hand()


def _is_ended(connection: Any) -> bool:  # noqa: ANN401 - a connection or a pool's proxy of one
    """Whether the server's last word was that no transaction is open; with a lost connection it had none."""
    return not _lost(connection) and not connection.is_in_transaction()


async def given_back(pool: asyncpg.Pool[Any], connection: PoolConnectionProxy[Any]) -> None:
    """Give a connection back to its pool; one that is lost just then no longer changes what was committed.

    The pool asks the server to forget the session, and drops the connection if that fails.
    """
    with suppress(*FOREIGN):
        await pool.release(connection)


def _lost(connection: Any) -> bool:  # noqa: ANN401 - a connection or a pool's proxy of one
    """Whether a connection is closed; a pool takes the proxy of a closed one away, and it then answers nothing."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True


def translated(error: BaseException) -> StoreError:
    """The error as a StoreError; a missing table is nothing that waiting heals."""
    if isinstance(error, _MISSING):
        return StoreError(f"{error}; make the tables with what `eventhub outbox ddl` prints", retriable=False)
    return StoreError(f"PostgreSQL failed: {str(error) or type(error).__name__}")
