"""The ports of a store, and the laws that every adapter keeps.

``eventhub.testing.conformance.stores`` tests them one by one.

Laws of a transaction:
    * Claims, business writes and rows are committed together or not at all.
    * A claim is true for one committed transaction a (group, scope, event id) inside the window; a
      second transaction with the same claim waits for the first, and is true only if that rolled back.
    * Rows get their ids in the order in which they are enqueued. What was deferred is enqueued when
      the block ends, without what belonged to a savepoint that was rolled back.
    * Writers lock an aggregate before its event is enqueued; then ids of one key follow its commits.
    * A block whose transaction was ended inside it enqueues nothing and fails with a ``HandlerFault``,
      whatever it raises itself.

Laws of a backlog:
    * A bucket belongs to at most one backlog at a time; who loses the connection loses the buckets
      together with the power to delete.
    * ``read`` shows every committed row that is left, in the order of ids: no cursor, no horizon.
    * A row is gone only by ``delete`` or ``bury``. While a dead row of a key is left, ``read`` shows
      no row of that key.

Laws of failure:
    * What the database fails with is a ``StoreError``; what the block raises leaves as it was, unless
      the connection was lost under it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable
from uuid import UUID

from eventhub.outbox.doorbell import Doorbell
from eventhub.record import Headers, ProducerRecord

C_co = TypeVar("C_co", covariant=True)

Lane = tuple[str, bytes | None]
"""A topic and a key: what has to stay in order."""


class Claim(NamedTuple):
    """That a group handles an event: what the inbox keeps."""

    group: str
    """The consumer group."""
    event: UUID
    """The event's id, or one derived from an id that is no UUID."""
    day: date
    """The event's own day, in UTC, which decides when the claim is forgotten; never the day of delivery."""
    scope: str = ""
    """Empty, or the name of a deliberate replay, in which every event counts as new once more."""


class OutboxRow(NamedTuple):
    """One record in the outbox."""

    id: int
    """Its place in the order."""
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    event_id: str
    """The event's id, the same however often the row is published."""
    created_at: float
    """When it was enqueued, in seconds since the epoch."""

    @property
    def record(self) -> ProducerRecord:
        """The record to be written."""
        return ProducerRecord(self.topic, self.key, self.value, self.headers)

    @property
    def lane(self) -> Lane:
        """What the row must keep its order with."""
        return self.topic, self.key

    @property
    def size_bytes(self) -> int:
        """The bytes of key and value."""
        return len(self.key or b"") + len(self.value or b"")


