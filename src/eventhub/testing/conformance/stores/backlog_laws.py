"""Laws of a backlog: who owns which buckets, what is read, and what is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from eventhub.errors import StoreError
from eventhub.outbox.base import Backlog, Store
from eventhub.outbox.rows import BUCKETS
from eventhub.testing.conformance.stores.samples import DEADLINE, bury_first, fill, record, rows_of, values


class BacklogLaws:
    """Laws of a relay's connection and of what operators ask."""

    async def test_one_relay_owns_every_bucket(self, store: Store[Any]) -> None:
        """A relay alone has them all."""
        async with store.backlog() as backlog:
            owned = await backlog.share()

        assert set(range(BUCKETS)) == set(owned)

    async def test_rows_are_read_until_they_are_deleted(self, store: Store[Any]) -> None:
        """Reading changes nothing; deleted rows are gone and the others stay in their order."""
        await fill(store, "abc")
        async with store.backlog() as backlog:
            owned = await backlog.share()
            first = await backlog.read(owned, 10)
            again = await backlog.read(owned, 10)
            await backlog.delete([first[1].id])
            left = await backlog.read(owned, 10)

        assert list(first) == list(again)
        assert [b"a", b"c"] == values(left)

    async def test_a_row_says_when_it_was_enqueued(self, store: Store[Any]) -> None:
        """By a clock that is not far from this one."""
        await fill(store, "a")
        async with store.backlog() as backlog:
            [row] = await backlog.read(await backlog.share(), 10)

        assert row.created_at == pytest.approx(time.time(), abs=DEADLINE)

    async def test_only_rows_of_the_asked_buckets_are_read(self, store: Store[Any]) -> None:
        """The buckets split the rows: each row is read in one of them, equal keys in the same."""
        await fill(store, "abcdefghabcdefgh")
        async with store.backlog() as backlog:
            owned = await backlog.share()
            parts = [await backlog.read([bucket], 100) for bucket in sorted(owned)]
            nothing = await backlog.read([], 100)
        keys = [{row.key for row in part} for part in parts]

        assert 16 == sum(len(part) for part in parts)
        assert 8 == sum(len(found) for found in keys)
        assert [] == list(nothing)

    async def test_no_more_rows_are_read_than_asked_for(self, store: Store[Any]) -> None:
        """The limit takes the first by id."""
        await fill(store, "abcdef")
        async with store.backlog() as backlog:
            rows = await backlog.read(await backlog.share(), 3)

        assert [b"a", b"b", b"c"] == values(rows)

    async def test_lanes_that_rest_are_not_read(self, store: Store[Any]) -> None:
        """Rows of the named topic and key are left out, those of a null key included; others are not."""
        async with store.transaction() as transaction:
            await transaction.enqueue([record("a"), record("b"), record("none", key=None), record("a", topic="else")])
        async with store.backlog() as backlog:
            rows = await backlog.read(await backlog.share(), 10, [("orders", b"a"), ("orders", None)])

        assert [("orders", b"b"), ("else", b"a")] == [row.lane for row in rows]

    async def test_any_number_of_lanes_may_rest(self, store: Store[Any]) -> None:
        """A topic that is missing lets the keys of all its rows rest."""
        await fill(store, "ab")
        many = [("orders", b"%d" % number) for number in range(40_000)]
        async with store.backlog() as backlog:
            rows = await backlog.read(await backlog.share(), 10, [*many, ("orders", b"a")])

        assert [b"b"] == values(rows)

    async def test_a_dead_row_stops_its_key_alone(self, store: Store[Any]) -> None:
        """Rows behind a buried one are not read; rows of other keys, and without a key, are."""
        async with store.transaction() as transaction:
            await transaction.enqueue([record("a"), record("a2", key=b"a"), record("b"), record("c", key=None)])
        async with store.backlog() as backlog:
            owned = await backlog.share()
            first = (await backlog.read(owned, 10))[0]
            await backlog.bury({first.id: "too large"})
            rows = await backlog.read(owned, 10)
        [dead] = await store.dead()

        assert [b"b", b"c"] == values(rows)
        assert (first.id, "orders", b"a", "too large") == (dead.id, dead.topic, dead.key, dead.reason)

    async def test_rows_are_buried_together_each_with_its_reason(self, store: Store[Any]) -> None:
        """Their keys stop and all others go on; what is gone already is not buried, and all of it can be retried."""
        await fill(store, "abcdab")
        async with store.backlog() as backlog:
            owned = await backlog.share()
            before = await backlog.read(owned, 10)
            await backlog.delete([before[3].id])
            await backlog.bury({row.id: f"no {row.value!r}" for row in before[:4] if row.key != b"b"})
            left = await backlog.read(owned, 10)
        dead = await store.dead()
        await store.retry()

        assert [b"b", b"b"] == values(left)
        assert [(b"a", "no b'a'"), (b"c", "no b'c'")] == [(row.key, row.reason) for row in dead]
        assert [b"a", b"b", b"c", b"a", b"b"] == values(await rows_of(store))

    async def test_a_retried_row_takes_its_old_place(self, store: Store[Any]) -> None:
        """A dead row that is retried stands before the later rows of its key again, byte for byte."""
        await fill(store, "aab")
        before = await bury_first(store)
        number = await store.retry([before[0].id])

        assert 1 == number
        assert before == await rows_of(store)
        assert [] == list(await store.dead())

    async def test_retry_without_ids_means_all(self, store: Store[Any]) -> None:
        """All dead rows go back; unknown ids are no error and count nothing."""
        await fill(store, "ab")
        await bury_first(store)
        await bury_first(store)

        assert 0 == await store.retry([10**9])
        assert 2 == await store.retry()
        assert 0 == (await store.status()).dead

    async def test_a_dropped_row_lets_its_key_go_on(self, store: Store[Any]) -> None:
        """Dropping the dead row leaves the rows behind it free."""
        await fill(store, "aab")
        before = await bury_first(store)
        dropped = await store.drop([before[0].id, 10**9])

        assert 1 == dropped
        assert before[1:] == await rows_of(store)

    async def test_status_tells_what_waits(self, store: Store[Any]) -> None:
        """Depth, dead rows and owners are counted; an empty outbox has no age."""
        empty = await store.status()
        await fill(store, "abc")
        await bury_first(store)
        async with store.backlog() as backlog:
            await backlog.share()
            status = await store.status()

        assert (0, 0.0, 0, {}) == (empty.depth, empty.oldest_age, empty.dead, dict(empty.owners))
        assert (2, 1) == (status.depth, status.dead)
        assert 0.0 <= status.oldest_age < DEADLINE
        assert set(range(BUCKETS)) == set(status.owners)

    async def test_a_waiting_relay_is_woken_by_a_commit(self, store: Store[Any]) -> None:
        """Waiting ends at the commit, long before the timeout."""
        async with asyncio.timeout(DEADLINE), store.backlog() as backlog:
            await backlog.share()
            async with asyncio.TaskGroup() as tasks:
                waiting = tasks.create_task(backlog.wait(10 * DEADLINE))
                await fill(store, "a")
            rows = await backlog.read(await backlog.share(), 10)

        assert waiting.done()
        assert [b"a"] == values(rows)

    async def test_a_closed_backlog_can_do_nothing(self, store: Store[Any]) -> None:
        """Who has given back its buckets cannot delete what the next owner publishes."""
        await fill(store, "a")
        async with store.backlog() as backlog:
            [row] = await backlog.read(await backlog.share(), 10)
        with pytest.raises(StoreError):
            await backlog.delete([row.id])

        assert [row] == await rows_of(store)


