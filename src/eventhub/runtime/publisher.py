"""From events to acknowledged records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from eventhub.errors import BrokerError, PublishRefused
from eventhub.event import Event, Stamp, event_key, is_tombstone
from eventhub.headers import stamp_headers
from eventhub.record import ProducerRecord, RecordMetadata
from eventhub.retry import backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from eventhub.brokers.base import Producer
    from eventhub.codecs.serde import Serde

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
            headers=stamp_headers(stamp, info.format),
        )

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

    async def deliver(self, records: Sequence[ProducerRecord], rest: Rest, jitter: Callable[[], float]) -> None:
        """Write records until the broker has all of them, resting between failures; ids stay the same.

        Raises:
            PublishRefused: If the broker will never take one of them.
        """
        failures = 0
        while True:
            outcomes = await self.producer.send(records)
            failed = [outcome for outcome in outcomes if isinstance(outcome, BrokerError)]
            if not failed:
                return
            for outcome in failed:
                if isinstance(outcome, PublishRefused):
                    raise outcome
            records = [
                sent for sent, outcome in zip(records, outcomes, strict=True) if isinstance(outcome, BrokerError)
            ]
            failures += 1
            log.warning("eventhub.publish_failed", topic=records[0].topic, records=len(records), error=str(failed[0]))
            await rest(backoff(failures, jitter=jitter()))
