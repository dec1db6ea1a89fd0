"""From events to acknowledged records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventhub.errors import BrokerError
from eventhub.event import Event, Stamp, event_key
from eventhub.headers import stamp_headers
from eventhub.record import ProducerRecord, RecordMetadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventhub.brokers.base import Producer
    from eventhub.codecs.serde import Serde


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
            value=self._serde.encode(event),
            headers=stamp_headers(stamp, info.format),
        )

    async def send(self, records: Sequence[ProducerRecord]) -> Sequence[RecordMetadata]:
        """Write records and return where they stand, in the order given.

        Raises:
            BrokerError: The first failure; ``PublishUncertain`` if records may have been written.
        """
        outcomes = await self.producer.send(records)
        for outcome in outcomes:
            if isinstance(outcome, BrokerError):
                raise outcome
        return [outcome for outcome in outcomes if isinstance(outcome, RecordMetadata)]
