"""What happens to a record that failed: tried again, waited for, ignored, or dead-lettered; never lost."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import structlog

from eventhub.brokers.base import RECORD_BYTES
from eventhub.codecs.serde import SchemaUnresolved
from eventhub.errors import AuthorizationFailed, EventHubError, HandlerFault, PublishRefused
from eventhub.retry import Exhausted, Fate, Retry, backoff
from eventhub.runtime.attempts import Attempts
from eventhub.runtime.dead_letter import dead_letter, first_origin, raised_at, read_dead_letter
from eventhub.runtime.hooks import tell
from eventhub.runtime.retry_topic import restored, set_aside
from eventhub.service import dead_letter_topic, retry_topic
from eventhub.subscription import Ordering

if TYPE_CHECKING:
    from collections.abc import Hashable

    from eventhub.record import ProducerRecord, Record
    from eventhub.runtime.counters import Counters
    from eventhub.runtime.gate import Gate
    from eventhub.runtime.partition import Partition
    from eventhub.runtime.plan import Plan
    from eventhub.runtime.publisher import Rest
    from eventhub.runtime.trials import Trials
    from eventhub.runtime.wiring import Wiring

log = structlog.get_logger()

OUTAGE_STAGES = frozenset({"handle", "deadline"})
"""Where failures may be an outage's doing; what cannot be decoded or published says nothing of one."""

OUTAGE_FATES = frozenset({Fate.RETRY, Fate.EXHAUSTED, Fate.PAUSE})
"""Fates of errors that an outage may cause; one that is fatal by declaration is the record's own."""

UNDECODED = Retry()
"""What applies to records of which nobody knows yet whose they are."""


