"""The grace that running handlers have."""

from __future__ import annotations

import asyncio
from collections.abc import Collection


async def still_running(
    tasks: Collection[asyncio.Task[None]], grace: float, hurried: asyncio.Event
) -> list[asyncio.Task[None]]:
    """Wait for tasks, and return those that did not end within so many seconds or before somebody hurried."""
    if tasks:
        ends = [asyncio.ensure_future(asyncio.wait(tasks)), asyncio.ensure_future(hurried.wait())]
        try:
            await asyncio.wait(ends, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
    return [task for task in tasks if not task.done()]
