"""The Protobuf file of an event class: one message a model, with the numbers that the fields declare.

Every field says its number, once and for ever::

    class OrderCreated(Event, topic="orders", format=Format.PROTOBUF):
        order_id: Annotated[UUID, Number(1)]
        total: Annotated[Decimal, Number(2)]
        note: Annotated[str | None, Number(3)] = None

Numbers are what a reader goes by. Counted instead of declared they would move when a field is
inserted, and a reader would take one text for another without noticing.

========================================  ==============================================
Python                                    Protobuf (proto3)
========================================  ==============================================
bool, int, float, str, bytes              bool, int64, double, string, bytes
aware datetime, timedelta                 google.protobuf.Timestamp, google.protobuf.Duration
naive datetime, date, time, Decimal       string, as ISO 8601 or digits: nothing is rounded
UUID, enum of texts, URL and the like     string; an enum of ints is an int64
list, set, tuple[X, ...]                  repeated
dict[str, X]                              map<string, X>
nested model                              message
Optional                                  absent where it is None
other unions                              a message of one oneof, its numbers in the union's order
========================================  ==============================================

Single values are ``optional``: what was not written is told from zero, and has the class's default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from pydantic import BaseModel

from eventhub.codecs.avro.schema import shape
from eventhub.codecs.avro.types import Array, AvroType, Enumeration, Field, Map, Primitive, Record, Union, simple_name
from eventhub.codecs.models import models, wire_names
from eventhub.codecs.number import Number
from eventhub.errors import DeclarationError
from eventhub.event import Event
from eventhub.registry.compatibility.proto_model import SCALARS as ALL_TYPES

TIMESTAMP, DURATION = "google.protobuf.Timestamp", "google.protobuf.Duration"
IMPORTS = {TIMESTAMP: "google/protobuf/timestamp.proto", DURATION: "google/protobuf/duration.proto"}

_TYPES = {
    "boolean": "bool",
    "long": "int64",
    "double": "double",
    "string": "string",
    "bytes": "bytes",
    "int date": "string",
    "long time-micros": "string",
    "long local-timestamp-micros": "string",
    "long timestamp-micros": TIMESTAMP,
    "long timedelta-micros": DURATION,
    "string uuid": "string",
    "bytes decimal": "string",
}
SCALARS = frozenset(ALL_TYPES) - {"group", "message", "enum"}
"""The types that are no messages."""
_NUMBERS = range(1, 2**29)
_KEPT_BY_PROTOBUF = range(19_000, 20_000)


@dataclass(frozen=True, slots=True)
class ProtoField:
    """One field of a message."""

    name: str
    number: int
    label: str
    """``optional``, ``repeated``, ``map`` or ``oneof``."""
    type: str
    """A scalar, or the full name of a message; of a map, that of its values."""
    shape: AvroType
    """What is in it, of one entry where there are several."""
    is_nullable: bool = False
    """Whether the class has None for what is not there."""
    is_implicit: bool = False
    """Whether its writer leaves it out where it is zero."""
    symbols: Mapping[int, str] | None = None
    """The texts that its numbers stand for, where it is written as an enum; None for what is not."""


@dataclass(frozen=True, slots=True, eq=False)
class ProtoMessage:
    """One message. The list is filled after it is made, since it may contain itself."""

    name: str
    """With the package."""
    fields: list[ProtoField] = field(default_factory=list)
    record: str = ""
    """The class of model that it is, by the name of its record; empty for what holds one of several values."""


def proto_messages(event: type[Event]) -> Mapping[str, ProtoMessage]:
    """The messages of an event class by their full names, the event's own first.

    Raises:
        DeclarationError: If a field has no number, or a type that has no place, naming class, field and a way out.
    """
    record = shape(event)
    derivation = _Derivation(event, record.name.rpartition(".")[0])
    derivation.message(record, event)
    return derivation.messages


class _Derivation:
    """Derives the messages of one file."""

    def __init__(self, event: type[Event], package: str) -> None:
        self._models = models(event)
        self._package = package
        self.messages: dict[str, ProtoMessage] = {}

    def message(self, record: Record, model: type[BaseModel]) -> str:
        """The name of the message of a record, which is derived the first time."""
        if record.name in self.messages:
            return record.name
        message = self.messages[record.name] = ProtoMessage(record.name, record=simple_name(record.name))
        numbers = _numbers(model)
        for entry in record.fields:
            place = f"{model.__name__}.{entry.name}"
            message.fields.append(self._field(entry, numbers[entry.name], record.name, place))
        return record.name

    def _field(self, entry: Field, number: int, within: str, place: str) -> ProtoField:
        declared = _without_null(entry, place)
        if isinstance(declared, Array):
            items = self._type(declared.items, entry.name, within, place)
            return ProtoField(entry.name, number, "repeated", items, declared.items)
        if isinstance(declared, Map):
            values = self._type(declared.values, entry.name, within, place)
            return ProtoField(entry.name, number, "map", values, declared.values)
        kind = self._type(declared, entry.name, within, place)
        return ProtoField(entry.name, number, "optional", kind, declared, is_nullable=declared is not entry.type)

    def _type(self, declared: AvroType, name: str, within: str, place: str) -> str:
        """The type of a single value."""
        if isinstance(declared, Record):
            return self.message(declared, self._models[simple_name(declared.name)])
        if isinstance(declared, Enumeration):
            return "string"
        if isinstance(declared, Union):
            return self._choice(declared, name, within, place)
        known = _TYPES.get(_kind(declared)) if isinstance(declared, Primitive) else None
        if known is None:
            msg = f"{place}: None, a list or a dict within a list or dict has no place in Protobuf; declare a model"
            raise DeclarationError(msg)
        return known

    def _choice(self, union: Union, name: str, within: str, place: str) -> str:
        """The message that holds one of several values."""
        full = f"{within}.{''.join(part.capitalize() for part in name.split('_'))}"
        message = self.messages[full] = ProtoMessage(full)
        for number, branch in enumerate(union.branches, 1):
            kind = self._type(branch, name, full, place)
            named = _branch_name(kind)
            is_taken = named in {entry.name for entry in message.fields}  # a date is a text as well
            message.fields.append(ProtoField(f"{named}_{number}" if is_taken else named, number, "oneof", kind, branch))
        return full


def _without_null(entry: Field, place: str) -> AvroType:
    """What a field holds if it is there at all."""
    if not isinstance(entry.type, Union) or Primitive("null") not in entry.type.branches:
        return entry.type
    if entry.has_default and entry.default is not None:
        msg = f"{place}: Protobuf cannot tell None from a field that was not written; make None the default"
        raise DeclarationError(msg)
    others = tuple(branch for branch in entry.type.branches if branch != Primitive("null"))
    inner = others[0] if len(others) == 1 else Union(others)
    if isinstance(inner, (Array, Map)):
        msg = f"{place}: Protobuf cannot tell None from an empty list or dict; leave None out"
        raise DeclarationError(msg)
    return inner


def _numbers(model: type[BaseModel]) -> dict[str, int]:
    """The numbers that a model declares, by the names on the wire."""
    numbers: dict[str, int] = {}
    for name, wire in wire_names(model).items():
        declared = [entry.number for entry in model.model_fields[name].metadata if isinstance(entry, Number)]
        place = f"{model.__name__}.{name}"
        if not declared:
            msg = f"{place} has no number; say {name}: Annotated[..., Number(n)], with an n that was never used"
            raise DeclarationError(msg)
        if declared[0] not in _NUMBERS or declared[0] in _KEPT_BY_PROTOBUF:
            msg = f"{place}: {declared[0]} is no number for a field: 1 to 536870911, but not 19000 to 19999"
            raise DeclarationError(msg)
        if declared[0] in numbers.values():
            msg = f"{place}: number {declared[0]} is another field's"
            raise DeclarationError(msg)
        numbers[wire] = declared[0]
    return numbers


def _kind(declared: Primitive) -> str:
    return declared.kind if declared.logical is None else f"{declared.kind} {declared.logical.name}"


def _branch_name(kind: str) -> str:
    """The name of a branch: a message's in small letters, or the scalar's."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", simple_name(kind)).lower()
    return name if kind not in SCALARS and kind not in IMPORTS else f"{name}_value"


