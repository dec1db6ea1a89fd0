"""The suite of stores: each law fails on a store that breaks it, and on no sound one."""

# ruff: noqa: D102, D106 - what a store does wrong is said once, by the class around

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import pytest

from eventhub.outbox.base import Claim, Lane, OutboxRow
from eventhub.outbox.memory import MemoryBacklog, MemoryStore, MemoryTransaction
from eventhub.testing.conformance.stores import SharingLaws, StoreConformance


class Laws(StoreConformance, SharingLaws):
    """The laws, for a business in a dictionary."""

    async def write(self, connection: Any, name: str, value: str) -> None:
        """Write into the transaction's dictionary."""
        connection[name] = value

    async def read(self, store: Any, name: str) -> str | None:
        """Read from the committed one."""
        value: str | None = store.data.get(name)
        return value


class Altered(MemoryStore):
    """A store whose parts are others."""

    Transaction: type[MemoryTransaction] = MemoryTransaction
    Backlog: type[MemoryBacklog] = MemoryBacklog

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTransaction]:
        """The transaction, as another class."""
        async with super().transaction() as transaction:
            transaction.__class__ = self.Transaction
            yield transaction

    @asynccontextmanager
    async def backlog(self) -> AsyncIterator[MemoryBacklog]:
        """The backlog, as another class."""
        async with super().backlog() as backlog:
            backlog.__class__ = self.Backlog
            yield backlog


class ClaimsAtOnce(Altered):
    """Keeps claims of transactions that are undone."""

    class Transaction(MemoryTransaction):
        async def claim(self, claim: Claim) -> bool:
            new = await super().claim(claim)
            self._known.add(claim)
            return new


class ClaimsEverything(Altered):
    """Takes every event for new."""

    class Transaction(MemoryTransaction):
        async def claim(self, claim: Claim) -> bool:
            await super().claim(claim)
            return True


class NoScope(Altered):
    """Does not know replays."""

    class Transaction(MemoryTransaction):
        async def claim(self, claim: Claim) -> bool:
            return await super().claim(claim._replace(scope=""))


class Reversed(Altered):
    """Gives ids from the last record to the first."""

    class Transaction(MemoryTransaction):
        async def enqueue(self, records: Any) -> None:
            await super().enqueue(list(reversed(records)))

        defer = enqueue


class WritesAtOnce(MemoryStore):
    """Changes what is committed while the block runs."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTransaction]:
        """Share the dictionary itself."""
        async with super().transaction() as transaction:
            transaction.connection = self.data
            yield transaction


class RingsAlways(MemoryStore):
    """Rings for commits without rows too."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTransaction]:
        """Ring."""
        async with super().transaction() as transaction:
            yield transaction
        self.doorbell.ring()


class Elephant(MemoryStore):
    """Forgets nothing."""

    async def forget(self, today: date) -> int:
        """Do nothing."""
        del today
        return 0


class Hasty(MemoryStore):
    """Forgets a day too early."""

    async def forget(self, today: date) -> int:
        """Forget as if tomorrow had come."""
        return await super().forget(date.fromordinal(today.toordinal() + 1))


class RetriesAtTheEnd(MemoryStore):
    """Puts dead rows behind all others."""

    async def retry(self, ids: Sequence[int] | None = None) -> int:
        """Move what came back."""
        known = {row.id for row in self._rows}
        number = await super().retry(ids)
        self._rows.sort(key=lambda row: row.id not in known)
        return number


class DropsNothing(MemoryStore):
    """Says that dead rows are gone."""

    async def drop(self, ids: Sequence[int]) -> int:
        """Only say so."""
        return len([number for number in ids if number in self._dead])


class AnyBucket(Altered):
    """Shows rows of buckets that were not asked for."""

    class Backlog(MemoryBacklog):
        async def read(
            self, buckets: Collection[int], limit: int, without: Collection[Lane] = ()
        ) -> Sequence[OutboxRow]:
            del buckets
            return await super().read(range(16), limit, without)


class NoLimit(Altered):
    """Shows everything at once."""

    class Backlog(MemoryBacklog):
        async def read(
            self, buckets: Collection[int], limit: int, without: Collection[Lane] = ()
        ) -> Sequence[OutboxRow]:
            return await super().read(buckets, 10 * limit, without)


class NoRest(Altered):
    """Shows lanes that rest."""

    class Backlog(MemoryBacklog):
        async def read(
            self, buckets: Collection[int], limit: int, without: Collection[Lane] = ()
        ) -> Sequence[OutboxRow]:
            del without
            return await super().read(buckets, limit)


