"""Events: frozen, typed facts, and what each class of them declares.

::

    class OrderCreated(Event, topic="orders", key="order_id"):
        order_id: str
        sku: str
        quantity: int
"""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict

from eventhub.errors import DeclarationError

_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")  # Kafka: org.apache.kafka.common.internals.Topic
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")  # Avro: names, with namespace
_KEYWORDS = ("topic", "key", "name", "subject", "format", "frame")


class SubjectName(StrEnum):
    """How the registry's subject of an event is named (Confluent's subject name strategies)."""

    TOPIC = "topic"
    """``<topic>-value``: one event type a topic; the default."""
    RECORD = "record"
    """``<name>``: one schema for an event, whatever the topic."""
    TOPIC_RECORD = "topic_record"
    """``<topic>-<name>``: several event types on one topic."""


class Format(StrEnum):
    """How an event is written as bytes."""

    AVRO = "avro"
    JSON_SCHEMA = "json_schema"
    PROTOBUF = "protobuf"


class Frame(StrEnum):
    """Where a record names the schema that it was written with; both are read, whatever a class says."""

    PREFIX = "prefix"
    """In front of the value, as a zero and the schema's id in 4 bytes: what every client reads; the default."""
    HEADER = "header"
    """In the header ``__value_schema_id``, by the schema's GUID; the value is the body alone."""


@dataclass(frozen=True, slots=True)
class EventInfo:
    """What an event class declares."""

    topic: str
    """The topic it is published to and read from."""
    key: str | None
    """The field whose value is the record's key, or None for records without a key."""
    name: str
    """The name of the type: CloudEvents ``type`` and the schema's full name."""
    subject: SubjectName
    """How its subject is named."""
    format: Format
    """How it is written as bytes."""
    frame: Frame = Frame.PREFIX
    """Where its records name their schema."""

    @property
    def subject_name(self) -> str:
        """The registry's subject of the event's schema."""
        if self.subject is SubjectName.TOPIC:
            return f"{self.topic}-value"
        if self.subject is SubjectName.RECORD:
            return self.name
        return f"{self.topic}-{self.name}"


class Event(BaseModel):
    """A fact that happened, as an immutable value.

    A subclass with a ``topic`` is an event of its own; one without is a base for others.
    Class keywords: ``topic``, ``key`` (a field's name), ``name`` (default: the class's name), ``subject``
    (a ``SubjectName``), ``format`` (a ``Format``) and ``frame`` (a ``Frame``). What they say stands under
    ``__event__``.

    Raises:
        DeclarationError: When the class is made, if a keyword is unknown or names no field.
    """

    model_config = ConfigDict(frozen=True)

    __event__: ClassVar[EventInfo]

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Refuse unknown keywords before pydantic builds the class."""
        unknown = [keyword for keyword in keywords if keyword not in _KEYWORDS]
        if unknown:
            close = get_close_matches(unknown[0], _KEYWORDS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"allowed are {', '.join(_KEYWORDS)}"
            msg = f"{cls.__name__}: unknown class keyword {unknown[0]!r}; {hint}"
            raise DeclarationError(msg)
        super().__init_subclass__()

    @classmethod
    def __pydantic_init_subclass__(cls, **keywords: Any) -> None:
        """Keep what the class declares, once its fields are known."""
        super().__pydantic_init_subclass__()
        if "topic" in keywords:
            cls.__event__ = _declared(cls, **keywords)
        elif keywords:
            msg = f'{cls.__name__}: an event needs a topic, as in class {cls.__name__}(Event, topic="orders")'
            raise DeclarationError(msg)


E = TypeVar("E", bound=Event)


class Tombstone(Event, Generic[E]):
    """The end of a key: a record without a value, which a compacted topic keeps for a while and then forgets.

    ``Tombstone[Profile]`` is an event class like any other: a handler subscribes to it beside
    ``Profile``, and publishing one writes a record without a value. A service that does not
    subscribe to it passes such records over.
    """

    key: bytes
    """The key that has ended."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Take over what the event class that it ends declares."""
        arguments = cls.__pydantic_generic_metadata__["args"]
        if arguments and isinstance(arguments[0], type):
            info = event_info(arguments[0])
            cls.__event__ = replace(info, key="key", name=f"{info.name}.tombstone")


def is_tombstone(event: type[Event]) -> bool:
    """Whether records of an event class have no value, and so no schema."""
    return issubclass(event, Tombstone)


