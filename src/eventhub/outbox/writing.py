"""Events in a transaction apart from any handler: a web request, a script."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from eventhub.event import Event
from eventhub.outbox.base import Store, Transaction
from eventhub.record import ProducerRecord

C = TypeVar("C")
C_co = TypeVar("C_co", covariant=True)

Encode = Callable[[Sequence[Event]], Sequence[ProducerRecord]]
"""Makes records of events, each with a stamp of its own; never waits."""


class Outbox(Generic[C]):
    """A store whose transactions take events; ``Hub.outbox`` makes it."""

    def __init__(self, store: Store[C], encode: Encode) -> None:
        """Write into a store what ``encode`` makes of events."""
        self.store = store
        """The store."""
        self._encode = encode

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[OutboxTransaction[C]]:
        """Commit what the block writes and publishes, or nothing of it if the block raises.

        Raises:
            HandlerFault: If the block ended the transaction by itself.
            StoreError: If the database failed; whether the transaction was committed may then be unknown.
        """
        async with self.store.transaction() as transaction:
            yield OutboxTransaction(transaction, self._encode)

    def join(self, transaction: Transaction[C]) -> OutboxTransaction[C]:
        """What publishes into a transaction that somebody else commits."""
        return OutboxTransaction(transaction, self._encode)


class OutboxTransaction(Generic[C_co]):
    """One open transaction that takes events."""

    def __init__(self, transaction: Transaction[C_co], encode: Encode) -> None:
        """Publish into an open transaction."""
        self._transaction = transaction
        self._encode = encode

    @property
    def connection(self) -> C_co:
        """What the business writes through."""
        return self._transaction.connection

    async def publish(self, *events: Event) -> None:
        """Let events be published if the transaction commits, in the order given.

        The events of a savepoint that is rolled back go with it.

        Raises:
            DeclarationError: If ``Hub.outbox`` was not told of an event's class.
            SchemaMismatch: If a value has no place in the schema.
            StoreError: If the database failed.
        """
        await self._transaction.defer(self._encode(events))
