"""Parse Avro schemas as strictly as Apache Avro's Java library parses new ones.

Source: Apache Avro 1.12 specification, "Schema Declaration"; where it is silent, what the Java library does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from eventhub.errors import InvalidSchema
from eventhub.registry.compatibility.avro_model import (
    MISSING,
    Array,
    AvroSchema,
    Definition,
    Enum,
    Field,
    Fixed,
    Map,
    Name,
    Named,
    Primitive,
    Record,
    Type,
    Union,
)
from eventhub.registry.compatibility.bounds import SCHEMA_DEPTH, Json, check_length, load_json

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_BITS = {"int": 31, "long": 63}
_RESERVED = frozenset({"doc", "fields", "items", "name", "namespace", "size", "symbols", "values", "type", "aliases"})
_FIELD_RESERVED = frozenset({"default", "doc", "name", "order", "type", "aliases"})
_ORDERS = frozenset({"ascending", "descending", "ignore"})
_FIXED_BYTES = 2**31 - 9  # the longest array of the Java virtual machine, Java's own bound


def parse(text: str, references: Iterable[str] = ()) -> AvroSchema:
    """Parse a schema that may speak of named types of other schemas, given as texts in order of dependence.

    Raises:
        InvalidSchema: If a text is no valid schema, or is larger or deeper than allowed.
    """
    names: dict[str, Definition] = {}
    roots = [_parse(each, names) for each in references]
    referenced = frozenset(root.name.full for root in roots if isinstance(root, Record | Enum | Fixed))
    return AvroSchema(_parse(text, names), names, referenced)


def _parse(text: str, names: dict[str, Definition]) -> Type:
    """Parse one text; its definitions are added to the names."""
    root = _Parser(names).type(load_json(text), _Place())
    schema = AvroSchema(root, names)
    types = list(_walk(root, ""))
    for path, inner in types:
        if isinstance(inner, Named) and inner.full not in names:
            raise _invalid(path, f"undefined name: {inner.full}")
    for path, inner in types:
        _check(schema, inner, path)
    return root


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a schema a type stands."""

    path: str = ""
    space: str = ""
    depth: int = 0

    def down(self, step: str, space: str | None = None) -> _Place:
        """One type further in."""
        return _Place(f"{self.path}/{step}", self.space if space is None else space, self.depth + 1)


class _Parser:
    """Makes values of JSON; what needs the names defined further down is checked afterwards."""

    def __init__(self, names: dict[str, Definition]) -> None:
        self._names = names

    def type(self, loaded: Json, place: _Place) -> Type:
        """The type at a place."""
        if place.depth > SCHEMA_DEPTH:
            raise _invalid(place.path, f"types are nested deeper than {SCHEMA_DEPTH}")
        match loaded:
            case str():
                return self._name(loaded, place.space)
            case list():
                return Union(tuple(self.type(each, place.down(str(at))) for at, each in enumerate(loaded)))
            case {"type": "record" | "error" | "enum" | "fixed"}:
                return self._definition(loaded, place)
            case {"type": str()}:
                return self._unnamed(loaded, place)
            case _:
                raise _invalid(place.path, f"{_shown(loaded)} is no type")

    def _unnamed(self, loaded: Mapping[str, Any], place: _Place) -> Type:
        """A container, a primitive with properties, or a name in a wrapping that means nothing."""
        match loaded:
            case {"type": "array", "items": items}:
                return Array(self.type(items, place.down("items")), _props(loaded, _RESERVED))
            case {"type": "map", "values": values}:
                return Map(self.type(values, place.down("values")), _props(loaded, _RESERVED))
            case {"type": "array" | "map" as kind}:
                raise _invalid(place.path, f"{kind} without {'items' if kind == 'array' else 'values'}")
            case {"type": name} if name in PRIMITIVES:
                return Primitive(name, _props(loaded, _RESERVED))
            case _:
                return self._name(loaded["type"], place.space)

    def _name(self, name: str, space: str) -> Type:
        """A primitive, or a name that is defined here, earlier or later."""
        if name in PRIMITIVES:
            return Primitive(name, {})
        full = f"{space}.{name}" if space and "." not in name else name
        for known in (full, name):
            if known in self._names:
                return Named(known)
        return Named(full, ahead=True)

    def _definition(self, loaded: Mapping[str, Any], place: _Place) -> Type:
        """A named type, kept under its name; the same definition may be given again."""
        name = _own_name(loaded, place)
        if name.full in PRIMITIVES:
            raise _invalid(place.path, f"a type may not be called {name.full!r}, like a primitive")
        match loaded["type"]:
            case "enum":
                defined: Definition = _enum(loaded, name, place.path)
            case "fixed":
                defined = _fixed(loaded, name, place.path)
            case _:
                defined = self._record(loaded, name, place)
        known = self._names.setdefault(name.full, defined)
        if known is defined:
            return defined
        if known != defined:
            raise _invalid(place.path, f"{name.full!r} is defined twice, differently")
        return Named(name.full)

    def _record(self, loaded: Mapping[str, Any], name: Name, place: _Place) -> Record:
        fields = loaded.get("fields")
        if not isinstance(fields, list):
            raise _invalid(place.path, f"record {name.full!r} has no fields")
        made = [self._field(each, place.down(f"fields/{at}", name.space)) for at, each in enumerate(fields)]
        seen: set[str] = set()
        for field in made:
            if field.name in seen:
                raise _invalid(place.path, f"record {name.full!r} has two fields {field.name!r}")
            seen.add(field.name)
        return Record(
            name,
            tuple(made),
            _text(loaded, "doc"),
            _aliases(loaded, name, place.path),
            _props(loaded, _RESERVED),
            is_error=loaded["type"] == "error",
        )

    def _field(self, loaded: Json, place: _Place) -> Field:
        match loaded:
            case {"name": str(name), "type": type_}:
                _check_name(name, place.path)
            case _:
                raise _invalid(place.path, "a field needs a name and a type")
        made = self.type(type_, _Place(f"{place.path}/type", place.space, place.depth))
        order = str(loaded.get("order", "ascending")).lower()
        if order not in _ORDERS:
            raise _invalid(place.path, f"field {name!r}: {_shown(loaded['order'])} is no order")
        default = loaded.get("default", MISSING)
        if isinstance(default, str) and made.kind in {"float", "double"}:
            default = _number(default, place.path)
        aliases = tuple(_alias_texts(loaded, place.path))
        return Field(name, made, _text(loaded, "doc"), default, order, aliases, _props(loaded, _FIELD_RESERVED))


