"""Avro schemas as Python values: the text read once, names resolved, hostile shapes refused.

Source: Apache Avro 1.12 specification, "Schema Declaration" and "Names".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from eventhub.errors import InvalidSchema
from eventhub.registry.compatibility.bounds import check_length

PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "string", "bytes")

MAX_TEXT_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_NESTED = 100  # how deep values of a recursive schema nest; pydantic itself gives up at 255
MAX_FREE_VALUES = 64  # fields of type null and the like; with records of records of them, work without any bytes
MAX_PRECISION = 1000  # digits of a decimal; beyond, a few bytes of input cost much work

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Logical(NamedTuple):
    """What a value means beyond its bytes."""

    name: str
    scale: int = 0
    """Decimal places; decimals only."""
    precision: int = 0
    """Digits in all; decimals only."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """A type without structure."""

    kind: str
    logical: Logical | None = None
    python: Any = field(default=None, compare=False)
    """The class of a model's value, where it is not the one that the type is read as; None where it is, or unknown."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """Bytes of one length."""

    name: str
    size: int
    logical: Logical | None = None


@dataclass(frozen=True, slots=True)
class Enumeration:
    """One of a list of symbols."""

    name: str
    symbols: tuple[str, ...]
    default: str | None = None
    """What a reader takes for a symbol it does not know, or None for an error."""
    aliases: tuple[str, ...] = ()
    python: Any = field(default=None, compare=False)
    """The enum of a model's value, or None if unknown."""


@dataclass(frozen=True, slots=True)
class Array:
    """Values of one type, in order."""

    items: AvroType


@dataclass(frozen=True, slots=True)
class Map:
    """Values of one type under strings."""

    values: AvroType


@dataclass(frozen=True, slots=True)
class Union:
    """A value of one of several types."""

    branches: tuple[AvroType, ...]


class Field(NamedTuple):
    """One field of a record."""

    name: str
    type: AvroType
    has_default: bool = False
    default: Any = None
    """The default as Avro JSON; means nothing without ``has_default``."""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """Named fields in order. The list is filled after the record is made, since it may contain itself."""

    name: str
    fields: list[Field] = field(default_factory=list)
    aliases: tuple[str, ...] = ()


AvroType = Primitive | Fixed | Enumeration | Array | Map | Union | Record


def parse(text: str) -> AvroType:
    """The type that a schema's text describes.

    Raises:
        InvalidSchema: If it is no Avro schema, is larger or deeper than allowed, or promises array items
            of no size, with which ten bytes can stand for 2^62 values.
    """
    if len(text) > MAX_TEXT_BYTES:
        msg = f"schema has {len(text)} characters, allowed are {MAX_TEXT_BYTES}"
        raise InvalidSchema(msg)
    try:
        declared = json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"schema is no JSON: {error}"
        raise InvalidSchema(msg) from error
    parsed = _Parser().read(declared, "", 0)
    _check_sizes(parsed)
    return parsed


def simple_name(name: str) -> str:
    """A name without its namespace."""
    return name.rpartition(".")[2]


def full_name(name: str, namespace: str) -> str:
    """A name with its namespace, unless it has one already."""
    return name if "." in name or not namespace else f"{namespace}.{name}"


class _Parser:
    """Reads one schema; keeps the named types met so far."""

    def __init__(self) -> None:
        self._named: dict[str, Fixed | Enumeration | Record] = {}

    def read(self, declared: object, namespace: str, depth: int) -> AvroType:
        if depth > MAX_DEPTH:
            msg = f"schema nests deeper than {MAX_DEPTH}"
            raise InvalidSchema(msg)
        if isinstance(declared, str):
            return self._reference(declared, namespace)
        if isinstance(declared, list):
            return Union(tuple(self.read(branch, namespace, depth + 1) for branch in declared))
        if isinstance(declared, dict):
            return self._object(declared, namespace, depth)
        msg = f"schema has {declared!r:.50} where a type belongs"
        raise InvalidSchema(msg)

    def _object(self, declared: Mapping[str, Any], namespace: str, depth: int) -> AvroType:
        kind = declared.get("type")
        if not isinstance(kind, str):
            return self.read(kind, namespace, depth + 1)
        if kind == "array":
            return Array(self.read(declared.get("items"), namespace, depth + 1))
        if kind == "map":
            return Map(self.read(declared.get("values"), namespace, depth + 1))
        if kind in {"record", "error", "enum", "fixed"}:
            return self._named_type(kind, declared, namespace, depth)
        if kind in PRIMITIVES:
            return Primitive(kind, _logical(declared))
        return self._reference(kind, namespace)

    def _reference(self, name: str, namespace: str) -> AvroType:
        if name in PRIMITIVES:
            return Primitive(name)
        found = self._named.get(full_name(name, namespace)) or self._named.get(name)
        if found is None:
            msg = f"schema speaks of {name!r:.100}, which it does not define before"
            raise InvalidSchema(msg)
        return found

    def _named_type(self, kind: str, declared: Mapping[str, Any], namespace: str, depth: int) -> AvroType:
        name = _full_name_of(declared, namespace)
        if name in self._named:
            msg = f"schema defines {name!r} twice"
            raise InvalidSchema(msg)
        namespace = name.rpartition(".")[0]
        aliases = tuple(full_name(alias, namespace) for alias in _strings(declared, "aliases"))
        if kind == "enum":
            symbols = _strings(declared, "symbols")
            default = declared.get("default")
            self._named[name] = Enumeration(name, symbols, default if default in symbols else None, aliases)
        elif kind == "fixed":
            self._named[name] = Fixed(name, _count(declared, "size"), _logical(declared))
        else:
            record = self._named[name] = Record(name, aliases=aliases)
            record.fields.extend(self._field(entry, name, depth) for entry in _fields(declared, name))
            if len({entry.name for entry in record.fields}) != len(record.fields):
                msg = f"schema gives {name} two fields of one name"
                raise InvalidSchema(msg)
        return self._named[name]

    def _field(self, declared: Mapping[str, Any], record: str, depth: int) -> Field:
        return Field(
            name=_simple_name(declared.get("name"), f"a field of {record}"),
            type=self.read(declared.get("type"), record.rpartition(".")[0], depth + 1),
            has_default="default" in declared,
            default=declared.get("default"),
            aliases=_strings(declared, "aliases"),
        )


