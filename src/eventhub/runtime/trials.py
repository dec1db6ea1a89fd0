"""Trials: where processes keep dying, one record at a time is handled, and the commit says which one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventhub.retry import backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from eventhub.record import Record
    from eventhub.runtime.lanes import Lanes
    from eventhub.runtime.partition import Partition


@dataclass(frozen=True, slots=True)
class _Trial:
    """An attempt at a record that may end the process."""

    carrier: asyncio.Task[Any] | None
    """The task that carries the record."""
    record: Record
    partition: Partition


class Trials:
    """The trials of one worker, one at a time, so that a death accuses nobody else.

    A trial is one attempt: while its record rests none of its handlers runs, and others are tried.
    """

    def __init__(self, lanes: Lanes, commit: Callable[[], Awaitable[bool]]) -> None:
        """Try nothing yet.

        Args:
            lanes: Who lets records wait.
            commit: Commits what is due of all partitions; False if that failed.
        """
        self._lanes = lanes
        self._commit = commit
        self._turn = asyncio.Lock()
        self._trial: _Trial | None = None  # whose turn it is

    async def begin(self, record: Record, partition: Partition) -> None:
        """Return when the record in hand is the one on trial and marked; at once where no process keeps dying."""
        partition.careful = partition.careful and record.offset < partition.careful_until
        if not partition.careful:
            return
        async with self._lanes.aside():  # who is on trial may need a place to run, so who waits for it must have none
            await self._turn.acquire()
            self._trial = _Trial(asyncio.current_task(), record, partition)
        partition.offsets.trying = record.offset
        failures = 0
        while not await self._commit():  # of all partitions: an older mark would accuse a record that is done
            failures += 1
            await self._lanes.rest(backoff(failures))

    def end(self) -> None:
        """Take the mark of the record in hand away, if it is on trial: this attempt ended no process."""
        if (trial := self._mine()) is not None:
            trial.partition.offsets.trying = None
            self._trial = None
            self._turn.release()

    async def rest(self, seconds: float) -> None:
        """Let the record in hand wait, as ``Lanes.rest`` does; its trial goes on once it is its turn again."""
        trial = self._mine()
        if trial is None:
            await self._lanes.rest(seconds)
            return
        self.end()
        await self._lanes.rest(seconds)
        await self.begin(trial.record, trial.partition)

    def _mine(self) -> _Trial | None:
        """The trial of the running task's record, or None."""
        trial = self._trial
        return trial if trial is not None and trial.carrier is asyncio.current_task() else None