def proto_text(messages: Mapping[str, ProtoMessage]) -> str:
    """The file as text, the same for the same messages."""
    package = next(iter(messages)).rpartition(".")[0]
    used = {entry.type for message in messages.values() for entry in message.fields}
    lines = ['syntax = "proto3";', ""]
    lines += [f"package {package};", ""] if package else []
    imports = [f'import "{path}";' for name, path in sorted(IMPORTS.items()) if name in used]
    lines += [*imports, ""] if imports else []
    for name, message in messages.items():
        if name.rpartition(".")[0] not in messages:
            lines += [*_message_lines(message, messages, ""), ""]
    return "\n".join(lines)


def _message_lines(message: ProtoMessage, messages: Mapping[str, ProtoMessage], indent: str) -> list[str]:
    lines = [f"{indent}message {simple_name(message.name)} {{"]
    for name, inner in messages.items():
        if name.rpartition(".")[0] == message.name:
            lines += _message_lines(inner, messages, f"{indent}  ")
    is_choice = any(entry.label == "oneof" for entry in message.fields)
    if is_choice:
        lines.append(f"{indent}  oneof value {{")
    within = f"{indent}    " if is_choice else f"{indent}  "
    lines += [f"{within}{_field_text(entry)} {entry.name} = {entry.number};" for entry in message.fields]
    return [*lines, *([f"{indent}  }}"] if is_choice else []), f"{indent}}}"]


