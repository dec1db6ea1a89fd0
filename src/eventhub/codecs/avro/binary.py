"""The pieces of Avro's binary form that generated code is made of.

Source: Apache Avro 1.12 specification, "Binary encoding".
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from eventhub.codecs.avro.types import MAX_NESTED, Enumeration, Fixed, Primitive, simple_name
from eventhub.codecs.avro.values import (
    EXACT,
    Misfit,
    UnknownSymbol,
    value_writer,
    write_boolean,
    write_decimal,
    write_fixed,
    write_text,
    write_timestamp,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EIGHT_BYTES = range(1 << 49, 1 << 56)  # zigzag numbers of eight bytes, among them moments from 1978 to 3111


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte, the eighth says that more follow
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


SHORT = tuple(_varint(number) for number in range(2048))
"""The varints of small numbers."""


def varint(number: int) -> bytes:
    """The varint of a zigzag number.

    Raises:
        Misfit: If it has more than 64 bits.
    """
    if number >> 64:
        msg = "int needs more than 64 bits"
        raise Misfit(msg)
    return _varint(number)


def varint32(number: int) -> bytes:
    """The varint of a zigzag number.

    Raises:
        Misfit: If it has more than 32 bits.
    """
    if number >> 32:
        msg = "int needs more than 32 bits"
        raise Misfit(msg)
    return _varint(number)


def zigzag(number: int) -> int:
    """A number with its sign in the lowest bit."""
    return (number << 1) ^ (number >> 63)


def framed(raw: bytes) -> bytes:
    """Bytes after their length."""
    length = len(raw) << 1
    return (SHORT[length] if length < len(SHORT) else _varint(length)) + raw


def moment(value: Any) -> bytes:
    """A moment in microseconds."""
    try:
        since = value - _EPOCH
        number = ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) << 1
    except (TypeError, AttributeError):
        number = zigzag(write_timestamp(value))  # says what is wrong
    if number not in _EIGHT_BYTES:
        write_timestamp(value)  # refuses what no year has
        return _varint(number if number >= 0 else ~number)
    return bytes(
        (
            number & 0x7F | 0x80,
            number >> 7 & 0x7F | 0x80,
            number >> 14 & 0x7F | 0x80,
            number >> 21 & 0x7F | 0x80,
            number >> 28 & 0x7F | 0x80,
            number >> 35 & 0x7F | 0x80,
            number >> 42 & 0x7F | 0x80,
            number >> 49,
        )
    )


def uuid(value: Any) -> bytes:
    """A UUID as its text."""
    if value.__class__ is not UUID:
        return framed(write_text(value).encode())
    digits = f"{value.int:032x}"
    return f"H{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}".encode()  # H: 36 as a varint


def decimal_writer(scale: int, precision: int) -> Callable[[Any], bytes]:
    """The function that writes decimals of a type."""
    limit = Decimal(10) ** precision

    def write(value: Any) -> bytes:
        if value.__class__ is Decimal and value.is_finite():
            scaled = value.scaleb(scale, EXACT)
            if -limit < scaled < limit:
                unscaled = int(scaled)
                if unscaled == scaled:
                    length = (unscaled.bit_length() + 8) >> 3
                    return SHORT[length << 1] + unscaled.to_bytes(length, "big", signed=True)
        return framed(write_decimal(value, scale=scale, precision=precision))

    return write


def leaf_writer(declared: Primitive | Fixed) -> Callable[[Any], bytes]:
    """The function that writes values of a type without structure, whatever their class."""
    if isinstance(declared, Fixed):
        return lambda value: write_fixed(value, declared.name, declared.size, declared.logical)
    kind, logical = declared.kind, declared.logical
    if kind == "null":
        return _write_null
    if kind == "bytes" and logical is not None and logical.name == "decimal":
        return decimal_writer(logical.scale, logical.precision)
    convert = value_writer(kind, logical)
    if kind in {"int", "long"}:
        return lambda value: varint(zigzag(convert(value)))
    if kind in {"float", "double"}:
        pack = struct.Struct("<d" if kind == "double" else "<f").pack
        return lambda value: pack(convert(value))
    if kind == "boolean":
        return lambda value: b"\x01" if write_boolean(value) else b"\x00"
    if kind == "string":
        return lambda value: framed(convert(value).encode())
    return lambda value: framed(convert(value))


def _write_null(value: object) -> bytes:
    if value is not None:
        msg = f"{type(value).__name__} is no None"
        raise Misfit(msg)
    return b""


class Symbols(dict[Any, bytes]):
    """What is written for each symbol of an enum, by the symbol and by the members of Python enums met so far."""

    def __init__(self, declared: Enumeration) -> None:
        """Know the symbols."""
        super().__init__({symbol: _varint(index << 1) for index, symbol in enumerate(declared.symbols)})
        self._declared = declared

    def __missing__(self, value: Any) -> bytes:
        """Learn a member, which is hashed by its name and not by its value."""
        symbol = write_text(value)
        if symbol not in self._declared.symbols:
            known = ", ".join(self._declared.symbols)
            msg = f"{symbol!r:.100} is no symbol of {self._declared.name}: {known}"
            raise Misfit(msg)
        self[value] = self[symbol]
        return self[symbol]


HALF = tuple(number >> 1 if number % 2 == 0 else 1 << 62 for number in range(128))
"""The lengths that one byte can say; a negative one is longer than any bytes."""
SIGNED = tuple((number >> 1) ^ -(number & 1) for number in range(128))
"""The numbers that one byte can say."""


def rest(value: bytes, position: int, first: int) -> tuple[int, int]:
    """Where a number ends whose first byte says that more follow, and the number with its sign in the lowest bit.

    Raises:
        Misfit: If it has more than 64 bits.
        IndexError: If the bytes end within it.
    """
    number, shift = first & 0x7F, 7
    byte = value[position]
    while byte > 0x7F and shift < 63:  # noqa: PLR2004 - the tenth byte holds the 64th bit
        number |= (byte & 0x7F) << shift
        shift += 7
        position += 1
        byte = value[position]
    number |= byte << shift
    if number >> 64:
        msg = "the number has more than 64 bits"
        raise Misfit(msg)
    return position + 1, number


def rest32(value: bytes, position: int, first: int) -> tuple[int, int]:
    """The same for a number of 32 bits."""
    position, number = rest(value, position, first)
    if number >> 32:
        msg = "the number has more than 32 bits"
        raise Misfit(msg)
    return position, number


def half(value: bytes, position: int, first: int) -> tuple[int, int]:
    """Where a part begins and ends whose length takes more than one byte."""
    position, number = rest(value, position, first)
    return position, position + (number >> 1 if number % 2 == 0 else 1 << 62)


def too_deep() -> None:
    """Refuse a value that nests further than any reader follows."""
    msg = f"values nest deeper than {MAX_NESTED}"
    raise Misfit(msg)


def too_long(length: int, left: int) -> None:
    """Refuse a length or a count beyond what there is or may be."""
    promised = "a negative length" if length >= 1 << 62 else f"{length} bytes or entries"
    msg = f"{promised} where {left} bytes are left"
    raise Misfit(msg)


def too_many_digits(allowed: int) -> None:
    """Refuse a decimal beyond the digits of its type."""
    msg = f"the decimal has more than the {allowed} digits of its type"
    raise Misfit(msg)


def left_over(left: int) -> None:
    """Refuse bytes after the value."""
    msg = f"{left} bytes are left after the event" if left > 0 else f"the bytes end {-left} too early"
    raise Misfit(msg)


def bad_index(number: int, of: str, count: int) -> None:
    """Refuse the index of a symbol or branch that is not there."""
    msg = f"{(number >> 1) ^ -(number & 1)} is no index of {of}, which has {count}"
    raise Misfit(msg)


def unknown_symbol(written: Enumeration, wanted: Enumeration, index: int) -> None:
    """Refuse a symbol that the class does not know and has no default for."""
    raise UnknownSymbol(written.symbols[index], simple_name(wanted.name), wanted.symbols)
