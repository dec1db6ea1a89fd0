"""Dead letters: a record that was given up, as it was, with headers that say why.

Key, value and headers are the original bytes, so that a letter can be replayed. Nothing of
the payload gets into the headers that are added: validation errors are shown without their
inputs, stacks without source lines and without the texts of causes. The text of any other
error is its author's, who must not put secrets into it.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from traceback import walk_tb
from typing import NamedTuple

from pydantic import ValidationError

from eventhub import headers as names
from eventhub.headers import parse_time, time_text, without_control
from eventhub.record import ProducerRecord, Record

_MESSAGE_BYTES = 1024
_STACK_BYTES = 8 * 1024
_TEXT_BYTES = 256  # any other header; with the two above all of ours stay below 16 KiB
_MAX_ERRORS = 16  # causes of causes in one stack
_MAX_FRAMES = 32  # the innermost frames of each
_LOGGED_FRAMES = 3  # of them in a line of a log: a handler and what it called
_DIGITS = 19  # of the largest offset

# Kafka's record format v2: a batch's header, and the largest that lengths and deltas can be.
_BATCH_BYTES = 61
_RECORD_BYTES = 36
_HEADER_BYTES = 10


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a record is given up."""

    group: str
    """The service that gave it up."""
    handler: str | None
    """The handler's name, or None where no handler was reached."""
    attempt: int
    """The number of attempts that were made."""
    error: BaseException
    """What the last of them raised."""
    stage: str
    """Where: decode, validate, handle, publish, crash or deadline."""
    first_failure_at: float
    """When the first attempt failed, in seconds since the epoch."""
    failed_at: float
    """When the last attempt failed, in seconds since the epoch."""


class Origin(NamedTuple):
    """Where a record stood before it was set aside."""

    topic: str
    partition: int
    offset: int
    timestamp: float | None
    """Its timestamp in seconds since the epoch, or None where it is no date."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What the headers of a record say about its failure; None where they say nothing that can be read."""

    record: Record = field(repr=False)  # its bytes belong into no log
    """The record as it lies in the topic."""
    origin: Origin | None
    """Where it was read when it failed first."""
    group: str | None
    """The service that gave it up."""
    handler: str | None
    """The handler's name."""
    attempt: int | None
    """The number of attempts that were made."""
    first_failure_at: float | None
    """When the first attempt failed, in seconds since the epoch."""
    failed_at: float
    """When the last attempt failed, in seconds since the epoch, or else when the record was written."""
    stage: str | None
    """Where it failed: decode, validate, handle, publish, crash or deadline."""
    error_type: str | None
    """The qualified name of the error's class."""
    error_message: str | None
    """The error's text, without anything of the payload."""
    error_stack: str | None
    """The frames of the error and its causes, innermost first."""
    replay_id: str | None
    """The replay that it came from, if it failed again."""
    replay_count: int
    """How often it was replayed."""
    is_reference: bool
    """Whether the value was too large and is only referred to."""


def dead_letter(
    record: Record, reason: Reason, *, topic: str, trusted: bool = False, max_bytes: int = 1024 * 1024
) -> ProducerRecord:
    """The record to write to a dead-letter topic, in the partition of the same number.

    Args:
        record: The record as it was read.
        reason: Why it is given up.
        topic: The dead-letter topic.
        trusted: Whether the record was read from a topic of the group itself, whose headers tell
            where it came from. Those of a stranger are dropped.
        max_bytes: What the topic takes. A letter that is larger loses its stack, then its message,
            then its value, which is replaced by a reference to the origin, and last its key and
            original headers.
    """
    known = read_dead_letter(record) if trusted else None
    origin = first_origin(record, known)
    ours = trail(reason, origin, known) | _error_headers(reason)
    letters = _ever_smaller(record, topic, ours, origin)
    letter = next(letters)
    while _size_bytes(letter) > max_bytes and (smaller := next(letters, None)) is not None:
        letter = smaller
    return letter


