"""Protobuf files as values, as far as compatibility looks at them; options and services are left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as field_of
from typing import Final

from eventhub.errors import InvalidSchema
from eventhub.registry.compatibility.bounds import check_length

SCALARS: Final = (
    "double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string", "group", "message",
    "bytes", "uint32", "enum", "sfixed32", "sfixed64", "sint32", "sint64",
)  # fmt: skip
"""The types of fields, each at its number in ``descriptor.proto`` less one; three of them are no scalars."""

_KEYS: Final = frozenset(SCALARS) - {"double", "float", "bytes", "group", "message", "enum"}
"""The types that keys of maps may have."""
_LAST_NUMBER = 2**29 - 1
_RESERVED_NUMBERS = range(19_000, 20_000)  # Protobuf keeps them for itself


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message."""

    name: str
    number: int
    label: str
    """``required`` or ``repeated``; empty for what may be there or not."""
    type: str
    """A scalar, ``message`` or ``enum``; ``map`` for a map, whose entry is the named type."""
    named: str = ""
    """The full name of the message or enum, or the key and the value of a map; empty for scalars."""
    oneof: str = ""
    """The oneof it is part of; empty for none."""
    is_optional: bool = field_of(default=False, compare=False)
    """Whether it says ``optional``, which compatibility does not look at: then zero is told from nothing in proto3."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message, with what is defined inside."""

    name: str
    fields: tuple[Field, ...] = ()
    messages: tuple[Message, ...] = ()
    enums: tuple[Enum, ...] = ()


@dataclass(frozen=True, slots=True)
class Enum:
    """An enum; its values by name."""

    name: str
    values: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ProtoFile:
    """One file."""

    package: str = ""
    syntax: str = "proto2"
    imports: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    enums: tuple[Enum, ...] = ()

    def definitions(self) -> Iterator[tuple[str, Message | Enum]]:
        """Every message and enum, with its full name."""
        yield from _definitions(self.package, self.messages, self.enums)


def _definitions(
    scope: str, messages: tuple[Message, ...], enums: tuple[Enum, ...]
) -> Iterator[tuple[str, Message | Enum]]:
    both: tuple[Message | Enum, ...] = messages + enums
    for each in both:
        full = f"{scope}.{each.name}" if scope else each.name
        yield full, each
        if isinstance(each, Message):
            yield from _definitions(full, each.messages, each.enums)


def resolved(file: ProtoFile, imported: Mapping[str, ProtoFile]) -> ProtoFile:
    """The file with every name in full, and checked.

    Names of imported files that are not at hand are kept as they are, and taken for messages.

    Raises:
        InvalidSchema: If a name or a number stands twice, or a number is none.
    """
    kinds: dict[str, str] = {}
    for other in imported.values():
        kinds |= {full: _kind(each) for full, each in other.definitions()}
    for full, each in file.definitions():
        check_length(full)
        if full in kinds:
            msg = f"{full!r} is defined twice"
            raise InvalidSchema(msg)
        kinds[full] = _kind(each)
    return replace(file, messages=tuple(_resolved(each, file.package, kinds) for each in file.messages))


def _kind(definition: Message | Enum) -> str:
    return "message" if isinstance(definition, Message) else "enum"


def _resolved(message: Message, scope: str, kinds: Mapping[str, str]) -> Message:
    full = f"{scope}.{message.name}" if scope else message.name
    _check(message, full)
    return replace(
        message,
        fields=tuple(_with_names(field, full, kinds) for field in message.fields),
        messages=tuple(_resolved(each, full, kinds) for each in message.messages),
    )


def _with_names(field: Field, scope: str, kinds: Mapping[str, str]) -> Field:
    if field.type == "map":
        key, _, value = field.named.partition(",")
        return replace(field, named=f"{key},{value if value in SCALARS else _find(value, scope, kinds)}")
    if field.named:
        full = _find(field.named, scope, kinds)
        return replace(field, named=full, type=kinds.get(full, "message"))
    return field


def _find(name: str, scope: str, kinds: Mapping[str, str]) -> str:
    """The full name that a name means in a scope: that of the innermost definition."""
    if name.startswith("."):
        return name[1:]
    while True:
        full = f"{scope}.{name}" if scope else name
        if full in kinds or not scope:
            return full
        scope = scope.rpartition(".")[0]


def _check(message: Message, full: str) -> None:
    """Each field needs a name and a number of its own, and a map keys of a type that keys may have."""
    names: set[str] = set()
    numbers: set[int] = set()
    for field in message.fields:
        if not 0 < field.number <= _LAST_NUMBER or field.number in _RESERVED_NUMBERS:
            msg = f"field {field.name!r} of {full!r}: {field.number} is no number of a field"
            raise InvalidSchema(msg)
        if field.name in names or field.number in numbers:
            msg = f"field {field.name!r} of {full!r}: its name or its number {field.number} stands twice"
            raise InvalidSchema(msg)
        if field.type == "map" and field.named.partition(",")[0] not in _KEYS:
            msg = f"field {field.name!r} of {full!r}: {field.named.partition(',')[0]!r} is no type of a map's keys"
            raise InvalidSchema(msg)
        names.add(field.name)
        numbers.add(field.number)
