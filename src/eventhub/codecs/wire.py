"""The frame around a body: what stands in front of it, or in a header, to name its schema.

::

    00 | schema id, 4 bytes big-endian | body             classic, what eventhub writes
    header __value_schema_id = 01 | GUID, 16 bytes        the body is the whole value: ``Frame.HEADER``
    header __value_schema_id = 00 | schema id, 4 bytes    the same with the number

Protobuf puts the message indexes between frame and body, or at the end of the header.

Source: Confluent wire format, as written and read by confluent-kafka-python 2.16.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from eventhub.errors import DecodeError

PREFIX_BYTES = 5
"""The length of the classic frame."""
SCHEMA_ID_HEADER = "__value_schema_id"
"""The header that names the schema instead of a prefix; where there are several, the last one counts."""

_MAGIC_ID = 0
_MAGIC_GUID = 1
_ID_HEADER_BYTES = 5
_GUID_HEADER_BYTES = 17
_MAX_INDEXES = 64  # how deep messages nest in one file; Confluent's own client stops at 100,000
_MAX_VARINT_BYTES = 5  # 32 bits, seven a byte
_SHOWN_BYTES = 16  # how much of a foreign value an error shows


def prefix(schema_id: int) -> bytes:
    """The classic frame of a schema id."""
    return bytes((_MAGIC_ID,)) + schema_id.to_bytes(4, "big")


def schema_id(value: bytes) -> int:
    """The schema id in a value's classic frame.

    Raises:
        DecodeError: If the value has no such frame, with the likely reason.
    """
    if not value:
        msg = "value is empty; a framed event has at least 5 bytes"
        raise DecodeError(msg)
    if value[0] != _MAGIC_ID:
        raise DecodeError(_foreign(value))
    if len(value) < PREFIX_BYTES:
        msg = f"value ends within its frame: {_shown(value)}"
        raise DecodeError(msg)
    found = int.from_bytes(value[1:PREFIX_BYTES], "big", signed=True)
    if found == 0:
        msg = (
            f"schema id is 0, which no registry gives: {_shown(value)}; Apicurio's own serializers write ids of "
            "8 bytes unless set to 4 (Legacy4ByteIdHandler)"
        )
        raise DecodeError(msg)
    if found < 0:
        msg = f"schema id is negative: {_shown(value)}"
        raise DecodeError(msg)
    return found


def header_schema(header: bytes) -> int | UUID:
    """The schema id or GUID in the value of a ``__value_schema_id`` header.

    Raises:
        DecodeError: If it is neither.
    """
    if len(header) >= _GUID_HEADER_BYTES and header[0] == _MAGIC_GUID:
        return UUID(bytes=header[1:_GUID_HEADER_BYTES])
    if len(header) >= _ID_HEADER_BYTES and header[0] == _MAGIC_ID:
        return schema_id(header)
    msg = f"header {SCHEMA_ID_HEADER} names no schema: {_shown(header)}; expected 00 and 4 bytes, or 01 and 16 bytes"
    raise DecodeError(msg)


def header_value(schema_id: int, guid: str | None, path: bytes = b"") -> bytes:
    """The value of a header that names a schema: by its GUID, or by its id where the registry has no GUIDs."""
    return (prefix(schema_id) if guid is None else bytes((_MAGIC_GUID,)) + UUID(guid).bytes) + path


def split_header(header: bytes) -> tuple[bytes, bytes]:
    """What of a header names the schema, and the path to a message behind it, empty but in Protobuf."""
    at = _GUID_HEADER_BYTES if header[:1] == bytes((_MAGIC_GUID,)) else _ID_HEADER_BYTES
    return header[:at], header[at:]


def write_indexes(indexes: Sequence[int]) -> bytes:
    """The path to a message in its Protobuf file; ``[0]``, the usual one, takes one byte."""
    if tuple(indexes) == (0,):
        return b"\x00"
    return b"".join(_varint(number) for number in (len(indexes), *indexes))


def read_indexes(value: bytes, start: int) -> tuple[tuple[int, ...], int]:
    """The path to a message in its Protobuf file, and where the body begins.

    Raises:
        DecodeError: If the bytes at ``start`` are no such path.
    """
    count, position = _read_varint(value, start)
    if not 0 <= count <= _MAX_INDEXES:
        msg = f"value has {count} message indexes, allowed are up to {_MAX_INDEXES}"
        raise DecodeError(msg)
    indexes = []
    for _ in range(count):
        index, position = _read_varint(value, position)
        if index < 0:
            msg = f"message index is negative: {index}"
            raise DecodeError(msg)
        indexes.append(index)
    return tuple(indexes) or (0,), position


def _foreign(value: bytes) -> str:
    """What a value without the magic byte probably is."""
    start = value.lstrip()[:1]
    if start in (b"{", b"["):
        hint = "it looks like plain JSON, written without a Schema Registry serializer"
    elif value[0] == _MAGIC_GUID:
        hint = f"it looks like a GUID frame, which belongs in the header {SCHEMA_ID_HEADER}"
    else:
        hint = "it was not written with a Schema Registry serializer"
    return f"unknown magic byte 0x{value[0]:02x}: {_shown(value)}; {hint}"


def _shown(value: bytes) -> str:
    """The first bytes of a value, for a message."""
    more = "" if len(value) <= _SHOWN_BYTES else f" ... ({len(value)} bytes)"
    return value[:_SHOWN_BYTES].hex(" ") + more


def _varint(number: int) -> bytes:
    """A number that is not negative as a zigzag varint."""
    number <<= 1
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(value: bytes, start: int) -> tuple[int, int]:
    """A zigzag varint of at most 32 bits, and where it ends."""
    number = 0
    for shift, byte in enumerate(value[start : start + _MAX_VARINT_BYTES]):
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:  # noqa: PLR2004 - the last byte of a varint has no high bit
            return (number >> 1) ^ -(number & 1), start + shift + 1
    msg = f"message index ends early or is longer than {_MAX_VARINT_BYTES} bytes: {_shown(value[start:])}"
    raise DecodeError(msg)
