"""Laws of a transaction: what is committed together, claimed once and written in order."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from anyio.lowlevel import checkpoint
from uuid_utils import uuid7

from eventhub.errors import HandlerFault
from eventhub.outbox.base import Claim, Store
from eventhub.record import ProducerRecord
from eventhub.testing.conformance.stores.cancelling import cancelled_at
from eventhub.testing.conformance.stores.samples import (
    DEADLINE,
    Undone,
    claims,
    fill,
    new_claim,
    record,
    rows_of,
    values,
)


class TransactionLaws:
    """Laws of a transaction."""

    async def write(self, connection: Any, name: str, value: str) -> None:  # noqa: ANN401 - the store's own
        """Write a value as a business would, through a transaction's connection."""
        raise NotImplementedError

    async def read(self, store: Any, name: str) -> str | None:  # noqa: ANN401 - of any kind
        """Read a committed value, or None."""
        raise NotImplementedError

    async def test_claim_write_and_rows_are_committed_together(self, store: Store[Any]) -> None:
        """After the block, the write is there, the rows can be read, and the claim is taken."""
        claim = new_claim()
        async with store.transaction() as transaction:
            claimed = await transaction.claim(claim)
            await self.write(transaction.connection, "stock", "9")
            await transaction.enqueue([record("a")])

        assert claimed is True
        assert "9" == await self.read(store, "stock")
        assert [b"a"] == values(await rows_of(store))
        assert not await claims(store, claim)

    async def test_a_block_that_raises_leaves_nothing(self, store: Store[Any]) -> None:
        """Neither write nor row nor claim remains, and the error leaves as it was."""
        claim = new_claim()

        async def fail() -> None:
            async with store.transaction() as transaction:
                await transaction.claim(claim)
                await self.write(transaction.connection, "stock", "9")
                await transaction.defer([record("deferred")])
                await transaction.enqueue([record("enqueued")])
                raise Undone

        with pytest.raises(Undone):
            await fail()

        assert await self.read(store, "stock") is None
        assert [] == await rows_of(store)
        assert await claims(store, claim)

    async def test_a_cancelled_block_leaves_nothing(self, store: Store[Any]) -> None:
        """Cancellation undoes the block, and the store goes on working."""
        reached = asyncio.Event()

        async def stall() -> None:
            async with store.transaction() as transaction:
                await transaction.enqueue([record("a")])
                reached.set()
                await asyncio.Event().wait()

        async with asyncio.TaskGroup() as tasks:
            stalled = tasks.create_task(stall())
            await reached.wait()
            stalled.cancel()

        assert [] == await rows_of(store)
        assert await claims(store, new_claim())

    async def test_a_transaction_that_is_cancelled_anywhere_is_whole_or_nothing(self, store: Store[Any]) -> None:
        """Whichever await it meets, claim, write and rows are all there or none is, and the store goes on."""

        async def handle(claim: Claim, name: str) -> None:
            async with store.claiming(claim) as transaction:
                if transaction is not None:
                    await self.write(transaction.connection, name, "9")
                    await checkpoint()
                    await transaction.defer([record(name)])
                    await transaction.enqueue([record(name)])

        done, claimed, place = False, False, 0
        async with asyncio.timeout(DEADLINE):
            while not done:
                claim, place = new_claim(), place + 1
                name = f"cancelled at {place}"
                done = await cancelled_at(place, handle(claim, name))
                claimed = not await claims(store, claim)  # which waits for whoever still has it
                rows = [row for row in await rows_of(store) if row.value == name.encode()]
                written = await self.read(store, name)

                assert (claimed, written, len(rows)) in [(False, None, 0), (True, "9", 2)]

        assert claimed
        assert place > 1

    async def test_claims_of_another_group_scope_or_event_are_new(self, store: Store[Any]) -> None:
        """Group, scope and event id together are the claim."""
        claim = new_claim()
        others = [claim._replace(group="other"), claim._replace(scope="replay"), new_claim()]
        first = await claims(store, claim)

        assert first
        assert [True, True, True] == [await claims(store, other) for other in others]
        assert not await claims(store, claim)

    async def test_many_events_are_claimed_at_once(self, store: Store[Any]) -> None:
        """Each has its own answer, in the order asked; one that was claimed before, or is there twice, is not new."""
        known, one, two = new_claim(), new_claim(), new_claim()
        await claims(store, known)
        async with store.transaction() as transaction:
            answers = await transaction.claim_all([two, known, one, two, one._replace(scope="replay")])
            none = await transaction.claim_all([])

        assert [True, False, True, False, True] == list(answers)
        assert [] == list(none)
        assert [False, False] == [await claims(store, claim) for claim in (one, two)]

    async def test_one_of_two_claims_at_once_is_true(self, store: Store[Any]) -> None:
        """Of two transactions with one claim, the second waits for the first and then is told no."""
        claim = new_claim()
        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
            both = [tasks.create_task(claims(store, claim)) for _ in range(2)]

        assert [False, True] == sorted(task.result() for task in both)

    async def test_a_claim_is_free_again_when_its_holder_rolls_back(self, store: Store[Any]) -> None:
        """Whoever waits for a claim gets it if the first transaction is undone."""
        claim = new_claim()
        claimed, release = asyncio.Event(), asyncio.Event()

        async def undo() -> None:
            with suppress(Undone):
                async with store.transaction() as transaction:
                    await transaction.claim(claim)
                    claimed.set()
                    await release.wait()
                    raise Undone

        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
            tasks.create_task(undo())
            await claimed.wait()
            second = tasks.create_task(claims(store, claim))
            release.set()

        assert second.result()

    async def test_a_row_keeps_every_byte(self, store: Store[Any]) -> None:
        """Topic, key, value and headers come back as they were, also empty, null and no UTF-8."""
        event_id = str(uuid7())
        written = [
            ProducerRecord("orders", b"\x00\xff", b"\x00\x01", (("ce_id", event_id.encode()), ("x", b"\xff"))),
            ProducerRecord("orders", None, b"", (("ü", "ü\0".encode()), ("null", None), ("x", b"1"), ("x", b"2"))),
            ProducerRecord("orders", b"", None),
        ]
        async with store.transaction() as transaction:
            await transaction.enqueue(written)
        rows = await rows_of(store)

        assert written == [row.record for row in rows]
        assert event_id == rows[0].event_id

    async def test_rows_are_in_the_order_of_their_enqueueing(self, store: Store[Any]) -> None:
        """Within a transaction and over transactions that follow each other, ids rise."""
        for start in (0, 3):
            async with store.transaction() as transaction:
                await transaction.enqueue([record(str(start)), record(str(start + 1))])
                await transaction.enqueue([record(str(start + 2))])

        assert [b"0", b"1", b"2", b"3", b"4", b"5"] == values(await rows_of(store))

    async def test_deferred_rows_are_written_in_their_order(self, store: Store[Any]) -> None:
        """What was deferred is committed with the block, in the order given."""
        async with store.transaction() as transaction:
            await transaction.defer([record("a")])
            await transaction.defer([record("b"), record("c")])

        assert [b"a", b"b", b"c"] == values(await rows_of(store))

    async def test_commits_ring_the_bell_only_with_rows(self, store: Store[Any]) -> None:
        """Who listens hears of a commit with rows, and of nothing else."""
        listener = store.doorbell.listen()
        async with store.transaction() as transaction:
            await self.write(transaction.connection, "stock", "9")
        with suppress(Undone):
            async with store.transaction() as transaction:
                await transaction.enqueue([record("undone")])
                raise Undone
        heard_nothing = not await listener.wait(0.0)
        async with store.transaction() as transaction:
            await transaction.enqueue([record("a")])

        assert heard_nothing
        assert await listener.wait(0.0)

    async def test_old_claims_are_forgotten_and_young_ones_kept(self, store: Store[Any]) -> None:
        """A claim is kept for as many days as the window has, and not longer."""
        today = datetime.now(UTC).date()
        inside = new_claim(today - timedelta(days=store.window_days))
        outside = new_claim(today - timedelta(days=store.window_days + 1))
        for claim in (inside, outside):
            await claims(store, claim)
        await store.forget(today)

        assert not await claims(store, inside)
        assert await claims(store, outside)

    async def test_a_commit_of_many_rows_is_counted(self, store: Store[Any]) -> None:
        """The counter says how many rows were committed, not how many were tried."""
        async with store.transaction() as transaction:
            await transaction.enqueue([record("a"), record("b")])

        assert 2 == store.counters.enqueued


