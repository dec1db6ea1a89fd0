"""The path of a record, top to bottom: polled, decoded, handled, published, completed, committed.

``Worker._poll`` fetches, ``Lanes`` takes up record after record, ``Worker._process`` carries one
from bytes to the events that follow from it, and ``Assignment.commit`` stores how far that came.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from eventhub.codecs.serde import SchemaUnresolved
from eventhub.errors import (
    AuthorizationFailed,
    BrokerError,
    EventHubError,
    HandlerFault,
    OffsetOutOfRange,
    PublishRefused,
    RecordError,
)
from eventhub.event import Event, caused_stamp
from eventhub.handler import Context, compose
from eventhub.headers import read_stamp
from eventhub.retry import Exhausted, Fate, Retry, backoff
from eventhub.runtime.assignment import Assignment
from eventhub.runtime.attempts import Attempts
from eventhub.runtime.dead_letter import dead_letter
from eventhub.runtime.lanes import Lanes
from eventhub.service import dead_letter_topic
from eventhub.subscription import returned_events

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from eventhub.brokers.base import Broker, Consumer
    from eventhub.codecs.serde import Reader
    from eventhub.handler import Handler
    from eventhub.record import ProducerRecord, Record, TopicPartition
    from eventhub.runtime.counters import Counters
    from eventhub.runtime.options import Options
    from eventhub.runtime.partition import Partition
    from eventhub.runtime.publisher import Publisher
    from eventhub.service import Service
    from eventhub.subscription import Subscription

    Polled = Mapping[TopicPartition, Sequence[Record]]

log = structlog.get_logger()

UNDECODED = Retry()
"""What applies to records of which nobody knows yet whose they are."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a worker works with; chosen by the hub."""

    broker: Broker
    publisher: Publisher
    reader: Reader
    options: Options


@dataclass(frozen=True, slots=True)
class Plan:
    """How events of one class are handled, worked out when the worker starts."""

    function: Callable[[Event], Awaitable[object]] | None
    """The function itself, if nothing is around it and it asks for no context; None otherwise."""
    handle: Handler
    """The function in the shape of middleware, with the service's middleware around it."""
    name: str
    retry: Retry
    produces: tuple[type[Event], ...]


