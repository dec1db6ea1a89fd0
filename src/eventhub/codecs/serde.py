"""Events to framed bytes and back: codecs, subjects and the registry, put together once a hub.

What needs the registry is asynchronous and happens before the first record: ``prepare`` for the
classes, ``Reader.resolve`` for a schema id never met. ``encode`` and ``decode`` never wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from eventhub.codecs import wire
from eventhub.codecs.base import Codec
from eventhub.codecs.formats import CODECS, FORMATS, protobuf_codec
from eventhub.codecs.upcast import ByVersion, Upcast, applies, by_version
from eventhub.codecs.versions import reading, whole, whole_schema
from eventhub.errors import (
    DeclarationError,
    DecodeError,
    EventHubError,
    IncompatibleSchema,
    InvalidSchema,
    RecordError,
    SchemaNotFound,
)
from eventhub.event import Event, Format, Frame, SubjectName, event_info
from eventhub.registry.base import RegisteredSchema, Schema, SchemaRegistry, SchemaType

if TYPE_CHECKING:
    from eventhub.codecs.base import Encode
    from eventhub.record import Headers, Record

Decoded = Callable[[bytes, int], Event | None]

_MAX_MESSAGES = 256  # decoders that one file has on one topic
_UNREADABLE = (InvalidSchema, DeclarationError)  # the class may have no place in the format of its writer
_MAX_DECODERS = 1000  # schemas a reader keeps; more come only from a registry full of garbage


class SchemaUnresolved(EventHubError):
    """The record's schema is not compiled yet; ``Reader.resolve`` does that."""


class Serde:
    """Encodes and decodes the events of one hub."""

    def __init__(
        self, registry: SchemaRegistry, *, auto_register: bool, codecs: Mapping[Format, Codec] | None = None
    ) -> None:
        """Keep what is needed to prepare event classes.

        Args:
            registry: Where schemas are looked up.
            auto_register: Whether schemas of written events are registered, or have to be there already.
            codecs: A codec for each format in use; None for all, Protobuf as soon as an event asks for it.
        """
        self._registry = registry
        self._auto_register = auto_register
        # Filled by prepare alone.
        self._codecs: dict[Format, Codec] = dict(CODECS if codecs is None else codecs)
        self._encoders: dict[type[Event], Encode] = {}
        self._headers: dict[type[Event], Headers] = {}
        self._checked: set[type[Event]] = set()
        self._known: dict[str, dict[int, RegisteredSchema]] = {}  # by subject and id

    def prepared(self, event: type[Event]) -> bool:
        """Whether events of a class can be encoded."""
        return event in self._encoders

    async def prepare(
        self,
        *,
        writes: Sequence[type[Event]],
        reads: Sequence[type[Event]] = (),
        upcasts: Sequence[Upcast[Any, Any]] = (),
    ) -> None:
        """Make event classes ready: written ones are registered or looked up, read ones checked.

        A class that is read is checked against every version registered for its subject; for a version
        that has an upcast, the upcast's old shape is.
        Costs nothing for classes that are ready.

        Raises:
            DeclarationError: If a class has no schema, or its schema has to be registered first.
            IncompatibleSchema: If the registry refuses a schema, or a class cannot read what was written.
            RegistryError: If the registry does not answer.
        """
        problems = _Problems()
        schemas: dict[type[Event], Schema] = {}
        for event in dict.fromkeys((*writes, *reads)):
            if event not in self._encoders and event not in self._checked:
                try:
                    schemas[event] = self._codec(event).schema(event)
                except DeclarationError as error:
                    problems.declared.append(str(error))
        problems.check()
        for event in dict.fromkeys(writes):
            if event not in self._encoders:
                await self._prepare_write(event, schemas.get(event) or self._codec(event).schema(event), problems)
        for event in dict.fromkeys(reads):
            if event not in self._checked:
                await self._prepare_read(event, by_version(upcasts), problems)
        problems.check()

    def headers(self, event: type[Event]) -> Headers:
        """The header that names the schema of an event class's records, where their values do not."""
        return self._headers.get(event, ())

    def encode(self, event: Event) -> bytes:
        """The value of an event's record: its bytes, in the classic frame unless ``headers`` name the schema.

        Raises:
            DeclarationError: If its class was never prepared.
            SchemaMismatch: If a value has no place in the schema.
        """
        try:
            encode = self._encoders[type(event)]
        except KeyError:
            name = type(event).__name__
            msg = f"{name} was not prepared for writing; name it where the service declares what it produces"
            raise DeclarationError(msg) from None
        return encode(event)

    def reader(self, events: Sequence[type[Event]], upcasts: Sequence[Upcast[Any, Any]] = ()) -> Reader:
        """What reads the records of one service, which declares these event classes and upcasts."""
        for event in events:
            self._codec(event)  # which is imported where it is an extra
        reader = Reader(self._registry, self._codecs, events, by_version(upcasts))
        for event in events:
            for version in self._known.get(event_info(event).subject_name, {}).values():
                with suppress(DecodeError):  # is met again by the first record that names the schema, if any does
                    named = [wire.prefix(version.id), wire.header_value(version.id, version.guid)]
                    reader.compile(event_info(event).topic, named, version.schema, version.version)
        return reader

    async def _prepare_write(self, event: type[Event], schema: Schema, problems: _Problems) -> None:
        subject = event_info(event).subject_name
        try:
            if self._auto_register:
                registered = await self._registry.register(subject, schema)
            else:
                registered = await self._registry.lookup(subject, schema)
        except IncompatibleSchema as error:
            problems.incompatible.append((subject, error.problems or ("the registry gave no reason",)))
        except InvalidSchema as error:
            problems.declared.append(f"{event.__name__}: the registry takes its schema for invalid: {error}")
        except SchemaNotFound:
            problems.declared.append(
                f"{event.__name__}: its schema is not registered under subject {subject!r} at {self._registry.url}; "
                "register it there with `eventhub schemas register`, or use Hub(..., auto_register=True) "
                "(EVENTHUB_AUTO_REGISTER=true)"
            )
        else:
            self._learn_to_write(event, schema, registered)
            self._learn(registered)

    def _learn_to_write(self, event: type[Event], schema: Schema, registered: RegisteredSchema) -> None:
        codec, info = self._codec(event), event_info(event)
        if info.frame is Frame.PREFIX:
            self._encoders[event] = codec.encoder(event, schema, wire.prefix(registered.id))
            return
        encode, path = codec.encoder(event, schema, b""), codec.path(event, schema)
        self._headers[event] = ((wire.SCHEMA_ID_HEADER, wire.header_value(registered.id, registered.guid, path)),)
        self._encoders[event] = (lambda value: encode(value)[len(path) :]) if path else encode

    async def _prepare_read(self, event: type[Event], upcasts: ByVersion, problems: _Problems) -> None:
        subject = event_info(event).subject_name
        before = len(problems.incompatible)
        for registered in await self._registry.versions(subject):
            version = await whole(self._registry, registered)
            self._learn(version)
            if FORMATS[version.schema.type] not in self._codecs:
                continue  # it may be of long ago; a record of it is given up
            found = reading(event, version, self._codecs, upcasts).problems
            if found:
                start = f"{event.__name__} cannot read version {version.version}"
                problems.incompatible.append((subject, [f"{start}: {problem}" for problem in found]))
        if len(problems.incompatible) == before:
            self._checked.add(event)

    def _learn(self, version: RegisteredSchema) -> None:
        self._known.setdefault(version.subject, {})[version.id] = version

    def _codec(self, event: type[Event]) -> Codec:
        declared = event_info(event).format
        if declared is Format.PROTOBUF and declared not in self._codecs:
            self._codecs[declared] = protobuf_codec(event)
        if declared not in self._codecs:
            msg = f"{event.__name__}: there is no codec for format {declared.value!r}"
            raise DeclarationError(msg)
        return self._codecs[declared]


