"""The grace that running handlers have."""

import asyncio

from anyio.lowlevel import checkpoint

from eventhub.runtime.grace import still_running


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


async def for_ever() -> None:
    """Run until cancelled."""
    await asyncio.Event().wait()
