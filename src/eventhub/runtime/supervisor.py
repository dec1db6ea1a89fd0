"""A service at work: its state, its worker and its sources, and what happens when one of them breaks."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from eventhub.errors import BrokerError, TopicMissing
from eventhub.retry import backoff
from eventhub.runtime.channels import channels
from eventhub.runtime.counters import Counters
from eventhub.runtime.examination import Examination
from eventhub.runtime.grace import pause
from eventhub.runtime.health import Health, Snapshot, health
from eventhub.runtime.sources import SourceRun
from eventhub.runtime.wiring import Wiring
from eventhub.runtime.worker import Worker
from eventhub.source import SourceContext

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from eventhub.runtime.companion import Companion
    from eventhub.runtime.partition import Lane
    from eventhub.service import Service


class Supervisor:
    """Runs one service until it is stopped; replaces its worker when the connection breaks."""

    def __init__(self, service: Service[Any], wiring: Wiring) -> None:
        """Prepare to run a service."""
        self.service = service
        self._wiring = wiring
        self.counters = Counters()
        self.worker: Worker | None = None
        """The worker at present, or None before the first, between two, and for a service of sources only."""
        self.sources: list[SourceRun] = []
        """The sources that run."""
        self.companions: Sequence[Companion] = ()
        """What runs beside them."""
        self._stopping = asyncio.Event()
        self.topics = tuple(channels(service, wiring.record_bytes))
        """What it reads: topics of events, and those of what it has set aside itself."""
        self._examination = Examination(service.name, self.topics, wiring.broker, wiring.options)

    async def run(self) -> None:
        """Run until ``stop``, or until every source has ended where nothing is subscribed.

        Raises:
            Exception: What the lifespan, a source or a companion raises.
        """
        service = self.service
        async with service.lifespan() if service.lifespan is not None else nullcontext() as state:
            context = SourceContext(state, service.name)
            self.sources = [
                SourceRun(source, context, self._wiring.publisher, self._wiring.options, self.counters)
                for source in service.sources
            ]
            self.companions = self._wiring.companions(service, state)
            try:
                async with asyncio.TaskGroup() as tasks:
                    for companion in self.companions:
                        tasks.create_task(_to_its_end(companion.run(), "what runs beside the worker"))
                    await self._work(state)
                    for companion in self.companions:
                        companion.stop()
            except ExceptionGroup as failures:
                raise failures.exceptions[0] from None

    async def _work(self, state: object) -> None:
        """Run worker and sources until both have come to their end."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for source in self.sources:
                    tasks.create_task(self._run_source(source))
                if self.service.subscriptions:
                    await self._keep_working(state, tasks)
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    def health(self) -> Health:
        """How the service is doing."""
        if self.worker is not None:
            snapshot = self.worker.snapshot()
        else:
            snapshot = Snapshot(self.service.name, joined=not self.service.subscriptions, counted=self.counters)
        found = self._examination
        told = replace(
            snapshot,
            stopping=self._stopping.is_set(),
            replaced=found.replaced,
            unread=found.unread,
            outbox_age=max((companion.age() for companion in self.companions), default=0.0),
        )
        return health(told, self._wiring.options.patience)

    def stop(self) -> None:
        """Stop as R4 says: nothing new, finish what runs, commit, leave."""
        self._stopping.set()
        for source in self.sources:
            source.stop()
        if self.worker is not None:
            self.worker.stop()

    def hurry(self) -> None:
        """Cancel what still runs; what is finished is still committed."""
        self.stop()
        for source in self.sources:
            source.hurry()
        if self.worker is not None:
            self.worker.hurry()

    async def _run_source(self, source: SourceRun) -> None:
        if not self._stopping.is_set():
            await source.run()

    async def _keep_working(self, state: object, tasks: asyncio.TaskGroup) -> None:
        """Run a worker, and another when its connection broke; the cause is looked for beside that."""
        failures, served = 0, False
        stubborn: Sequence[Lane] = ()  # the last worker's handlers that swallowed their cancellation
        watch = self._examination.watch(lambda: self.worker.assignment if self.worker is not None else None)
        beside = {tasks.create_task(watch)}
        while not self._stopping.is_set():
            worker = self.worker = Worker(self.service, state, self._wiring, self.counters, stubborn)
            started = self._wiring.options.clock.monotonic()
            try:
                await _to_its_end(worker.run(), "the worker")
            except BrokerError as error:
                served = served or worker.assignment.epoch > 0
                if not error.retriable and not (served and isinstance(error, TopicMissing)):
                    raise  # a topic that was read may be made again; one that never was is a mistake
                steady = self._wiring.options.clock.monotonic() - started > 60.0  # noqa: PLR2004 - a minute without trouble starts anew
                failures = 1 if steady else failures + 1
                stubborn = worker.lanes.stubborn
                self.worker = None  # nobody reads for the time being, and health says so
                self.counters.rebuilt += 1
                wait = backoff(failures, jitter=self._wiring.options.random())
                beside.add(explaining := tasks.create_task(self._examination.explain(error, wait)))
                explaining.add_done_callback(beside.discard)
                await asyncio.sleep(0)  # what explains the failure begins, and will log it
                await pause(self._stopping, wait)
                if isinstance(error, TopicMissing):
                    await self._look()
        for task in beside:
            task.cancel()

    async def _look(self) -> None:
        """See which topics are there: a retry topic that an earlier version left may be gone, and is no loss."""
        with suppress(BrokerError):  # the next worker meets the same, and says so
            there = await self._wiring.broker.admin.topics()
            limits = {info.name: info.max_record_bytes for info in there.values()}
            self._wiring = replace(self._wiring, record_bytes=limits)
            self.topics = self._examination.topics = tuple(channels(self.service, there))


async def _to_its_end(running: Awaitable[None], who: str) -> None:
    """Wait for somebody whose cancellation only counts if it is ours: a task group takes any for an orderly end.

    Raises:
        RuntimeError: If it was cancelled by what it waits for, a pool that was closed, for instance.
    """
    try:
        await running
    except asyncio.CancelledError as error:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
        msg = f"{who} was cancelled by what it waits for"
        raise RuntimeError(msg) from error