def _enum(loaded: Mapping[str, Any], name: Name, path: str) -> Enum:
    symbols = loaded.get("symbols")
    if not isinstance(symbols, list):
        raise _invalid(path, f"enum {name.full!r} has no symbols")
    for symbol in symbols:
        _check_name(symbol, path)
    if len(set(symbols)) != len(symbols):
        raise _invalid(path, f"enum {name.full!r} has a symbol twice")
    default = _text(loaded, "default")
    if default is not None and default not in symbols:
        raise _invalid(path, f"enum {name.full!r}: the default {default!r} is no symbol of it")
    props = _props(loaded, _RESERVED | {"default"})
    return Enum(name, tuple(symbols), default, _text(loaded, "doc"), _aliases(loaded, name, path), props)


def _fixed(loaded: Mapping[str, Any], name: Name, path: str) -> Fixed:
    size = loaded.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _FIXED_BYTES:
        raise _invalid(path, f"fixed {name.full!r} needs a size in bytes, not {_shown(size)}")
    return Fixed(name, size, _text(loaded, "doc"), _aliases(loaded, name, path), _props(loaded, _RESERVED))


def _own_name(loaded: Mapping[str, Any], place: _Place) -> Name:
    """The name under which a definition stands, in its own or the enclosing namespace."""
    text, space = _text(loaded, "name"), _text(loaded, "namespace")
    if text is None:
        raise _invalid(place.path, f"{loaded['type']} without a name")
    name = _named(text, place.space if space is None else space, place.path)
    check_length(name.full)
    for part in name.space.split(".") if name.space else ():
        _check_name(part, place.path)
    return name


def _named(text: str, space: str, path: str) -> Name:
    """A name as it is written: with its namespace, or in the given one."""
    before, dot, last = text.rpartition(".")
    _check_name(last, path)
    return Name(before if dot else space, last)


def _aliases(loaded: Mapping[str, Any], name: Name, path: str) -> tuple[Name, ...]:
    """Other names of a definition, in its own namespace unless they say otherwise."""
    return tuple(dict.fromkeys(_named(alias, name.space, path) for alias in _alias_texts(loaded, path)))


def _alias_texts(loaded: Mapping[str, Any], path: str) -> Iterable[str]:
    aliases = loaded.get("aliases", [])
    if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
        raise _invalid(path, f"aliases are a list of names, not {_shown(aliases)}")
    return dict.fromkeys(aliases)


