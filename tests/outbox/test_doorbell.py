"""A doorbell."""

from __future__ import annotations

import asyncio

from eventhub.outbox.doorbell import Doorbell


async def test_a_ring_before_the_wait_is_heard() -> None:
    """A ring between two waits ends the next one at once, and only that."""
    bell = Doorbell()
    listener = bell.listen()
    bell.ring()
    bell.ring()

    assert [True, False] == [await listener.wait(0.0), await listener.wait(0.0)]


async def test_a_ring_wakes_every_listener() -> None:
    """Whoever waits is woken."""
    bell = Doorbell()
    listeners = [bell.listen(), bell.listen()]
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(listener.wait(10.0)) for listener in listeners]
        bell.ring()

    assert [True, True] == [task.result() for task in waiting]


async def test_a_closed_listener_hears_nothing() -> None:
    """After close a ring is for the others."""
    bell = Doorbell()
    listener = bell.listen()
    listener.close()
    bell.ring()

    assert not await listener.wait(0.0)


async def test_a_listener_may_be_woken_by_itself() -> None:
    """A wake reaches one listener alone."""
    bell = Doorbell()
    one, other = bell.listen(), bell.listen()
    one.wake()

    assert [True, False] == [await one.wait(0.0), await other.wait(0.0)]
