"""Cancellation at a chosen await: the same place at every run, however fast the machine is."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any


async def cancelled_at(place: int, work: Coroutine[Any, Any, None]) -> bool:
    """Do work in a task that is cancelled when it waits for the ``place``-th time, counted from 1.

    Returns whether the work was done before it came to that.
    """
    driven = _Driven(work, place)
    task = asyncio.create_task(_run(driven))
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return driven.waits < place


async def _run(driven: _Driven) -> None:
    await driven


class _Driven:
    """A coroutine whose waits are counted."""

    def __init__(self, work: Coroutine[Any, Any, None], place: int) -> None:
        self._work = work
        self._place = place
        self.waits = 0

    def __await__(self) -> Generator[Any, Any, None]:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        steps = self._work.__await__()
        step: Any = steps.send
        value: Any = None
        while True:
            try:
                awaited = step(value)
            except StopIteration:
                return
            self.waits += 1
            if self.waits == self._place:
                loop.call_soon(task.cancel)
            try:
                value = yield awaited
                step = steps.send
            except BaseException as error:  # noqa: BLE001 - handed to the coroutine, as the task did
                step, value = steps.throw, error