def read_dead_letter(record: Record) -> DeadLetter:
    """What a record's headers say about its failure; whatever is missing or makes no sense is left out."""
    found = dict(record.headers)
    topic, partition, offset = (
        _text(found, names.ORIGIN_TOPIC),
        _number(found, names.ORIGIN_PARTITION),
        _number(found, names.ORIGIN_OFFSET),
    )
    origin = None
    if topic is not None and partition is not None and offset is not None:
        origin = Origin(topic, partition, offset, _time(found, names.ORIGIN_TIMESTAMP))
    failed_at = _time(found, names.FAILED_AT)
    return DeadLetter(
        record=record,
        origin=origin,
        group=_text(found, names.ORIGIN_GROUP),
        handler=_text(found, names.HANDLER),
        attempt=_number(found, names.ATTEMPT),
        first_failure_at=_time(found, names.FIRST_FAILURE_AT),
        failed_at=failed_at if failed_at is not None else record.timestamp,
        stage=_text(found, names.ERROR_STAGE),
        error_type=_text(found, names.ERROR_TYPE),
        error_message=_text(found, names.ERROR_MESSAGE),
        error_stack=_text(found, names.ERROR_STACK),
        replay_id=_text(found, names.REPLAY_ID),
        replay_count=_number(found, names.REPLAY_COUNT) or 0,
        is_reference=names.VALUE_REFERENCE in found,
    )


def date_text(seconds: float | None) -> str | None:
    """A time as text, or None if it is no date: producers choose the timestamps of their records."""
    try:
        return None if seconds is None else time_text(seconds)
    except (ValueError, OverflowError, OSError):
        return None


def error_name(error: BaseException) -> str:
    """The qualified name of an error's class."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def error_message(error: BaseException) -> str:
    """The text of an error, without the inputs that pydantic prints."""
    if isinstance(error, ValidationError):
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        places = ", ".join(f"{_field(problem['type'], problem['loc'])} [{problem['type']}]" for problem in problems)
        return f"no valid {error.title}: {places}"
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an error that cannot even be printed must not keep its record from the topic
        return f"<{error_name(error)} has no text>"


def error_stack(error: BaseException) -> str:
    """The frames of an error and its causes, innermost first, without source lines or texts."""
    lines: list[str] = []
    seen: list[BaseException] = []  # errors may be each other's causes
    pending = [("", error)]
    while pending and len(seen) < _MAX_ERRORS:
        relation, current = pending.pop()
        if any(current is other for other in seen):
            continue
        seen.append(current)
        lines.append(relation + error_name(current))
        frames = deque(walk_tb(current.__traceback__), _MAX_FRAMES)
        lines += (f"  at {f.f_code.co_qualname} ({f.f_code.co_filename}:{line})" for f, line in reversed(frames))
        if isinstance(current, BaseExceptionGroup):
            pending += (("together with ", member) for member in current.exceptions[_MAX_ERRORS::-1])
        if current.__cause__ is not None:
            pending.append(("caused by ", current.__cause__))
        elif current.__context__ is not None and not current.__suppress_context__:
            pending.append(("while handling ", current.__context__))
    return "\n".join(lines)


def raised_at(error: BaseException) -> list[str]:
    """The innermost places outside eventhub through which an error came, innermost last, for a line of a log."""
    frames = ((f.f_code, line) for f, line in walk_tb(error.__traceback__) if not _is_ours(f.f_globals.get("__name__")))
    return [f"{code.co_filename}:{line} {code.co_name}" for code, line in deque(frames, _LOGGED_FRAMES)]


def _is_ours(module: object) -> bool:
    """Whether a module is one of eventhub's, which tells a reader of logs nothing about a handler."""
    return isinstance(module, str) and module.startswith("eventhub.")


def _field(kind: str, location: tuple[int | str, ...]) -> str:
    """Where a validation failed: the field's name and positions, but no name that the input chose.

    Past the first, a name may be a key of a mapping; a forbidden extra field was named by the input itself.
    """
    if not location or kind == "extra_forbidden":
        return "(input)"
    return ".".join(str(part) if place == 0 or isinstance(part, int) else "*" for place, part in enumerate(location))


def first_origin(record: Record, known: DeadLetter | None) -> Origin:
    """Where a record stood at first: what its trusted headers say, or else where it was read."""
    told = known.origin if known is not None else None
    return told or Origin(record.topic, record.partition, record.offset, record.timestamp)


