"""Ending the client's parts within a time that we choose.

``stop`` of the client may raise ``CancelledError`` of its own making, or wait for a broker that
is gone (for ever, if a batch is unsettled). So it runs as a task whose end is only watched, and
what it left running is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from types import CoroutineType
from typing import Any

from aiokafka.client import AIOKafkaClient


async def within(seconds: float, work: Coroutine[Any, Any, object]) -> bool:
    """Let some work take so long at most; returns whether it ended by itself, however it ended.

    The work is a task of its own, since an exception group or a cancellation that comes out of it
    says nothing about us.
    """
    task = asyncio.get_running_loop().create_task(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        await end_tasks([task])
    return not task.cancelled()


async def end_tasks(tasks: Iterable[asyncio.Task[Any] | None]) -> None:
    """Cancel background tasks of the client and see them end, for a quarter of a second at most."""
    running = {task for task in tasks if task is not None}
    for _ in range(5):  # the client's tasks wait for others in turn, and each cancellation ends one of them
        running = {task for task in running if not _ended(task)}
        if not running:
            return
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=0.05)


def tasks_of(owner: object, method: str | None = None) -> Sequence[asyncio.Task[Any]]:
    """The tasks that run a method of one part of the client, or only this method.

    Some are kept nowhere: a commit goes on behind a shield, and complains when nobody looks at its error.
    """
    return [
        task
        for task in asyncio.all_tasks()
        if isinstance(work := task.get_coro(), CoroutineType)
        and work.cr_frame is not None
        and work.cr_frame.f_locals.get("self") is owner
        and method in {None, work.__name__}
    ]


async def close_connections(client: AIOKafkaClient, seconds: float) -> None:
    """Close a client's connections; whoever still waits for its metadata waits no longer."""
    await within(seconds, client.close())
    waiting = client._md_update_fut  # noqa: SLF001 - the task that would resolve it is gone
    if waiting is not None and not waiting.done():
        waiting.set_result(False)


def _ended(task: asyncio.Task[Any]) -> bool:
    if task.done() and not task.cancelled():
        task.exception()  # looked at, so that the loop does not complain
    return task.done()