def _full_name_of(declared: Mapping[str, Any], enclosing: str) -> str:
    name = declared.get("name")
    own = declared.get("namespace", enclosing)
    full = full_name(name, own) if isinstance(name, str) and isinstance(own, str) else name
    if not isinstance(full, str) or full in PRIMITIVES:
        msg = f"schema has {full!r:.100} where the name of a type belongs"
        raise InvalidSchema(msg)
    check_length(full)
    for part in full.split("."):
        _simple_name(part, "a type")
    return full


def _simple_name(name: object, place: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        msg = f"schema has {name!r:.100} where the name of {place} belongs"
        raise InvalidSchema(msg)
    return name


def _fields(declared: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    entries = declared.get("fields")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        msg = f"schema gives {name} no list of fields"
        raise InvalidSchema(msg)
    return entries


def _strings(declared: Mapping[str, Any], key: str) -> tuple[str, ...]:
    entries = declared.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        msg = f"schema has {entries!r:.50} for {key}, not a list of strings"
        raise InvalidSchema(msg)
    return tuple(entries)


def _count(declared: Mapping[str, Any], key: str) -> int:
    number = declared.get(key)
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        msg = f"schema has {number!r:.50} for {key}, not a count"
        raise InvalidSchema(msg)
    return number


def _logical(declared: Mapping[str, Any]) -> Logical | None:
    """The logical type, or None where it is absent or makes no sense, as the specification asks.

    Raises:
        InvalidSchema: If a decimal has more digits than are worth the work.
    """
    name = declared.get("logicalType")
    if not isinstance(name, str):
        return None
    if name != "decimal":
        return Logical(name)
    scale, precision = declared.get("scale", 0), declared.get("precision")
    if not isinstance(scale, int) or not isinstance(precision, int) or not 0 <= scale <= precision:
        return None
    if precision > MAX_PRECISION:
        msg = f"schema has a decimal of {precision} digits, allowed are {MAX_PRECISION}"
        raise InvalidSchema(msg)
    return Logical(name, scale, precision)


def _check_sizes(root: AvroType) -> None:
    """Refuse types of which a few bytes can promise many values: items, or more than a few fields, without size."""
    sizes = _Sizes()
    sizes.free_values(root)
    for declared in everything(root):
        if isinstance(declared, Array) and not sizes.takes_bytes(declared.items):
            msg = "schema has an array of items without size; ten bytes could stand for any number of them"
            raise InvalidSchema(msg)


class _Sizes:
    """What values of each record cost in bytes, decided once each."""

    def __init__(self) -> None:
        self._takes: dict[int, bool] = {}
        self._free: dict[int, int] = {}

    def takes_bytes(self, declared: AvroType) -> bool:
        """Whether every value takes at least one byte."""
        if isinstance(declared, Primitive):
            return declared.kind != "null"
        if isinstance(declared, Fixed):
            return declared.size > 0
        if not isinstance(declared, Record):
            return True
        if id(declared) not in self._takes:
            self._takes[id(declared)] = False  # within itself a record adds nothing
            self._takes[id(declared)] = any([self.takes_bytes(entry.type) for entry in declared.fields])  # noqa: C419
        return self._takes[id(declared)]

    def free_values(self, declared: AvroType) -> int:
        """How many values that take no bytes one value can hold, not counting those behind a count or a branch."""
        if not isinstance(declared, Record):
            return int(not self.takes_bytes(declared))
        if id(declared) not in self._free:
            self._free[id(declared)] = 0
            inner = sum(self.free_values(entry.type) for entry in declared.fields)
            self._free[id(declared)] = inner + int(not self.takes_bytes(declared))
            if inner > MAX_FREE_VALUES:
                msg = f"schema has a record of more than {MAX_FREE_VALUES} values without size"
                raise InvalidSchema(msg)
        return self._free[id(declared)]


def everything(root: AvroType) -> Iterator[AvroType]:
    """A type and all types that it is made of, each record once."""
    seen: set[int] = set()
    pending = [root]
    while pending:
        declared = pending.pop()
        if isinstance(declared, Record):
            if id(declared) in seen:
                continue
            seen.add(id(declared))
        yield declared
        pending.extend(parts(declared))


def parts(declared: AvroType) -> Sequence[AvroType]:
    """The types that a type is made of."""
    if isinstance(declared, Array):
        return (declared.items,)
    if isinstance(declared, Map):
        return (declared.values,)
    if isinstance(declared, Union):
        return declared.branches
    return [entry.type for entry in declared.fields] if isinstance(declared, Record) else ()
