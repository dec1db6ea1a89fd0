"""Events as Protobuf, by Google's library on a file derived from the class (extra: ``eventhub[protobuf]``).

Numbers say which field is which, and what a reader does not know it passes over; the types are the
writer's. In front of the body stands the path to the message in its file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, cast

from google.protobuf import duration_pb2, timestamp_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message import EncodeError
from google.protobuf.message import Message as ProtobufMessage
from google.protobuf.message_factory import GetMessageClass
from pydantic import BaseModel

from eventhub.codecs.avro.resolution import chosen, validator
from eventhub.codecs.avro.types import AvroType, Enumeration, Primitive, Record, Union, simple_name
from eventhub.codecs.avro.unions import branch_index
from eventhub.codecs.avro.values import (
    Misfit,
    UnknownSymbol,
    as_mapping,
    as_model,
    as_sequence,
    misfit,
    unwrapped,
    write_boolean,
    write_bytes,
    write_float,
    write_integer,
    write_text,
    write_timedelta,
    write_timestamp,
)
from eventhub.codecs.base import Decode, Encode
from eventhub.codecs.models import Refused, mismatch, models, read_aliases, wire_names
from eventhub.codecs.names import event_name
from eventhub.codecs.number import Number
from eventhub.codecs.protobuf_schema import (
    DURATION,
    SCALARS,
    TIMESTAMP,
    ProtoField,
    ProtoMessage,
    proto_descriptor,
    proto_messages,
    proto_text,
)
from eventhub.codecs.protobuf_written import Adopted, adopted, written_file
from eventhub.codecs.wire import read_indexes, write_indexes
from eventhub.errors import DeclarationError, DecodeError, InvalidSchema, SchemaMismatch
from eventhub.event import Event
from eventhub.registry.base import Schema, SchemaType
from eventhub.registry.compatibility import INVALID_SCHEMA, Problem

Models = Mapping[str, type[BaseModel]]
__all__ = ["Number", "ProtobufCodec"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO: Mapping[str, Any] = {"int date": date, "long time-micros": time, "long local-timestamp-micros": datetime}
_FROM_TEXT: Mapping[str, Callable[[Any], Any]] = {
    **{kind: cls.fromisoformat for kind, cls in _ISO.items()},
    "bytes decimal": Decimal,
}
_SCALARS: Mapping[str, Callable[[Any], Any]] = {
    "boolean": write_boolean,
    "long": write_integer,
    "double": write_float,
    "bytes": write_bytes,
}
_MAX_PATHS = 64  # messages of one file that one class is read from
_validator = lru_cache(maxsize=1000)(validator)
_ERRORS = (ValueError, TypeError, ArithmeticError, AttributeError, RecursionError)


class ProtobufCodec:
    """The codec of ``Format.PROTOBUF``."""

    def schema(self, event: type[Event]) -> Schema:
        """The Protobuf file of an event class as text, derived or as written by hand under ``__schema__``."""
        by_hand = event.__dict__.get("__schema__")
        if by_hand is None:
            return Schema(proto_text(proto_messages(event)), SchemaType.PROTOBUF)
        schema = Schema(str(by_hand), SchemaType.PROTOBUF)
        _by_hand(event, schema)
        return schema

    def encoder(self, event: type[Event], schema: Schema, prefix: bytes) -> Encode:
        """A function that writes events of a class, after a fixed prefix and the path to their message."""
        messages, path = _writing(event, schema)
        make, root = _message_class(messages), next(iter(messages.values()))
        head = prefix + write_indexes(path)

        def encode(value: Event) -> bytes:
            made = make()
            try:
                _fill(made, root, value, messages)
                return head + made.SerializeToString(deterministic=True)
            except Misfit as error:
                msg = f"{event.__name__}.{error}"
                raise SchemaMismatch(msg) from error
            except (EncodeError, *_ERRORS) as error:
                msg = f"{event.__name__}: {type(error).__name__} while it was written"
                raise SchemaMismatch(msg) from error

        return encode

    def decoder(self, event: type[Event], schema: Schema) -> Decode:
        """A function that reads messages into an event of a class; the path to their message stands before the body."""
        file, known, validate = written_file(schema), models(event), validator(event)
        ours = proto_messages(event)

        @lru_cache(maxsize=_MAX_PATHS)
        def reading(path: tuple[int, ...]) -> Callable[[bytes], Any]:
            messages, problems, _ = adopted(ours, file, file.name_at(path))
            if problems:
                raise InvalidSchema(problems[0].reason)
            make, root, read = _message_class(messages), next(iter(messages.values())), _Reading(messages, known)
            return lambda body: read.message(make.FromString(body), root)

        def decode(value: bytes, start: int) -> Event:
            try:
                path, at = read_indexes(value, start)
                return cast("Event", validate(reading(path)(value[at:])))
            except Refused as error:
                raise mismatch(event.__name__, error) from error.__cause__
            except UnknownSymbol as error:
                msg = f"{event.__name__}.{error}"
                raise SchemaMismatch(msg) from error
            except (Misfit, ProtobufDecodeError, OverflowError, InvalidSchema) as error:
                msg = f"{event.__name__}: {error}"
                raise DecodeError(msg) from error

        return decode

    def path(self, event: type[Event], schema: Schema) -> bytes:
        """The path to the event's message in a file."""
        return write_indexes(_writing(event, schema)[1])

    def name(self, schema: Schema, path: Sequence[int] = (0,)) -> str:
        """The full name of the message at a path of a file; empty for a file without messages."""
        file = written_file(schema)
        return file.name_at(path) if file.file.messages else ""

    def problems(self, event: type[Event], schema: Schema) -> Sequence[Problem]:
        """Why the event class could not read what was written with a schema.

        What is written is the message of the event's name, or else the first of the file. Two things are problems
        though the rules of registries let them pass: a number that now is another field's, since a reader would take
        one text for another (a field that was renamed declares its old name as an alias), and a field without default
        that the writer does not have.
        """
        try:
            file = written_file(schema)
            path = file.path_to(event_name(event)) or (0,)
            as_written = adopted(proto_messages(event), file, file.name_at(path))
            return [*as_written.problems, *_unreadable(as_written, models(event))]
        except InvalidSchema as error:
            return (Problem(INVALID_SCHEMA, "", str(error), "", ""),)


