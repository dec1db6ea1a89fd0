"""Records that wait in a topic of their group's own, so that nothing behind them waits with them.

A record of a topic without order is *set aside* for a long wait: written to a retry topic with what
is known of it, then finished where it stood. Whoever reads the retry topic restores it when it is
due (``Delay``). Pure: nothing here waits or asks.
"""

from __future__ import annotations

from eventhub.errors import DecodeError
from eventhub.headers import without_control
from eventhub.record import ProducerRecord, Record
from eventhub.runtime.dead_letter import Reason, first_origin, read_dead_letter, trail


def set_aside(record: Record, reason: Reason, *, topic: str, trusted: bool = False) -> ProducerRecord:
    """The record to write to a retry topic, in the partition of the same number: its bytes, and what is known of it.

    Args:
        record: The record as it was read.
        reason: What its latest attempt met.
        topic: The retry topic.
        trusted: As for ``dead_letter``.
    """
    known = read_dead_letter(record) if trusted else None
    ours = trail(reason, first_origin(record, known), known)
    headers = (*without_control(record.headers), *ours.items())
    return ProducerRecord(topic, record.key, record.value, headers, record.partition)


def restored(record: Record, topic: str) -> Record:
    """The record as it once stood on its topic, from one that was set aside or replayed by its group.

    Whoever handles it keeps the record itself as well: its offset is the one to commit, and its headers go
    into a dead letter.

    Raises:
        DecodeError: If it does not say where on that topic it stood.
    """
    origin = read_dead_letter(record).origin
    if origin is None or origin.topic != topic:
        msg = f"no record of topic {topic!r} that came back: its headers do not say where on that topic it stood"
        raise DecodeError(msg, record=record)
    return record._replace(
        topic=origin.topic,
        partition=origin.partition,
        offset=origin.offset,
        timestamp=record.timestamp if origin.timestamp is None else origin.timestamp,
        headers=without_control(record.headers),
    )