class Reader:
    """Decodes the records of one service."""

    def __init__(
        self,
        registry: SchemaRegistry,
        codecs: Mapping[Format, Codec],
        events: Sequence[type[Event]],
        upcasts: ByVersion,
    ) -> None:
        """Keep which classes are read from which topic."""
        self._registry = registry
        self._codecs = codecs
        self._upcasts = upcasts
        self._events: dict[str, list[type[Event]]] = {}
        for event in events:
            self._events.setdefault(event_info(event).topic, []).append(event)
        # By topic and by what names the schema in the record; filled by compile alone.
        self._decoders: dict[tuple[str, bytes], Decoded] = {}

    def decode(self, record: Record) -> Event | None:
        """The event of a record, or None for one of a type that is not read from this topic.

        Raises:
            DecodeError: If the bytes are not what their schema promises.
            SchemaMismatch: If the event class does not take the values.
            SchemaUnresolved: If the schema is not compiled yet; ``resolve`` does that.
        """
        value, start = record.value or b"", wire.PREFIX_BYTES
        header = _schema_header(record)
        if header is None:
            frame = value[:start]
        else:
            frame, path = wire.split_header(header)
            value, start = path + value, 0
        try:
            decode = self._decoders.get((record.topic, frame))
            if decode is None:
                _named_schema(value, header)
                msg = f"schema of {record.topic}[{record.partition}]@{record.offset} is not compiled yet"
                raise SchemaUnresolved(msg)
            return decode(value, start)
        except RecordError as error:
            error.record = record
            raise

    async def resolve(self, record: Record) -> None:
        """Fetch and compile the schema of a record.

        Raises:
            DecodeError: If the record names no schema, or one that nothing can be read with.
            SchemaNotFound: If the registry does not know the schema (yet).
            RegistryError: If the registry does not answer.
        """
        value, header = record.value or b"", _schema_header(record)
        try:
            named = _named_schema(value, header)
            if isinstance(named, int):
                schema = await self._registry.schema(named)
            else:
                schema = await self._registry.schema_by_guid(str(named))
            whole, version = await whole_schema(self._registry, schema), await self._version(record.topic, named)
            frame = value[: wire.PREFIX_BYTES] if header is None else wire.split_header(header)[0]
            self.compile(record.topic, [frame], whole, version)
        except RecordError as error:
            error.record = record
            raise

    async def _version(self, topic: str, named: int | UUID) -> int | None:
        """The version that a schema is of a subject of the topic; asked for only where a version has an upcast."""
        for event in {event for event, _ in self._upcasts if event_info(event).topic == topic}:
            for version in await self._registry.versions(event_info(event).subject_name):
                if named in {version.id, version.guid if version.guid is None else UUID(version.guid)}:
                    return version.version
        return None

    def compile(self, topic: str, frames: Sequence[bytes], schema: Schema, version: int | None = None) -> None:
        """Make ready to read what is framed with a schema, which is a version of its subject, on a topic.

        Raises:
            DecodeError: If nothing can be read with the schema.
        """
        codec = self._codecs.get(FORMATS[schema.type])
        if codec is None:
            msg = f"schema is {schema.type.value}, for which there is no codec"
            raise DecodeError(msg)
        try:
            event = self._class(topic, codec.name(schema))
            if schema.type is SchemaType.PROTOBUF:
                decode = self._by_path(topic, codec, schema, version)
            else:
                decode = self._decoder(codec, event, schema, version)
        except _UNREADABLE as error:
            raise DecodeError(str(error)) from error
        for frame in frames:
            if len(self._decoders) >= _MAX_DECODERS:
                del self._decoders[next(iter(self._decoders))]
            self._decoders[topic, frame] = decode

    def _by_path(self, topic: str, codec: Codec, schema: Schema, version: int | None) -> Decoded:
        """Read each message of a file into the class of its name."""

        @lru_cache(maxsize=_MAX_MESSAGES)
        def decoder(path: tuple[int, ...]) -> Decoded:
            return self._decoder(codec, self._class(topic, codec.name(schema, path)), schema, version)

        def decode(value: bytes, start: int) -> Event | None:
            try:
                read = decoder(wire.read_indexes(value, start)[0])
            except _UNREADABLE as error:
                raise DecodeError(str(error)) from error
            return read(value, start)

        return decode

    def _decoder(self, codec: Codec, event: type[Event] | None, schema: Schema, version: int | None) -> Decoded:
        if event is None:
            return _undeclared
        upcast = self._upcasts.get((event, version)) if version is not None else None
        if upcast is None or not applies(upcast, codec, schema):
            return codec.decoder(event, schema)
        decode_old, read = codec.decoder(upcast.old, schema), upcast.read
        return lambda value, start: read(decode_old(value, start))

    def _class(self, topic: str, name: str) -> type[Event] | None:
        """The class that takes events of a name: the topic's only one, or the one of that name."""
        events = self._events.get(topic)
        if events is None:
            msg = f"no event is read from topic {topic!r}; read are {', '.join(sorted(self._events))}"
            raise DecodeError(msg)
        if len(events) == 1 and event_info(events[0]).subject is SubjectName.TOPIC:
            return events[0]
        return next((event for event in events if event_info(event).name == name), None)


