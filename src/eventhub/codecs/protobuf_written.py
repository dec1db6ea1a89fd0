"""A class's messages in the types of a file that is not derived from it: another team's, or one written by hand.

Numbers say which field is which. What is on the wire depends on the types of whoever wrote: a ``sint64``
is no ``int64``, an enum is a number, and a plain field of proto3 is not written while it is zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from eventhub.codecs.protobuf_schema import IMPORTS, SCALARS, ProtoField, ProtoMessage
from eventhub.errors import InvalidSchema
from eventhub.registry.base import Schema
from eventhub.registry.compatibility.problem import Problem
from eventhub.registry.compatibility.proto_model import Enum, Field, Message, ProtoFile
from eventhub.registry.compatibility.proto_parser import parse_protobuf

_INTEGERS = frozenset(
    {
        *("int32", "int64", "uint32", "uint64", "sint32", "sint64", "bool"),
        *("fixed32", "fixed64", "sfixed32", "sfixed64"),
    }
)
_TEXTS = frozenset({"string", "bytes"})
_READ_FROM = {
    "bool": _INTEGERS,
    "int64": _INTEGERS,
    "double": _INTEGERS | {"double", "float"},
    "string": _TEXTS,
    "bytes": _TEXTS,
}
"""What a class's types can be read from, where a file says something else."""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file with all that it imports."""

    file: ProtoFile
    definitions: Mapping[str, Message | Enum]
    """Every message and enum by its full name, those of imported files as well."""
    proto3: frozenset[str]
    """The names of those in whose files a field without a label is not written while it is zero."""

    def name_at(self, path: Sequence[int]) -> str:
        """The full name of the message at a path.

        Raises:
            InvalidSchema: If there is none.
        """
        name, messages = self.file.package, self.file.messages
        for index in path:
            if index >= len(messages):
                msg = f"file has no message at {list(path)}"
                raise InvalidSchema(msg)
            name = f"{name}.{messages[index].name}".lstrip(".")
            messages = messages[index].messages
        return name

    def path_to(self, name: str) -> tuple[int, ...] | None:
        """The path to a message, or None if the file itself does not define it."""
        return next((path for path, each in _paths(self.file.package, self.file.messages) if each == name), None)


def _paths(scope: str, messages: Sequence[Message]) -> Iterator[tuple[tuple[int, ...], str]]:
    for index, message in enumerate(messages):
        name = f"{scope}.{message.name}".lstrip(".")
        yield (index,), name
        for path, inner in _paths(name, message.messages):
            yield (index, *path), inner


def written_file(schema: Schema) -> WrittenFile:
    """The file that a schema is, with the definitions of the schemas it leans on.

    Raises:
        InvalidSchema: If one of them is no Protobuf.
    """
    texts = {reference.name: each.text for reference, each in schema.definitions.items()}
    file = parse_protobuf(schema.text, texts)
    imported = [
        parse_protobuf(text, {name: each for name, each in texts.items() if name != path})
        for path, text in texts.items()
    ]
    definitions: dict[str, Message | Enum] = {}
    proto3: set[str] = set()
    for each in (*imported, file):
        defined = dict(each.definitions())
        definitions |= defined
        proto3 |= defined.keys() if each.syntax == "proto3" else set()
    return WrittenFile(file, definitions, frozenset(proto3))


class Adopted(NamedTuple):
    """The messages of a class as a file writes them."""

    messages: Mapping[str, ProtoMessage]
    """By their full names, the event's own first."""
    problems: Sequence[Problem]
    """What the class cannot read from it."""
    pairs: Sequence[tuple[ProtoMessage, Message]]
    """Each message of the class beside that of the file."""


def adopted(messages: Mapping[str, ProtoMessage], file: WrittenFile, name: str) -> Adopted:
    """The messages of a class, its own first, as a message of a file writes them."""
    adoption = _Adoption(messages, file)
    adoption.message(next(iter(messages.values())), name)
    return Adopted(adoption.messages, adoption.problems, adoption.pairs)


class _Adoption:
    """Walks the messages of a class and of a file side by side."""

    def __init__(self, ours: Mapping[str, ProtoMessage], file: WrittenFile) -> None:
        self._ours = ours
        self._file = file
        self._names: dict[tuple[str, str], str] = {}  # of what was adopted from which message of the file
        self.messages: dict[str, ProtoMessage] = {}
        self.problems: list[Problem] = []
        self.pairs: list[tuple[ProtoMessage, Message]] = []

    def message(self, ours: ProtoMessage, theirs: str) -> str:
        """The name of a message as one of the file writes it, which is adopted the first time."""
        key = ours.name, theirs
        if key not in self._names:
            name = ours.name
            while name in self.messages or (name in self._ours and name != ours.name):
                name = f"{name}_{len(self.messages)}"  # another message of the file has been taken for it before
            self._names[key] = name
            made = self.messages[name] = ProtoMessage(name, record=ours.record)
            definition = self._file.definitions.get(theirs)
            definition = definition if isinstance(definition, Message) else Message(theirs)
            self.pairs.append((ours, definition))
            written = {field.number: field for field in definition.fields}
            for entry in ours.fields:
                adopted = self._field(entry, written.get(entry.number), ours.name)
                may_be_zero = adopted.is_implicit and theirs in self._file.proto3
                made.fields.append(replace(adopted, is_implicit=may_be_zero))
        return self._names[key]

    def _field(self, entry: ProtoField, written: Field | None, within: str) -> ProtoField:
        """A field in the type in which it was written; in its own where it was not."""
        is_message = entry.type not in SCALARS and entry.type not in IMPORTS
        if written is None:
            return replace(entry, type=self.message(self._ours[entry.type], "")) if is_message else entry
        kind, named = self._kind(written)
        fits = (entry.label == "map") == (written.type == "map")
        if is_message and kind == "message" and fits:
            return replace(entry, type=self.message(self._ours[entry.type], named))
        if kind == "enum" and entry.type in {"string", "int64"} and fits:
            enum = self._file.definitions.get(named)
            names = {number: name for name, number in enum.values} if isinstance(enum, Enum) else {}
            symbols = names if entry.type == "string" else None
            return replace(entry, type="int32", symbols=symbols, is_implicit=_plain(written))
        if fits and (kind in _READ_FROM.get(entry.type, ()) or (kind, named) == ("message", entry.type)):
            is_number = entry.type not in _TEXTS and kind != "message"
            return replace(entry, type=kind if is_number else entry.type, is_implicit=_plain(written))
        was, path = named or kind, f"/{within}/{entry.number}"
        reason = f"{within}.{entry.name} is read as {entry.type}, and was written as {was}"
        self.problems.append(Problem("FIELD_KIND_CHANGED", path, reason, entry.type, was))
        return replace(entry, type=self.message(self._ours[entry.type], "")) if is_message else entry

    def _kind(self, written: Field) -> tuple[str, str]:
        """A scalar, ``message`` or ``enum``, and its name; of a map, those of its values."""
        if written.type != "map":
            return written.type, written.named
        value = written.named.partition(",")[2]
        if value in SCALARS:
            return value, ""
        return "enum" if isinstance(self._file.definitions.get(value), Enum) else "message", value


def _plain(written: Field) -> bool:
    """Whether a field has neither a label nor a message or oneof around it that would tell zero from nothing."""
    return not (written.label or written.is_optional or written.oneof or written.type in {"message", "map"})
