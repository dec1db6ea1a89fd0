"""The client's parts end within a time that we choose, however they behave."""

from __future__ import annotations

import asyncio

import pytest

from eventhub.brokers.kafka.closing import end_tasks, tasks_of, within
from eventhub.testing.conformance.brokers.reader import DEADLINE

pytestmark = pytest.mark.anyio


class Part:
    """A part of a client, which runs in the background."""

    def __init__(self) -> None:
        self.refusals = 0

    async def run(self) -> None:
        """Go on for ever."""
        await asyncio.Event().wait()

    async def run_stubbornly(self) -> None:
        """Take the second cancellation only."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.refusals += 1
            await asyncio.Event().wait()

    async def fail(self) -> None:
        """End with an error."""
        raise ZeroDivisionError

    async def cancel_itself(self) -> None:
        """End as if somebody had cancelled it, as the client's stop does."""
        raise asyncio.CancelledError


@pytest.mark.parametrize(("work", "ended"), [("fail", True), ("cancel_itself", False), ("run", False)])
async def test_work_takes_no_longer_than_it_may(work: str, ended: bool) -> None:
    """An error ends it, a cancellation of its own making does not reach us, and what hangs is cancelled."""
    async with asyncio.timeout(DEADLINE):
        assert ended == await within(0.01, getattr(Part(), work)())


async def test_tasks_of_a_part_are_found_and_end() -> None:
    """Tasks that the client keeps nowhere are found by whose method they run."""
    part, other = Part(), Part()
    tasks = [asyncio.ensure_future(work) for work in (part.run(), part.run_stubbornly(), other.run())]
    await asyncio.wait(tasks, timeout=0)
    found, named = set(tasks_of(part)), set(tasks_of(part, "run"))
    await end_tasks(found)
    alive = [task for task in tasks if not task.done()]
    await end_tasks(tasks)

    assert ({tasks[0], tasks[1]}, {tasks[0]}) == (found, named)
    assert [tasks[2]] == alive
    assert 1 == part.refusals
    assert all(task.cancelled() for task in tasks)


async def test_error_of_a_task_that_ended_is_looked_at() -> None:
    """The loop does not complain about an error that nobody wanted to know."""
    task = asyncio.ensure_future(Part().fail())
    await asyncio.wait([task])
    await end_tasks([task, None])

    assert isinstance(task.exception(), ZeroDivisionError)