class SavepointLaws:
    """Laws of a store whose transactions have savepoints."""

    def savepoint(self, connection: Any) -> AbstractAsyncContextManager[Any]:  # noqa: ANN401 - the store's own
        """A block in an open transaction that is undone by itself when it raises."""
        raise NotImplementedError  # a suite for a store says how

    async def test_rows_of_a_savepoint_go_with_it(self, store: Store[Any]) -> None:
        """A savepoint that is undone takes its deferred rows; those around it and of others stay."""
        async with store.transaction() as transaction:
            await transaction.defer([record("before")])
            with suppress(Undone):
                async with self.savepoint(transaction.connection):
                    await transaction.defer([record("undone")])
                    async with self.savepoint(transaction.connection):
                        await transaction.defer([record("undone with it")])
                    raise Undone
            async with self.savepoint(transaction.connection):
                await transaction.defer([record("kept")])
            await transaction.defer([record("after")])

        assert [b"before", b"kept", b"after"] == values(await rows_of(store))

    async def test_rows_of_a_savepoint_are_counted_if_it_is_kept(self, store: Store[Any]) -> None:
        """The counter and the bell know nothing of what was undone."""
        listener = store.doorbell.listen()
        for others in ([], [record("a"), record("b")]):
            heard = await listener.wait(0.0)
            async with store.transaction() as transaction:
                with suppress(Undone):
                    async with self.savepoint(transaction.connection):
                        await transaction.defer([record("undone"), record("undone")])
                        raise Undone
                async with self.savepoint(transaction.connection):
                    await transaction.defer(others)

        assert not heard
        assert 2 == store.counters.enqueued

    async def test_a_savepoint_that_is_kept_goes_with_the_one_around_it(self, store: Store[Any]) -> None:
        """What a finished savepoint deferred belongs to the block around it from then on."""
        async with store.transaction() as transaction:
            with suppress(Undone):
                async with self.savepoint(transaction.connection):
                    async with self.savepoint(transaction.connection):
                        await transaction.defer([record("inner")])
                    await transaction.defer([record("outer")])
                    raise Undone
            await transaction.defer([record("after")])

        assert [b"after"] == values(await rows_of(store))


