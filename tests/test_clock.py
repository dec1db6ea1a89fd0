"""Clocks: time that a test moves by hand."""

import asyncio

from anyio.lowlevel import checkpoint

from eventhub.clock import ManualClock, SystemClock


async def test_a_manual_clock_wakes_sleepers_in_order_of_their_time() -> None:
    """Nobody wakes before the clock was moved far enough."""
    clock, woken = ManualClock(), []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    async with asyncio.TaskGroup() as tasks:
        for seconds in (3.0, 1.0, 2.0, 0.0):
            tasks.create_task(sleep(seconds))
        await checkpoint()
        await checkpoint()
        clock.advance(2.5)
        await checkpoint()
        await checkpoint()
        early = list(woken)
        clock.advance(0.5)

    assert [0.0, 1.0, 2.0] == early
    assert [0.0, 1.0, 2.0, 3.0] == woken


def test_a_step_moves_the_time_of_day_only() -> None:
    """A machine whose clock is corrected keeps its monotonic time."""
    clock = ManualClock(1000.0)
    clock.advance(5.0)
    clock.step(-100.0)

    assert (905.0, 5.0) == (clock.now(), clock.monotonic())


def test_the_system_clock_never_goes_back() -> None:
    """Two looks at it are in order."""
    clock = SystemClock()
    first = clock.monotonic()

    assert first <= clock.monotonic()
    assert clock.now() > 1_700_000_000.0
