"""Protobuf files as descriptors, the form in which ``protoc`` and Confluent's Python client speak of them.

Only the parts of ``descriptor.proto`` that the model has are read and written, so that no Protobuf library is needed.

Source: google/protobuf/descriptor.proto; Protocol Buffers, "Encoding".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from typing import Final

from eventhub.errors import InvalidSchema
from eventhub.registry.compatibility.bounds import SCHEMA_DEPTH
from eventhub.registry.compatibility.proto_model import SCALARS, Enum, Field, Message, ProtoFile

_LABELS: Final = ("", "", "required", "repeated")
"""The labels by their numbers; 1 is optional."""
_VARINT_BYTES = 10
_FIXED_BYTES: Final = {1: 8, 5: 4}
"""The lengths of values by their wire type; no other type is in use."""
_ONEOF_INDEX = 9
_ALONE = 17
"""The number of ``proto3_optional``: such a field is in a oneof that nobody wrote."""

Part = tuple[int, bytes | int]
"""A field of a message on the wire: its number, and its value."""


def read_descriptor(text: str) -> ProtoFile:
    """The file that a ``FileDescriptorProto`` in base64 describes.

    Raises:
        InvalidSchema: If it is none.
    """
    try:
        return _file(list(_parts(base64.b64decode(text.strip(), validate=True))))
    except (binascii.Error, ValueError, IndexError, TypeError) as error:
        msg = f"invalid schema: no descriptor of a Protobuf file in base64: {error}"
        raise InvalidSchema(msg) from error


def _file(parts: list[Part]) -> ProtoFile:
    return ProtoFile(
        package=_text(parts, 2),
        syntax=_text(parts, 12) or "proto2",
        imports=tuple(value.decode() for value in _blocks(parts, 3)),
        messages=tuple(_message(value, 0) for value in _blocks(parts, 4)),
        enums=tuple(_enum(value) for value in _blocks(parts, 5)),
    )


def _message(block: bytes, depth: int) -> Message:
    if depth > SCHEMA_DEPTH:
        msg = f"messages are nested deeper than {SCHEMA_DEPTH}"
        raise InvalidSchema(msg)
    parts = list(_parts(block))
    inner = [_message(value, depth + 1) for value in _blocks(parts, 3)]
    entries = {
        message.name: message
        for message, value in zip(inner, _blocks(parts, 3), strict=True)
        if any(_number(list(_parts(options)), 7) for options in _blocks(list(_parts(value)), 7))  # map_entry
    }
    oneofs = [_text(list(_parts(value)), 1) for value in _blocks(parts, 8)]
    return Message(
        _text(parts, 1),
        tuple(_as_map(_field(value, oneofs), entries) for value in _blocks(parts, 2)),
        tuple(message for message in inner if message.name not in entries),
        tuple(_enum(value) for value in _blocks(parts, 4)),
    )


def _field(block: bytes, oneofs: list[str]) -> Field:
    parts = list(_parts(block))
    given = dict(parts)
    in_oneof = _ONEOF_INDEX in given and not given.get(_ALONE)
    return Field(
        _text(parts, 1),
        _number(parts, 3),
        _LABELS[_number(parts, 4)],
        SCALARS[_number(parts, 5) - 1] if _number(parts, 5) else "message",
        _text(parts, 6),
        oneofs[_number(parts, _ONEOF_INDEX)] if in_oneof else "",
        bool(given.get(_ALONE)),
    )


def _as_map(field: Field, entries: dict[str, Message]) -> Field:
    """A repeated entry is how descriptors spell a map."""
    entry = entries.get(field.named.rpartition(".")[2]) if field.label == "repeated" else None
    if entry is None:
        return field
    key, value = entry.fields
    named = f"{key.type},{value.named or value.type}"
    return Field(field.name, field.number, "repeated", "map", named, field.oneof)


def _enum(block: bytes) -> Enum:
    parts = list(_parts(block))
    values = [list(_parts(value)) for value in _blocks(parts, 2)]
    return Enum(_text(parts, 1), tuple((_text(value, 1), _signed(_number(value, 2))) for value in values))


def _signed(number: int) -> int:
    """A negative number is written as if it had 64 bits."""
    return number - (1 << 64) if number >> 63 else number


def _text(parts: Iterable[Part], number: int) -> str:
    return next((value.decode() for at, value in parts if at == number and isinstance(value, bytes)), "")


def _number(parts: Iterable[Part], number: int) -> int:
    return next((value for at, value in parts if at == number and isinstance(value, int)), 0)


def _blocks(parts: Iterable[Part], number: int) -> list[bytes]:
    return [value for at, value in parts if at == number and isinstance(value, bytes)]


def _parts(data: bytes) -> Iterator[Part]:
    """Every field of a message on the wire."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if not number:
            msg = "a field has the number 0"
            raise ValueError(msg)
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        size, at = _varint(data, at) if wire == 2 else (_FIXED_BYTES.get(wire, len(data)), at)  # noqa: PLR2004 - the wire type of bytes
        if size > len(data) - at:
            msg = "it ends too early"
            raise ValueError(msg)
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(_VARINT_BYTES):
        byte = data[at + shift]
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            return value, at + shift + 1
    msg = "a number is too long"
    raise ValueError(msg)