def _field_text(entry: ProtoField) -> str:
    kind = entry.type if entry.type in SCALARS else f".{entry.type}"
    if entry.label == "map":
        return f"map<string, {kind}>"
    return kind if entry.label == "oneof" else f"{entry.label} {kind}"


def proto_descriptor(messages: Mapping[str, ProtoMessage]) -> FileDescriptorProto:
    """The file as the descriptor that Protobuf's runtime works with."""
    package = next(iter(messages)).rpartition(".")[0]
    used = {entry.type for message in messages.values() for entry in message.fields}
    file = FileDescriptorProto(name="event.proto", package=package, syntax="proto3")
    file.dependency.extend(path for name, path in sorted(IMPORTS.items()) if name in used)
    made: dict[str, DescriptorProto] = {}
    for name, message in messages.items():
        outer = made.get(name.rpartition(".")[0])
        descriptor = file.message_type.add() if outer is None else outer.nested_type.add()
        descriptor.name = simple_name(name)
        made[name] = descriptor
        _describe(descriptor, message)
    return file


def _describe(descriptor: DescriptorProto, message: ProtoMessage) -> None:
    if any(entry.label == "oneof" for entry in message.fields):
        descriptor.oneof_decl.add(name="value")
    for entry in message.fields:
        added = descriptor.field.add(name=entry.name, number=entry.number, label=FieldDescriptorProto.LABEL_OPTIONAL)
        if entry.label == "map":
            _describe_map(descriptor, added, entry, message.name)
            continue
        _describe_type(added, entry.type)
        if entry.label == "repeated":
            added.label = FieldDescriptorProto.LABEL_REPEATED
        elif entry.label == "oneof":
            added.oneof_index = 0
        else:  # an optional field of proto3 is a oneof of its own
            added.proto3_optional = True
            added.oneof_index = len(descriptor.oneof_decl)
            descriptor.oneof_decl.add(name=f"_{entry.name}")


def _describe_map(outer: DescriptorProto, added: FieldDescriptorProto, entry: ProtoField, within: str) -> None:
    """Describe a map, which is a repeated message of keys and values by a name that Protobuf prescribes."""
    name = f"{''.join(part.capitalize() for part in entry.name.split('_'))}Entry"
    inner = outer.nested_type.add(name=name)
    inner.options.map_entry = True
    key = inner.field.add(name="key", number=1, label=FieldDescriptorProto.LABEL_OPTIONAL)
    value = inner.field.add(name="value", number=2, label=FieldDescriptorProto.LABEL_OPTIONAL)
    _describe_type(key, "string")
    _describe_type(value, entry.type)
    added.label = FieldDescriptorProto.LABEL_REPEATED
    _describe_type(added, f"{within}.{name}")


def _describe_type(added: FieldDescriptorProto, kind: str) -> None:
    if kind in SCALARS:
        added.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
    else:
        added.type = FieldDescriptorProto.TYPE_MESSAGE
        added.type_name = f".{kind}"
