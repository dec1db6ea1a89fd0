"""JSON Schemas, checked as far as they are compared: the shape of every known keyword, and that local names exist.

Source: JSON Schema 2020-12, and draft-07 where it differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from eventhub.errors import InvalidSchema
from eventhub.registry.compatibility.bounds import SCHEMA_DEPTH, Json, load_json

TYPES: Final = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
_INDEX_DIGITS: Final = 8  # more than a place in a list within the bounds has; Python reads at most 4,300


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """A schema, and the schemas of other subjects that it speaks of by name."""

    root: Json
    documents: Mapping[str, Json] = field(default_factory=dict)

    def resolve(self, ref: str) -> Json | None:
        """What a ``$ref`` points at; None for nothing we know."""
        name, _, pointer = ref.partition("#")
        document = self.documents.get(name) if name and name != _id(self.root) else self.root
        if document is None or (pointer and not pointer.startswith("/")):
            return None
        for step in map(_unescaped, pointer.split("/")[1:]):
            document = _step(document, step)
            if document is None:
                return None
        return document


def _id(root: Json) -> Json:
    return root.get("$id") if isinstance(root, dict) else None


def _unescaped(step: str) -> str:
    return unquote(step).replace("~1", "/").replace("~0", "~")


def _step(document: Json, step: str) -> Json | None:
    match document:
        case dict():
            return document.get(step)
        case list() if step.isdecimal() and len(step) < _INDEX_DIGITS and int(step) < len(document):
            return document[int(step)]
        case _:
            return None


def parse_json_schema(text: str, documents: Mapping[str, str]) -> JsonSchema:
    """Parse a schema that may speak of others, given as texts by the names it uses for them.

    Raises:
        InvalidSchema: If it is no JSON Schema, or larger or deeper than allowed.
    """
    schema = JsonSchema(load_json(text), {name: load_json(each) for name, each in documents.items()})
    _check(schema, schema.root, "", 0)
    return schema


def _check(schema: JsonSchema, part: Json, path: str, depth: int) -> None:
    """Check a schema and all schemas in it."""
    if depth > SCHEMA_DEPTH:
        raise _invalid(path, f"schemas are nested deeper than {SCHEMA_DEPTH}")
    if isinstance(part, bool):
        return
    if not isinstance(part, dict):
        raise _invalid(path, "a schema is an object, true or false")
    for keyword, fits in _SHAPES.items():
        if keyword in part and not fits(part[keyword]):
            raise _invalid(path, f"{keyword!r} has not the form it must have")
    ref = part.get("$ref")
    if isinstance(ref, str) and ref.startswith("#") and schema.resolve(ref) is None and not _is_anchor(ref):
        raise _invalid(path, f"nothing stands at {ref!r}")
    for step, inner in subschemas(part):
        _check(schema, inner, f"{path}/{step}", depth + 1)


def _is_anchor(ref: str) -> bool:
    return len(ref) > 1 and not ref.startswith("#/")


def subschemas(part: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    """Every schema directly in a schema, with its path."""
    for keyword, value in part.items():
        if keyword in _ONE and isinstance(value, dict | bool):
            yield keyword, value
        elif keyword in _MANY and isinstance(value, list):
            yield from ((f"{keyword}/{at}", each) for at, each in enumerate(value))
        elif keyword in _NAMED and isinstance(value, dict):
            yield from ((f"{keyword}/{name}", each) for name, each in value.items())


def _invalid(path: str, problem: str) -> InvalidSchema:
    return InvalidSchema(f"invalid schema at {path or '/'}: {problem}")


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Json) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


def _is_schema(value: Json) -> bool:
    return isinstance(value, dict | bool)


def _are_texts(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _are_types(value: Json) -> bool:
    listed: Iterable[Json] = value if isinstance(value, list) else [value]
    return all(isinstance(each, str) and each in TYPES for each in listed) and bool(listed)


def _is(*types: type) -> Callable[[Json], bool]:
    return lambda value: isinstance(value, types)


_ONE: Final = frozenset(
    {"additionalProperties", "propertyNames", "items", "additionalItems", "contains", "not", "if", "then", "else"}
)
_MANY: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems", "items"})
_NAMED: Final = frozenset({"properties", "patternProperties", "$defs", "definitions"})
_SHAPES: Final[Mapping[str, Callable[[Json], bool]]] = {
    "$ref": _is(str),
    "type": _are_types,
    "enum": _is(list),
    "required": _are_texts,
    "properties": _is(dict),
    "patternProperties": _is(dict),
    "$defs": _is(dict),
    "definitions": _is(dict),
    "additionalProperties": _is_schema,
    "propertyNames": _is_schema,
    "additionalItems": _is_schema,
    "items": lambda value: _is_schema(value) or isinstance(value, list),
    "prefixItems": _is(list),
    "contains": _is_schema,
    "not": _is_schema,
    "allOf": lambda value: isinstance(value, list) and bool(value),
    "anyOf": lambda value: isinstance(value, list) and bool(value),
    "oneOf": lambda value: isinstance(value, list) and bool(value),
    "minimum": _is_number,
    "maximum": _is_number,
    "exclusiveMinimum": lambda value: _is_number(value) or isinstance(value, bool),
    "exclusiveMaximum": lambda value: _is_number(value) or isinstance(value, bool),
    "multipleOf": lambda value: _is_number(value) and value > 0,
    "minLength": _is_count,
    "maxLength": _is_count,
    "minItems": _is_count,
    "maxItems": _is_count,
    "minProperties": _is_count,
    "maxProperties": _is_count,
    "pattern": _is(str),
    "uniqueItems": _is(bool),
}
