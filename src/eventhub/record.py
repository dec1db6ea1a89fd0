"""Records: bytes at an offset, read from and written to a broker.

All are named tuples rather than dataclasses: one is made for each record read or
written, and a tuple is built several times faster than a frozen dataclass.
"""

from __future__ import annotations

from typing import NamedTuple

Headers = tuple[tuple[str, bytes | None], ...]
"""Headers in the order of the record; a name may appear more than once, a value may be null."""


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Record(NamedTuple):
    """One record as it was read."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    """Seconds since the epoch, as the topic's ``message.timestamp.type`` defines them."""
    key: bytes | None
    value: bytes | None
    """The framed event, or None for a tombstone."""
    headers: Headers = ()

    @property
    def topic_partition(self) -> TopicPartition:
        """The partition that the record was read from."""
        return TopicPartition(self.topic, self.partition)

    def header(self, name: str) -> bytes | None:
        """The last value under a header name, or None; Kafka's convention is that the last one counts."""
        for header, value in reversed(self.headers):
            if header == name:
                return value
        return None


class ProducerRecord(NamedTuple):
    """One record that is to be written."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    """The partition to write to, or None to let the key decide (Kafka's murmur2)."""
    timestamp: float | None = None
    """Seconds since the epoch, or None for the time of sending."""


class RecordMetadata(NamedTuple):
    """Where an acknowledged record stands."""

    topic: str
    partition: int
    offset: int | None
    """The offset, or None when the broker recognised a repeated batch and did not say (KIP-98)."""
