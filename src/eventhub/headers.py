"""The header names that eventhub reads and writes, and how their values are written.

Events carry their stamp as CloudEvents attributes in Kafka's binary mode
(CloudEvents 1.0, Kafka protocol binding section 3.2): header names with ``ce_``,
values as UTF-8. Headers of eventhub itself begin with ``eventhub-``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from eventhub.event import Format, Stamp

if TYPE_CHECKING:
    from eventhub.record import Headers, Record

ID = "ce_id"
TIME = "ce_time"
SOURCE = "ce_source"
TYPE = "ce_type"
SPEC_VERSION = "ce_specversion"
CORRELATION = "ce_correlationid"
CAUSATION = "ce_causationid"
CONTENT_TYPE = "content-type"
TRACE = ("traceparent", "tracestate")

CONTROL_PREFIX = "eventhub-"
"""Headers under this prefix are obeyed only on topics that the reading group owns."""

ORIGIN_TOPIC = "eventhub-origin-topic"
ORIGIN_PARTITION = "eventhub-origin-partition"
ORIGIN_OFFSET = "eventhub-origin-offset"
ORIGIN_TIMESTAMP = "eventhub-origin-timestamp"
ORIGIN_GROUP = "eventhub-origin-group"
HANDLER = "eventhub-handler"
ATTEMPT = "eventhub-attempt"
FIRST_FAILURE_AT = "eventhub-first-failure-at"
FAILED_AT = "eventhub-failed-at"
ERROR_STAGE = "eventhub-error-stage"
ERROR_TYPE = "eventhub-error-type"
ERROR_MESSAGE = "eventhub-error-message"
ERROR_STACK = "eventhub-error-stack"
REPLAY_ID = "eventhub-replay-id"
REPLAY_COUNT = "eventhub-replay-count"
VALUE_REFERENCE = "eventhub-value-reference"
"""Says that the value is not the record's own but JSON that tells where it is; its value names the digest in it."""

_CONTENT_TYPES = {
    Format.AVRO: b"application/avro",
    Format.JSON_SCHEMA: b"application/json",
    Format.PROTOBUF: b"application/protobuf",
}
_FIRST_TIME = datetime(1, 1, 1, tzinfo=UTC).timestamp()
_LAST_TIME = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
_MAX_ATTRIBUTE_BYTES = 1024  # a longer attribute is foreign and not worth copying along every chain


def stamp_headers(stamp: Stamp, form: Format) -> Headers:
    """The headers of an event with this stamp."""
    headers = [
        (SPEC_VERSION, b"1.0"),
        (ID, stamp.id.encode()),
        (SOURCE, stamp.source.encode()),
        (TYPE, stamp.type.encode()),
        (TIME, time_text(stamp.time).encode()),
        (CORRELATION, stamp.correlation.encode()),
        (CONTENT_TYPE, _CONTENT_TYPES[form]),
    ]
    if stamp.causation is not None:
        headers.append((CAUSATION, stamp.causation.encode()))
    return (*headers, *stamp.trace)


def read_stamp(record: Record, name: str) -> Stamp:
    """The stamp of a record whose event has this name.

    What a foreign producer left out is filled in: the id is ``topic/partition/offset``, the
    time is the record's, the source its topic. Attributes that are no UTF-8, or longer than
    1 KiB, count as left out.
    """
    found: dict[str, str] = {}
    trace: list[tuple[str, bytes]] = []
    for header, value in record.headers:
        if value is None or len(value) > _MAX_ATTRIBUTE_BYTES:
            continue
        if header in TRACE:
            trace.append((header, value))
        elif header.startswith("ce_"):
            text = _text(value)
            if text:
                found[header] = text
    time = parse_time(found.get(TIME, ""))
    identity = found.get(ID) or f"{record.topic}/{record.partition}/{record.offset}"
    return Stamp(
        id=identity,
        time=time if time is not None else min(max(record.timestamp, _FIRST_TIME), _LAST_TIME),
        source=found.get(SOURCE, record.topic),
        type=found.get(TYPE, name),
        correlation=found.get(CORRELATION, identity),
        causation=found.get(CAUSATION),
        trace=tuple(trace),
    )


def without_control(headers: Headers) -> Headers:
    """The headers without those of eventhub itself, which a stranger may have written."""
    return tuple(header for header in headers if not header[0].startswith(CONTROL_PREFIX))


def time_text(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC, with microseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_time(text: str) -> float | None:
    """Seconds since the epoch of an RFC 3339 text, or None if it is none; a time without a zone means nothing.

    Nor does one that is in no year from 1 to 9999 once its zone is taken off: it could not be written again.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    seconds = moment.timestamp() if moment.tzinfo is not None else None
    return seconds if seconds is not None and _FIRST_TIME <= seconds <= _LAST_TIME else None


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
