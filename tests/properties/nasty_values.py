"""Values at and beyond the edges of what formats can say, by the annotations of ``random_events``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, NaiveDatetime

from tests.properties.random_events import LEAVES, Kind

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - zones come later
_ZONES = (
    *(UTC, timezone(timedelta(hours=14)), timezone(-timedelta(hours=23, minutes=59)), timezone(timedelta(seconds=59))),
    *(timezone(timedelta(hours=-1, seconds=1)), ZoneInfo("Europe/Berlin"), ZoneInfo("Europe/Amsterdam")),
)
_MOMENTS = (
    *(datetime.min, datetime.max, datetime(1880, 1, 1), _EPOCH),  # noqa: DTZ001, DTZ901 - zones come later
    *(datetime(2020, 10, 25, 2, 30), datetime(2020, 10, 25, 2, 30, fold=1)),  # noqa: DTZ001 - twice in Berlin
)
_TEXTS = (
    "",
    "\x00",
    "\ud800",
    "a\udfff",
    "\ufeff",
    "\u2028",
    "\N{REPLACEMENT CHARACTER}",
    "null",
    "+01:00",
    "7" * 5_000,
)

NASTY: dict[Any, Sequence[Any]] = {
    int: (0, -1, 2**31, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**4300 - 1, 10**4300, -(10**4300)),
    float: (0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 2.0**53, 1e22),
    str: _TEXTS,
    bytes: (b"", b"\x00", b"\xff\xfe", b"null", bytes(70_000)),
    datetime: tuple(moment.replace(tzinfo=zone) for moment in _MOMENTS for zone in (None, *_ZONES)),
    NaiveDatetime: _MOMENTS,
    date: (date.min, date.max),
    time: (time.min, time.max, *(time(1, 2, 3, 4, tzinfo=zone) for zone in _ZONES)),
    timedelta: (timedelta.min, timedelta.max, timedelta(0), timedelta(microseconds=-1), timedelta(-1, 1, 1)),
    Decimal: tuple(map(Decimal, ("0", "-0", "0E+9", "1E+1000", "1E-1000", "1E+999999", "1.10", "9" * 5_000))),
}
"""Some of each kind: those that can be said, those that cannot, and those that only look so."""


def nasty(kind: Kind) -> Kind:
    """The same kind with nasty values in most places, where there are some."""
    values = NASTY.get(kind.annotation)
    return kind if values is None else replace(kind, value=partial(_one, values, kind))


def _one(values: Sequence[Any], kind: Kind, random: Random) -> Any:
    return random.choice(values) if random.random() < 0.2 else kind.value(random)


NASTY_LEAVES = tuple(map(nasty, LEAVES))


def plain(value: Any) -> object:
    """A value as one that is equal to another exactly if both are the same, class and all.

    A moment may be told in another zone: Python calls those that come twice in a zone unequal to all others.
    """
    said = next((said(value) for kind, said in _PLAIN.items() if isinstance(value, kind)), value)
    return type(value), said


def _moment(moment: datetime) -> object:
    offset = moment.utcoffset()
    naive = moment.replace(tzinfo=None, fold=0)  # which says nothing without a zone
    return naive if offset is None else naive - _EPOCH - offset


def _digits(number: Decimal) -> object:
    """What a number comes to, however many zeros it ends with; ``normalize`` would round it."""
    sign, digits, exponent = number.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    lean = text.rstrip("0")
    return (sign, lean, int(exponent) + len(text) - len(lean)) if lean else 0


_PLAIN: dict[type | tuple[type, ...], Callable[[Any], object]] = {
    float: repr,
    datetime: _moment,
    time: lambda value: (value.replace(tzinfo=None), value.utcoffset()),
    Decimal: _digits,
    (list, tuple): lambda value: [plain(each) for each in value],
    frozenset: lambda value: sorted(repr(plain(each)) for each in value),
    dict: lambda value: {key: plain(each) for key, each in value.items()},
    BaseModel: lambda value: plain(value.__dict__),
}
