"""A store in this process, for tests: real transactions, and gone with the process."""

from __future__ import annotations

import asyncio
import time
from bisect import insort
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from eventhub.errors import StoreError
from eventhub.outbox.base import Claim, DeadRow, OutboxRow, Status, StoreCounters
from eventhub.outbox.doorbell import Doorbell
from eventhub.outbox.rows import BUCKETS, bucket_of, event_id, share_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence

    from eventhub.outbox.base import Lane
    from eventhub.record import ProducerRecord

Data = dict[str, Any]
"""What the business writes into; values are replaced, never changed in place."""


class MemoryStore:
    """An inbox, an outbox and a dictionary for the business, changed together or not at all."""

    def __init__(self, *, buckets: int = BUCKETS, window_days: int = 7) -> None:
        """Begin empty."""
        self.data: Data = {}
        """The business's committed data."""
        self.counters = StoreCounters()
        self.doorbell = Doorbell()
        self.window_days = window_days
        self.buckets = buckets
        # Changed by transactions under the lock, and by backlogs between two awaits.
        self._alone = asyncio.Lock()
        self._claims: set[Claim] = set()
        self._rows: list[OutboxRow] = []
        self._dead: dict[int, tuple[OutboxRow, DeadRow]] = {}
        self._last_id = 0
        self._relays: list[MemoryBacklog] = []

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTransaction]:
        """Commit what the block does; one block runs at a time."""
        async with self._alone:
            transaction = MemoryTransaction(dict(self.data), self._claims)
            yield transaction
            self.data = transaction.connection
            self._claims |= transaction.claims
            for record in transaction.records:
                self._last_id += 1
                row = OutboxRow(self._last_id, *record[:4], event_id(record), time.time())
                self._rows.append(row)
        if transaction.records:
            self.counters.enqueued += len(transaction.records)
            self.doorbell.ring()

    @asynccontextmanager
    async def claiming(self, claim: Claim) -> AsyncIterator[MemoryTransaction | None]:
        """A transaction that begins with a claim."""
        async with self.transaction() as transaction:
            yield transaction if await transaction.claim(claim) else None

    @asynccontextmanager
    async def backlog(self) -> AsyncIterator[MemoryBacklog]:
        """One relay's view."""
        backlog = MemoryBacklog(self)
        self._relays.append(backlog)
        try:
            yield backlog
        finally:
            self._relays.remove(backlog)
            backlog.close()

    @asynccontextmanager
    async def announcing(self) -> AsyncIterator[None]:
        """Do nothing; there is no other process."""
        yield

    async def forget(self, today: date) -> int:
        """Drop claims older than the window."""
        first = today - timedelta(days=self.window_days)
        old = {claim for claim in self._claims if claim.day < first}
        self._claims -= old
        return len(old)

    async def status(self) -> Status:
        """What the outbox holds."""
        age = time.time() - self._rows[0].created_at if self._rows else 0.0
        owners = {bucket: f"relay {place}" for place, relay in enumerate(self._relays) for bucket in relay.owned}
        return Status(len(self._rows), age, len(self._dead), dict(sorted(owners.items())))

    async def dead(self, limit: int = 100) -> Sequence[DeadRow]:
        """The first dead rows."""
        return [self._dead[number][1] for number in sorted(self._dead)[:limit]]

    async def retry(self, ids: Sequence[int] | None = None) -> int:
        """Put dead rows back in their old places."""
        back = [number for number in (self._dead if ids is None else ids) if number in self._dead]
        for number in back:
            row, _ = self._dead.pop(number)
            insort(self._rows, row)
        self.doorbell.ring()
        return len(back)

    async def drop(self, ids: Sequence[int]) -> int:
        """Let go of dead rows."""
        found = [self._dead.pop(number) for number in ids if number in self._dead]
        self.doorbell.ring()
        return len(found)


class MemoryTransaction:
    """One open transaction of a memory store."""

    def __init__(self, data: Data, known: set[Claim]) -> None:
        """Begin with a copy of the business's data."""
        self.connection = data
        self.claims: set[Claim] = set()
        """What is claimed by this transaction."""
        self.records: list[ProducerRecord] = []
        """What is to be published."""
        self._known = known

    async def claim(self, claim: Claim) -> bool:
        """Whether the event is new to the group."""
        if claim in self._known or claim in self.claims:
            return False
        self.claims.add(claim)
        return True

    async def claim_all(self, claims: Sequence[Claim]) -> Sequence[bool]:
        """Of each event whether it is new to its group, one after the other."""
        return [await self.claim(claim) for claim in claims]

    async def enqueue(self, records: Sequence[ProducerRecord]) -> None:
        """Keep records for the commit."""
        self.records += records

    async def defer(self, records: Sequence[ProducerRecord]) -> None:
        """Keep records for the commit; there are no savepoints."""
        self.records += records


class MemoryBacklog:
    """What one relay sees of a memory store."""

    def __init__(self, store: MemoryStore) -> None:
        """Own nothing yet."""
        self._store = store
        self._listener = store.doorbell.listen()
        self._closed = False
        self.owned: set[int] = set()
        """The buckets that belong to this relay."""

    def close(self) -> None:
        """Give everything back."""
        self._closed = True
        self.owned.clear()
        self._listener.close()

    async def share(self) -> Collection[int]:
        """The buckets that are owned now."""
        self._require_open()
        relays = self._store._relays
        quota = share_of(self._store.buckets, len(relays))
        taken = {bucket for relay in relays for bucket in relay.owned}
        free = sorted(set(range(self._store.buckets)) - taken)
        self.owned.update(free[: max(0, quota - len(self.owned))])
        for bucket in sorted(self.owned)[quota:]:
            self.owned.discard(bucket)
        return frozenset(self.owned)

    async def beat(self) -> None:
        """Do nothing; whoever is in this process is alive."""
        self._require_open()

    async def read(self, buckets: Collection[int], limit: int, without: Collection[Lane] = ()) -> Sequence[OutboxRow]:
        """The first rows of these buckets."""
        self._require_open()
        hidden = {row.lane for row, _ in self._store._dead.values() if row.key is not None} | set(without)
        found = (
            row
            for row in self._store._rows
            if row.lane not in hidden and bucket_of(row.record, self._store.buckets) in buckets
        )
        return [row for row, _ in zip(found, range(limit), strict=False)]

    async def delete(self, ids: Sequence[int]) -> None:
        """Let go of rows."""
        self._require_open()
        gone = set(ids)
        self._store._rows = [row for row in self._store._rows if row.id not in gone]

    async def bury(self, reasons: Mapping[int, str]) -> None:
        """Move rows to the dead ones."""
        self._require_open()
        left, now = list[OutboxRow](), time.time()
        for row in self._store._rows:
            if row.id in reasons:
                dead = DeadRow(row.id, row.topic, row.key, row.event_id, reasons[row.id], now)
                self._store._dead[row.id] = (row, dead)
            else:
                left.append(row)
        self._store._rows = left

    async def wait(self, timeout: float) -> None:
        """Wait for the bell."""
        await self._listener.wait(timeout)

    def _require_open(self) -> None:
        if self._closed:
            msg = "this backlog is closed, and its buckets may belong to another relay"
            raise StoreError(msg)
