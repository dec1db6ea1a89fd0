"""Between Python values and Avro's: each function refuses what would not come back the same."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

import pytest
from pydantic import RootModel, SecretBytes, SecretStr

from eventhub.codecs.avro.types import Logical
from eventhub.codecs.avro.values import Misfit, value_reader, value_writer


class Level(IntEnum):
    """An enum of ints."""

    HIGH = 7


class Half(Enum):
    """An enum of floats."""

    HALF = 0.5


class Word(Enum):
    """An enum of texts."""

    HELLO = "hello"


class Root(RootModel[int]):
    """A root model."""


MOMENT = datetime(2000, 1, 1, 12, 0, 0, 999_999, tzinfo=UTC)
LOCAL = datetime(2000, 1, 1, 12, 0, 0, 999_999)  # noqa: DTZ001 - without zone on purpose
MICROS = 946_728_000_999_999


@pytest.mark.parametrize(
    ("kind", "logical", "value", "written"),
    [
        ("int", None, Level.HIGH, 7),
        ("long", None, True, 1),
        ("double", None, 3, 3.0),
        ("double", None, Half.HALF, 0.5),
        ("float", None, 0.5, 0.5),
        ("boolean", None, False, False),
        ("string", None, Word.HELLO, "hello"),
        ("string", None, SecretStr("hush"), "hush"),
        ("string", None, Decimal("1.50"), "1.50"),
        ("bytes", None, SecretBytes(b"hush"), b"hush"),
        ("bytes", None, bytearray(b"x"), b"x"),
        ("bytes", None, memoryview(b"x"), b"x"),
        ("long", "timestamp-micros", MOMENT, MICROS),
        ("long", "timestamp-millis", MOMENT, MICROS // 1000),
        ("long", "timestamp-nanos", MOMENT, MICROS * 1000),
        ("long", "local-timestamp-micros", LOCAL, MICROS),
        ("long", "local-timestamp-millis", LOCAL, MICROS // 1000),
        ("long", "local-timestamp-nanos", LOCAL, MICROS * 1000),
        ("int", "date", date(1969, 12, 31), -1),
        ("long", "time-micros", time(0, 0, 1, 1), 1_000_001),
        ("int", "time-millis", time(0, 0, 1, 1999), 1_001),
        ("long", "timedelta-micros", timedelta(microseconds=-1), -1),
        ("long", "nobody-knows-this", 7, 7),
    ],
)
def test_a_value_is_what_its_type_holds(kind: str, logical: str | None, value: Any, written: Any) -> None:
    """What is finer than the unit of a schema by hand is cut off."""
    result = value_writer(kind, Logical(logical) if logical is not None else None)(value)

    assert written == result
    assert type(written) is type(result)


@pytest.mark.parametrize(
    ("kind", "logical", "value", "reason"),
    [
        ("long", None, "7", "str is no int"),
        ("long", None, 2**200, "int needs more than 64 bits"),
        ("double", None, True, "bool is no float"),
        ("double", None, "x", "str is no float"),
        ("boolean", None, 1, "int is no bool"),
        ("string", None, b"x", "bytes is no str"),
        ("bytes", None, "x", "str is no bytes"),
        ("long", "timestamp-micros", timedelta(1), "timedelta is no datetime"),
        ("long", "local-timestamp-micros", date(2000, 1, 1), "date is no datetime"),
        ("long", "local-timestamp-micros", MOMENT, "datetime has a time zone, and the schema's local timestamp would"),
        ("int", "date", MOMENT, "datetime is no date"),
        ("long", "time-micros", MOMENT, "datetime is no time"),
        ("long", "time-micros", time(1, tzinfo=timezone.utc), "time has a time zone"),  # noqa: UP017 - any zone
        ("long", "timedelta-micros", 1, "int is no timedelta"),
        ("long", "timestamp-nanos", datetime(9999, 1, 1, tzinfo=UTC), "needs more than 64 bits"),
        (
            "long",
            "timestamp-micros",
            datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
            "outside the years 1 to",
        ),
        ("long", "timestamp-millis", datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))), "outside the years"),
        ("fixed", "uuid", "x", "str is no UUID"),
        ("float", None, 3.5e38, "float needs more than 32 bits"),
    ],
)
def test_another_value_is_refused(kind: str, logical: str | None, value: Any, reason: str) -> None:
    """The reason names the class that was found."""
    with pytest.raises(Misfit, match=reason):
        value_writer(kind, Logical(logical) if logical is not None else None)(value)


@pytest.mark.parametrize(
    ("kind", "logical", "written", "value"),
    [
        ("long", "timestamp-millis", 1, datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC)),
        ("long", "timestamp-nanos", 1999, datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)),
        ("long", "local-timestamp-nanos", 1999, datetime(1970, 1, 1, 0, 0, 0, 1)),  # noqa: DTZ001
        ("int", "time-millis", 1, time(0, 0, 0, 1000)),
        ("int", "date", -1, date(1969, 12, 31)),
        ("long", "timedelta-micros", -1, timedelta(microseconds=-1)),
    ],
)
def test_a_written_value_is_what_it_means(kind: str, logical: str, written: int, value: Any) -> None:
    """In microseconds, which is what Python has."""
    convert = value_reader(kind, Logical(logical))

    assert convert is not None
    assert value == convert(written)


@pytest.mark.parametrize(
    ("kind", "logical", "written", "reason"),
    [
        ("long", "timestamp-millis", 2**62, "outside the years 1 to 9999"),
        ("long", "local-timestamp-micros", -(2**62), "outside the years 1 to 9999"),
        ("int", "date", -(2**31), "outside the years 1 to 9999"),
        ("int", "time-millis", 86_400_000, "86400000 is no time of day"),
        ("long", "timedelta-micros", 2**63 - 1, None),
        ("bytes", "decimal", b"\x7f" * 513, "decimal takes 513 bytes, allowed are 512"),
    ],
)
def test_a_written_value_without_a_meaning_is_refused(
    kind: str, logical: str, written: Any, reason: str | None
) -> None:
    """A span may be as long as 64 bits say."""
    convert = value_reader(kind, Logical(logical))

    assert convert is not None
    if reason is None:
        assert timedelta(microseconds=written) == convert(written)
    else:
        with pytest.raises(Misfit, match=reason):
            convert(written)


@pytest.mark.parametrize(
    ("value", "scale", "written"),
    [
        (Decimal(0), 2, "00"),
        (Decimal("-0.00"), 2, "00"),
        (Decimal("1.27"), 2, "7f"),
        (Decimal("1.28"), 2, "0080"),
        (Decimal("-1.28"), 2, "ff80"),
        (Decimal("-1.29"), 2, "ff7f"),
        (Decimal("1E+2"), 2, "2710"),
        (Decimal("1.2700"), 2, "7f"),
        (7, 0, "07"),
    ],
)
def test_decimals_are_twos_complement(value: Any, scale: int, written: str) -> None:
    """The same bytes as fastavro's, which are one more than the fewest for -128."""
    assert bytes.fromhex(written) == value_writer("bytes", Logical("decimal", scale, 9))(value)


def test_a_misfit_says_where() -> None:
    """Names with dots, indexes as they are."""
    misfit = Misfit("wrong").within("price").within("[3]").within("lines")

    assert ["lines[3].price: wrong", "wrong"] == [str(misfit), str(Misfit("wrong"))]
