"""Which branch of a union a value belongs to: told by its class, never by trying one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from uuid import UUID

from pydantic import BaseModel, RootModel, SecretBytes, SecretStr

from eventhub.codecs.avro.types import (
    Array,
    AvroType,
    Enumeration,
    Fixed,
    Logical,
    Map,
    Primitive,
    Record,
    Union,
    simple_name,
)
from eventhub.codecs.avro.values import TEXTS, Misfit, write_decimal
from eventhub.codecs.names import record_name


def branch_index(union: Union, value: object) -> int:
    """The place of the branch that a value belongs to, by its class and never by trial.

    Raises:
        Misfit: If no branch takes it.
    """
    if isinstance(value, RootModel):
        return branch_index(union, value.root)
    ranks = [_rank(branch, value) for branch in union.branches]
    best = min(ranks)
    if best == _NEVER:
        msg = f"{type(value).__name__} is none of the types of its union"
        raise Misfit(msg)
    return ranks.index(best)


_EXACTLY, _WIDENED, _NEVER = range(3)

_CLASSES: Mapping[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "string": (str,),
    "bytes": (bytes, bytearray, memoryview),
    "decimal": (),
    "uuid": (UUID,),
    "date": (date,),
    "time-millis": (time,),
    "time-micros": (time,),
    "timedelta-micros": (timedelta,),
}

_ALSO: Mapping[str, tuple[type, ...]] = {"string": (str, SecretStr, *TEXTS), "bytes": (SecretBytes,)}


def _rank(branch: AvroType, value: object) -> int:
    """How well a branch suits a value."""
    if isinstance(branch, Record):
        names = {record_name(cls) for cls in type(value).__mro__ if cls is not BaseModel and issubclass(cls, BaseModel)}
        return _EXACTLY if simple_name(branch.name) in names else _NEVER
    if isinstance(branch, (Array, Map)):
        wanted = dict if isinstance(branch, Map) else (list, tuple, set, frozenset, deque)
        return _EXACTLY if isinstance(value, wanted) else _NEVER
    python = branch.python if isinstance(branch, (Primitive, Enumeration)) else None
    if python is not None and isinstance(value, python):
        return _EXACTLY
    if isinstance(value, Enum):
        named = isinstance(branch, Enumeration) and simple_name(branch.name) == type(value).__name__
        return _EXACTLY if named and python is None else max(_WIDENED, _rank(branch, value.value))
    if isinstance(branch, Enumeration):
        return _WIDENED if value in branch.symbols else _NEVER
    if isinstance(branch, Fixed):
        return _rank_leaf("bytes", branch.logical, value) if _fills(branch, value) else _NEVER
    return _rank_leaf(branch.kind, branch.logical, value) if isinstance(branch, Primitive) else _NEVER


def _rank_leaf(kind: str, logical: Logical | None, value: object) -> int:
    """How well a type without structure suits a value."""
    name = logical.name if logical is not None else kind
    if logical is not None and name == "decimal" and isinstance(value, Decimal):
        return _EXACTLY if _holds(logical, value) else _WIDENED  # a string beside it holds any
    if "timestamp" in name:
        local = isinstance(value, datetime) and value.tzinfo is None
        return _EXACTLY if isinstance(value, datetime) and local == name.startswith("local") else _NEVER
    if kind in {"int", "long"} and name not in _CLASSES:
        return _EXACTLY if isinstance(value, int) and not isinstance(value, bool) else _NEVER
    if kind in {"float", "double"}:
        if isinstance(value, int) and not isinstance(value, bool):
            return _WIDENED
        return _EXACTLY if isinstance(value, float) else _NEVER
    if isinstance(value, datetime):
        return _NEVER  # a datetime is a date to Python, not to Avro
    if isinstance(value, _CLASSES.get(name, _CLASSES.get(kind, ()))):
        return _EXACTLY
    return _WIDENED if isinstance(value, _ALSO.get(kind, ())) and name != "decimal" else _NEVER


def _holds(decimal: Logical, value: Decimal) -> bool:
    """Whether a decimal type has the digits and places of a value."""
    try:
        write_decimal(value, scale=decimal.scale, precision=decimal.precision)
    except Misfit:
        return False
    return True


def _fills(fixed: Fixed, value: object) -> bool:
    """Whether a value may be written as a fixed type's bytes."""
    return isinstance(value, (Decimal, UUID)) or (isinstance(value, bytes) and len(value) == fixed.size)


def put_first(union: Union, index: int) -> Union:
    """A union with one of its branches first, as its default asks."""
    branches = list(union.branches)
    return Union((branches.pop(index), *branches))