class ByHandLaws:
    """Laws of a store whose connection takes statements that end the transaction."""

    async def say(self, connection: Any, statement: str) -> None:  # noqa: ANN401 - the store's own
        """Execute a statement as a business would, through a transaction's connection."""
        raise NotImplementedError  # a suite for a store says how

    @pytest.mark.parametrize("statement", ["COMMIT", "ROLLBACK"])
    @pytest.mark.parametrize("records", [[], [record("a")]])
    async def test_a_block_does_not_end_its_transaction_by_hand(
        self, store: Store[Any], statement: str, records: list[ProducerRecord]
    ) -> None:
        """It fails as the handler's fault, nothing is enqueued outside the transaction, and the store goes on."""
        claim = new_claim()

        async def end() -> None:
            async with store.transaction() as transaction:
                await transaction.claim(claim)
                await self.say(transaction.connection, statement)
                await transaction.enqueue(records)

        with pytest.raises(HandlerFault, match="ended inside its block"):
            await end()
        rows = await rows_of(store)
        free = await claims(store, claim)

        assert [] == rows
        assert free is (statement == "ROLLBACK")

    async def test_a_block_that_commits_by_hand_and_fails_is_not_tried_again(self, store: Store[Any]) -> None:
        """Its claim is taken: another attempt would skip the event as handled, whatever the block raised."""

        async def commit_and_fail() -> None:
            async with store.transaction() as transaction:
                await transaction.claim(new_claim())
                await self.say(transaction.connection, "COMMIT")
                raise Undone

        with pytest.raises(HandlerFault, match="ended inside its block") as failure:
            await commit_and_fail()

        assert isinstance(failure.value.__cause__, Undone)


class ConcurrentLaws:
    """Laws of a store whose transactions run side by side."""

    async def test_a_row_that_is_committed_late_is_not_lost(self, store: Store[Any]) -> None:
        """A row whose id is lower than one that was relayed already is read once it is committed."""
        async with store.backlog() as backlog:
            owned = await backlog.share()
            async with store.transaction() as late:
                await late.enqueue([record("late")])
                await fill(store, "e")
                early = await backlog.read(owned, 10)
                await backlog.delete([row.id for row in early])
            left = await backlog.read(owned, 10)

        assert [b"e"] == values(early)
        assert [b"late"] == values(left)

    async def test_rows_are_in_the_order_in_which_their_key_was_locked(self, store: Store[Any]) -> None:
        """A transaction that began first and wrote elsewhere, but locked the key last, comes last."""
        async with store.transaction() as first:
            await first.claim(new_claim())
            await first.enqueue([record("elsewhere")])
            async with store.transaction() as second:
                await second.enqueue([record("1", key=b"k")])
            await first.enqueue([record("2", key=b"k")])
        rows = await rows_of(store)

        assert [b"1", b"2"] == [row.value for row in rows if row.key == b"k"]

    async def test_deferred_rows_get_their_ids_at_the_end(self, store: Store[Any]) -> None:
        """A transaction that publishes before it locks the key, and commits last, comes last."""
        async with store.transaction() as first:
            await first.defer([record("2", key=b"k")])
            async with store.transaction() as second:
                await second.defer([record("1", key=b"k")])

        assert [b"1", b"2"] == values(await rows_of(store))
