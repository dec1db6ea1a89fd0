"""The path of a record, top to bottom: polled, decoded, handled, published, completed, committed.

``Worker._poll`` fetches, ``Lanes`` takes up record after record, ``Worker._process`` carries one
from bytes to the events that follow from it, and ``Assignment.commit`` stores how far that came.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from eventhub.errors import (
    AuthorizationFailed,
    BrokerError,
    CrashPoison,
    OffsetOutOfRange,
    RecordUnreadable,
)
from eventhub.event import Event, is_tombstone
from eventhub.handler import Context
from eventhub.headers import read_stamp
from eventhub.retry import backoff
from eventhub.runtime.assignment import Assignment
from eventhub.runtime.attempts import Attempts
from eventhub.runtime.breaker import Breaker
from eventhub.runtime.channels import channels
from eventhub.runtime.deadlines import Deadlines
from eventhub.runtime.gate import Gate
from eventhub.runtime.grace import pause
from eventhub.runtime.health import Snapshot
from eventhub.runtime.hooks import tell
from eventhub.runtime.lanes import Lanes
from eventhub.runtime.plan import Plan, make_plan
from eventhub.runtime.recovery import Recovery
from eventhub.runtime.retry_topic import restored
from eventhub.runtime.trials import Trials
from eventhub.runtime.watchdog import Signs, diagnosis, report_stuck
from eventhub.subscription import returned_events

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection, Mapping, Sequence

    from eventhub.brokers.base import Consumer
    from eventhub.record import Record, TopicPartition
    from eventhub.runtime.counters import Counters
    from eventhub.runtime.partition import Lane, Partition
    from eventhub.runtime.wiring import Wiring
    from eventhub.service import Service

    Polled = Mapping[TopicPartition, Sequence[Record]]

log = structlog.get_logger()

WATCH_TICK = 1.0  # seconds between two looks at the signs
DEADLINE_TICK = 0.05  # seconds between two looks at the deadlines: how much later than said a handler is cancelled


class Worker:
    """Handles the records of one service, until it is stopped."""

    def __init__(
        self,
        service: Service[Any],
        state: object,
        wiring: Wiring,
        counters: Counters,
        stubborn: Collection[Lane] = (),
    ) -> None:
        """Prepare to handle what the service subscribes to.

        Args:
            service: The declaration.
            state: What the service's lifespan yielded, or None.
            wiring: Broker, publisher, reader and options.
            counters: Where to count; they outlive this worker.
            stubborn: Lanes of workers before, whose keys wait until their handlers have ended.
        """
        self._group = service.name
        self._channels = channels(service, wiring.record_bytes)
        self._decode = wiring.reader.decode
        self._state = state
        self._wiring = wiring
        self._options = wiring.options
        self._clock = wiring.options.clock
        self._limits = service.limits
        self._refill_at = service.limits.max_in_flight * 3 // 4  # not record by record
        self._deadlines = Deadlines(self._clock)
        self._tombstones: dict[str, Any] = {
            event.__event__.topic: event for event in service.reads if is_tombstone(event)
        }
        self._stopping = asyncio.Event()
        self._announced = 0  # the assignment whose start was committed
        self._denied = 0  # polls in a row that were denied
        self._paused_for: str | None = None
        self.counters = counters
        self.lanes = Lanes(self._take, concurrency=self._limits.concurrency, clock=self._clock, stubborn=stubborn)
        self._plans = {
            event: make_plan(s, service, self._deadlines, wiring.publisher, self.lanes.aside)
            for s in service.subscriptions
            for event in s.events
        }
        self.assignment = Assignment(self._group, self._channels, self.lanes, self._options)
        self._trials = Trials(self.lanes, self.assignment.commit)
        self.gate = Gate(self._group, Breaker(self._options.breaker), self._trials.rest, self._clock)
        self._recovery = Recovery(self._group, wiring, self.gate, self.lanes.rest, self._trials, counters)
        self.heartbeat = self._clock.monotonic()
        """Monotonic time of the poll task's last turn."""

    # -- from the broker to the lanes -------------------------------------------------------------

    async def run(self) -> None:
        """Handle records until ``stop``; returns when everything that ran is finished and committed.

        Raises:
            BrokerError: If the client cannot go on; whoever runs the worker builds another.
        """
        consumer = self._wiring.broker.consumer(self._group, tuple(self._channels), self.assignment)
        self.assignment.use(consumer)
        await consumer.start()
        self.lanes.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                regularly = (self._commit_regularly(), self._enforce_deadlines(), self._watch())
                beside = [tasks.create_task(task) for task in regularly]
                await self._poll(consumer)
                for task in beside:
                    task.cancel()
        except ExceptionGroup as failures:  # the first is the cause, the others its echo
            raise failures.exceptions[0] from None
        except asyncio.CancelledError:
            self.lanes.hurry()
            raise
        finally:
            await self._leave_to_the_end(consumer)
        if self.lanes.failure is not None:  # it came too late for the poll task to see it
            raise self.lanes.failure

    @property
    def idle(self) -> bool:
        """Whether the group has given its share and every record that was fetched is finished."""
        return self.assignment.joined and self.lanes.hungry and self.lanes.in_flight == 0

    def stop(self) -> None:
        """Stop fetching and starting; what runs may finish within the grace."""
        self._stopping.set()
        for partition in self.assignment.partitions.values():
            partition.draining = True

    def hurry(self) -> None:
        """Cancel what still runs."""
        self.lanes.hurry()

    async def _poll(self, consumer: Consumer) -> None:
        """Fetch what there is room for. Never cancelled, runs no handler, asks nobody but the client."""
        while not self._stopping.is_set():
            self.heartbeat = self._clock.monotonic()
            self._raise_failure(consumer)
            room = self._room()
            if room <= 0:
                self.assignment.asked.clear()
                await self.lanes.room(self._refill_at, self._options.poll_timeout)
                continue
            epoch = self.assignment.epoch
            if epoch != self._announced:  # a process that dies from now on is counted
                await self.assignment.commit()
                self._announced = epoch
            polled = await self._fetch(consumer, room)
            if self.assignment.epoch != epoch:  # fetched for an assignment that is gone
                self.assignment.seek_again()
            elif batches := self.assignment.accept(polled):
                await self.assignment.announce(batches)
                self.lanes.feed(batches)

    async def _fetch(self, consumer: Consumer, room: int) -> Polled:
        """Poll once; what the client reports of offsets and rights is answered here."""
        most = min(room, self._options.max_poll_records)
        try:
            polled = await consumer.poll(self.assignment.ask(), max_records=most, timeout=self._options.poll_timeout)
        except OffsetOutOfRange as error:
            if self._options.fail_on_offset_reset:
                error.retriable = False  # the next consumer would meet the same
                raise
            await self.assignment.reset(error.positions)
            return {}
        except RecordUnreadable:
            await self.assignment.read_apart(most)
            return {}
        except AuthorizationFailed as error:
            if error.resource != "topic":  # the client never heals from a lost group right
                raise
            self._denied += 1
            log.warning("eventhub.authorization_lost", group=self._group, error=str(error))
            await pause(self._stopping, backoff(self._denied, jitter=self._options.random()))
            return {}
        self._denied = 0
        return polled

    def _room(self) -> int:
        """How many records may be fetched now; none before the last ones were taken up."""
        lanes, limits = self.lanes, self._limits
        paused = self._paused()
        if paused != self._paused_for:
            self._paused_for = paused
            if paused is not None:
                log.warning("eventhub.paused", group=self._group, reason=paused)
                tell(self._options.hooks, lambda hook: hook.on_paused(self._group, paused))
        if paused is not None or not lanes.hungry or lanes.in_flight_bytes >= limits.max_in_flight_bytes:
            return 0
        room = limits.max_in_flight - (lanes.in_flight - lanes.parked_records)
        return room if room >= limits.max_in_flight - self._refill_at else 0

    def _paused(self) -> str | None:
        """Why nothing is fetched for the time being, or None."""
        lanes, options = self.lanes, self._options
        full = lanes.parked_keys >= options.max_parked_keys or lanes.parked_records >= options.max_parked_records
        return "parked" if full else None

    def _raise_failure(self, consumer: Consumer) -> None:
        """Raise what a part of the client or of the worker died of without saying so."""
        for failure in (self.lanes.failure, self.assignment.failure, consumer.failure()):
            if failure is not None:
                raise failure

    # -- one record -------------------------------------------------------------------------------

    def _take(self, record: Record, partition: Partition) -> Awaitable[None]:
        """Process a record, alone and marked where processes keep dying."""
        return self._try_alone(record, partition) if partition.careful else self._process(record, partition)

    async def _try_alone(self, record: Record, partition: Partition) -> None:
        """Process a record on trial, or give it up if it was on trial when the last process died."""
        if record.offset == partition.killer:
            msg = "processes kept dying here, the last one while it tried this record alone"
            await self._recovery.recover(record, partition, None, CrashPoison(msg, record=record), None)
            return
        try:
            await self._trials.begin(record, partition)
            await self._process(record, partition)
        finally:
            self._trials.end()

    async def _process(self, record: Record, partition: Partition) -> None:
        """Take one record from bytes to the events that follow from it, whatever that needs.

        This is the one place that catches whatever a handler raises; ``Recovery`` lets go on only
        our own cancellation and the interpreter's exits.
        """
        plan: Plan | None = None
        tried = partition.delay is not None or partition.offsets.tried_before
        attempts = self._recovery.resumed(record, partition) if tried else None
        while True:
            try:
                original = record if partition.origin is None else restored(record, partition.origin)
                event = self._decode(original) if original.value is not None else self._tombstone(original)
                if event is None:
                    self.counters.unknown += original.value is not None
                    return
                if self.gate.shut:  # after decoding: a probe that has yet to fetch its schema would wait for itself
                    await self.gate.enter(failed_before=attempts is not None)
                plan = self._plans[type(event)]
                function = plan.function
                returned = await (function(event) if function else self._handle(plan, event, original, attempts))
                if returned is not None:
                    await self._publish(returned_events(returned), original, event, plan)
                self._handled()
            except BaseException as error:  # noqa: BLE001 - whatever it is, somebody has to decide the record's fate
                attempts = await self._recovery.recover(record, partition, plan, error, attempts)
                if attempts is None:
                    return
            else:
                return

    def _tombstone(self, record: Record) -> Event | None:
        """The tombstone in a record without a value, if the service asks for those of the topic."""
        self.counters.tombstones += 1
        asked = self._tombstones.get(record.topic)
        return asked(key=record.key) if asked is not None and record.key is not None else None

    def _handle(self, plan: Plan, event: Event, record: Record, attempts: Attempts | None) -> Awaitable[object]:
        """Call the handler in its context, with what is around it."""
        attempt = 1 if attempts is None else attempts.attempt
        return plan.handle(Context(event, record, self._state, self._group, plan.name, attempt, None, plan.follow))

    def _handled(self) -> None:
        self.counters.handled += 1
        if self.gate.suspicious:
            self.gate.succeeded()

    async def _publish(self, returned: Sequence[Event], record: Record, cause: Event, plan: Plan) -> None:
        """Publish what a handler returned; what the broker did not take is sent again with the same ids."""
        due = plan.follow(read_stamp(record, cause.__event__.name), returned)
        await self._wiring.publisher.deliver(due, self._trials.rest, self._options.random)
        self.counters.published += len(returned)

    # -- commits, and the end ---------------------------------------------------------------------

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._options.commit_interval)
            await self.assignment.commit()

    async def _enforce_deadlines(self) -> None:
        while True:
            await asyncio.sleep(DEADLINE_TICK)
            self._deadlines.enforce()

    async def _watch(self) -> None:
        """Look at the signs every second, and end the worker when its client is dead without saying so."""
        warned: set[Lane] = set()
        while True:
            await asyncio.sleep(WATCH_TICK)
            found = diagnosis(self._signs(), self._options.patience)
            if found is not None:
                raise BrokerError(found)
            now = self._clock.monotonic()
            stuck = {lane for lane in self.lanes.lanes if now - lane.since > self._options.patience.stuck}
            for lane in stuck - warned:
                report_stuck(lane, self._group, now)
            warned = stuck

    def _signs(self) -> Signs:
        now = self._clock.monotonic()
        unjoined_since = self.assignment.unjoined_since
        return Signs(
            heartbeat_age=now - self.heartbeat,
            unjoined_for=now - unjoined_since if unjoined_since is not None else 0.0,
            silence=self.assignment.silence(),
            commits_failed=self.assignment.commits_failed,
        )

    def snapshot(self) -> Snapshot:
        """What the worker is doing at this moment."""
        now, lanes, counters = self._clock.monotonic(), self.lanes, self.counters
        partitions = self.assignment.partitions.values()
        return Snapshot(
            group=self._group,
            joined=self.assignment.joined,
            partitions=len(partitions),
            rebalances=self.assignment.rebalances(now),
            heartbeat_age=now - self.heartbeat,
            in_flight=lanes.in_flight,
            in_flight_bytes=lanes.in_flight_bytes,
            running=lanes.running,
            parked_keys=lanes.parked_keys,
            parked_records=lanes.parked_records,
            head_age=max((now - lane.since for lane in lanes.lanes), default=0.0),
            unreadable=sum(partition.unreadable for partition in partitions),
            lag=self.assignment.lag(),
            waiting=self.assignment.waiting(),
            withheld=self.assignment.withheld(),
            uncommitted=sum(p.offsets.next - p.committed.offset for p in partitions if p.committed is not None),
            breaker=self.gate.state,
            stale=lanes.stale,
            commits_failed=self.assignment.commits_failed,
            counted=replace(counters),
        )

    async def _leave_to_the_end(self, consumer: Consumer) -> None:
        """Leave, only faster when cancelled meanwhile: a member that never left would keep its partitions unread."""
        leaving = asyncio.ensure_future(self._leave(consumer))  # shielded, so that it outlives a cancellation
        try:
            await asyncio.shield(leaving)
        except asyncio.CancelledError:
            self.lanes.hurry()
            await leaving
            raise

    async def _leave(self, consumer: Consumer) -> None:
        """Drain, commit and leave the group."""
        partitions = list(self.assignment.partitions.values())
        grace = self._options.stop_grace if self._stopping.is_set() else self._options.drain_grace
        await self.lanes.drain(partitions, grace)
        await self.assignment.give_up(partitions)
        await self.lanes.stop()
        await consumer.stop()
