"""Whether a reader's Protobuf file can read what a writer's wrote.

Source: Confluent Schema Registry, "Protobuf compatibility rules".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from eventhub.registry.compatibility.bounds import PROBLEMS
from eventhub.registry.compatibility.problem import Problem
from eventhub.registry.compatibility.proto_model import Enum, Field, Message, ProtoFile

_ALIKE: Final = (
    frozenset({"int32", "int64", "uint32", "uint64", "bool", "enum"}),
    frozenset({"sint32", "sint64"}),
    frozenset({"string", "bytes"}),
    frozenset({"fixed32", "sfixed32"}),
    frozenset({"fixed64", "sfixed64"}),
)
"""Types that look the same on the wire, and so may replace each other."""
_MAY_REPEAT: Final = frozenset({"string", "bytes", "message", "map"})
"""Types whose field may become repeated, or stop being so: on the wire each value stands for itself."""


def proto_problems(reader: ProtoFile, writer: ProtoFile) -> tuple[Problem, ...]:
    """What of a writer's file a reader's cannot read; empty if it can read all of it."""
    return tuple(islice(_differences(reader, writer), PROBLEMS))


def _differences(reader: ProtoFile, writer: ProtoFile) -> Iterator[Problem]:
    if reader.package != writer.package:
        reason = f"package {reader.package!r} is read, {writer.package!r} was written"
        yield Problem("PACKAGE_CHANGED", "", reason, reader.package, writer.package)
        return
    ours, theirs = _messages(reader), _messages(writer)
    for name, message in theirs.items():
        if name in ours:
            yield from _message(ours[name], message, f"/{name}")
        else:
            yield Problem("MESSAGE_REMOVED", f"/{name}", f"message {name!r} was written and is not read", "", name)


def _messages(file: ProtoFile) -> Mapping[str, Message]:
    return {name: each for name, each in file.definitions() if not isinstance(each, Enum)}


def _message(reader: Message, writer: Message, path: str) -> Iterator[Problem]:
    ours = {field.number: field for field in reader.fields}
    theirs = {field.number: field for field in writer.fields}
    for number in sorted(ours.keys() | theirs.keys()):
        place = f"{path}/{number}"
        if number not in theirs:
            yield from _required("ADDED", ours[number], place)
        elif number not in ours:
            yield from _required("REMOVED", theirs[number], place)
        else:
            yield from _field(ours[number], theirs[number], place)
    yield from _oneofs(reader, writer, path)


def _required(change: str, field: Field, path: str) -> Iterator[Problem]:
    if field.label == "required":
        reason = f"required field {field.name!r} was {change.lower()}"
        sides = (field.name, "") if change == "ADDED" else ("", field.name)
        yield Problem(f"REQUIRED_FIELD_{change}", path, reason, *sides)


def _field(reader: Field, writer: Field, path: str) -> Iterator[Problem]:
    ours, theirs = _shown(reader), _shown(writer)
    reason = f"field {reader.name!r} is read as {ours}, and was written as {theirs}"
    if not _fit(reader, writer):
        named = reader.type == writer.type and reader.named != writer.named
        kind = "FIELD_NAMED_TYPE_CHANGED" if named else "FIELD_SCALAR_KIND_CHANGED"
        yield Problem(kind, path, reason, ours, theirs)
    elif (reader.label == "repeated") != (writer.label == "repeated") and reader.type not in _MAY_REPEAT:
        yield Problem("FIELD_NUMERIC_LABEL_CHANGED", path, reason, ours, theirs)
    if (reader.label == "required") != (writer.label == "required"):
        yield from _required("ADDED", reader, path)
        yield from _required("REMOVED", writer, path)


def _fit(reader: Field, writer: Field) -> bool:
    """Whether values of the writer's type are values of the reader's on the wire."""
    if reader.type == writer.type:
        return reader.named == writer.named or reader.type == "enum"
    return any(reader.type in alike and writer.type in alike for alike in _ALIKE)


def _shown(field: Field) -> str:
    type_ = f"map<{field.named.replace(',', ', ')}>" if field.type == "map" else field.named or field.type
    return f"{field.label} {type_}" if field.label and field.type != "map" else type_


def _oneofs(reader: Message, writer: Message, path: str) -> Iterator[Problem]:
    ours, theirs = _by_oneof(reader), _by_oneof(writer)
    written = {field.number: field for field in writer.fields}
    still = {field.number for field in reader.fields}
    for name in ours.keys() & theirs.keys():
        for number in sorted(theirs[name].keys() - still):
            reason = f"field {theirs[name][number].name!r} was removed from oneof {name!r}"
            yield Problem("ONEOF_FIELD_REMOVED", f"{path}/{number}", reason, "", theirs[name][number].name)
    for name, fields in ours.items():
        moved = sorted(number for number in fields if number in written and not written[number].oneof)
        names = ", ".join(fields[number].name for number in moved)
        if name in theirs and moved:
            reason = f"{names} moved into oneof {name!r}, which was there before"
            yield Problem("FIELD_MOVED_TO_EXISTING_ONEOF", path, reason, name, names)
        elif len(moved) > 1:
            reason = f"{names} moved into one oneof {name!r}: a record that has both would lose one"
            yield Problem("MULTIPLE_FIELDS_MOVED_TO_ONEOF", path, reason, name, names)


def _by_oneof(message: Message) -> Mapping[str, Mapping[int, Field]]:
    found: dict[str, dict[int, Field]] = {}
    for field in message.fields:
        if field.oneof:
            found.setdefault(field.oneof, {})[field.number] = field
    return found
