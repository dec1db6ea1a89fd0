"""From events to acknowledged records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from eventhub.errors import BrokerError, HandlerFault, PublishRefused
from eventhub.event import Event, Stamp, caused_stamp, event_key, is_tombstone
from eventhub.headers import stamp_headers
from eventhub.record import ProducerRecord, RecordMetadata
from eventhub.retry import backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from eventhub.brokers.base import Producer
    from eventhub.codecs.serde import Serde
    from eventhub.subscription import Subscription

    Rest = Callable[[float], Awaitable[None]]

log = structlog.get_logger()


class Publisher:
    """Writes events with their stamps through one producer."""

    def __init__(self, producer: Producer, serde: Serde) -> None:
        """Write through this producer, in the formats that the serde prepared."""
        self.producer = producer
        self._serde = serde

    def record(self, event: Event, stamp: Stamp) -> ProducerRecord:
        """The event as a record.

        Raises:
            SchemaMismatch: If a value has no place in the schema.
            DeclarationError: If the event's class was not prepared.
        """
        info = event.__event__
        return ProducerRecord(
            topic=info.topic,
            key=event_key(event),
            value=None if is_tombstone(type(event)) else self._serde.encode(event),
            headers=stamp_headers(stamp, info.format) + self._serde.headers(type(event)),
        )

    def following(
        self, subscription: Subscription[..., Any, Any], service: str, cause: Stamp, returned: Sequence[Event]
    ) -> list[ProducerRecord]:
        """The records of what a handler returned; a handler that runs twice for one cause gives them the same ids.

        Raises:
            HandlerFault: If an event is of a class that the handler's return annotation does not name.
            SchemaMismatch: If a value has no place in the schema.
        """
        records: list[ProducerRecord] = []
        for position, event in enumerate(returned):
            if type(event) not in subscription.produces:
                name = type(event).__name__
                msg = f"handler {subscription.name!r} returned {name}, which its return annotation does not name"
                raise HandlerFault(msg)
            stamp = caused_stamp(cause, event, service=service, handler=subscription.name, position=position)
            records.append(self.record(event, stamp))
        return records

    async def send(self, records: Sequence[ProducerRecord]) -> Sequence[RecordMetadata]:
        """Write records once and return where they stand, in the order given.

        Raises:
            BrokerError: The first failure; ``PublishUncertain`` if records may have been written.
        """
        outcomes = await self.producer.send(records)
        for outcome in outcomes:
            if isinstance(outcome, BrokerError):
                raise outcome
        return [outcome for outcome in outcomes if isinstance(outcome, RecordMetadata)]

    async def deliver(
        self,
        records: Sequence[ProducerRecord],
        rest: Rest,
        jitter: Callable[[], float],
        *,
        final: tuple[type[BrokerError], ...] = (PublishRefused,),
    ) -> None:
        """Write records until the broker has all of them, resting between failures; ids stay the same.

        Args:
            records: What to write.
            rest: Waits for some seconds.
            jitter: A number in 0..1.
            final: Failures after which it is not tried again.

        Raises:
            BrokerError: A failure of these: ``PublishRefused`` if the broker will never take one of the records.
        """
        failures = 0
        while records:
            outcomes = await self.producer.send(records)
            failed = [outcome for outcome in outcomes if isinstance(outcome, BrokerError)]
            if not failed:
                return
            for outcome in failed:
                if isinstance(outcome, final):
                    raise outcome
            records = [
                sent for sent, outcome in zip(records, outcomes, strict=True) if isinstance(outcome, BrokerError)
            ]
            failures += 1
            log.warning("eventhub.publish_failed", topic=records[0].topic, records=len(records), error=str(failed[0]))
            await rest(backoff(failures, jitter=jitter()))
