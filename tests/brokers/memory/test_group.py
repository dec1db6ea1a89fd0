"""The coordinator shares partitions out and keeps time."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.brokers.base import OffsetAndMetadata
from eventhub.brokers.memory.group import Group, assign
from eventhub.record import TopicPartition

_PARTITIONS = [TopicPartition("orders", number) for number in range(12)]
_SHORT = 0.05  # seconds


@given(members=st.integers(min_value=1, max_value=8), partitions=st.integers(min_value=0, max_value=12))
def test_equal_members_get_equal_shares(members: int, partitions: int) -> None:
    """Every partition has one owner, and no member has two more than another."""
    shares = assign("inventory", {f"member-{number}": _PARTITIONS[:partitions] for number in range(members)})
    sizes = [len(share) for share in shares.values()]

    assert _PARTITIONS[:partitions] == sorted(partition for share in shares.values() for partition in share)
    assert max(sizes) - min(sizes) <= 1


def test_partition_goes_to_who_reads_its_topic() -> None:
    """A member is given no partition of a topic that it does not read."""
    foreign = TopicPartition("stock", 0)

    assert {"one": [_PARTITIONS[0]], "other": [foreign]} == assign(
        "inventory", {"one": _PARTITIONS[:1], "other": [foreign]}
    )


@given(members=st.integers(1, 5), partitions=st.integers(1, 12))
def test_partitions_beside_others_go_with_them(members: int, partitions: int) -> None:
    """The events are shared out fairly, and whoever gets failures to try again gets successes, too."""
    names = ("orders", "orders.inventory.retry.10s", "orders.inventory.retry.replay")
    every = [TopicPartition(name, number) for name in names for number in range(partitions)]
    shares = assign("inventory", {f"member-{number}": every for number in range(members)})
    numbers = [[[p.partition for p in share if p.topic == name] for name in names] for share in shares.values()]

    assert all(events == retries == replays for events, retries, replays in numbers)
    assert max(len(events) for events, *_ in numbers) - min(len(events) for events, *_ in numbers) <= 1


def test_partition_beside_one_that_its_member_does_not_read_goes_to_another() -> None:
    """As while some members do not know of a topic yet."""
    beside = TopicPartition("orders.inventory.retry.10s", 0)
    wanted = {"old": _PARTITIONS[:1], "new": [*_PARTITIONS[:1], beside]}

    assert {"old": _PARTITIONS[:1], "new": [beside]} == assign("inventory", wanted)


async def test_member_that_is_not_heard_of_is_thrown_out() -> None:
    """When a session expires the generation is over, and the next one begins without that member."""
    group = Group("inventory", session_timeout=_SHORT, rebalance_timeout=60.0)
    first = await group.join("silent", _PARTITIONS)
    async with asyncio.timeout(10):
        await first.over.wait()
        second = await group.join("other", _PARTITIONS)

    assert set(_PARTITIONS) == set(second.partitions)
    assert second.generation > first.generation


async def test_member_that_does_not_join_in_time_is_thrown_out() -> None:
    """A rebalance waits no longer than its timeout for a member that has not given up its partitions."""
    group = Group("inventory", session_timeout=60.0, rebalance_timeout=_SHORT)
    await group.join("slow", _PARTITIONS)
    async with asyncio.timeout(10):
        place = await group.join("other", _PARTITIONS)

    assert set(_PARTITIONS) == set(place.partitions)


async def test_member_that_waits_for_the_others_is_not_thrown_out() -> None:
    """A session does not run while its member waits for the next generation, even if it was heard of last."""
    group = Group("inventory", session_timeout=_SHORT, rebalance_timeout=60.0)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        first = await group.join("patient", _PARTITIONS)
        tasks.create_task(group.join("absent", _PARTITIONS))
        await first.over.wait()
        second = await group.join("patient", _PARTITIONS)
        patient = tasks.create_task(group.join("patient", _PARTITIONS))
        await second.over.wait()
        group.heartbeat("patient")
        group.heartbeat("absent")

    assert set(_PARTITIONS) == set(patient.result().partitions)


async def test_generation_lasts_longer_than_a_rebalance_may_take() -> None:
    """The time for joining ends with the last join; nobody is thrown out by it afterwards."""
    group = Group("inventory", session_timeout=60.0, rebalance_timeout=_SHORT)
    place = await group.join("member", _PARTITIONS)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2 * _SHORT):
            await place.over.wait()
    group.commit("member", place.generation, {_PARTITIONS[0]: OffsetAndMetadata(1)})

    assert {_PARTITIONS[0]: OffsetAndMetadata(1)} == group.committed


async def test_member_that_gave_up_waiting_is_left_out() -> None:
    """A member whose join was cancelled has no place in the generation that follows."""
    group = Group("inventory", session_timeout=60.0, rebalance_timeout=_SHORT)
    old = await group.join("first", _PARTITIONS)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        gone = tasks.create_task(group.join("gone", _PARTITIONS))
        await old.over.wait()
        gone.cancel()
        await asyncio.wait([gone])
        place = await group.join("first", _PARTITIONS)

    assert set(_PARTITIONS) == set(place.partitions)


async def test_leaving_twice_and_unknown_heartbeats_change_nothing() -> None:
    """A group takes no notice of somebody who is not in it."""
    group = Group("inventory", session_timeout=60.0, rebalance_timeout=60.0)
    place = await group.join("member", _PARTITIONS)
    group.leave("stranger")
    group.heartbeat("stranger")

    assert not place.over.is_set()