def _writing(event: type[Event], schema: Schema) -> tuple[Mapping[str, ProtoMessage], tuple[int, ...]]:
    """The messages that a class is written as, and the path to its own in the file."""
    derived = proto_messages(event)
    return (derived, (0,)) if schema.text == proto_text(derived) else _by_hand(event, schema)


def _by_hand(event: type[Event], schema: Schema) -> tuple[Mapping[str, ProtoMessage], tuple[int, ...]]:
    """The messages of a class as a file written by hand has them, and the path to the event's own.

    Raises:
        DeclarationError: If the file does not define the event with all its fields.
    """
    place, name = f"{event.__name__}.__schema__", event_name(event)
    try:
        file, ours = written_file(schema), proto_messages(event)
    except InvalidSchema as error:
        msg = f"{place}: {error}"
        raise DeclarationError(msg) from error
    path = file.path_to(name)
    if path is None:
        msg = f"{place} defines no message {name!r}; declare the event with the name of one as name="
        raise DeclarationError(msg)
    as_written = adopted(ours, file, name)
    for problem in (*_missing(as_written), *(each.reason for each in as_written.problems)):
        msg = f"{place}: {problem}"
        raise DeclarationError(msg)
    return as_written.messages, path


def _missing(as_written: Adopted) -> Iterator[str]:
    """The fields of a class that a file written by hand does not have under their names and numbers."""
    for message, written in as_written.pairs:
        names = {field.number: field.name for field in written.fields}
        for entry in message.fields:
            if names.get(entry.number) != entry.name:
                yield f"message {written.name!r} has no field {entry.name!r} with number {entry.number}"


