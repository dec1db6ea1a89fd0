"""Between Python values and the numbers, texts and bytes that Avro writes for them.

One function a direction and logical type; each refuses what would not come back the same.

Source: Apache Avro 1.12 specification, "Logical Types". ``timedelta-micros`` is our own; readers
that do not know it see a long.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from enum import Enum
from functools import partial
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import PurePath
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import AnyUrl, BaseModel, RootModel, SecretBytes, SecretStr

from eventhub.codecs.avro.types import MAX_PRECISION, Logical

TEXTS = (
    *(UUID, Decimal, AnyUrl, PurePath, ZoneInfo),
    *(IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network),
)
"""Classes whose values are written as the text that ``str`` gives and validated from it again."""

LONG = (-(1 << 63), (1 << 63) - 1)
INT = (-(1 << 31), (1 << 31) - 1)

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = datetime.min.replace(tzinfo=UTC) - _EPOCH
_LAST = datetime.max.replace(tzinfo=UTC) - _EPOCH
_LOCAL_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - local-timestamp counts from a moment without a zone
_EPOCH_DAY = 719163  # date(1970, 1, 1).toordinal()
_MICROSECOND = timedelta(microseconds=1)
_MILLISECOND = timedelta(milliseconds=1)
_MAX_FLOAT32 = (2 - 2**-24) * 2**127  # half a step above the largest; rounds to infinity
_DAY_MICROS = 24 * 60 * 60 * 1_000_000
EXACT = Context(prec=2 * MAX_PRECISION, Emax=MAX_EMAX, Emin=MIN_EMIN)  # rounds nothing that is allowed
MAX_DECIMAL_BYTES = 512  # 1000 digits take 416; some writers pad


class Misfit(ValueError):
    """A value that its type cannot hold, and where it stands."""

    def __init__(self, reason: str) -> None:
        """Say what is wrong; the place is added on the way out."""
        super().__init__(reason)
        self.reason = reason
        self.path: list[str] = []

    def within(self, name: str) -> Misfit:
        """The same, one level further out."""
        self.path.insert(0, name)
        return self

    def __str__(self) -> str:
        """The place and the reason."""
        place = "".join(step if step.startswith("[") else f".{step}" for step in self.path).lstrip(".")
        return f"{place}: {self.reason}" if place else self.reason


class UnknownSymbol(Misfit):
    """A symbol that the reader's enum does not have, and for which it declares nothing."""

    def __init__(self, symbol: str, enum: str, known: Sequence[str]) -> None:
        """Say which symbol, and how to read such symbols."""
        super().__init__(f"{enum} has no {symbol!r}, only {', '.join(known)}; declare __default__ in {enum} to read it")


def misfit(value: object, wanted: str) -> Misfit:
    """A value of the wrong class."""
    return Misfit(f"{type(value).__name__} is no {wanted}")


def write_integer(value: object, *, bounds: tuple[int, int] = LONG) -> int:
    """An int, or the value of an enum of ints."""
    if isinstance(value, Enum):
        value = value.value
    if not isinstance(value, int):
        raise misfit(value, "int")
    if not bounds[0] <= value <= bounds[1]:
        msg = f"{value if abs(value) < 1 << 80 else 'int'} needs more than {bounds[1].bit_length() + 1} bits"
        raise Misfit(msg)
    return int(value)


def write_float(value: object) -> float:
    """A float, or an int that a float can hold."""
    if isinstance(value, Enum):
        value = value.value
    if not isinstance(value, (float, int)) or isinstance(value, bool):
        raise misfit(value, "float")
    try:
        return float(value)
    except OverflowError as error:
        msg = "int is too large for a float"
        raise Misfit(msg) from error


def write_float32(value: object) -> float:
    """A float that four bytes can hold, if not to the last digit."""
    number = write_float(value)
    if math.isfinite(number) and abs(number) > _MAX_FLOAT32:
        msg = "float needs more than 32 bits"
        raise Misfit(msg)
    return number


def write_boolean(value: object) -> bool:
    """A bool."""
    if not isinstance(value, bool):
        raise misfit(value, "bool")
    return value