class Overtakes(Altered):
    """Goes on behind a dead row."""

    class Backlog(MemoryBacklog):
        async def bury(self, reasons: Mapping[int, str]) -> None:
            await super().bury(reasons)
            dead = self._store._dead
            dead.update({number: (row._replace(key=None), said) for number, (row, said) in dead.items()})


class BuriesOne(Altered):
    """Buries the first of many rows and takes the others for buried."""

    class Backlog(MemoryBacklog):
        async def bury(self, reasons: Mapping[int, str]) -> None:
            await super().bury(dict(list(reasons.items())[:1]))


class Ageless(Altered):
    """Says of no row when it came."""

    class Backlog(MemoryBacklog):
        async def read(
            self, buckets: Collection[int], limit: int, without: Collection[Lane] = ()
        ) -> Sequence[OutboxRow]:
            return [row._replace(created_at=0.0) for row in await super().read(buckets, limit, without)]


class ReadsOnce(Altered):
    """Shows each row once, and it is gone."""

    class Backlog(MemoryBacklog):
        async def read(
            self, buckets: Collection[int], limit: int, without: Collection[Lane] = ()
        ) -> Sequence[OutboxRow]:
            rows = await super().read(buckets, limit, without)
            await self.delete([row.id for row in rows])
            return rows


class Undead(Altered):
    """Deletes although it was closed."""

    class Backlog(MemoryBacklog):
        def _require_open(self) -> None:
            pass


class Greedy(Altered):
    """Owns every bucket, whoever else does."""

    class Backlog(MemoryBacklog):
        async def share(self) -> Collection[int]:
            return range(16)


BROKEN: list[tuple[type[MemoryStore], Any]] = [
    (ClaimsAtOnce, Laws().test_a_block_that_raises_leaves_nothing),
    (WritesAtOnce, Laws().test_a_block_that_raises_leaves_nothing),
    (ClaimsAtOnce, Laws().test_a_claim_is_free_again_when_its_holder_rolls_back),
    (ClaimsAtOnce, Laws().test_a_transaction_that_is_cancelled_anywhere_is_whole_or_nothing),
    (WritesAtOnce, Laws().test_a_transaction_that_is_cancelled_anywhere_is_whole_or_nothing),
    (ClaimsEverything, Laws().test_one_of_two_claims_at_once_is_true),
    (ClaimsEverything, Laws().test_claim_write_and_rows_are_committed_together),
    (NoScope, Laws().test_many_events_are_claimed_at_once),
    (ClaimsEverything, Laws().test_many_events_are_claimed_at_once),
    (NoScope, Laws().test_claims_of_another_group_scope_or_event_are_new),
    (Reversed, Laws().test_rows_are_in_the_order_of_their_enqueueing),
    (Reversed, Laws().test_deferred_rows_are_written_in_their_order),
    (RingsAlways, Laws().test_commits_ring_the_bell_only_with_rows),
    (Elephant, Laws().test_old_claims_are_forgotten_and_young_ones_kept),
    (Hasty, Laws().test_old_claims_are_forgotten_and_young_ones_kept),
    (RetriesAtTheEnd, Laws().test_a_retried_row_takes_its_old_place),
    (DropsNothing, Laws().test_a_dropped_row_lets_its_key_go_on),
    (AnyBucket, Laws().test_only_rows_of_the_asked_buckets_are_read),
    (NoLimit, Laws().test_no_more_rows_are_read_than_asked_for),
    (NoRest, Laws().test_lanes_that_rest_are_not_read),
    (NoRest, Laws().test_any_number_of_lanes_may_rest),
    (Overtakes, Laws().test_a_dead_row_stops_its_key_alone),
    (Overtakes, Laws().test_rows_are_buried_together_each_with_its_reason),
    (BuriesOne, Laws().test_rows_are_buried_together_each_with_its_reason),
    (Ageless, Laws().test_a_row_says_when_it_was_enqueued),
    (ReadsOnce, Laws().test_rows_are_read_until_they_are_deleted),
    (Undead, Laws().test_a_closed_backlog_can_do_nothing),
    (Greedy, Laws().test_a_bucket_has_one_owner_and_shares_are_even),
    (Greedy, Laws().test_two_relays_never_have_one_key_in_hand),
]


@pytest.mark.parametrize(("broken", "law"), BROKEN, ids=lambda part: part.__name__)
async def test_a_broken_law_is_shown(broken: type[MemoryStore], law: Any) -> None:
    """A store that breaks a law fails it; the same law passes for a sound one."""
    await law(MemoryStore())
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await law(broken())
