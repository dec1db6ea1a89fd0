"""Finds out what is wrong with a group when it is not well: beside the work, in the way of nobody.

A client that is dead, silent or restless does not say why. The broker is asked then, anew and by
itself, and its answer stands in the log and in health.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from eventhub.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventhub.brokers.base import Broker
    from eventhub.runtime.assignment import Assignment
    from eventhub.runtime.options import Options

log = structlog.get_logger()

TICK = 1.0  # seconds between two looks at a group
LIMIT = 20.0  # seconds: more than a broker may take, should one forget its own bound
REPEAT = 30.0  # seconds between two warnings of what lasts
NAMED = 5  # partitions: the others are counted


class Examination:
    """What is wrong with one group, as far as its broker tells."""

    def __init__(self, group: str, topics: Sequence[str], broker: Broker, options: Options) -> None:
        """Begin with nothing found.

        Args:
            group: The consumer group.
            topics: What it reads.
            broker: Whom to ask.
            options: Clock and patience.
        """
        self._group = group
        self.topics = topics
        """What the group reads; who learns better says so."""
        self._broker = broker
        self._clock = options.clock
        self._patience = options.patience
        self.replaced = ""
        """Why the last consumer was replaced; empty before the first."""
        self.unread = ""
        """What nobody in the group reads although this member has nothing to read; empty if all is well."""
        self._unread_since = 0.0
        self._asked_at = 0.0  # for unread partitions
        self._warned_at: dict[str, float] = {}  # by event

    async def explain(self, error: BrokerError, wait: float) -> None:
        """Log why a consumer is replaced, with the true cause: what the client said is often none."""
        self.replaced, cause = str(error), "not found out before the stop"
        try:
            cause = await self._ask()
            self.replaced = f"{error}; {cause}"
        finally:
            log.warning(
                "eventhub.worker_rebuilt", group=self._group, error=str(error), cause=cause, wait=round(wait, 1)
            )

    async def watch(self, assignment: Callable[[], Assignment | None]) -> None:
        """Look at the group every second, until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            if (present := assignment()) is not None:
                await self.look(present)

    async def look(self, assignment: Assignment) -> None:
        """Warn of a group that does not settle, and of partitions that nobody reads."""
        now = self._clock.monotonic()
        count = assignment.rebalances(now)
        if count > self._patience.rebalances and self._is_due("eventhub.group_unsettled", now):
            cause = await self._ask()
            log.warning("eventhub.group_unsettled", group=self._group, rebalances=count, cause=cause)
        idle = assignment.idle_since
        if idle is None or now - idle < self._patience.idle:
            self.unread = ""
        elif now - self._asked_at >= self._patience.idle:
            self._asked_at = now
            await self._look_for_unread(assignment, now)

    async def _look_for_unread(self, assignment: Assignment, now: float) -> None:
        """A member without partitions may be one too many, or the only one; the group knows."""
        try:
            async with asyncio.timeout(LIMIT):
                unread = sorted(await self._broker.admin.unread(self._group, self.topics))
        except (BrokerError, TimeoutError) as error:
            found = str(error) or "the broker does not answer"
        else:
            names = [f"{tp.topic}[{tp.partition}]" for tp in unread[:NAMED]]
            more = f" and {len(unread) - NAMED} more" if len(unread) > NAMED else ""
            found = f"no member of the group reads {', '.join(names)}{more}" if unread else ""
        self._unread_since = (self._unread_since if self.unread else now) if found else 0.0
        self.unread = found
        if not found:
            return
        if self._is_due("eventhub.partitions_unread", now):
            log.warning("eventhub.partitions_unread", group=self._group, found=found)
        if now - self._unread_since > self._patience.joining:
            assignment.failure = BrokerError(f"{found}, and this one has been given nothing")

    async def _ask(self) -> str:
        """What keeps the group from reading, in words."""
        try:
            async with asyncio.timeout(LIMIT):
                found = await self._broker.examine(self._group, self.topics)
        except Exception as error:  # noqa: BLE001 - who looks for a cause must not become one
            return f"could not be found out: {str(error) or type(error).__name__}"
        return "; ".join(found) or "nothing is wrong with the addresses, the topics or the rights"

    def _is_due(self, event: str, now: float) -> bool:
        """Whether a warning may be given again."""
        if now - self._warned_at.get(event, -REPEAT) < REPEAT:
            return False
        self._warned_at[event] = now
        return True