def write_text(value: object) -> str:
    """A str, the value of an enum of strings, or any value that has a text of its own."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    elif isinstance(value, TEXTS):
        value = str(value)
    if not isinstance(value, str):
        raise misfit(value, "str")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        msg = "str has lone surrogates, which UTF-8 cannot write"
        raise Misfit(msg) from error
    return value


def write_bytes(value: object) -> bytes:
    """Bytes, or a secret of bytes."""
    if isinstance(value, SecretBytes):
        value = value.get_secret_value()
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise misfit(value, "bytes")
    return bytes(value)


def write_fixed(value: object, name: str, size: int, logical: Logical | None) -> bytes:
    """Bytes of one length; a decimal is padded with its sign."""
    raw: bytes = value_writer("fixed", logical)(value)
    if logical is not None and logical.name == "decimal" and len(raw) < size:
        raw = (b"\xff" if raw[0] & 0x80 else b"\x00") * (size - len(raw)) + raw
    if len(raw) != size:
        msg = f"{len(raw)} bytes where {name} takes {size}"
        raise Misfit(msg)
    return raw


def as_sequence(value: object) -> Collection[Any]:
    """What an array is written from."""
    value = unwrapped(value)
    if not isinstance(value, (list, tuple, set, frozenset, deque)):
        raise misfit(value, "list")
    return value


def as_mapping(value: object) -> Mapping[Any, Any]:
    """What a map is written from."""
    value = unwrapped(value)
    if not isinstance(value, Mapping):
        raise misfit(value, "dict")
    return value


def as_model(value: object) -> BaseModel:
    """What a record is written from."""
    value = unwrapped(value)
    if not isinstance(value, BaseModel):
        raise misfit(value, "model")
    return value


def unwrapped(value: Any) -> Any:
    """A value without the root models around it."""
    while isinstance(value, RootModel):
        value = value.root
    return value


def write_timestamp(value: object, *, unit: timedelta = _MICROSECOND) -> int:
    """A moment as units since 1970; what is finer than the unit is cut off."""
    if not isinstance(value, datetime):
        raise misfit(value, "datetime")
    if value.tzinfo is None or value.utcoffset() is None:
        msg = "datetime has no time zone; make it aware, or declare the field NaiveDatetime"
        raise Misfit(msg)
    since = value - _EPOCH
    if not _FIRST <= since <= _LAST:
        msg = "datetime is outside the years 1 to 9999 in UTC"
        raise Misfit(msg)
    return since // unit


def write_local_timestamp(value: object, *, unit: timedelta = _MICROSECOND) -> int:
    """A datetime without zone as units since 1970, whatever zone that was."""
    if not isinstance(value, datetime):
        raise misfit(value, "datetime")
    if value.tzinfo is not None:
        msg = "datetime has a time zone, and the schema's local timestamp would drop it"
        raise Misfit(msg)
    return (value - _LOCAL_EPOCH) // unit


def write_date(value: object) -> int:
    """A date as days since 1970."""
    if not isinstance(value, date) or isinstance(value, datetime):
        raise misfit(value, "date")
    return value.toordinal() - _EPOCH_DAY


def write_time(value: object, *, micros: int = 1) -> int:
    """A time of day as units of some microseconds since midnight."""
    if not isinstance(value, time):
        raise misfit(value, "time")
    if value.tzinfo is not None:
        msg = "time has a time zone, for which Avro has no place"
        raise Misfit(msg)
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return (seconds * 1_000_000 + value.microsecond) // micros


def write_timedelta(value: object) -> int:
    """A span as microseconds."""
    if not isinstance(value, timedelta):
        raise misfit(value, "timedelta")
    return write_integer(value // _MICROSECOND)


def write_decimal(value: object, *, scale: int, precision: int) -> bytes:
    """A decimal as its digits in two's complement; never rounded."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    if not isinstance(value, Decimal):
        raise misfit(value, "Decimal")
    if not value.is_finite():
        msg = f"{value} is no finite number"
        raise Misfit(msg)
    if value and value.adjusted() + 1 + scale > precision:
        msg = f"Decimal has {value.adjusted() + 1} digits before the point, allowed are {precision - scale}"
        raise Misfit(msg)
    scaled = value.scaleb(scale, EXACT)
    unscaled = int(scaled)
    if unscaled != scaled:
        msg = f"Decimal has more than {scale} places, and would be rounded"
        raise Misfit(msg)
    return unscaled.to_bytes((unscaled.bit_length() + 8) // 8, "big", signed=True)


def _write_uuid(value: object) -> bytes:
    if not isinstance(value, UUID):
        raise misfit(value, "UUID")
    return value.bytes


def read_timestamp(units: int, *, unit: timedelta = _MICROSECOND) -> datetime:
    """A moment in UTC."""
    return _in_years(units, lambda: _EPOCH + units * unit)


def read_local_timestamp(units: int, *, unit: timedelta = _MICROSECOND) -> datetime:
    """A datetime without zone."""
    return _in_years(units, lambda: _LOCAL_EPOCH + units * unit)


def read_date(days: int) -> date:
    """A date."""
    return _in_years(days, lambda: date.fromordinal(_EPOCH_DAY + days))


def read_time(units: int, *, micros: int = 1) -> time:
    """A time of day."""
    total = units * micros
    if not 0 <= total < _DAY_MICROS:
        msg = f"{units} is no time of day"
        raise Misfit(msg)
    seconds, microsecond = divmod(total, 1_000_000)
    return time(seconds // 3600, seconds // 60 % 60, seconds % 60, microsecond)


def read_timedelta(units: int) -> timedelta:
    """A span."""
    return timedelta(microseconds=units)


def read_decimal(unscaled: bytes, *, scale: int) -> Decimal:
    """A decimal with as many places as the schema says."""
    if len(unscaled) > MAX_DECIMAL_BYTES:
        msg = f"decimal takes {len(unscaled)} bytes, allowed are {MAX_DECIMAL_BYTES}"
        raise Misfit(msg)
    return Decimal(int.from_bytes(unscaled, "big", signed=True)).scaleb(-scale, EXACT)


def _in_years(units: int, convert: Callable[[], T]) -> T:
    try:
        return convert()
    except (OverflowError, ValueError) as error:
        msg = f"{units} is outside the years 1 to 9999"
        raise Misfit(msg) from error


_WRITERS: Mapping[tuple[str, str], Callable[[Any], Any]] = {
    ("long", "timestamp-millis"): partial(write_timestamp, unit=_MILLISECOND),
    ("long", "timestamp-micros"): write_timestamp,
    ("long", "timestamp-nanos"): lambda value: write_integer(write_timestamp(value) * 1000),
    ("long", "local-timestamp-millis"): partial(write_local_timestamp, unit=_MILLISECOND),
    ("long", "local-timestamp-micros"): write_local_timestamp,
    ("long", "local-timestamp-nanos"): lambda value: write_integer(write_local_timestamp(value) * 1000),
    ("long", "time-micros"): write_time,
    ("long", "timedelta-micros"): write_timedelta,
    ("int", "time-millis"): partial(write_time, micros=1000),
    ("int", "date"): write_date,
    ("fixed", "uuid"): _write_uuid,
}

_READERS: Mapping[tuple[str, str], Callable[[Any], Any]] = {
    ("long", "timestamp-millis"): partial(read_timestamp, unit=_MILLISECOND),
    ("long", "timestamp-micros"): read_timestamp,
    ("long", "timestamp-nanos"): lambda units: read_timestamp(units // 1000),
    ("long", "local-timestamp-millis"): partial(read_local_timestamp, unit=_MILLISECOND),
    ("long", "local-timestamp-micros"): read_local_timestamp,
    ("long", "local-timestamp-nanos"): lambda units: read_local_timestamp(units // 1000),
    ("long", "time-micros"): read_time,
    ("long", "timedelta-micros"): read_timedelta,
    ("int", "time-millis"): partial(read_time, micros=1000),
    ("int", "date"): read_date,
    ("fixed", "uuid"): lambda raw: UUID(bytes=raw),
}

_PLAIN_WRITERS: Mapping[str, Callable[[Any], Any]] = {
    "boolean": write_boolean,
    "int": partial(write_integer, bounds=INT),
    "long": write_integer,
    "float": write_float32,
    "double": write_float,
    "string": write_text,
    "bytes": write_bytes,
    "fixed": write_bytes,
}


def value_writer(kind: str, logical: Logical | None) -> Callable[[Any], Any]:
    """The function that makes a Python value one of an Avro primitive; it raises ``Misfit`` alone."""
    if logical is None:
        return _PLAIN_WRITERS[kind]
    if logical.name == "decimal" and kind in {"bytes", "fixed"}:
        return partial(write_decimal, scale=logical.scale, precision=logical.precision)
    return _WRITERS.get((kind, logical.name), _PLAIN_WRITERS[kind])


def value_reader(kind: str, logical: Logical | None) -> Callable[[Any], Any] | None:
    """The function that makes an Avro primitive a Python value, or None where it is one; it raises ``Misfit`` alone.

    Texts of UUIDs stay texts: pydantic makes UUIDs of them where the class asks for it.
    """
    if logical is None:
        return None
    if logical.name == "decimal" and kind in {"bytes", "fixed"}:
        return partial(read_decimal, scale=logical.scale)
    return _READERS.get((kind, logical.name))
