"""What pydantic would write to JSON and not read again as it was."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone
from enum import Enum, StrEnum
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, ConfigDict, Json, PlainSerializer, RootModel, create_model, field_serializer
from pydantic.dataclasses import dataclass as checked_dataclass

from eventhub.codecs.json_schema import JsonSchemaCodec
from eventhub.errors import DeclarationError, SchemaMismatch
from eventhub.event import Event

CODEC = JsonSchemaCodec()
_INFINITY, _HUGE = float("inf"), 10**4300
_SECONDS = timezone(timedelta(hours=1, seconds=1))
_ODD = datetime(2020, 1, 1, tzinfo=_SECONDS)
_SAID = ConfigDict(ser_json_inf_nan="strings")


def event(annotation: Any, base: type[Event] = Event) -> Any:
    """A class with one field."""
    return create_model("Noted", __base__=base, __cls_kwargs__={"topic": "notes"}, note=(annotation, ...))


def again(value: Event) -> Any:
    """What is read of what is written."""
    schema = CODEC.schema(type(value))
    written = CODEC.encoder(type(value), schema, b"")(value)
    return CODEC.decoder(type(value), schema)(written, 0)


class Word(StrEnum):
    """An enum of texts, which are no collections of texts."""

    NULL = "null"


@dataclass
class Plain:
    """A class of Python's own, which has no say in how it is written."""

    number: float


@checked_dataclass(config=_SAID)
class Said:
    """A class that says how odd floats are written."""

    number: float


class Inner(BaseModel):
    """A model within another."""

    number: float = 0.0
    at: datetime | None = None


class Root(RootModel[float]):
    """A model that is its one value."""


class InnerSaid(Inner):
    """One that says how odd floats are written."""

    model_config = _SAID


class EventSaid(Event):
    """An event that does."""

    model_config = _SAID


class Open(Event):
    """An event that takes what it does not declare."""

    model_config = ConfigDict(extra="allow")


@pytest.mark.parametrize(
    ("annotation", "value", "reason"),
    [
        (int, _HUGE, "an int has more than 4300 digits"),
        (int, -_HUGE, "an int has more than 4300 digits"),
        (list[dict[str, int]], [{"a": 1}, {"b": _HUGE}], "an int has more than 4300 digits"),
        (Any, {"a": (1, _HUGE)}, "an int has more than 4300 digits"),
        (float, _INFINITY, "a float is infinite"),
        (deque[float], deque([_INFINITY]), "a float is infinite"),
        (Json, "[1e999]", "a float is infinite"),
        (Plain, Plain(_INFINITY), "a float is infinite"),
        (Inner, Inner(number=_INFINITY), "a float is infinite"),
        (Root, Root(root=_INFINITY), "a float is infinite"),
        (datetime, _ODD, "a time zone is seconds off"),
        (datetime, datetime(1880, 1, 1, tzinfo=ZoneInfo("Europe/Amsterdam")), "a time zone is seconds off"),
        (datetime, datetime(2020, 1, 1, tzinfo=timezone(timedelta(seconds=-30))), "a time zone is seconds off"),
        (time, time(1, tzinfo=_SECONDS), "a time zone is seconds off"),
        (dict[datetime, int], {_ODD: 1}, "a time zone is seconds off"),
        (Inner, Inner(at=_ODD), "a time zone is seconds off"),
        (dict[str, int], {"\ud800": 1}, "a key has half of a surrogate pair"),
    ],
    ids=lambda value: None if isinstance(value, str) else "",
)
def test_what_would_not_be_read_as_it_was_is_refused(annotation: Any, value: Any, reason: str) -> None:
    """By its writer, who can do something about it, and not by every reader."""
    with pytest.raises(SchemaMismatch, match=f"Noted: {reason}"):
        again(event(annotation)(note=value))


