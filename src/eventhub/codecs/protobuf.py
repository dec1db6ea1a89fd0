"""Events as Protobuf, by Google's library on a file derived from the class (extra: ``eventhub[protobuf]``).

A reader needs no schema of the writer: numbers say which field is which, and what it does not
know it passes over. In front of the body stands the path to the message in its file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
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
from eventhub.codecs.wire import read_indexes, write_indexes
from eventhub.errors import DecodeError, InvalidSchema, SchemaMismatch
from eventhub.event import Event
from eventhub.registry.base import Schema, SchemaType
from eventhub.registry.compatibility import Problem, problems
from eventhub.registry.compatibility.proto_model import Message, ProtoFile
from eventhub.registry.compatibility.proto_parser import parse_protobuf

Models = Mapping[str, type[BaseModel]]
__all__ = ["Number", "ProtobufCodec"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO = {"int date": date, "long time-micros": time, "long local-timestamp-micros": datetime}
_SCALARS: Mapping[str, Callable[[Any], Any]] = {
    "boolean": write_boolean,
    "long": write_integer,
    "double": write_float,
    "bytes": write_bytes,
}
_ERRORS = (ValueError, TypeError, ArithmeticError, AttributeError, RecursionError)


class ProtobufCodec:
    """The codec of ``Format.PROTOBUF``."""

    def schema(self, event: type[Event]) -> Schema:
        """The Protobuf file of an event class, as text."""
        return Schema(proto_text(proto_messages(event)), SchemaType.PROTOBUF)

    def encoder(self, event: type[Event], schema: Schema, prefix: bytes) -> Encode:
        """A function that writes events of a class, after a fixed prefix and the path to their message."""
        del schema
        messages = proto_messages(event)
        make, root = _message_class(messages), next(iter(messages.values()))
        head = prefix + write_indexes((0,))

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
        """A function that reads messages into an event of a class.

        Where the frame is a header, the path to the message is in it, and the body begins at 0.
        """
        del schema
        messages = proto_messages(event)
        make, root = _message_class(messages), next(iter(messages.values()))
        read, validate = _Reading(messages, models(event)), validator(event)

        def decode(value: bytes, start: int) -> Event:
            try:
                at = read_indexes(value, start)[1] if start else 0
                return cast("Event", validate(read.message(make.FromString(value[at:]), root)))
            except Refused as error:
                raise mismatch(event.__name__, error) from error.__cause__
            except UnknownSymbol as error:
                msg = f"{event.__name__}.{error}"
                raise SchemaMismatch(msg) from error
            except (Misfit, ProtobufDecodeError, OverflowError) as error:
                msg = f"{event.__name__}: {error}"
                raise DecodeError(msg) from error

        return decode

    def name(self, schema: Schema) -> str:
        """The full name of the first message of a file."""
        first = next(iter(parse_protobuf(schema.text, {}).definitions()), None)
        return "" if first is None else first[0]

    def problems(self, event: type[Event], schema: Schema) -> Sequence[Problem]:
        """Why the event class could not read what was written with a schema.

        Two things are problems though the rules of registries let them pass: a number that now is another
        field's, since a reader would take one text for another (a field that was renamed declares its old
        name as an alias), and a field without default that the writer does not have.
        """
        found = problems(self.schema(event), schema)
        try:
            written = parse_protobuf(schema.text, {})
        except InvalidSchema:
            return found
        return [*found, *_unreadable(proto_messages(event), written, models(event))]


def _unreadable(messages: Mapping[str, ProtoMessage], written: ProtoFile, known: Models) -> Iterator[Problem]:
    """The fields that a class would read wrongly, or not at all."""
    theirs = {simple_name(name): each for name, each in written.definitions() if isinstance(each, Message)}
    for name, message in messages.items():
        model = known.get(simple_name(name))
        if simple_name(name) not in theirs or model is None:
            continue
        names = {entry.number: entry.name for entry in theirs[simple_name(name)].fields}
        fields = {wire: model.model_fields[field] for field, wire in wire_names(model).items()}
        for entry in message.fields:
            was = names.get(entry.number)
            if was is None and entry.label == "optional" and not entry.is_nullable and fields[entry.name].is_required():
                reason = f"{name}.{entry.name} has no default, and is not written; give it one"
                yield Problem("FIELD_WITHOUT_DEFAULT", f"/{name}/{entry.number}", reason, entry.name, "")
            if was is not None and was not in {entry.name, *read_aliases(fields[entry.name])}:
                reason = f"{name}.{entry.name} has the number of {was!r}; take one that was never used"
                yield Problem("FIELD_NUMBER_REUSED", f"/{name}/{entry.number}", reason, entry.name, was)


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


@lru_cache(maxsize=1000)
def _attributes(model: type[BaseModel]) -> Mapping[str, str]:
    return {wire: name for name, wire in wire_names(model).items()}


def _put(made: Any, entry: ProtoField, content: Any, messages: Mapping[str, ProtoMessage]) -> None:
    """Put one field into a message."""
    if entry.label == "repeated":
        entries = getattr(made, entry.name)
        for each in as_sequence(content):
            if entry.type in SCALARS:
                entries.append(_scalar(entry.shape, unwrapped(each)))
            else:
                _put_message(entries.add(), entry, each, messages)
    elif entry.label == "map":
        entries = getattr(made, entry.name)
        for key, each in as_mapping(content).items():
            if entry.type in SCALARS:
                entries[write_text(key)] = _scalar(entry.shape, unwrapped(each))
            else:
                _put_message(entries[write_text(key)], entry, each, messages)
    elif entry.type in SCALARS:
        setattr(made, entry.name, _scalar(entry.shape, content))
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


def _scalar(shape: AvroType, content: Any) -> Any:
    """A value as Google's library takes it."""
    kind = _kind(shape)
    if kind in _ISO:
        if not isinstance(content, (date, time)) or not isinstance(content, _ISO[kind]) or _zoned(content):
            raise misfit(content, f"{_ISO[kind].__name__} without a time zone")
        return content.isoformat()
    if isinstance(shape, Enumeration) and write_text(content) not in shape.symbols:
        msg = f"{write_text(content)!r:.100} is no symbol of {shape.name}: {', '.join(shape.symbols)}"
        raise Misfit(msg)
    return _SCALARS.get(kind, write_text)(content)


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
        model = self._models.get(simple_name(message.name))
        attributes = _attributes(model) if model is not None else {}
        values: dict[str, Any] = {}
        for entry in message.fields:
            name = attributes.get(entry.name, entry.name)
            if entry.label == "repeated":
                values[name] = [self._value(entry, each) for each in getattr(found, entry.name)]
            elif entry.label == "map":
                values[name] = {key: self._value(entry, each) for key, each in getattr(found, entry.name).items()}
            elif found.HasField(entry.name):
                values[name] = self._value(entry, getattr(found, entry.name))
            elif entry.is_nullable:
                values[name] = None
        return values

    def _value(self, entry: ProtoField, found: Any) -> Any:
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
            return validator(self._models[simple_name(entry.shape.name)])(value)
        choose = chosen(entry.shape)
        return value if choose is None else choose(value)
