"""Time as an argument: the system's clock, and one that a test moves by hand."""

from __future__ import annotations

import asyncio
import time
from heapq import heappop, heappush
from typing import Protocol


class Clock(Protocol):
    """What the runtime knows of time. All values are seconds."""

    def now(self) -> float:
        """The time of day, in seconds since the epoch; it may step."""
        ...

    def monotonic(self) -> float:
        """A time that never steps back; only differences mean anything."""
        ...

    async def sleep(self, seconds: float, /) -> None:
        """Return when that much monotonic time has passed."""
        ...


class SystemClock:
    """The clock of the machine."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(asyncio.sleep)


class ManualClock:
    """A clock that stands still until it is moved.

    Time of day and monotonic time move together, except through ``step``.
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        """Start at a time of day, in seconds since the epoch."""
        self._now = now
        self._monotonic = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._slept = 0

    def now(self) -> float:
        """The time of day that was last set, in seconds since the epoch."""
        return self._now

    def monotonic(self) -> float:
        """The seconds that the clock was advanced since it was made."""
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        """Return once the clock was advanced by that many seconds."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._slept += 1
        heappush(self._sleepers, (self._monotonic + seconds, self._slept, waiter))
        await waiter

    def advance(self, seconds: float) -> None:
        """Move both times forward and wake whoever's time has come."""
        self._now += seconds
        self._monotonic += seconds
        while self._sleepers and self._sleepers[0][0] <= self._monotonic:
            waiter = heappop(self._sleepers)[2]
            if not waiter.done():
                waiter.set_result(None)

    def step(self, seconds: float) -> None:
        """Move only the time of day, as when a machine's clock is corrected; negative goes back."""
        self._now += seconds