def _declared(
    cls: type[Event],
    *,
    topic: str,
    key: str | None = None,
    name: str | None = None,
    subject: SubjectName = SubjectName.TOPIC,
    format: Format = Format.AVRO,  # noqa: A002 - the class keyword's name
    frame: Frame = Frame.PREFIX,
) -> EventInfo:
    """Check the class keywords of an event against its fields."""
    name = name if name is not None else cls.__name__.partition("[")[0]
    if not _TOPIC.fullmatch(topic) or topic in {".", ".."}:
        msg = f"{cls.__name__}: {topic!r} is no topic name: 1 to 249 letters, digits, '.', '_' or '-'"
        raise DeclarationError(msg)
    if not _NAME.fullmatch(name):
        msg = f"{cls.__name__}: {name!r} is no event name: letters, digits and '_', with dots between parts"
        raise DeclarationError(msg)
    if key is not None and key not in cls.model_fields:
        fields = ", ".join(cls.model_fields) or "none"
        msg = f"{cls.__name__}: key {key!r} is no field; the fields are {fields}"
        raise DeclarationError(msg)
    try:
        return EventInfo(topic, key, name, SubjectName(subject), Format(format), Frame(frame))
    except ValueError as error:
        msg = f"{cls.__name__}: {error}"
        raise DeclarationError(msg) from error


def event_info(event: type[Event]) -> EventInfo:
    """What an event class declares.

    Raises:
        DeclarationError: If the class is no event or has no topic of its own.
    """
    declared = event.__dict__.get("__event__") if isinstance(event, type) and issubclass(event, Event) else None
    if declared is None:
        shown = getattr(event, "__name__", repr(event))
        if not (isinstance(event, type) and issubclass(event, Event)):
            msg = f'{shown} is no event; declare a class of your own, as in class OrderCreated(Event, topic="orders")'
            raise DeclarationError(msg)
        msg = f'{shown} is no event with a topic; declare it as class {shown}(Event, topic="...")'
        raise DeclarationError(msg)
    return declared  # type: ignore[no-any-return]


def event_key(event: Event) -> bytes | None:
    """The record key of an event: its key field as text in UTF-8, raw bytes as they are, None for no key."""
    field = event.__event__.key
    if field is None:
        return None
    value = getattr(event, field)
    if isinstance(value, str):
        return value.encode()
    if value is None or isinstance(value, bytes):
        return value
    return str(value).encode()


class Stamp(NamedTuple):
    """Who said what when, and why: the CloudEvents attributes of one event."""

    id: str
    """Unique for ever; a uuid7 unless a foreign producer chose otherwise."""
    time: float
    """When it happened, in seconds since the epoch."""
    source: str
    """The service that said it."""
    type: str
    """The event's name."""
    correlation: str
    """The id of the event that started the whole chain; its own id for the first."""
    causation: str | None = None
    """The id of the event whose handling led to this one, or None."""
    trace: tuple[tuple[str, bytes], ...] = ()
    """W3C ``traceparent`` and ``tracestate``, passed on as they came."""


def caused_stamp(cause: Stamp, event: Event, *, service: str, handler: str, position: int) -> Stamp:
    """The stamp of an event that a handler returned at a position.

    The id depends on the cause alone, so a handler that runs twice says the same thing twice
    and an inbox downstream drops the second: the cause's time, then a hash of cause, service,
    handler and position, in the shape of a uuid7 (RFC 9562 section 5.7).
    """
    return Stamp(
        id=_derived_id(_time_bits(cause), cause.id, service, handler, str(position)),
        time=cause.time,
        source=service,
        type=event.__event__.name,
        correlation=cause.correlation,
        causation=cause.id,
        trace=cause.trace,
    )


class Occurrence(NamedTuple):
    """What an event is about: which one, of all that its source ever tells of, and when it happened."""

    id: str
    """Unique within the source, and the same whenever the event is yielded: the position in a change feed, say."""
    time: float
    """When it happened, in seconds since the epoch; the same whenever the event is yielded."""


def occurrence_stamp(event: Event, occurrence: Occurrence, *, service: str, source: str) -> Stamp:
    """The stamp of an event that a source may yield again: its id depends on service, source and occurrence alone.

    As with ``caused_stamp``, an inbox downstream drops the second one.
    """
    identity = _derived_id(_milliseconds(occurrence.time), "source", service, source, occurrence.id)
    return Stamp(id=identity, time=occurrence.time, source=service, type=event.__event__.name, correlation=identity)


def _derived_id(milliseconds: int, *parts: str) -> str:
    """A uuid7 that says the same thing whenever it is made: a time, then a hash."""
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=10).digest()
    bits = (milliseconds << 80) | int.from_bytes(digest, "big")
    bits = (bits & ~(0xF << 76)) | (0x7 << 76)  # version 7
    bits = (bits & ~(0x3 << 62)) | (0x2 << 62)  # variant of RFC 9562
    return str(uuid.UUID(int=bits))


def _milliseconds(seconds: float) -> int:
    """The 48 bits that a uuid7 has for its time."""
    return int(seconds * 1000) & 0xFFFF_FFFF_FFFF


def _time_bits(stamp: Stamp) -> int:
    """The 48 bits of milliseconds in a uuid7, or of the stamp's time where the id is none."""
    try:
        parsed = uuid.UUID(stamp.id)
    except ValueError:
        parsed = None
    if parsed is not None and parsed.version == 7:  # noqa: PLR2004 - the version that carries a time
        return parsed.int >> 80
    return _milliseconds(stamp.time)
