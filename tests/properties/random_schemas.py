"""Random Avro schemas, as writers in any language may declare them, and random values of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from tests.properties.random_events import entries, integer, moment, real, text


@dataclass(frozen=True)
class Written:
    """A schema and what it may hold, as fastavro takes it."""

    schema: Any
    value: Callable[[Random], Any]
    avro: str
    """The type's name in a union."""


def millis(random: Random) -> Any:
    """A moment without microseconds."""
    return moment(random).replace(microsecond=0)


def leaf(kind: str, value: Callable[[Random], Any], logical: str | None = None, **more: Any) -> Written:
    """A type without parts."""
    meaning = {} if logical is None else {"logicalType": logical}
    schema = {"type": kind, **more, **meaning} if more or meaning else kind
    return Written(schema, value, more.get("name", kind))


def small(random: Random) -> int:
    """A number of 32 bits."""
    return max(-(2**31), min(2**31 - 1, integer(random) >> random.choice((0, 16, 32))))


def fresh(random: Random) -> str:
    """A name that nothing else has."""
    return f"N{random.getrandbits(64):x}"


def random_leaf(random: Random) -> Written:
    """A primitive, an enum or a fixed type, with and without a meaning."""
    name = fresh(random)
    symbols = [f"S{number}" for number in range(random.choice((1, 3, 63, 64, 65, 200)))]
    return random.choice(
        (
            leaf("null", lambda _: None),
            leaf("boolean", lambda random: random.random() < 0.5),
            leaf("int", small),
            leaf("long", integer),
            leaf("float", lambda random: random.randrange(-(2**20), 2**20) / 16),
            leaf("double", real),
            leaf("string", text),
            leaf("bytes", lambda random: random.randbytes(random.choice((0, 1, 63, 64, 300)))),
            leaf("int", lambda random: moment(random).date(), "date"),
            leaf("int", lambda random: millis(random).time(), "time-millis"),
            leaf("long", lambda random: moment(random).time(), "time-micros"),
            leaf("long", moment, "timestamp-micros"),
            leaf("long", millis, "timestamp-millis"),
            leaf("long", lambda random: moment(random).replace(tzinfo=None), "local-timestamp-micros"),
            leaf("long", lambda random: millis(random).replace(tzinfo=None), "local-timestamp-millis"),
            leaf("long", integer, "nobody-knows-this"),
            leaf("string", lambda random: UUID(int=random.getrandbits(128)), "uuid"),
            leaf("bytes", lambda random: decimal(random, 4), "decimal", precision=20, scale=4),
            leaf("fixed", lambda random: decimal(random, 2), "decimal", name=name, size=9, precision=20, scale=2),
            leaf("fixed", lambda random: random.randbytes(5), name=name, size=5),
            leaf("enum", lambda random: random.choice(symbols), name=name, symbols=symbols),
        )
    )


def decimal(random: Random, places: int) -> Decimal:
    """A decimal of at most twenty digits."""
    return Decimal(integer(random)).scaleb(-places)


def random_schema(random: Random, depth: int = 3) -> Written:
    """A leaf, or an array, map, union or record of others."""
    if depth == 0 or random.random() < 0.4:
        return random_leaf(random)
    inner = random_schema(random, depth - 1)
    shape = random.choice(("array", "map", "union", "record"))
    if shape == "array" and takes_bytes(inner.schema):
        return Written({"type": "array", "items": inner.schema}, lambda random: entries(random, inner), "array")
    if shape == "map":
        return Written(
            {"type": "map", "values": inner.schema},
            lambda random: {text(random): each for each in entries(random, inner)},
            "map",
        )
    others = [inner, *(random_schema(random, depth - 1) for _ in range(random.randrange(5)))]
    return union_of(others) if shape == "union" else record_of(random, others)


def union_of(branches: list[Written]) -> Written:
    """One of the branches that are different types."""
    distinct = list({branch.avro: branch for branch in branches if branch.avro != "union"}.values())
    distinct = distinct or [leaf("null", lambda _: None)]

    def value(random: Random) -> Any:
        branch = random.choice(distinct)
        return branch.avro, branch.value(random)

    return Written([branch.schema for branch in distinct], value, "union")


def record_of(random: Random, parts: list[Written]) -> Written:
    """A record of these parts."""
    name = fresh(random)
    fields = {f"f{number}": part for number, part in enumerate(parts)}
    schema = {
        "type": "record",
        "name": name,
        "fields": [{"name": field, "type": part.schema} for field, part in fields.items()],
    }
    return Written(schema, lambda random: {field: part.value(random) for field, part in fields.items()}, name)


def takes_bytes(schema: Any) -> bool:
    """Whether every value takes at least one byte."""
    if isinstance(schema, dict) and schema["type"] == "record":
        return any(takes_bytes(field["type"]) for field in schema["fields"])
    return bool(schema != "null")


def plain(value: Any) -> Any:
    """A value as the codec reads it: UUIDs as text, spans of time as they are."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    return str(value) if isinstance(value, UUID) else value