def _check_name(name: object, path: str) -> None:
    """Refuse what is no name: letters, digits and underscores, no digit first."""
    if not isinstance(name, str) or not name:
        raise _invalid(path, f"{_shown(name)} is no name")
    check_length(name)
    first_fits = name[0] == "_" or name[0].isalpha()
    if not first_fits or not all(letter == "_" or letter.isalpha() or letter.isdecimal() for letter in name):
        raise _invalid(path, f"{name!r} is no name: letters, digits and '_', not beginning with a digit")


def _invalid(path: str, problem: str) -> InvalidSchema:
    return InvalidSchema(f"invalid schema at {path or '/'}: {problem}")


def _text(loaded: Mapping[str, Any], key: str) -> str | None:
    value = loaded.get(key)
    return value if isinstance(value, str) else None


def _props(loaded: Mapping[str, Any], reserved: frozenset[str]) -> Mapping[str, Any]:
    return {key: value for key, value in loaded.items() if key not in reserved}


def _number(text: str, path: str) -> float:
    """A default of a float that was written as text, as Java takes it."""
    try:
        return float(text)
    except ValueError:
        problem = f"the default {text!r} is no number"
        raise _invalid(path, problem) from None


def _shown(loaded: Json) -> str:
    """Some JSON for a message, shortened."""
    return json.dumps(loaded)[:100]


def _walk(type_: Type, path: str) -> Iterator[tuple[str, Type]]:
    """Each type in a type, with its path; names are not followed."""
    yield path, type_
    match type_:
        case Array(items):
            yield from _walk(items, f"{path}/items")
        case Map(values):
            yield from _walk(values, f"{path}/values")
        case Union(branches):
            for at, branch in enumerate(branches):
                yield from _walk(branch, f"{path}/{at}")
        case Record(fields=fields):
            for at, field in enumerate(fields):
                yield from _walk(field.type, f"{path}/fields/{at}/type")
        case _:
            pass


def _check(schema: AvroSchema, type_: Type, path: str) -> None:
    """Check what needs every name to be known."""
    match type_:
        case Union(branches):
            _check_union(schema, branches, path)
        case Record(fields=fields):
            for field in fields:
                if field.default is not MISSING and not _fits(schema, field.type, field.default):
                    problem = f"the default {_shown(field.default)} is no {schema.label(field.type)}"
                    raise _invalid(path, f"field {field.name!r}: {problem}")
        case _:
            pass


def _check_union(schema: AvroSchema, branches: Iterable[Type], path: str) -> None:
    """A union holds no union, and no two branches that data could not tell apart."""
    seen: set[str] = set()
    for branch in branches:
        if isinstance(branch, Union):
            raise _invalid(path, "a union directly inside a union")
        kind = schema.label(branch)
        if kind in seen:
            raise _invalid(path, f"the union has the branch {kind!r} twice")
        seen.add(kind)


def _fits(schema: AvroSchema, type_: Type, default: Json) -> bool:
    """Whether some JSON may stand as default; any branch of a union will do, as in Java.

    Java takes no default of a type that is not defined yet, such as the record around it; nor would it end here.
    """
    if isinstance(type_, Named) and type_.ahead:
        return False
    resolved = schema.resolve(type_)
    if isinstance(resolved, Union):
        return any(_fits(schema, branch, default) for branch in resolved.branches)
    if isinstance(resolved, Primitive):
        return _primitive_fits(resolved.kind, default)
    return _parts_fit(schema, resolved, default)


def _parts_fit(schema: AvroSchema, type_: Array | Map | Definition, default: Json) -> bool:
    """Whether some JSON may stand as default of what has parts, or of what is written as text."""
    match type_, default:
        case Array(items), list():
            return all(_fits(schema, items, each) for each in default)
        case Map(values), dict():
            return all(_fits(schema, values, each) for each in default.values())
        case Record(fields=fields), dict():
            return all(_field_fits(schema, field, default) for field in fields)
        case _:
            return isinstance(type_, Enum | Fixed) and isinstance(default, str)


def _field_fits(schema: AvroSchema, field: Field, default: Mapping[str, Any]) -> bool:
    value = default.get(field.name, field.default)
    return value is not MISSING and _fits(schema, field.type, value)


def _primitive_fits(kind: str, default: object) -> bool:
    if kind in _BITS:
        return (
            isinstance(default, int)
            and not isinstance(default, bool)
            and -1 << _BITS[kind] <= default < 1 << _BITS[kind]
        )
    if kind in {"float", "double"}:
        return isinstance(default, (int, float)) and not isinstance(default, bool)
    if kind == "null":
        return default is None
    return isinstance(default, bool if kind == "boolean" else str)
