"""The gate in front of the handlers: open while they work, shut while what they need is down.

The breaker decides, from what it is told; the gate makes records wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable

import structlog

from eventhub.clock import Clock
from eventhub.runtime.breaker import Breaker, BreakerState

log = structlog.get_logger()

_LOOK = 1.0  # seconds between two looks at a breaker whose probe is under way


class Gate:
    """Holds records back while the breaker is open, and lets one through when it is time for a probe."""

    def __init__(self, group: str, breaker: Breaker, rest: Callable[[float], Awaitable[None]], clock: Clock) -> None:
        """Begin open.

        Args:
            group: The consumer group, for the log.
            breaker: Who tells an outage from poison.
            rest: Lets the record in hand wait for some seconds, its key in order.
            clock: What is known of time.
        """
        self._group = group
        self._breaker = breaker
        self._rest = rest
        self._clock = clock
        self._prober: asyncio.Task[object] | None = None
        # Asked for every record, so kept here whenever the breaker has heard of something.
        self.shut = False
        """Whether records have to wait."""
        self.suspicious = False
        """Whether a failure is remembered, so that successes mean something."""

    @property
    def state(self) -> BreakerState:
        """The breaker's state."""
        return self._breaker.state

    async def enter(self, *, failed_before: bool) -> None:
        """Return when the record in hand may be handled, as one of many or as the probe.

        A record that failed before leaves the probe to one that did not, if one comes within a
        second: it may be poison, and the failure of poison says nothing of an outage.
        """
        patience = _LOOK if failed_before else 0.0
        while self.shut:
            now = self._clock.monotonic()
            due = self._breaker.probe_at + patience
            if now >= due and self._breaker.probe(now):
                self._prober = asyncio.current_task()
                return
            await self._rest(max(due - now, 0.0) or _LOOK)

    def failed(self, key: Hashable) -> None:
        """Tell that a handler failed in a way that an outage may cause."""
        before = self._breaker.state
        self._breaker.failed(key, self._clock.monotonic())
        self._report(before)

    def succeeded(self) -> None:
        """Tell that a record was handled."""
        before = self._breaker.state
        self._breaker.succeeded(self._clock.monotonic())
        self._report(before)

    def left(self) -> None:
        """Tell that the record in hand is no longer being tried; a probe that told nothing is made again."""
        if self._prober is not None and self._prober is asyncio.current_task():
            self._prober = None
            self._breaker.abandoned()

    def _report(self, before: BreakerState) -> None:
        self.shut = self._breaker.state is not BreakerState.CLOSED
        self.suspicious = self._breaker.suspicious
        if self._breaker.state is not before:
            report = log.info if self._breaker.state is BreakerState.CLOSED else log.error
            report("eventhub.breaker_changed", group=self._group, state=self._breaker.state.value)
