"""Places to run: how many handlers may be suspended at the same time."""

from __future__ import annotations

import asyncio
from collections import deque


class Places:
    """A number of places; whoever finds none free waits for one, first come, first served."""

    __slots__ = ("_waiters", "limit", "taken")

    def __init__(self, limit: int) -> None:
        """Make so many places."""
        self.limit = limit
        """How many there are."""
        self.taken = 0
        """How many are occupied."""
        self._waiters: deque[asyncio.Future[None]] = deque()

    def take(self) -> None:
        """Occupy a place; the caller has seen that one is free."""
        self.taken += 1

    def give(self) -> None:
        """Leave a place, and wake who waits for one."""
        self.taken -= 1
        self._wake()

    async def free(self) -> None:
        """Return when a place is free; it is free until the next await."""
        waited = False
        while self.taken >= self.limit:
            waiter = asyncio.get_running_loop().create_future()
            if waited:
                self._waiters.appendleft(waiter)  # woken in vain, and still the first
            else:
                self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if not waiter.cancelled():
                    self._wake()  # the place was offered to us; somebody else can have it
                raise
            waited = True
        if waited:
            self._wake()  # the caller need not take the place (a handler may not suspend), and then nobody gives it

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
