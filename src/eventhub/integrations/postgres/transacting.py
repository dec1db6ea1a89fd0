"""Transactions begun and ended as asyncpg does it, with its own parts of them, in fewer messages and with every answer.

The client sends BEGIN in a message of its own and throws away what the server says to COMMIT. Savepoints,
``connection.transaction()``, have to find the outer one in the connection, so it is noted there as the client would.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import asyncpg
from asyncpg.transaction import TransactionState

from eventhub.integrations.postgres.failures import FOREIGN

if TYPE_CHECKING:
    from asyncpg.transaction import Transaction

    from eventhub.integrations.postgres.database import Connection
    from eventhub.outbox.base import Claim


async def begin(connection: Connection) -> Transaction:
    """Begin a transaction."""
    begun = connection.transaction()
    await begun.start()
    return begun


async def begin_claiming(connection: Connection, inbox: str, claim: Claim) -> tuple[Transaction, bool]:
    """Begin a transaction with a claim, in one message; whether the event is new to the group.

    Waits for another transaction that claims it.
    """
    begun: Any = connection.transaction()
    try:
        answer = await connection.execute(f"BEGIN; {claim_statement(inbox, claim)}")
    except BaseException:
        with suppress(*FOREIGN):  # a lost connection has rolled back already
            await connection.execute("ROLLBACK;")  # whether BEGIN was reached is not known to who was cancelled
        raise
    begun._connection._top_xact, begun._state = begun, TransactionState.STARTED  # noqa: SLF001 - what its start does
    return begun, answer == "INSERT 0 1"


def claim_statement(inbox: str, claim: Claim) -> str:
    """What claims an event, for a message that takes no parameters: texts are hexadecimal digits, so none is quoted."""
    group, scope = (
        f"convert_from(decode('{text.encode().hex()}', 'hex'), 'UTF8')" for text in (claim.group, claim.scope)
    )
    return (
        f"INSERT INTO {inbox} (day, consumer_group, scope, event_id) "
        f"VALUES ('{claim.day.isoformat()}', {group}, {scope}, '{claim.event.hex}') ON CONFLICT DO NOTHING"
    )


async def commit(begun: Any) -> None:  # noqa: ANN401 - asyncpg's Transaction, of which more is used than its types tell
    """End a transaction, and look at what became of it: the COMMIT of one that has failed is a rollback, and no error.

    The client throws the server's answer away, and to ask again would cost a round trip a transaction; so
    this does what its own ``commit`` does, and keeps the answer.

    Raises:
        InFailedSQLTransactionError: If a statement of the block had failed, and nobody heard of it.
    """
    connection, begun._state = begun._connection, TransactionState.FAILED  # noqa: SLF001 - what its commit does
    connection._top_xact = None  # noqa: SLF001 - likewise
    answer = await connection.execute("COMMIT;")
    begun._state = TransactionState.COMMITTED  # noqa: SLF001 - likewise
    if answer != "COMMIT":
        msg = "a statement of this block had failed, so the database has undone all of it; let such errors out"
        raise asyncpg.InFailedSQLTransactionError(msg)
