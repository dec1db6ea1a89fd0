"""A source at work: what its generator yields is published, confirmed, in order."""

from __future__ import annotations

import asyncio
import math
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import structlog
from uuid_utils import uuid7

from eventhub.errors import HandlerFault
from eventhub.event import Stamp, occurrence_stamp

if TYPE_CHECKING:
    from eventhub.event import Event
    from eventhub.record import ProducerRecord
    from eventhub.runtime.counters import Counters
    from eventhub.runtime.options import Options
    from eventhub.runtime.publisher import Publisher
    from eventhub.source import Source, SourceContext

log = structlog.get_logger()

_END: Any = object()  # no generator yields it


def fresh_stamp(event: Event, source: str, now: float) -> Stamp:
    """The stamp of an event that nothing in this system caused."""
    identity = str(uuid7())
    return Stamp(id=identity, time=now, source=source, type=event.__event__.name, correlation=identity)


class SourceRun:
    """One run of a source, from its first event until it ends or is stopped."""

    def __init__(
        self,
        source: Source[..., Any, Any],
        context: SourceContext[Any],
        publisher: Publisher,
        options: Options,
        counters: Counters,
    ) -> None:
        """Prepare to publish what the source yields."""
        self._source = source
        self._context = context
        self._publisher = publisher
        self._clock = options.clock
        self._random = options.random
        self._stop_grace = options.stop_grace
        self._counters = counters
        self._yielded: list[ProducerRecord] = []
        self._unconfirmed = 0
        self._ended = False
        self._changed = asyncio.Condition()
        self._stopping = False
        self._pulling: asyncio.Task[Any] | None = None
        self._pushing: asyncio.Task[None] | None = None
        self._give_up_at = math.inf  # monotonic
        self._last_yield = self._clock.monotonic()

    def waits(self, patience: float) -> bool:
        """Whether all it yielded is confirmed, and it has ended or yielded nothing for so many seconds."""
        return not self._unconfirmed and (self._ended or self._clock.monotonic() - self._last_yield > patience)

    async def run(self) -> None:
        """Publish until the generator ends or ``stop`` is called.

        Raises:
            Exception: Whatever the generator raises: it cannot be resumed, so the service has to know.
            PublishRefused: If the broker will never take an event.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                self._pushing = tasks.create_task(self._push())
                tasks.create_task(self._pull(self._pushing))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        if self._unconfirmed:  # the broker was away, and the process has to end
            log.error("eventhub.source_cut_off", source=self._source.name, unconfirmed=self._unconfirmed)

    def stop(self) -> None:
        """Let the generator yield nothing more; what it yielded is still published, if that is possible in time."""
        self._stopping = True
        self._give_up_at = self._clock.monotonic() + self._stop_grace
        if self._pulling is not None:
            self._pulling.cancel()

    def hurry(self) -> None:
        """Wait for the broker no longer."""
        if self._pushing is not None:
            self._pushing.cancel()

    async def _pull(self, pushing: asyncio.Task[None]) -> None:
        """Resume the generator while its window allows it."""
        self._pulling = asyncio.current_task()  # not before: a task that is cancelled unbegun would not say its end
        events: Any = self._source.events_from(self._context)
        try:
            async with aclosing(events):
                while not self._stopping and (event := await anext(events, _END)) is not _END:
                    self._yielded.append(self._record(event))
                    self._unconfirmed += 1
                    self._last_yield = self._clock.monotonic()
                    async with self._changed:
                        self._changed.notify_all()
                        await self._changed.wait_for(lambda: self._unconfirmed < self._source.window)
        except asyncio.CancelledError as error:
            if self._pulling is not None and self._pulling.cancelling() == 0:  # nobody cancelled us
                msg = f"source {self._source.name!r} was cancelled by what it waits for"
                raise HandlerFault(msg) from error
            raise
        finally:
            self._ended = True
            await asyncio.shield(self._notify())
            await asyncio.wait({pushing})  # whatever the generator raised, what it yielded is published first

    def _record(self, event: Event) -> ProducerRecord:
        if type(event) not in self._source.events:
            msg = f"source {self._source.name!r} yielded {type(event).__name__}, which its @produces does not name"
            raise HandlerFault(msg)
        return self._publisher.record(event, self._stamp(event))

    def _stamp(self, event: Event) -> Stamp:
        """The event's stamp: a new one, or that of its occurrence, which is the same whenever it is yielded."""
        source, service = self._source, self._context.service
        if source.occurrence is None:
            return fresh_stamp(event, service, self._clock.now())
        occurrence = source.occurrence(event)
        if not occurrence.id or not math.isfinite(occurrence.time):
            msg = f"source {source.name!r} does not say which {type(event).__name__} it yields, or when that happened"
            raise HandlerFault(msg)
        return occurrence_stamp(event, occurrence, service=service, source=source.name)

    async def _push(self) -> None:
        """Send what was yielded, batch after batch, each confirmed before the next."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._yielded or self._ended)
            due, self._yielded = self._yielded, []
            if not due:
                return
            try:
                await self._publisher.deliver(due, self._rest, self._random)
            except TimeoutError:
                return
            self._unconfirmed -= len(due)
            self._counters.published += len(due)
            await self._notify()

    async def _rest(self, seconds: float) -> None:
        """Wait between two attempts to publish; a source that was told to stop does not for ever."""
        if self._clock.monotonic() >= self._give_up_at:
            raise TimeoutError
        await self._clock.sleep(seconds)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