class DeadRow(NamedTuple):
    """A row that the broker refused for good, and why."""

    id: int
    """Its place in the order, which it takes again when it is retried."""
    topic: str
    key: bytes | None
    event_id: str
    reason: str
    """What the broker said."""
    failed_at: float
    """When it was given up, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Status:
    """What an outbox holds."""

    depth: int
    """Rows that wait."""
    oldest_age: float
    """Seconds that the oldest of them has waited; 0 for none."""
    dead: int
    """Rows that were given up; later rows of their keys wait."""
    owners: Mapping[int, str]
    """Who owns a bucket at present; buckets without an owner are left out."""


@dataclass(slots=True)
class StoreCounters:
    """Numbers of this process that only rise."""

    duplicates: int = 0
    """Events that the inbox had seen before, and whose handler was not called again."""
    enqueued: int = 0
    """Rows that were committed."""
    relayed: int = 0
    """Rows that the broker acknowledged and the outbox let go."""
    buried: int = 0
    """Rows that were given up."""


class Transaction(Protocol[C_co]):
    """One open transaction."""

    @property
    def connection(self) -> C_co:
        """What the business writes through; what that is, the store says."""
        ...

    async def claim(self, claim: Claim) -> bool:
        """Whether the event is new to the group; to be asked first, before anything is written.

        Raises:
            StoreError: If the database failed.
        """
        ...

    async def claim_all(self, claims: Sequence[Claim]) -> Sequence[bool]:
        """Of each event whether it is new to its group, claimed in the order given; of equal claims one is.

        Raises:
            StoreError: If the database failed.
        """
        ...

    async def enqueue(self, records: Sequence[ProducerRecord]) -> None:
        """Write rows now; to be called last, when every lock of the business is held.

        Raises:
            StoreError: If the database failed.
        """
        ...

    async def defer(self, records: Sequence[ProducerRecord]) -> None:
        """Write rows when the block ends, unless the savepoint that is open now is rolled back.

        Raises:
            StoreError: If the database failed.
        """
        ...


class Backlog(Protocol):
    """The connection of one relay: what it owns, reads and deletes with."""

    async def share(self) -> Collection[int]:
        """The buckets that are owned now, after taking or giving back what makes the shares even.

        Not to be called while rows that were read are on their way to the broker.

        Raises:
            StoreError: If the connection is lost, and with it the buckets.
        """
        ...

    async def beat(self) -> None:
        """Give a sign of life; without one for some seconds the buckets go to another relay.

        Every other call is one as well.

        Raises:
            StoreError: If the connection is lost, and with it the buckets.
        """
        ...

    async def read(self, buckets: Collection[int], limit: int, without: Collection[Lane] = ()) -> Sequence[OutboxRow]:
        """The first rows of these buckets by id, save those of lanes that rest or have a dead row.

        Raises:
            StoreError: If the connection is lost.
        """
        ...

    async def delete(self, ids: Sequence[int]) -> None:
        """Let go of rows that the broker has.

        Raises:
            StoreError: If they could not be deleted, for instance since the disk is full.
        """
        ...

    async def bury(self, reasons: Mapping[int, str]) -> None:
        """Move rows to the dead ones in one transaction, by their ids, each with why; rows that are gone stay gone.

        Raises:
            StoreError: If the connection is lost or the disk is full; then none is moved.
        """
        ...

    async def wait(self, timeout: float) -> None:
        """Return when rows may have been committed, and at the latest after ``timeout`` seconds."""
        ...


class Store(Protocol[C_co]):
    """An inbox and an outbox in one database."""

    counters: StoreCounters
    """What this process did with it."""
    doorbell: Doorbell
    """Rung after each commit of this process that wrote rows."""
    window_days: int
    """How many days an event's id is remembered."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction[C_co]]:
        """Commit what the block does, or undo it if the block raises.

        Raises:
            HandlerFault: If the block ended the transaction by itself.
            StoreError: If the database failed; whether the transaction was committed may then be unknown.
        """
        ...

    def claiming(self, claim: Claim) -> AbstractAsyncContextManager[Transaction[C_co] | None]:
        """A transaction that begins with a claim, or None if the event is not new to the group.

        Raises:
            HandlerFault: If the block ended the transaction by itself.
            StoreError: If the database failed; whether the transaction was committed may then be unknown.
        """
        ...

    def backlog(self) -> AbstractAsyncContextManager[Backlog]:
        """A relay's connection, for as long as the block lasts.

        Raises:
            StoreError: If the database cannot be reached, or not in the way that a relay needs.
        """
        ...

    def announcing(self) -> AbstractAsyncContextManager[None]:
        """Tell relays in other processes of this process's commits, for as long as the block lasts.

        Only a process without a relay of its own needs it; a relay announces by itself.
        """
        ...

    async def forget(self, today: date) -> int:
        """Drop claims older than the window, and return how many (or 0 where the database does not say).

        Raises:
            StoreError: If the database failed.
        """
        ...

    async def status(self) -> Status:
        """What the outbox holds.

        Raises:
            StoreError: If the database failed.
        """
        ...

    async def dead(self, limit: int = 100) -> Sequence[DeadRow]:
        """The first dead rows by id."""
        ...

    async def retry(self, ids: Sequence[int] | None = None) -> int:
        """Put dead rows back in their old places, all for None; returns how many there were."""
        ...

    async def drop(self, ids: Sequence[int]) -> int:
        """Let go of dead rows for ever, so that their keys go on; returns how many there were."""
        ...


@runtime_checkable
class HasStore(Protocol):
    """A service's state that offers a store: its handlers may be transactional, and a relay runs beside them."""

    @property
    def store(self) -> Store[object]:
        """The store."""
        ...
