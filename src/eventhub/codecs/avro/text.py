"""Avro types as the text of a schema: the same text for the same type, in Java's order of attributes."""

from __future__ import annotations

import json
from typing import Any

from eventhub.codecs.avro.types import Array, AvroType, Enumeration, Field, Fixed, Map, Primitive, Record, Union


def text(declared: AvroType) -> str:
    """The text of a type, the same for the same type: each name is defined where it comes first."""
    return json.dumps(_written(declared, "", set()), ensure_ascii=False, separators=(",", ":"))


BOXED = "int_in_union"
"""The record of one int that stands for an int in a union: the same bytes, but told apart from a long."""


def strip_logical(declared: AvroType, seen: dict[str, AvroType] | None = None) -> AvroType:
    """The same type as plain numbers, texts and bytes."""
    seen = {} if seen is None else seen
    if isinstance(declared, Primitive):
        return Primitive(declared.kind)
    if isinstance(declared, Array):
        return Array(strip_logical(declared.items, seen))
    if isinstance(declared, Map):
        return Map(strip_logical(declared.values, seen))
    if isinstance(declared, Union):
        return Union(tuple(_boxed(strip_logical(branch, seen), seen) for branch in declared.branches))
    if declared.name in seen or isinstance(declared, Enumeration):
        return seen.get(declared.name, declared)
    if isinstance(declared, Fixed):
        return seen.setdefault(declared.name, Fixed(declared.name, declared.size))
    plain = seen[declared.name] = Record(declared.name)
    plain.fields.extend(Field(entry.name, strip_logical(entry.type, seen)) for entry in declared.fields)
    return plain


def _boxed(branch: AvroType, seen: dict[str, AvroType]) -> AvroType:
    if branch != Primitive("int"):
        return branch
    return seen.setdefault(BOXED, Record(BOXED, [Field(BOXED, branch)]))


def _written(declared: AvroType, namespace: str, defined: set[str]) -> Any:
    """A type as JSON, with attributes in the order of Java's ``Schema.toString``."""
    if isinstance(declared, Primitive):
        return declared.kind if declared.logical is None else {"type": declared.kind, **_written_logical(declared)}
    if isinstance(declared, Array):
        return {"type": "array", "items": _written(declared.items, namespace, defined)}
    if isinstance(declared, Map):
        return {"type": "map", "values": _written(declared.values, namespace, defined)}
    if isinstance(declared, Union):
        return [_written(branch, namespace, defined) for branch in declared.branches]
    return _written_named(declared, namespace, defined)


def _written_named(declared: Fixed | Enumeration | Record, namespace: str, defined: set[str]) -> Any:
    own, _, name = declared.name.rpartition(".")
    if declared.name in defined:
        return name if own == namespace else declared.name
    defined.add(declared.name)
    kind = {Fixed: "fixed", Enumeration: "enum", Record: "record"}[type(declared)]
    written: dict[str, Any] = {"type": kind, "name": name}
    if own != namespace:
        written["namespace"] = own
    if isinstance(declared, Fixed):
        return written | {"size": declared.size, **_written_logical(declared)}
    if isinstance(declared, Enumeration):
        written["symbols"] = list(declared.symbols)
        if declared.default is not None:
            written["default"] = declared.default
    else:
        written["fields"] = [_written_field(entry, own, defined) for entry in declared.fields]
    return written | ({"aliases": list(declared.aliases)} if declared.aliases else {})


def _written_field(entry: Field, namespace: str, defined: set[str]) -> dict[str, Any]:
    written = {"name": entry.name, "type": _written(entry.type, namespace, defined)}
    if entry.has_default:
        written["default"] = entry.default
    if entry.aliases:
        written["aliases"] = list(entry.aliases)
    return written


def _written_logical(declared: Primitive | Fixed) -> dict[str, Any]:
    logical = declared.logical
    if logical is None:
        return {}
    if logical.name == "decimal":
        return {"logicalType": logical.name, "precision": logical.precision, "scale": logical.scale}
    return {"logicalType": logical.name}
