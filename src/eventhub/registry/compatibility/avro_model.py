"""Avro schemas as values.

A name is resolved by looking it up in ``AvroSchema.names``, so that recursive schemas are plain values too.
Documentation and aliases take no part in equality, as in Java, where they do not make two definitions differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MISSING: Any = object()
"""Stands where a field has no default; None would be the default ``null``."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name in a namespace; the empty namespace is none."""

    space: str
    name: str

    @property
    def full(self) -> str:
        """The name with its namespace."""
        return f"{self.space}.{self.name}" if self.space else self.name


@dataclass(frozen=True, slots=True)
class Primitive:
    """A type without parts."""

    kind: str
    props: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Array:
    """Values of one type, in order."""

    items: Type
    props: Mapping[str, Any]
    kind: str = "array"


@dataclass(frozen=True, slots=True)
class Map:
    """Values of one type under text keys."""

    values: Type
    props: Mapping[str, Any]
    kind: str = "map"


@dataclass(frozen=True, slots=True)
class Union:
    """One of several types."""

    branches: tuple[Type, ...]
    kind: str = "union"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record."""

    name: str
    type: Type
    doc: str | None = field(compare=False)
    default: Any
    """The default as JSON, or ``MISSING``."""
    order: str
    aliases: tuple[str, ...] = field(compare=False)
    props: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """Named fields, in order."""

    name: Name
    fields: tuple[Field, ...]
    doc: str | None = field(compare=False)
    aliases: tuple[Name, ...] = field(compare=False)
    props: Mapping[str, Any]
    is_error: bool = field(default=False, compare=False)
    kind: str = "record"


@dataclass(frozen=True, slots=True)
class Enum:
    """One of several symbols."""

    name: Name
    symbols: tuple[str, ...]
    default: str | None = field(compare=False)
    doc: str | None = field(compare=False)
    aliases: tuple[Name, ...] = field(compare=False)
    props: Mapping[str, Any]
    kind: str = "enum"


@dataclass(frozen=True, slots=True)
class Fixed:
    """A fixed number of bytes."""

    name: Name
    size: int
    doc: str | None = field(compare=False)
    aliases: tuple[Name, ...] = field(compare=False)
    props: Mapping[str, Any]
    kind: str = "fixed"


@dataclass(frozen=True, slots=True)
class Named:
    """A named type spoken of by its full name."""

    full: str
    ahead: bool = field(default=False, compare=False)
    """Whether its definition ends further down, so that no default can be held against it."""
    kind: str = "named"


Definition = Record | Enum | Fixed
Type = Primitive | Array | Map | Union | Definition | Named


@dataclass(frozen=True, slots=True)
class AvroSchema:
    """A whole schema: its outermost type, and every named type it defines or refers to."""

    root: Type
    names: Mapping[str, Definition]
    referenced: frozenset[str] = frozenset()
    """The names that the schemas it refers to stand for; its own text does not spell them out."""

    def resolve(self, type_: Type) -> Primitive | Array | Map | Union | Definition:
        """The type itself, or the definition that a name stands for."""
        return self.names[type_.full] if isinstance(type_, Named) else type_

    def label(self, type_: Type) -> str:
        """How a branch of a union is told from the others: the kind, or the full name of a named type."""
        resolved = self.resolve(type_)
        return resolved.name.full if isinstance(resolved, Record | Enum | Fixed) else resolved.kind