class Recovery:
    """Decides the fate of failed records of one worker and carries it out."""

    def __init__(self, group: str, wiring: Wiring, gate: Gate, rest: Rest, trials: Trials, counters: Counters) -> None:
        """Prepare to recover.

        Args:
            group: The consumer group.
            wiring: Publisher, reader and options.
            gate: Who is told of failures that may be an outage's.
            rest: Lets the record in hand wait for some seconds, its key in order.
            trials: Where records are tried alone; none is on trial while it is decided about, or rests.
            counters: Where to count.
        """
        self._group = group
        self._wiring = wiring
        self._options = wiring.options
        self._gate = gate
        self._rest = rest
        self._trials = trials
        self._counters = counters

    def resumed(self, record: Record, partition: Partition) -> Attempts | None:
        """What is known of attempts before a restart, or before the record was set aside; None if there were none."""
        if partition.delay is None and not partition.offsets.attempts(record.offset):
            return None
        self._counters.retried += 1
        return self._known(record, partition)

    def _known(self, record: Record, partition: Partition) -> Attempts:
        """What is known of the attempts at a record, made here or before it was set aside; the next is in hand."""
        made = partition.offsets.attempts(record.offset)
        if partition.delay is None:
            return Attempts(made + 1, self._options.clock)
        told = read_dead_letter(record)
        return Attempts(max(made, told.attempt or 0) + 1, self._options.clock, told.first_failure_at)

    async def recover(
        self, record: Record, partition: Partition, plan: Plan | None, error: BaseException, attempts: Attempts | None
    ) -> Attempts | None:
        """Recover from an error, whatever it is; one that cannot even be looked at is given up as a fault.

        See ``_recover`` for arguments and result.
        """
        self._trials.end()  # this attempt ended no process, nor will the rest before the next one
        try:
            again = await self._recover(record, partition, plan, error, attempts)
        except Exception as broken:  # noqa: BLE001 - an error's own attributes may raise, and must not end the service
            msg = f"what the handler raised could not be looked at, which raised {type(broken).__name__}"
            again = await self._recover(record, partition, plan, HandlerFault(msg, record=record), None)
        if again is not None:
            await self._trials.begin(record, partition)
        return again

    async def _recover(
        self, record: Record, partition: Partition, plan: Plan | None, error: BaseException, attempts: Attempts | None
    ) -> Attempts | None:
        """Wait until the record is to be tried again, or see to it that it is done with.

        Args:
            record: The record in hand.
            partition: Where it was read.
            plan: How it is handled, or None if that is not known yet.
            error: What the latest attempt met.
            attempts: What is known of earlier attempts, or None for the first.

        Returns:
            What is known of the attempts when another one is due, or None once the record is done with.

        Raises:
            CancelledError: If we cancelled the handler, whatever it made of that: this is no failure of the record.
            BaseException: The error itself, if it ends more than the record.
        """
        if (end := _end(error, partition)) is not None:
            self._gate.left()
            raise end
        attempts = attempts or self._known(record, partition)
        cause = await self._resolve(record, partition) if isinstance(error, SchemaUnresolved) else error
        if cause is None:
            return attempts
        attempts.error = cause
        attempts.handler = plan.name if plan is not None else None
        retry = plan.retry if plan is not None else UNDECODED
        match self._fate(_held_up(record, partition), attempts, retry):
            case Fate.IGNORE:
                self._counters.ignored += 1
                return None
            case Fate.FATAL | Fate.EXHAUSTED as fate:
                await self._give_up(record, partition, plan, attempts, fate)
                return None
            case Fate.PAUSE:
                wait = attempts.pause(self._options.random())
            case Fate.RETRY:
                partition.offsets.failed(record.offset, attempts.attempt)
                if plan is not None and await self._set_aside(record, partition, plan, attempts):
                    return None
                wait = attempts.retry(retry, self._options.random())
        log.info("eventhub.record_retried", **self._facts(record, attempts), wait=round(wait, 3))
        await self._rest(wait)
        self._counters.retried += 1
        return attempts

    async def _set_aside(self, record: Record, partition: Partition, plan: Plan, attempts: Attempts) -> bool:
        """Put the record into the retry topic of its next wait; False if it has to wait in its lane."""
        wait = plan.retry.long_wait_before(attempts.attempt + 1)
        if wait is None or partition.ordering is not Ordering.NONE:
            return False
        topic = retry_topic(partition.topic, self._group, wait)
        reason = attempts.reason(self._group, plan.name)
        copy = set_aside(record, reason, topic=topic, trusted=partition.origin is not None)
        final = (PublishRefused, AuthorizationFailed)  # rather than wait for the right, wait in the lane
        try:
            await self._wiring.publisher.deliver([copy], self._rest, self._options.random, final=final)
        except final as refused:
            log.warning("eventhub.set_aside_refused", **self._facts(record, attempts), to=topic, reason=str(refused))
            return False
        self._counters.set_aside += 1
        log.info("eventhub.record_set_aside", **self._facts(record, attempts), to=topic)
        return True

    def _fate(self, held_up: Hashable, attempts: Attempts, retry: Retry) -> Fate:
        """What becomes of the record, once the breaker has heard of it: in an outage nothing is given up."""
        fate = attempts.fate(retry, self._options.schema_grace)
        telling = attempts.stage in OUTAGE_STAGES and fate in OUTAGE_FATES
        if telling:
            self._gate.failed(held_up)
        self._gate.left()
        return Fate.PAUSE if telling and self._gate.shut else fate

    async def _resolve(self, record: Record, partition: Partition) -> EventHubError | None:
        """Fetch the schema of a record; returns what prevented it, or None."""
        try:  # by the topic that its schema is read for, not by the one where it came back
            await self._wiring.reader.resolve(
                record if partition.origin is None else restored(record, partition.origin)
            )
        except EventHubError as error:
            return error
        return None

    async def _halt(self, record: Record, attempts: Attempts) -> None:
        """Let the key stand still until its partition goes away or the service stops."""
        log.error("eventhub.key_halted", **self._facts(record, attempts))
        await self._rest(math.inf)

    async def _give_up(
        self, record: Record, partition: Partition, plan: Plan | None, attempts: Attempts, fate: Fate
    ) -> None:
        """Put the record into its dead-letter topic; never returns before the broker has it."""
        if fate is Fate.EXHAUSTED and plan is not None and plan.retry.exhausted is Exhausted.HALT_KEY:
            await self._halt(record, attempts)
        topic = dead_letter_topic(partition.topic, self._group)
        letter = dead_letter(
            record,
            attempts.reason(self._group, plan.name if plan is not None else None),
            topic=topic,
            trusted=partition.origin is not None,
            max_bytes=self._wiring.record_bytes.get(topic, RECORD_BYTES),
        )
        await self._deliver(letter, record, attempts)
        self._counters.dead_lettered += 1
        log.warning("eventhub.record_dead_lettered", **self._facts(record, attempts))
        tell(self._options.hooks, lambda hook: hook.on_dead_lettered(self._group, record, attempts.error))

    async def _deliver(self, letter: ProducerRecord, record: Record, attempts: Attempts) -> None:
        """Write a dead letter, however long the broker refuses it: its record is not skipped."""
        refusals = 0
        while True:
            try:
                await self._wiring.publisher.deliver([letter], self._rest, self._options.random)
            except PublishRefused as refused:
                refusals += 1
                log.error("eventhub.dead_letter_refused", **self._facts(record, attempts), reason=str(refused))  # noqa: TRY400 - the reason says it all
                await self._rest(backoff(refusals, jitter=self._options.random()))
            else:
                return

    def _facts(self, record: Record, attempts: Attempts) -> dict[str, object]:
        """What every log line about the record says; never its key, its value or an error's text."""
        return {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "group": self._group,
            "attempt": attempts.attempt,
            "stage": attempts.stage,
            "handler": attempts.handler,
            "error": type(attempts.error).__name__,
            "raised_at": raised_at(attempts.error),
        }


def _held_up(record: Record, partition: Partition) -> Hashable:
    """What the record holds up if it is poison: its key, its partition, or nothing but itself."""
    match partition.ordering:
        case _ if partition.one_by_one:
            return partition.topic_partition
        case Ordering.KEY if record.key is not None:
            return record.key
        case Ordering.NONE:  # the same record, also where it waited between two attempts
            origin = first_origin(record, read_dead_letter(record) if partition.origin is not None else None)
            return origin.topic, origin.partition, origin.offset
        case _:
            return partition.topic_partition


def _end(error: BaseException, partition: Partition) -> BaseException | None:
    """What ends more than the record, or None: the interpreter's exits, and our own cancellation.

    Cleaning up after our cancellation may fail, as it does in database clients, so what the handler raised then
    says nothing. A handler may raise ``CancelledError`` by itself, when what it waits for was cancelled; that is
    its failure.
    """
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return error
    task = asyncio.current_task()
    if not partition.draining or task is None or task.cancelling() == 0:
        return None
    return error if isinstance(error, asyncio.CancelledError) else asyncio.CancelledError()
