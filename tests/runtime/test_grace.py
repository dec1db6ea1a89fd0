"""The grace that running handlers have."""

import asyncio

import pytest
from anyio.lowlevel import checkpoint

from eventhub.runtime.grace import longest_grace, still_running


async def test_a_wait_that_is_cancelled_leaves_nothing_behind() -> None:
    """Whoever leaves the group while it rebalances cancels the drain that is under way."""
    before = asyncio.all_tasks()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(for_ever())
        waiting = tasks.create_task(still_running([running], 60.0, asyncio.Event()))
        for _turn in range(3):
            await checkpoint()
        waiting.cancel()
        running.cancel()
    for _turn in range(3):
        await checkpoint()

    assert before == asyncio.all_tasks()


@pytest.mark.parametrize(
    ("rebalance_timeout", "commit_timeout", "longest"), [(30.0, 1.0, 21.0), (30.0, 5.0, 14.0), (5.0, 5.0, -11.0)]
)
def test_the_longest_grace_leaves_time_for_cancelling_and_committing(
    rebalance_timeout: float, commit_timeout: float, longest: float
) -> None:
    """At most 70 % of a rebalance, since a member hears of it late."""
    assert longest == longest_grace(rebalance_timeout, commit_timeout)


async def for_ever() -> None:
    """Run until cancelled."""
    await asyncio.Event().wait()