def write_descriptor(file: ProtoFile, name: str) -> str:
    """The file as a ``FileDescriptorProto`` in base64."""
    parts = [(1, name), (2, file.package)]
    parts += [(3, path) for path in file.imports]
    data = _written(parts)
    tells_zero = file.syntax == "proto3"
    data += _written((4, _write_message(message, file.package, tells_zero=tells_zero)) for message in file.messages)
    data += _written((5, _write_enum(enum)) for enum in file.enums)
    data += _written([(12, file.syntax)] if file.syntax != "proto2" else [])
    return base64.b64encode(data).decode()


def _write_message(message: Message, scope: str, *, tells_zero: bool) -> bytes:
    """A message; where only ``optional`` tells zero from nothing, such a field is a oneof of its own."""
    full = f"{scope}.{message.name}" if scope else message.name
    alone = [f"_{field.name}" for field in message.fields if tells_zero and field.is_optional]
    oneofs = [*dict.fromkeys(field.oneof for field in message.fields if field.oneof), *alone]
    maps = [field for field in message.fields if field.type == "map"]
    data = _written([(1, message.name)])
    data += _written((2, _write_field(field, full, oneofs)) for field in message.fields)
    data += _written((3, _write_message(each, full, tells_zero=tells_zero)) for each in message.messages)
    data += _written((3, _write_entry(field)) for field in maps)
    data += _written((4, _write_enum(enum)) for enum in message.enums)
    return data + _written((8, _written([(1, oneof)])) for oneof in oneofs)


def _write_field(field: Field, scope: str, oneofs: list[str]) -> bytes:
    type_, named = ("message", f"{scope}.{_entry_name(field)}") if field.type == "map" else (field.type, field.named)
    parts: list[tuple[int, str | int | bytes]] = [
        (1, field.name),
        (3, field.number),
        (4, max(_LABELS.index(field.label), 1)),
        (5, SCALARS.index(type_) + 1),
    ]
    parts += [(6, f".{named.removeprefix('.')}")] if named else []
    parts += [(_ONEOF_INDEX, oneofs.index(field.oneof))] if field.oneof else []
    parts += [(_ONEOF_INDEX, oneofs.index(f"_{field.name}")), (_ALONE, 1)] if f"_{field.name}" in oneofs else []
    return _written(parts)


def _entry_name(field: Field) -> str:
    """The name that ``protoc`` gives the entry of a map: the field's in camel case."""
    return "".join(part[:1].upper() + part[1:] for part in field.name.split("_")) + "Entry"


def _write_entry(field: Field) -> bytes:
    key, _, value = field.named.partition(",")
    plain = value in SCALARS
    fields = (
        Field("key", 1, "", key),
        Field("value", 2, "", value if plain else "message", "" if plain else value),
    )
    options = _written([(7, 1)])
    return _write_message(Message(_entry_name(field), fields), "", tells_zero=False) + _written([(7, options)])


def _write_enum(enum: Enum) -> bytes:
    values = [_written([(1, name), (2, number & (1 << 64) - 1)]) for name, number in enum.values]
    return _written([(1, enum.name), *((2, value) for value in values)])


def _written(parts: Iterable[tuple[int, str | int | bytes]]) -> bytes:
    """Fields of a message on the wire; empty text is left out."""
    data = bytearray()
    for number, value in parts:
        if isinstance(value, int):
            data += _write_varint(number << 3) + _write_varint(value)
        elif value or isinstance(value, bytes):
            block = value.encode() if isinstance(value, str) else value
            data += _write_varint(number << 3 | 2) + _write_varint(len(block)) + block
    return bytes(data)


def _write_varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)
