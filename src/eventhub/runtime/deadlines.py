"""How long an attempt may take: one watch for all handlers, no timer a record."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from eventhub.clock import Clock
from eventhub.errors import HandlerTimeout
from eventhub.event import Event
from eventhub.handler import Context, Handler


class Deadlines:
    """The attempts that have a deadline, and who cancels them when it is past."""

    def __init__(self, clock: Clock) -> None:
        """Watch nothing yet."""
        self._clock = clock
        self._due: dict[asyncio.Task[Any], float] = {}
        self._expired: set[asyncio.Task[Any]] = set()

    def guard(self, handle: Handler, seconds: float, name: str) -> Handler:
        """The handler with a deadline; past it the attempt is cancelled and fails with ``HandlerTimeout``."""

        async def guarded(context: Context[Any]) -> Sequence[Event]:
            task = asyncio.current_task()
            if task is None:
                msg = "a handler runs in a task"
                raise RuntimeError(msg)
            self._due[task] = self._clock.monotonic() + seconds
            try:
                returned = await handle(context)
            except asyncio.CancelledError:
                if task not in self._expired:
                    raise
                raise self._timeout(task, seconds, name, context) from None
            else:
                if task in self._expired:  # it swallowed the cancellation
                    raise self._timeout(task, seconds, name, context)
                return returned
            finally:
                del self._due[task]
                self._expired.discard(task)

        return guarded

    def enforce(self) -> None:
        """Cancel every attempt whose deadline is past; to be called every so often."""
        now = self._clock.monotonic()
        for task, due in self._due.items():
            if due <= now and task not in self._expired:
                self._expired.add(task)
                task.cancel()

    def _timeout(self, task: asyncio.Task[Any], seconds: float, name: str, context: Context[Any]) -> HandlerTimeout:
        task.uncancel()
        msg = f"handler {name!r} took longer than {seconds} s"
        return HandlerTimeout(msg, record=context.record)
