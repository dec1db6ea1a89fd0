"""Batches: events of different lanes handed to one call of a handler.

Every record keeps its own lane, attempts and fate; only the call is shared. The first record of
a batch leads: it waits for others, calls the handler and tells them what became of them. When a
batch of several fails as a whole nobody knows whose fault it was, so each is handled alone;
but for a fault of the handler, which is no event's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import Any

from eventhub.errors import BatchFailed, HandlerFault
from eventhub.event import Event
from eventhub.handler import BatchHandler, Context
from eventhub.subscription import Batch

Aside = Callable[[asyncio.Event], AbstractAsyncContextManager[None]]


class _Verdict(Enum):
    DONE = "done"
    AGAIN = "again"  # its batch came to nothing through no fault of its own
    ALONE = "alone"  # its batch failed, and nobody knows why


_Told = _Verdict | BatchFailed | HandlerFault
"""What becomes of an event of a batch; one error is for the event that it names, the other for all."""


class _Gathering:
    """A batch that is being filled."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.contexts: list[Context[Any]] = []
        self.followers: list[asyncio.Future[_Told]] = []  # of all events but the leader's
        self.full = asyncio.Event()
        self.begun = asyncio.Event()  # the handler has it

    def add(self, context: Context[Any]) -> None:
        self.contexts.append(context)
        if len(self.contexts) == self._size:
            self.full.set()


class Collector:
    """Turns a function of many events into a handler of one."""

    def __init__(self, function: BatchHandler, batch: Batch, aside: Aside) -> None:
        """Prepare to collect.

        Args:
            function: What handles a batch.
            batch: How many events, and how long to wait for them.
            aside: Lets the record in hand wait without occupying a place to run.
        """
        self._function = function
        self._batch = batch
        self._aside = aside
        self._gathering: _Gathering | None = None

    async def handle(self, context: Context[Any]) -> Sequence[Event]:
        """Return once the event was handled as part of a batch, or alone if it was tried before."""
        verdict: _Told = _Verdict.AGAIN if context.attempt == 1 else _Verdict.ALONE
        while verdict is _Verdict.AGAIN:
            verdict = await (self._lead(context) if self._gathering is None else self._follow(context))
        if verdict is _Verdict.ALONE:
            verdict = await self._handle_alone(context)
        if isinstance(verdict, HandlerFault):
            raise HandlerFault(str(verdict)) from verdict
        if isinstance(verdict, BatchFailed):
            raise verdict.__cause__ or verdict
        return ()

    async def _handle_alone(self, context: Context[Any]) -> _Told:
        try:
            await self._function([context])
        except BatchFailed as failed:  # whatever it says, there is but one
            return failed
        return _Verdict.DONE

    async def _follow(self, context: Context[Any]) -> _Told:
        gathering = self._gathering
        if gathering is None:
            return _Verdict.AGAIN
        verdict: asyncio.Future[_Told] = asyncio.get_running_loop().create_future()
        gathering.followers.append(verdict)
        gathering.add(context)
        if gathering.full.is_set():
            self._gathering = None
        async with self._aside(gathering.begun):
            return await verdict

    async def _lead(self, context: Context[Any]) -> _Told:
        gathering = self._gathering = _Gathering(self._batch.size)
        gathering.add(context)
        try:
            await self._wait(gathering)
            gathering.begun.set()
            await self._function(gathering.contexts)
        except (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit):
            self._tell(gathering, _Verdict.AGAIN)  # the leader was cancelled; the others gather anew
            raise
        except HandlerFault as fault:  # no event's, and what it did may last, so none is handled once more
            return self._tell(gathering, fault)
        except BaseException as error:
            if isinstance(error, BatchFailed) and 0 <= error.index <= len(gathering.followers):
                return self._tell_from(gathering, error)
            if not gathering.followers:
                raise
            return self._tell(gathering, _Verdict.ALONE)
        finally:
            if self._gathering is gathering:
                self._gathering = None
        return self._tell(gathering, _Verdict.DONE)

    async def _wait(self, gathering: _Gathering) -> None:
        """Wait until the batch is full, or for as long as it may take."""
        async with self._aside(gathering.begun):
            try:
                async with asyncio.timeout(self._batch.wait):
                    await gathering.full.wait()
            except TimeoutError:
                pass
        if self._gathering is gathering:
            self._gathering = None

    def _tell(self, gathering: _Gathering, verdict: _Told) -> _Told:
        for follower in gathering.followers:
            if not follower.done():
                follower.set_result(verdict)
        return verdict

    def _tell_from(self, gathering: _Gathering, failed: BatchFailed) -> _Told:
        """Done up to the event that failed, which fails for what failed it; those behind it gather anew."""
        for position, follower in enumerate(gathering.followers, start=1):
            if follower.done():
                continue
            if position < failed.index:
                follower.set_result(_Verdict.DONE)
            else:
                follower.set_result(failed if position == failed.index else _Verdict.AGAIN)
        return _Verdict.DONE if failed.index else failed