class SharingLaws:
    """Laws of a store that any number of relays may share."""

    async def test_a_bucket_has_one_owner_and_shares_are_even(self, store: Store[Any]) -> None:
        """Three relays share the buckets fairly and without overlap."""
        async with store.backlog() as one, store.backlog() as two, store.backlog() as three:
            shares = await _settled([one, two, three])

        assert list(range(BUCKETS)) == sorted(bucket for share in shares for bucket in share)
        assert max(len(share) for share in shares) <= -(-BUCKETS // 3)

    async def test_what_a_relay_leaves_goes_to_the_others(self, store: Store[Any]) -> None:
        """Once the others are gone, one relay owns every bucket again."""
        async with store.backlog() as one:
            async with store.backlog() as two:
                shared = await _settled([one, two])
            alone = await one.share()

        assert [BUCKETS // 2, BUCKETS // 2] == [len(share) for share in shared]
        assert set(range(BUCKETS)) == set(alone)

    async def test_two_relays_never_have_one_key_in_hand(self, store: Store[Any]) -> None:
        """While one relay sends the first rows of its keys, the other is shown no later row of them."""
        async with store.backlog() as one, store.backlog() as two:
            shares = await _settled([one, two])
            await fill(store, "abcdefgh" * 3)
            first = await one.read(shares[0], 4)
            second = await two.read(shares[1], 100)
            rest = await one.read(shares[0], 100)

        assert not {row.lane for row in first} & {row.lane for row in second}
        assert 24 == len(second) + len(rest)


async def _settled(relays: Sequence[Backlog]) -> list[set[int]]:
    """The shares once every relay has looked twice: the first gives back, the second takes."""
    for _ in range(2):
        for relay in relays:
            await relay.share()
    return [set(await relay.share()) for relay in relays]