class Worker:
    """Handles the records of one service, until it is stopped."""

    def __init__(self, service: Service[Any], state: object, wiring: Wiring, counters: Counters) -> None:
        """Prepare to handle what the service subscribes to.

        Args:
            service: The declaration.
            state: What the service's lifespan yielded, or None.
            wiring: Broker, publisher, reader and options.
            counters: Where to count; they outlive this worker.
        """
        self._group = service.name
        self._topics = service.topics
        self._state = state
        self._wiring = wiring
        self._options = wiring.options
        self._clock = wiring.options.clock
        self._limits = service.limits
        self._plans = {event: _plan(s, service) for s in service.subscriptions for event in s.events}
        self._ordering = {event.__event__.topic: s.ordering for s in service.subscriptions for event in s.events}
        self._stopping = False
        self._denied = 0  # polls in a row that were denied
        self.counters = counters
        self.lanes = Lanes(self._process, concurrency=service.limits.concurrency, clock=self._clock)
        self.assignment = Assignment(self._group, self._ordering, self.lanes, self._options)
        self.heartbeat = self._clock.monotonic()
        """Monotonic time of the poll task's last turn."""

    # -- from the broker to the lanes -------------------------------------------------------------

    async def run(self) -> None:
        """Handle records until ``stop``; returns when everything that ran is finished and committed.

        Raises:
            BrokerError: If the client cannot go on; whoever runs the worker builds another.
        """
        consumer = self._wiring.broker.consumer(self._group, self._topics, self.assignment)
        self.assignment.use(consumer)
        await consumer.start()
        self.lanes.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                committing = tasks.create_task(self._commit_regularly())
                await self._poll(consumer)
                committing.cancel()
        except ExceptionGroup as failures:  # the first is the cause, the others its echo
            raise failures.exceptions[0] from None
        finally:
            await self._leave(consumer)

    @property
    def idle(self) -> bool:
        """Whether the group has given its share and every record that was fetched is finished."""
        return self.assignment.joined and self.lanes.hungry and self.lanes.in_flight == 0

    def stop(self) -> None:
        """Stop fetching and starting; what runs may finish within the grace."""
        self._stopping = True
        for partition in self.assignment.partitions.values():
            partition.draining = True

    def hurry(self) -> None:
        """Cancel what still runs."""
        for lane in self.lanes.lanes:
            if lane.task is not None:
                lane.task.cancel()

    async def _poll(self, consumer: Consumer) -> None:
        """Fetch what there is room for. Never cancelled, runs no handler, asks nobody but the client."""
        while not self._stopping:
            self.heartbeat = self._clock.monotonic()
            self._raise_failure(consumer)
            room = self._room()
            if room <= 0:
                await self.lanes.changed(self._options.poll_timeout)
                continue
            epoch = self.assignment.epoch
            polled = await self._fetch(consumer, room)
            if self.assignment.epoch != epoch:  # fetched for an assignment that is gone
                self.assignment.seek_again()
            elif batches := self.assignment.accept(polled):
                self.lanes.feed(batches)

    async def _fetch(self, consumer: Consumer, room: int) -> Polled:
        """Poll once; what the client reports of offsets and rights is answered here."""
        try:
            polled = await consumer.poll(
                self.assignment.askable(),
                max_records=min(room, self._options.max_poll_records),
                timeout=self._options.poll_timeout,
            )
        except OffsetOutOfRange as error:
            if self._options.fail_on_offset_reset:
                raise
            await self.assignment.reset(error.positions)
            return {}
        except AuthorizationFailed as error:
            if error.resource != "topic":  # the client never heals from a lost group right
                raise
            self._denied += 1
            log.warning("eventhub.authorization_lost", group=self._group, error=str(error))
            await self._clock.sleep(backoff(self._denied, jitter=self._options.random()))
            return {}
        self._denied = 0
        return polled

    def _room(self) -> int:
        """How many records may be fetched now; none before the last ones were taken up."""
        lanes, limits = self.lanes, self._limits
        if not lanes.hungry or lanes.in_flight_bytes >= limits.max_in_flight_bytes:
            return 0
        if (
            lanes.parked_keys >= self._options.max_parked_keys
            or lanes.parked_records >= self._options.max_parked_records
        ):
            return 0
        room = limits.max_in_flight - (lanes.in_flight - lanes.parked_records)
        return room if room >= limits.max_in_flight // 4 else 0  # refill at 75 %, not record by record

    def _raise_failure(self, consumer: Consumer) -> None:
        """Raise what a part of the client or of the worker died of without saying so."""
        for failure in (self.lanes.failure, self.assignment.failure, consumer.failure()):
            if failure is not None:
                raise failure

    # -- one record -------------------------------------------------------------------------------

    async def _process(self, record: Record, partition: Partition) -> None:
        """Take one record from bytes to the events that follow from it, whatever that needs.

        This is the one place that catches whatever a handler raises. Only our own cancellation
        and the interpreter's exits go on.
        """
        attempts: Attempts | None = None
        while True:
            try:
                event = self._decode(record)
                if event is None:
                    return
                plan = self._plans[type(event)]
                simple = plan.function
                returned = await (
                    simple(event) if simple else plan.handle(self._context(event, record, plan, attempts))
                )
                if returned is not None:
                    await self._publish(returned_events(returned), record, event, plan)
                self.counters.handled += 1
            except BaseException as error:
                if _goes_on(error):
                    raise
                attempts = await self._recover(record, partition, error, attempts)
                if attempts is None:
                    return
            else:
                return

    def _decode(self, record: Record) -> Event | None:
        """The event in a record, or None if there is nothing to handle."""
        if record.value is None:
            self.counters.tombstones += 1
            return None
        event = self._wiring.reader.decode(record)
        if event is None:
            self.counters.unknown += 1
        return event

    def _context(self, event: Event, record: Record, plan: Plan, attempts: Attempts | None) -> Context[Any]:
        attempt = 1 if attempts is None else attempts.attempt
        return Context(event, record, self._state, self._group, plan.name, attempt)

    async def _publish(self, returned: Sequence[Event], record: Record, cause: Event, plan: Plan) -> None:
        """Publish what a handler returned; what the broker did not take is sent again with the same ids."""
        stamp = read_stamp(record, cause.__event__.name)
        due: list[ProducerRecord] = []
        for position, event in enumerate(returned):
            if type(event) not in plan.produces:
                msg = (
                    f"handler {plan.name!r} returned {type(event).__name__}, which its return annotation does not name"
                )
                raise HandlerFault(msg, record=record)
            caused = caused_stamp(stamp, event, service=self._group, handler=plan.name, position=position)
            due.append(self._wiring.publisher.record(event, caused))
        await self._send(due)
        self.counters.published += len(returned)

    async def _send(self, due: Sequence[ProducerRecord]) -> None:
        """Send until all is acknowledged.

        Raises:
            PublishRefused: If the broker will never take one of the records.
        """
        failures = 0
        while True:
            outcomes = await self._wiring.publisher.producer.send(due)
            refused = next((outcome for outcome in outcomes if isinstance(outcome, PublishRefused)), None)
            if refused is not None:
                raise refused
            failed = [outcome for outcome in outcomes if isinstance(outcome, BrokerError)]
            if not failed:
                return
            due = [sent for sent, outcome in zip(due, outcomes, strict=True) if isinstance(outcome, BrokerError)]
            failures += 1
            log.warning("eventhub.publish_failed", group=self._group, topic=due[0].topic, error=str(failed[0]))
            await self.lanes.rest(backoff(failures, jitter=self._options.random()))

    # -- a record that failed ---------------------------------------------------------------------

    async def _recover(
        self, record: Record, partition: Partition, error: BaseException, attempts: Attempts | None
    ) -> Attempts | None:
        """Wait for the next attempt and return what is known of the failure, or None once the record is done with."""
        if attempts is None:
            attempts = Attempts(partition.offsets.attempts(record.offset) + 1, self._clock)
        if isinstance(error, SchemaUnresolved):
            unresolved = await self._resolve(record)
            if unresolved is None:
                return attempts
            error = unresolved
        attempts.error = error
        plan = self._plan_of(record)
        retry = plan.retry if plan is not None else UNDECODED
        match attempts.fate(retry, self._options.schema_grace):
            case Fate.IGNORE:
                self.counters.ignored += 1
                return None
            case Fate.DEAD_LETTER:
                await self._give_up(record, plan, attempts)
                return None
            case Fate.PAUSE:
                wait = attempts.pause(self._options.random())
            case Fate.RETRY:
                partition.offsets.failed(record.offset, attempts.attempt)
                wait = attempts.retry(retry, self._options.random())
        log.info(
            "eventhub.record_retried",
            topic=record.topic, partition=record.partition, offset=record.offset, group=self._group,
            attempt=attempts.attempt, wait=round(wait, 3), error=type(error).__name__,
        )  # fmt: skip
        await self.lanes.rest(wait)
        self.counters.retried += 1
        return attempts

    async def _resolve(self, record: Record) -> EventHubError | None:
        """Fetch the schema of a record; returns what prevented it, or None."""
        try:
            await self._wiring.reader.resolve(record)
        except EventHubError as error:
            return error
        return None

    async def _give_up(self, record: Record, plan: Plan | None, attempts: Attempts) -> None:
        """Put the record into its dead-letter topic; never returns before the broker has it."""
        facts = {
            "topic": record.topic, "partition": record.partition, "offset": record.offset, "group": self._group,
            "attempt": attempts.attempt, "stage": attempts.stage, "error": type(attempts.error).__name__,
        }  # fmt: skip
        if plan is not None and plan.retry.exhausted is Exhausted.HALT_KEY:
            log.error("eventhub.key_halted", **facts)
            await self.lanes.rest(math.inf)
        reason = attempts.reason(self._group, plan.name if plan is not None else None)
        letter = dead_letter(record, reason, topic=dead_letter_topic(record.topic, self._group))
        await self._send([letter])
        self.counters.dead_lettered += 1
        log.warning("eventhub.record_dead_lettered", **facts)

    def _plan_of(self, record: Record) -> Plan | None:
        """How the record would be handled, or None while it cannot be decoded."""
        try:
            event = self._wiring.reader.decode(record) if record.value is not None else None
        except (RecordError, SchemaUnresolved):
            return None
        return self._plans.get(type(event)) if event is not None else None

    # -- commits, and the end ---------------------------------------------------------------------

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._options.commit_interval)
            await self.assignment.commit()

    async def _leave(self, consumer: Consumer) -> None:
        """Drain, commit and leave the group."""
        partitions = list(self.assignment.partitions.values())
        await self.lanes.drain(partitions, self._options.stop_grace)
        await self.assignment.commit(partitions)
        await self.lanes.stop()
        await consumer.stop()


def _plan(subscription: Subscription[..., Any, Any], service: Service[Any]) -> Plan:
    return Plan(
        function=None if subscription.takes_context or service.middleware else subscription.function,
        handle=compose(subscription.handler, service.middleware),
        name=subscription.name,
        retry=subscription.retry,
        produces=subscription.produces,
    )


def _goes_on(error: BaseException) -> bool:
    """Whether an error ends more than the record: the interpreter's exits, and our own cancellation.

    A handler may raise ``CancelledError`` by itself, when what it waits for was cancelled; that is its failure.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    return isinstance(error, (KeyboardInterrupt, SystemExit))