def _unreadable(as_written: Adopted, known: Models) -> Iterator[Problem]:
    """The fields that a class would read wrongly, or not at all."""
    for message, written in as_written.pairs:
        model = known.get(message.record)
        names = {field.number: field.name for field in written.fields}
        if model is None:
            for number in sorted(names.keys() - {entry.number for entry in message.fields}):
                reason = f"{message.name} may hold {names[number]!r}, which is none of the types that are read"
                yield Problem("ONEOF_FIELD_REMOVED", f"/{message.name}/{number}", reason, "", names[number])
            continue
        fields = {wire: model.model_fields[field] for field, wire in wire_names(model).items()}
        for entry in message.fields:
            was, place = names.get(entry.number), f"{message.name}.{entry.name}"
            if was is None and entry.label == "optional" and not entry.is_nullable and fields[entry.name].is_required():
                reason = f"{place} has no default, and is not written; give it one"
                yield Problem("FIELD_WITHOUT_DEFAULT", f"/{message.name}/{entry.number}", reason, entry.name, "")
            if was is not None and was not in {entry.name, *read_aliases(fields[entry.name])}:
                reason = f"{place} has the number of {was!r}; take one that was never used"
                yield Problem("FIELD_NUMBER_REUSED", f"/{message.name}/{entry.number}", reason, entry.name, was)


