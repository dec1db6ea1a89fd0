"""The one text of a schema, and the id that follows from it.

Source: Apache Avro's Java library, ``Schema.toString(false)``: this is the text that Confluent's Schema Registry
stores, compares and hashes, and not the "parsing canonical form" of the specification.
"""

from __future__ import annotations

import decimal
import hashlib
import json
import math
import struct
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from eventhub.registry.base import Reference
from eventhub.registry.compatibility.avro_model import (
    MISSING,
    Array,
    AvroSchema,
    Definition,
    Enum,
    Field,
    Map,
    Name,
    Named,
    Primitive,
    Record,
    Type,
    Union,
)
from eventhub.registry.compatibility.bounds import Json

_KINDS = frozenset(
    "null boolean int long float double bytes string record enum array map union fixed".split()  # noqa: SIM905 - one line is easier to read
)
_CONTROLS = {at: f"\\u{at:04X}" for at in range(32)} | {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"}
_ESCAPES = _CONTROLS | {ord('"'): '\\"', ord("\\"): "\\\\"}


def canonical_avro(schema: AvroSchema, *, normal: bool = False) -> str:
    """The text of an Avro schema as Java writes it: attributes in a fixed order, no spaces.

    Args:
        schema: The schema.
        normal: Whether properties that Avro does not know are sorted too, so that their order makes no other schema.
    """
    return _Writer(schema, normal=normal).type(schema.root, "")


class _Writer:
    """Writes each definition once, and only its name from then on."""

    def __init__(self, schema: AvroSchema, *, normal: bool) -> None:
        self._schema = schema
        self._normal = normal
        self._written = set(schema.referenced)

    def type(self, type_: Type, space: str) -> str:
        """The text of a type, in a namespace."""
        match type_:
            case Primitive(kind, props):
                return _object([("type", write_json(kind)), *self._props(props)]) if props else write_json(kind)
            case Array(items, props):
                return _object([("type", '"array"'), ("items", self.type(items, space)), *self._props(props)])
            case Map(values, props):
                return _object([("type", '"map"'), ("values", self.type(values, space)), *self._props(props)])
            case Union(branches):
                return f"[{','.join(self.type(branch, space) for branch in branches)}]"
            case Named(full):
                return self._definition(self._schema.names[full], space)
            case _:
                return self._definition(type_, space)

    def _definition(self, defined: Definition, space: str) -> str:
        if defined.name.full in self._written:
            return write_json(_qualified(defined.name, space))
        self._written.add(defined.name.full)
        kind = "error" if isinstance(defined, Record) and defined.is_error else defined.kind
        parts = [("type", write_json(kind)), ("name", write_json(defined.name.name))]
        if defined.name.space != space:
            parts.append(("namespace", write_json(defined.name.space)))
        if defined.doc is not None:
            parts.append(("doc", write_json(defined.doc)))
        match defined:
            case Record(name, fields):
                parts.append(("fields", f"[{','.join(self._field(field, name.space) for field in fields)}]"))
            case Enum(symbols=symbols, default=default):
                parts.append(("symbols", write_json(list(symbols))))
                parts.extend([("default", write_json(default))] if default is not None else [])
            case _:
                parts.append(("size", write_json(defined.size)))
        parts.extend(self._props(defined.props))
        if defined.aliases:
            parts.append(("aliases", write_json([_qualified(alias, defined.name.space) for alias in defined.aliases])))
        return _object(parts)

    def _field(self, field: Field, space: str) -> str:
        parts = [("name", write_json(field.name)), ("type", self.type(field.type, space))]
        if field.doc is not None:
            parts.append(("doc", write_json(field.doc)))
        if field.default is not MISSING:
            parts.append(("default", write_json(field.default)))
        if field.order != "ascending":
            parts.append(("order", write_json(field.order)))
        if field.aliases:
            parts.append(("aliases", write_json(list(field.aliases))))
        return _object([*parts, *self._props(field.props)])

    def _props(self, props: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        shown = sorted_json(props) if self._normal else props
        return [(key, write_json(value)) for key, value in shown.items()]


def _qualified(name: Name, space: str) -> str:
    """A name as it is written inside a namespace; in full if it would be read as a type's kind otherwise."""
    return name.name if name.space and name.space == space and name.name not in _KINDS else name.full


def _object(parts: Iterable[tuple[str, str]]) -> str:
    return f"{{{','.join(f'{write_json(key)}:{value}' for key, value in parts)}}}"


def write_json(value: object) -> str:
    """JSON as Jackson writes it: no spaces, text outside of ASCII as it is, doubles as Java shows them."""
    match value:
        case str():
            return f'"{value.translate(_ESCAPES)}"'
        case float():
            return _double(value)
        case list():
            return f"[{','.join(map(write_json, value))}]"
        case dict():
            return _object((key, write_json(inner)) for key, inner in value.items())
        case _:
            return json.dumps(value)


def sorted_json(value: Json) -> Json:
    """JSON with the keys of every object in order."""
    match value:
        case dict():
            return {key: sorted_json(value[key]) for key in sorted(value)}
        case list():
            return [sorted_json(each) for each in value]
        case _:
            return value


def _double(value: float) -> str:
    """A double as ``Double.toString`` shows it; what JSON has no number for becomes text."""
    if not math.isfinite(value):
        return '"NaN"' if math.isnan(value) else f'"{"-" if value < 0 else ""}Infinity"'
    if value == 0 or 1e-3 <= abs(value) < 1e7:  # noqa: PLR2004 - where Java turns to an exponent
        plain = format(decimal.Decimal(repr(value)), "f")
        return plain if "." in plain else f"{plain}.0"
    sign, digits, exponent = decimal.Decimal(repr(value)).normalize().as_tuple()
    shown = "".join(map(str, digits))
    return f"{'-' if sign else ''}{shown[0]}.{shown[1:] or '0'}E{int(exponent) + len(digits) - 1}"


def guid(
    text: str,
    references: Iterable[Reference] = (),
    metadata: Mapping[str, Any] | None = None,
    rules: Mapping[str, Any] | None = None,
) -> str:
    """The id of a schema that is the same in every registry: MD5 over all that makes it what it is.

    Source: Confluent Schema Registry, ``Schema.updateHash`` and what it calls.
    """
    parts = [text.encode()]
    for reference in references:
        parts += [reference.name.encode(), reference.subject.encode(), struct.pack(">i", reference.version)]
    if metadata is not None:
        parts += [b"\x01", *_hashed_metadata(metadata)]
    if rules is not None:
        parts += [b"\x01", *_hashed_rules(rules)]
    return str(uuid.UUID(bytes=hashlib.md5(b"".join(parts), usedforsecurity=False).digest()))


def _hashed_metadata(metadata: Mapping[str, Any]) -> Iterable[bytes]:
    tags, properties = metadata.get("tags") or {}, metadata.get("properties") or {}
    for tag in _in_order(tags):
        yield tag.encode()
        yield from (value.encode() for value in _in_order(tags[tag]))
    yield from (f"{key}{properties[key]}".encode() for key in _in_order(properties))
    yield from (name.encode() for name in _in_order(metadata.get("sensitive") or ()))


def _hashed_rules(rules: Mapping[str, Any]) -> Iterable[bytes]:
    for group in ("migrationRules", "domainRules", "encodingRules"):
        for rule in rules.get(group) or ():
            yield from ((rule.get(key) or "").encode() for key in ("name", "doc"))
            yield (rule.get("kind") or "TRANSFORM").encode()  # what the server takes for a kind and a mode left out
            yield (rule.get("mode") or "WRITEREAD").encode()
            yield (rule.get("type") or "").encode()
            yield from (tag.encode() for tag in _in_order(rule.get("tags") or ()))
            params = rule.get("params") or {}
            yield from (f"{key}{params[key]}".encode() for key in _in_order(params))
            yield from ((rule.get(key) or "").encode() for key in ("expr", "onSuccess", "onFailure"))
            yield b"\x01" if rule.get("disabled") else b""
    yield (rules.get("enableAt") or "").encode()


def _in_order(names: Iterable[str]) -> Iterable[str]:
    """Each name once, in the order of Java, which compares the halves of surrogate pairs."""
    return sorted(set(names), key=lambda name: name.encode("utf-16-be", "surrogatepass"))
