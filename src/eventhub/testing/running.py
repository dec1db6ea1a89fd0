"""The real runtime on a memory broker, for tests of services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from eventhub.brokers.memory import MemoryBroker
from eventhub.clock import SystemClock
from eventhub.codecs.serde import Reader, SchemaUnresolved
from eventhub.event import Event, event_info
from eventhub.hub import Hub
from eventhub.record import Record, RecordMetadata
from eventhub.runtime.dead_letter import DeadLetter, read_dead_letter
from eventhub.runtime.options import Options
from eventhub.service import Service, dead_letter_topic

E = TypeVar("E", bound=Event)

_SOURCE_PATIENCE = 0.05  # seconds without an event after which a source that goes on counts as waiting


class _Hurried(SystemClock):
    """The system's clock, except that nobody waits: retries come at once, what waits for ever still does."""

    @staticmethod
    async def sleep(seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.001) if seconds != float("inf") else seconds)


_HURRIED = Options(clock=_Hurried(), schema_grace=0.0, longest_delay=0.0, poll_timeout=0.05)


class RunningHub:
    """A hub whose services run, and what they have published so far."""

    def __init__(
        self,
        hub: Hub,
        broker: MemoryBroker,
        services: Sequence[Service[Any]],
        serving: asyncio.Task[None],
        patience: float,
    ) -> None:
        """Look at a hub that serves."""
        self.hub = hub
        """The hub itself."""
        self.broker = broker
        """The memory broker under it."""
        self._services = services
        self._serving = serving
        self._patience = patience

    async def publish(self, event: Event) -> RecordMetadata:
        """Publish an event, as ``Hub.publish`` does."""
        return await self.hub.publish(event)

    async def publish_many(self, events: Iterable[Event]) -> Sequence[RecordMetadata]:
        """Publish events, as ``Hub.publish_many`` does."""
        return await self.hub.publish_many(events)

    async def published(self, event: type[E]) -> list[E]:
        """All events of a class so far, once every group has caught up, partition by partition.

        Raises:
            TimeoutError: As for ``caught_up``.
            Exception: What the services failed with, if they did.
        """
        await self.caught_up()
        reader = self.hub.reader([event])
        found = [await _decoded(reader, record) for record in self.broker.records(event_info(event).topic)]
        return [decoded for decoded in found if isinstance(decoded, event)]

    async def dead_letters(self, event: type[Event], service: Service[Any]) -> list[DeadLetter]:
        """What a service gave up of an event's topic, once every group has caught up.

        Raises:
            TimeoutError: As for ``caught_up``.
            Exception: What the services failed with, if they did.
        """
        await self.caught_up()
        topic = dead_letter_topic(event_info(event).topic, service.name)
        return [read_dead_letter(record) for record in self.broker.records(topic)]

    async def caught_up(self) -> None:
        """Return once every record is handled and every source has ended, or waits for something.

        Raises:
            TimeoutError: If something is still under way after the patience of ``running``; it says what.
            Exception: What the services failed with, if they did.
        """
        try:
            async with asyncio.timeout(self._patience):
                await self._grow_quiet()
        except TimeoutError:
            msg = f"still busy after {self._patience:g} s: {self._busy() or 'the services have not started'}"
            raise TimeoutError(msg) from None

    async def _grow_quiet(self) -> None:
        """Return once two looks in a row, or the services' end, show that nothing is under way."""
        quiet_for = 0
        while quiet_for < 2:  # noqa: PLR2004 - the second look makes sure that nothing followed from the first
            if self._serving.done():
                await self._serving
                return
            quiet_for = quiet_for + 1 if await self._quiet() else 0
            await asyncio.sleep(0.001)

    def _busy(self) -> str:
        """What is under way, for a person who has to find out why."""
        busy = []
        for supervisor in self.hub.supervisors:
            name, worker = supervisor.service.name, supervisor.worker
            busy += [
                f"a source of {name!r} goes on" for source in supervisor.sources if not source.waits(_SOURCE_PATIENCE)
            ]
            if worker is not None and worker.lanes.in_flight:
                busy.append(f"{name!r} has {worker.lanes.in_flight} unfinished")
            elif worker is not None and (waiting := worker.assignment.waiting()):
                busy.append(f"{name!r} has {waiting} waiting in retry topics")
            elif supervisor.service.subscriptions and (worker is None or not worker.idle):
                busy.append(f"{name!r} has not joined its group")
        return ", ".join(busy)

    async def _quiet(self) -> bool:
        """Whether nothing is under way at this moment."""
        topics = await self.broker.admin.topics()
        for supervisor in self.hub.supervisors:
            if any(not source.waits(_SOURCE_PATIENCE) for source in supervisor.sources):
                return False
            if not all([await companion.idle() for companion in supervisor.companions]):
                return False
            worker = supervisor.worker
            if not supervisor.service.subscriptions:
                continue
            if worker is None or not worker.idle:
                return False
            owned = worker.assignment.partitions
            if len(owned) != sum(topics[topic].partitions for topic in supervisor.topics):
                return False
            ends = await self.broker.admin.offsets(owned)
            if any(partition.position < ends[tp].end for tp, partition in owned.items()):
                return False
        return len(self.hub.supervisors) == len(self._services)


@asynccontextmanager
async def running(
    *services: Service[Any], options: Options | None = None, patience: float = 30.0
) -> AsyncIterator[RunningHub]:
    """Run services on a memory broker and an embedded registry for the length of a test.

    It is the runtime that production has. Only waits are cut short: a retry that would come after
    a minute comes at once, and an unknown schema is not waited for.

    Args:
        services: What to run.
        options: Other options of the runtime, or None.
        patience: Seconds after which waiting for the services to catch up fails, and says what they are busy with.

    Raises:
        DeclarationError: If the services contradict each other.
        Exception: What the block raises, or what a service failed with, when the test ends.
    """
    options = options if options is not None else _HURRIED
    broker = MemoryBroker()
    hub = Hub(broker, registry="embedded", provision=True, auto_register=True, options=options)
    try:
        async with hub, asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(hub.serve(*services))
            test = RunningHub(hub, broker, services, serving, patience)
            await test.caught_up()
            yield test
            hub.stop()
    except ExceptionGroup as failures:  # a failed assertion is to be seen as such, not as a group of one
        raise failures.exceptions[0] from None


async def _decoded(reader: Reader, record: Record) -> Event | None:
    if record.value is None:
        return None
    try:
        return reader.decode(record)
    except SchemaUnresolved:
        await reader.resolve(record)
        return reader.decode(record)