def _message_class(messages: Mapping[str, ProtoMessage]) -> type[ProtobufMessage]:
    """The class of Google's library for the first of the messages, in a pool of its own."""
    pool = DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(duration_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(proto_descriptor(messages).SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName(next(iter(messages))))


def _fill(made: Any, message: ProtoMessage, value: object, messages: Mapping[str, ProtoMessage]) -> None:
    """Put the fields of a model into a message."""
    model = as_model(value)
    attributes, held = _attributes(type(model)), model.__dict__
    for entry in message.fields:
        try:
            content = unwrapped(held[attributes[entry.name]])
            if content is not None or not entry.is_nullable:
                _put(made, entry, content, messages)
        except KeyError as error:
            msg = "the value is missing"
            raise Misfit(msg).within(entry.name) from error
        except Misfit as error:
            raise error.within(entry.name) from error.__cause__
        except (ValueError, TypeError) as error:  # Google's library, whose text may hold the value
            msg = f"the value is beyond {entry.type}"
            raise Misfit(msg).within(entry.name) from error


@lru_cache(maxsize=1000)
def _attributes(model: type[BaseModel]) -> Mapping[str, str]:
    return {wire: name for name, wire in wire_names(model).items()}


def _put(made: Any, entry: ProtoField, content: Any, messages: Mapping[str, ProtoMessage]) -> None:
    """Put one field into a message."""
    if entry.label == "repeated":
        entries = getattr(made, entry.name)
        for each in as_sequence(content):
            if entry.type in SCALARS:
                entries.append(_scalar(entry, unwrapped(each)))
            else:
                _put_message(entries.add(), entry, each, messages)
    elif entry.label == "map":
        entries = getattr(made, entry.name)
        for key, each in as_mapping(content).items():
            if entry.type in SCALARS:
                entries[write_text(key)] = _scalar(entry, unwrapped(each))
            else:
                _put_message(entries[write_text(key)], entry, each, messages)
    elif entry.type in SCALARS:
        setattr(made, entry.name, _scalar(entry, content))
    else:
        _put_message(getattr(made, entry.name), entry, content, messages)


def _put_message(made: Any, entry: ProtoField, content: Any, messages: Mapping[str, ProtoMessage]) -> None:
    made.SetInParent()
    if entry.type in {TIMESTAMP, DURATION}:
        micros = write_timestamp(content) if entry.type == TIMESTAMP else write_timedelta(content)
        seconds, micros = divmod(abs(micros), 1_000_000) if entry.type == DURATION else divmod(micros, 1_000_000)
        sign = -1 if entry.type == DURATION and content < timedelta() else 1  # both parts of a span have its sign
        made.seconds, made.nanos = sign * seconds, sign * micros * 1000
    elif isinstance(entry.shape, Union):
        branch = messages[entry.type].fields[branch_index(entry.shape, content)]
        _put(made, branch, unwrapped(content), messages)
    else:
        _fill(made, messages[entry.type], content, messages)


def _scalar(entry: ProtoField, content: Any) -> Any:
    """A value as Google's library takes it."""
    shape, kind = entry.shape, _kind(entry.shape)
    if kind in _ISO:
        if not isinstance(content, (date, time)) or not isinstance(content, _ISO[kind]) or _zoned(content):
            raise misfit(content, f"{_ISO[kind].__name__} without a time zone")
        return content.isoformat()
    if isinstance(shape, Enumeration) and write_text(content) not in shape.symbols:
        msg = f"{write_text(content)!r:.100} is no symbol of {shape.name}: {', '.join(shape.symbols)}"
        raise Misfit(msg)
    written = _SCALARS.get(kind, write_text)(content)
    if entry.symbols is None:
        return written
    for number, symbol in entry.symbols.items():
        if symbol == written:
            return number
    msg = f"{written!r:.100} is no symbol of {', '.join(entry.symbols.values())}"
    raise Misfit(msg)


def _zoned(content: date | time) -> bool:
    return getattr(content, "tzinfo", None) is not None


def _kind(shape: AvroType) -> str:
    if not isinstance(shape, Primitive):
        return ""
    return shape.kind if shape.logical is None else f"{shape.kind} {shape.logical.name}"


class _Reading:
    """Makes the values of a message such that pydantic takes them."""

    def __init__(self, messages: Mapping[str, ProtoMessage], known: Models) -> None:
        self._messages = messages
        self._models = known

    def message(self, found: Any, message: ProtoMessage) -> dict[str, Any]:
        """The values of a record by the names of the class's attributes."""
        model = self._models.get(message.record)
        attributes = _attributes(model) if model is not None else {}
        values: dict[str, Any] = {}
        for entry in message.fields:
            name = attributes.get(entry.name, entry.name)
            if entry.label == "repeated":
                values[name] = [self._value(entry, each) for each in getattr(found, entry.name)]
            elif entry.label == "map":
                values[name] = {key: self._value(entry, each) for key, each in getattr(found, entry.name).items()}
            elif entry.is_implicit or found.HasField(entry.name):
                values[name] = self._value(entry, getattr(found, entry.name))
            elif entry.is_nullable:
                values[name] = None
        return values

    def _value(self, entry: ProtoField, found: Any) -> Any:
        if entry.symbols is not None:
            found = entry.symbols.get(found, str(found))
        if entry.type == TIMESTAMP:
            return _EPOCH + timedelta(seconds=found.seconds, microseconds=found.nanos // 1000)
        if entry.type == DURATION:
            return timedelta(seconds=found.seconds, microseconds=int(found.nanos / 1000))
        if isinstance(entry.shape, Union):
            return self._chosen(self._messages[entry.type], found)
        if isinstance(entry.shape, Record):
            return self.message(found, self._messages[entry.type])
        if isinstance(entry.shape, Enumeration) and found not in entry.shape.symbols:
            if entry.shape.default is None:
                raise UnknownSymbol(found, simple_name(entry.shape.name), entry.shape.symbols)
            return entry.shape.default
        return found

    def _chosen(self, message: ProtoMessage, found: Any) -> Any:
        """What a union holds, as an instance of the class that the writer chose."""
        name = found.WhichOneof("value")
        entry = next((entry for entry in message.fields if entry.name == name), None)
        if entry is None:
            msg = f"{message.name} holds none of the types that this class knows"
            raise Misfit(msg)
        value = self._value(entry, getattr(found, entry.name))
        if isinstance(entry.shape, Record):
            return _validator(self._models[simple_name(entry.shape.name)])(value)
        choose = _FROM_TEXT.get(_kind(entry.shape)) or chosen(entry.shape)
        try:
            return value if choose is None else choose(value)
        except (ValueError, ArithmeticError) as error:
            msg = f"{message.name} holds a text that is no {_kind(entry.shape)}"
            raise Misfit(msg) from error
