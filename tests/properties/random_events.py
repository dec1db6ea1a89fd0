"""Random event classes and random events of them, the same for the same seed."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, StrEnum
from random import Random
from typing import Annotated, Any, Literal, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, NaiveDatetime, create_model

from eventhub.codecs.number import Number
from eventhub.event import Event


class Colour(StrEnum):
    """An enum of Avro names."""

    RED = "red"
    GREEN = "green"
    BLUE = "blue"


class Speed(IntEnum):
    """An enum of ints."""

    SLOW = 1
    FAST = 900


class Size(StrEnum):
    """An enum of texts that are no Avro names."""

    SMALL = "extra-small"
    LARGE = "extra-large"


@dataclass(frozen=True)
class Kind:
    """An annotation and what it may hold."""

    annotation: Any
    value: Callable[[Random], Any]
    avro: str
    """The Avro type; two of one type make no union."""
    is_hashable: bool = False


def integer(random: Random) -> int:
    """A number around one of the sizes at which its varint grows, or any."""
    sign, size = random.choice((1, -1)), random.randrange(64)
    return max(
        -(2**63),
        min(2**63 - 1, sign * random.choice((1 << size, random.getrandbits(size + 1))) + random.choice((-1, 0, 1))),
    )


def text(random: Random) -> str:
    """Text of one to four bytes a character, as long as one, two or three bytes can say."""
    alphabet = random.choice(("abc xyz", "äöü€", "😀𝄞a", "\x00\x7f\u0800"))
    return "".join(
        random.choices(alphabet, k=random.choice((0, 1, 5, 36, 63, 64, 65, 300, 9000 if random.random() < 0.05 else 2)))
    )


def moment(random: Random) -> datetime:
    """A moment in any year and any zone."""
    zone = random.choice((UTC, timezone(timedelta(hours=random.randrange(-12, 13)))))
    return (
        datetime(2, 1, 1, tzinfo=UTC) + timedelta(microseconds=random.randrange(9990 * 365 * 86_400_000_000))
    ).astimezone(zone)


def real(random: Random) -> float:
    """Any float, infinities among them, but not a number that is none."""
    (number,) = struct.unpack("<d", random.randbytes(8))
    return 0.5 if number != number else number  # noqa: PLR0124 - only NaN differs from itself


LEAVES = (
    Kind(bool, lambda random: random.random() < 0.5, "boolean", is_hashable=True),
    Kind(int, integer, "long", is_hashable=True),
    Kind(float, real, "double", is_hashable=True),
    Kind(str, text, "string", is_hashable=True),
    Kind(bytes, lambda random: random.randbytes(random.choice((0, 1, 63, 64, 5000))), "bytes", is_hashable=True),
    Kind(datetime, moment, "long", is_hashable=True),
    Kind(NaiveDatetime, lambda random: moment(random).replace(tzinfo=None), "long", is_hashable=True),
    Kind(date, lambda random: moment(random).date(), "int", is_hashable=True),
    Kind(time, lambda random: moment(random).time(), "long", is_hashable=True),
    Kind(timedelta, lambda random: timedelta(microseconds=random.randrange(-(2**50), 2**50)), "long", is_hashable=True),
    Kind(UUID, lambda random: UUID(int=random.getrandbits(128)), "string", is_hashable=True),
    Kind(Decimal, lambda random: Decimal(integer(random)).scaleb(-random.randrange(9)), "string", is_hashable=True),
    Kind(
        Annotated[Decimal, Field(max_digits=12, decimal_places=2)],
        lambda random: Decimal(random.randrange(-(10**12) + 1, 10**12) >> random.randrange(40)).scaleb(-2),
        "bytes",
        is_hashable=True,
    ),
    Kind(Colour, lambda random: random.choice(list(Colour)), "Colour", is_hashable=True),
    Kind(Speed, lambda random: random.choice(list(Speed)), "long", is_hashable=True),
    Kind(Size, lambda random: random.choice(list(Size)), "string", is_hashable=True),
    Kind(Literal["a", "b"], lambda random: random.choice("ab"), "string", is_hashable=True),
)


SHAPES = ("list", "set", "dict", "union", "model")
"""What may be made of other kinds."""


def random_kind(
    random: Random, depth: int = 3, leaves: Sequence[Kind] = LEAVES, shapes: Sequence[str] = SHAPES
) -> Kind:
    """A leaf, or a list, set, dict, union or model of other kinds."""
    if depth == 0 or random.random() < 0.5:
        return random.choice(leaves)
    inner = random_kind(random, depth - 1, leaves, shapes)
    annotation: Any = inner.annotation
    shape = random.choice(shapes)
    if shape == "list":
        return Kind(list[annotation], lambda random: entries(random, inner), "array")
    if shape == "set" and inner.is_hashable:
        return Kind(frozenset[annotation], lambda random: frozenset(entries(random, inner)), "array")
    if shape == "dict":
        return Kind(
            dict[str, annotation], lambda random: {text(random): each for each in entries(random, inner)}, "map"
        )
    others = [inner, *(random_kind(random, depth - 1, leaves, shapes) for _ in range(random.randrange(4)))]
    return union_of(others) if shape == "union" else model_of(random, others)


class Valued(Protocol):
    """Anything that makes values."""

    @property
    def value(self) -> Callable[[Random], Any]:
        """Make one."""
        ...


def entries(random: Random, inner: Valued) -> list[Any]:
    """Some values of a kind; now and then more than one byte can count."""
    return [inner.value(random) for _ in range(random.choice((0, 1, 2, 3, 70 if random.random() < 0.1 else 4)))]


def union_of(kinds: list[Kind]) -> Kind:
    """None, or one of those kinds that are different types to Avro."""
    distinct = list({kind.avro: kind for kind in kinds if kind.avro != "union"}.values()) or [LEAVES[0]]
    annotation: Any = None
    for kind in distinct:
        annotation = kind.annotation | annotation if annotation is not None else kind.annotation | None
    values = [kind.value for kind in distinct]
    return Kind(annotation, lambda random: None if random.random() < 0.3 else random.choice(values)(random), "union")


class Anything(BaseModel):
    """What a model asks for that holds anything: JSON has neither bytes nor infinity."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings")


class AnyEvent(Anything, Event):
    """An event of that kind."""


def model_of(random: Random, kinds: list[Kind], base: type[BaseModel] = Anything, **keywords: str) -> Kind:
    """A model with fields of these kinds, and with numbers, which only Protobuf asks for."""
    name = f"Model{random.getrandbits(64):x}"
    fields: dict[str, Kind] = {f"field_{number}": kind for number, kind in enumerate(kinds)}
    annotations: dict[str, Any] = {
        field: (Annotated[kind.annotation, Number(number)], ...)
        for number, (field, kind) in enumerate(fields.items(), 1)
    }
    made: Any = create_model(name, __base__=base, __cls_kwargs__=keywords, **annotations)
    return Kind(made, lambda random: made(**{field: kind.value(random) for field, kind in fields.items()}), name)


def random_event_class(random: Random, leaves: Sequence[Kind] = LEAVES, shapes: Sequence[str] = SHAPES) -> Kind:
    """An event class of one to ten fields."""
    kinds = [random_kind(random, 3, leaves, shapes) for _ in range(random.randrange(1, 11))]
    return model_of(random, kinds, AnyEvent, topic="events")