class _Problems:
    """What is wrong with the classes of one call, to be said at once."""

    def __init__(self) -> None:
        self.declared: list[str] = []
        self.incompatible: list[tuple[str, Sequence[str]]] = []

    def check(self) -> None:
        """Raise one error for all, if there are any."""
        if self.declared:
            refused = [f"{subject}: {problem}" for subject, problems in self.incompatible for problem in problems]
            raise DeclarationError("\n".join([*self.declared, *refused]))
        if len(self.incompatible) == 1:
            raise IncompatibleSchema(*self.incompatible[0])
        if self.incompatible:
            subjects = ", ".join(subject for subject, _ in self.incompatible)
            raise IncompatibleSchema(
                subjects, [f"{subject}: {problem}" for subject, problems in self.incompatible for problem in problems]
            )


def _schema_header(record: Record) -> bytes | None:
    """The last header that names the schema; most records have none."""
    found = None
    for name, value in record.headers:
        if name == wire.SCHEMA_ID_HEADER:
            found = value
    return found


def _named_schema(value: bytes, header: bytes | None) -> int | UUID:
    """The id or GUID of the schema that a record names."""
    return wire.schema_id(value) if header is None else wire.header_schema(header)


def _undeclared(value: bytes, start: int) -> None:
    """Read an event that nobody asked for."""
    del value, start