def trail(reason: Reason, origin: Origin, known: DeadLetter | None) -> dict[str, bytes]:
    """The headers that say where a record stood, what was tried since, and which replay it is, if it is one."""
    ours = _within_limits(
        {
            names.ORIGIN_TOPIC: origin.topic,
            names.ORIGIN_PARTITION: str(origin.partition),
            names.ORIGIN_OFFSET: str(origin.offset),
            names.ORIGIN_TIMESTAMP: date_text(origin.timestamp),
            names.ORIGIN_GROUP: reason.group,
            names.HANDLER: reason.handler,
            names.ATTEMPT: str(reason.attempt),
            names.FIRST_FAILURE_AT: date_text(reason.first_failure_at),
            names.FAILED_AT: date_text(reason.failed_at),
        }
    )
    if known is not None and known.replay_id is not None:
        ours |= {names.REPLAY_ID: known.replay_id.encode(), names.REPLAY_COUNT: b"%d" % known.replay_count}
    return ours


def _error_headers(reason: Reason) -> dict[str, bytes]:
    """The headers that say why a record was given up."""
    return _within_limits(
        {
            names.ERROR_STAGE: reason.stage,
            names.ERROR_TYPE: error_name(reason.error),
            names.ERROR_MESSAGE: error_message(reason.error),
            names.ERROR_STACK: error_stack(reason.error),
        }
    )


def _within_limits(texts: Mapping[str, str | None]) -> dict[str, bytes]:
    """Headers in their order, each within its limit."""
    limits = {names.ERROR_MESSAGE: _MESSAGE_BYTES, names.ERROR_STACK: _STACK_BYTES}
    return {name: _cut(text, limits.get(name, _TEXT_BYTES)) for name, text in texts.items() if text is not None}


def _ever_smaller(record: Record, topic: str, ours: dict[str, bytes], origin: Origin) -> Iterator[ProducerRecord]:
    """The letter in full, then with less and less of it."""
    original = without_control(record.headers)
    letter = ProducerRecord(topic, record.key, record.value, (*original, *ours.items()), record.partition)
    yield letter
    for name in (names.ERROR_STACK, names.ERROR_MESSAGE):
        ours = {kept: value for kept, value in ours.items() if kept != name}
        letter = letter._replace(headers=(*original, *ours.items()))
        yield letter
    ours |= {names.VALUE_REFERENCE: b"sha256"}
    letter = letter._replace(value=_reference(record.value, origin), headers=(*original, *ours.items()))
    yield letter
    yield letter._replace(key=None, headers=tuple(ours.items()))


def _reference(value: bytes | None, origin: Origin) -> bytes:
    """Where the value still is, and how to tell that it is the same."""
    facts = {
        "topic": origin.topic,
        "partition": origin.partition,
        "offset": origin.offset,
        "size": None if value is None else len(value),
        "sha256": None if value is None else sha256(value).hexdigest(),
    }
    return json.dumps(facts).encode()


def _size_bytes(letter: ProducerRecord) -> int:
    """The largest that the letter can be as a batch of its own, not compressed."""
    return (
        _BATCH_BYTES
        + _RECORD_BYTES
        + len(letter.key or b"")
        + len(letter.value or b"")
        + sum(_HEADER_BYTES + len(name.encode()) + len(value or b"") for name, value in letter.headers)
    )


def _cut(text: str, limit_bytes: int) -> bytes:
    """The text as UTF-8, no longer than a limit and with no character cut in two."""
    encoded = text.encode("utf-8", "backslashreplace")
    return encoded[:limit_bytes].decode("utf-8", "ignore").encode()


def _text(found: Mapping[str, bytes | None], name: str) -> str | None:
    """A header as text that a terminal may show."""
    value = found.get(name)
    if value is None:
        return None
    text = value[:_STACK_BYTES].decode("utf-8", "replace")
    return "".join(character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text)


def _number(found: Mapping[str, bytes | None], name: str) -> int | None:
    value = found.get(name)
    return int(value) if value is not None and len(value) <= _DIGITS and value.isdigit() else None


def _time(found: Mapping[str, bytes | None], name: str) -> float | None:
    text = _text(found, name)
    return None if text is None else parse_time(text)
