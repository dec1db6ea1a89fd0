"""Bounds in JSON Schemas: whether what a writer allows keeps a bound of a reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from operator import ge, gt, le, lt
from typing import Final

from eventhub.registry.compatibility.bounds import Json


def _is_multiple(value: float, of: float) -> bool:
    return value % of == 0


_Test = Callable[[float, float], bool]

_IMPLIED: Final[Mapping[str, tuple[tuple[str, _Test], ...]]] = {
    "minimum": (("minimum", ge), ("exclusiveMinimum", ge)),
    "maximum": (("maximum", le), ("exclusiveMaximum", le)),
    "exclusiveMinimum": (("exclusiveMinimum", ge), ("minimum", gt)),
    "exclusiveMaximum": (("exclusiveMaximum", le), ("maximum", lt)),
    "multipleOf": (("multipleOf", _is_multiple),),
    "minLength": (("minLength", ge),),
    "maxLength": (("maxLength", le),),
    "minItems": (("minItems", ge),),
    "maxItems": (("maxItems", le),),
    "minProperties": (("minProperties", ge),),
    "maxProperties": (("maxProperties", le),),
}
"""For each bound of a reader, what of a writer implies it: a keyword, and how its value has to stand to the bound."""

_KEPT: Final[Mapping[str, tuple[Json, _Test]]] = {
    "minimum": ((int, float), ge),
    "maximum": ((int, float), le),
    "exclusiveMinimum": ((int, float), gt),
    "exclusiveMaximum": ((int, float), lt),
    "multipleOf": ((int, float), _is_multiple),
    "minLength": (str, ge),
    "maxLength": (str, le),
    "minItems": (list, ge),
    "maxItems": (list, le),
    "minProperties": (dict, ge),
    "maxProperties": (dict, le),
}
"""For each bound, the type of value that it is about, and how the value or its length has to stand to it."""

BOUNDS: Final = frozenset(_IMPLIED)


def implied(keyword: str, bound: float, writer: Json) -> bool:
    """Whether the same or a similar bound of the writer is at least as narrow."""
    if bound == 0 and keyword in {"minLength", "minItems", "minProperties"}:
        return True
    return any(_is_number(writer.get(each)) and stands(writer[each], bound) for each, stands in _IMPLIED[keyword])


def kept(keyword: str, bound: float, value: Json) -> bool:
    """Whether a value keeps a bound; one of another type does."""
    types, stands = _KEPT[keyword]
    if isinstance(value, bool) or not isinstance(value, types):
        return True
    return stands(len(value) if isinstance(value, Sized) else value, bound)


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