@pytest.mark.parametrize(
    ("base", "annotation", "value", "is_said"),
    [
        (EventSaid, Inner, Inner(number=_INFINITY), False),
        (Event, InnerSaid, InnerSaid(number=_INFINITY), True),
        (Event, Plain, Plain(_INFINITY), False),
        (Event, Said, Said(_INFINITY), True),
    ],
)
def test_each_class_says_for_itself_how_odd_floats_are_written(
    base: type[Event], annotation: Any, value: Any, *, is_said: bool
) -> None:
    """As pydantic does: what an event asks for does not hold for a model within."""
    noted = event(annotation, base)(note=value)
    if is_said:
        assert noted == again(noted)
    else:
        with pytest.raises(SchemaMismatch, match="a float is infinite"):
            again(noted)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, _HUGE - 1),
        (list[int], [1 - _HUGE, _HUGE - 1]),
        (dict[str, str | None], {"null": None, "\N{REPLACEMENT CHARACTER}": "+01:00", "digits": "7" * 5_000}),
        (list[float | None], [None, -0.0, 5e-324]),
        (dict[str, Word], {"\N{REPLACEMENT CHARACTER}": Word.NULL}),
        (datetime, datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=-23, minutes=-59)))),
        (datetime, datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5)))),
        (time, time(1, tzinfo=UTC)),
        (Any, ["null", "\N{REPLACEMENT CHARACTER}", "-01:00", None]),
        (Plain, Plain(1.0)),
    ],
    ids=lambda _: "",
)
def test_what_only_looks_like_it_is_written(annotation: Any, value: Any) -> None:
    """The text gives a reason to look, and the value is fine."""
    noted = event(annotation)(note=value)

    assert noted == again(noted)


def test_what_a_class_writes_in_its_own_way_is_its_own_business() -> None:
    """A serializer of a field may well say what pydantic would not."""

    class Own(Event, topic="own"):
        """Two moments that are written with all there is."""

        one: Annotated[datetime, PlainSerializer(lambda at: at.astimezone(UTC).isoformat(), when_used="json")]
        other: datetime
        beside: datetime

        @field_serializer("other", when_used="json")
        def in_full(self, at: datetime) -> str:
            """Write it in UTC."""
            return at.astimezone(UTC).isoformat()

    own = Own(one=_ODD, other=_ODD, beside=_ODD.astimezone(timezone(timedelta(hours=1))))

    assert own == again(own)


def test_what_is_not_declared_is_looked_through_too() -> None:
    """It is written as the rest."""
    with pytest.raises(SchemaMismatch, match="more than 4300 digits"):
        again(event(int, Open)(note=1, more=[_HUGE]))


class Ratio(Enum):
    """An enum of floats, of which JSON has no word for one."""

    HALF = 0.5
    ALL = _INFINITY


class Pair(Enum):
    """An enum of what JSON has only lists for."""

    ONE = (1, 2)


class Half(Enum):
    """An enum of floats, fine as values."""

    HALF = 0.5


class Frozen(BaseModel):
    """A model that can be a key."""

    model_config = ConfigDict(frozen=True)

    number: int = 1


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (lambda: dict[tuple[int, int], int], "keys of this type"),
        (lambda: list[dict[str | None, int]], "keys of this type"),
        (lambda: dict[Frozen, int], "keys of this type"),
        (lambda: Ratio, "what is written of Ratio.ALL is not read again"),
        (lambda: list[Pair], "what is written of Pair.ONE is not read again"),
        (lambda: dict[Half, int], "what is written of Half.HALF is not read again"),
    ],
)
def test_types_that_are_not_read_again_are_refused_at_start(declared: Callable[[], Any], reason: str) -> None:
    """Before anything is registered, and with the field's name."""
    with pytest.raises(DeclarationError, match=rf"Noted\.note: {reason}"):
        CODEC.schema(event(declared()))


@pytest.mark.parametrize(("annotation", "value"), [(Half, Half.HALF), (dict[bool, int], {True: 1})])
def test_types_that_come_back_are_taken(annotation: Any, value: Any) -> None:
    """Also where another of their kind does not."""
    noted = event(annotation)(note=value)

    assert noted == again(noted)
