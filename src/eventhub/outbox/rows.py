"""What stands in the tables, as pure functions: buckets, claims and headers."""

from __future__ import annotations

import json
import uuid
from base64 import b64decode, b64encode
from datetime import date, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any
from zlib import crc32

from eventhub.headers import ID
from eventhub.outbox.base import Claim

if TYPE_CHECKING:
    from eventhub.event import Stamp
    from eventhub.record import Headers, ProducerRecord

BUCKETS = 16
"""Buckets of a new outbox: the most relays that can share the work. Fixed when its table is made."""

_FOREIGN = uuid.UUID("6f0d1e0e-7d3c-5c63-9a53-2c1b4c1f7a11")  # the namespace of ids that are no UUIDs (RFC 9562, 5.5)
_EPOCH = date(1970, 1, 1)
_UUID_WITH_TIME = 7


def bucket_of(record: ProducerRecord, buckets: int) -> int:
    """The bucket of a record: equal for equal topic and key, spread by the event's id where there is no key."""
    part = record.key if record.key is not None else event_id(record).encode()
    return crc32(part, crc32(record.topic.encode())) % buckets


def event_id(record: ProducerRecord) -> str:
    """The id of the event in a record, or an empty text for a record that is no event."""
    for name, value in record.headers:
        if name == ID and value is not None:
            return value.decode()
    return ""


def share_of(buckets: int, relays: int) -> int:
    """How many buckets one of so many relays may own."""
    return ceil(buckets / max(1, relays))


def claim_of(stamp: Stamp, group: str, scope: str = "") -> Claim:
    """What the inbox keeps of an event: nothing in it differs between two deliveries of the event.

    The day is the uuid7's own (RFC 9562 section 5.7); another id's is that of the event's time.
    """
    try:
        identity = uuid.UUID(stamp.id)
    except ValueError:
        identity = uuid.uuid5(_FOREIGN, stamp.id)
    seconds = (identity.int >> 80) / 1000 if identity.version == _UUID_WITH_TIME else stamp.time
    return Claim(group, identity, day_of(seconds), scope)


def day_of(seconds: float) -> date:
    """The day in UTC of seconds since the epoch; a time that no calendar has counts as the first day."""
    try:
        return _EPOCH + timedelta(days=int(seconds // 86_400))
    except (OverflowError, ValueError):
        return _EPOCH


def headers_text(headers: Headers) -> str:
    """Headers as JSON that people can read: pairs of name and text; bytes that are no UTF-8 in base64 behind a null."""
    return json.dumps([_written(name, value) for name, value in headers], separators=(",", ":"), ensure_ascii=False)


def headers_from_text(text: str) -> Headers:
    """The headers that ``headers_text`` wrote."""
    return tuple((pair[0], _read(pair)) for pair in json.loads(text))


def _written(name: str, value: bytes | None) -> list[str | None]:
    if value is None:
        return [name, None]
    try:
        return [name, value.decode()]
    except UnicodeDecodeError:
        return [name, None, b64encode(value).decode()]


def _read(pair: list[Any]) -> bytes | None:
    if len(pair) > 2:  # noqa: PLR2004 - name, null and base64
        return b64decode(pair[2])
    return None if pair[1] is None else pair[1].encode()
