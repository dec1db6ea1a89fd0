"""Bounds that hold before any work is done on a schema."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, TypeAlias

from eventhub.errors import InvalidSchema

Json: TypeAlias = Any
"""What ``json.loads`` makes of a text: whoever takes it checks it."""

SCHEMA_BYTES = 1 << 20
"""The longest schema text that is looked at; what Kafka takes as one record by default."""
SCHEMA_DEPTH = 64
"""How deep types may be nested in each other."""
NAME = 1_000
"""How long a name may be, its namespace or its package included: it may stand in every place of a schema again."""
PROBLEMS = 100
"""How many problems of two schemas are listed; a schema that has more is another one."""
REFERENCES = 256
"""How many other schemas one schema may lean on, directly or not."""
REFERENCES_TEXT = 4_000_000
"""How many letters their texts may have together, since all are read with the one that leans on them."""
COMPARISONS = 50_000
"""How many pairs of types are compared before two schemas are called too large to compare."""

_JSON_DEPTH = 4 * SCHEMA_DEPTH  # a type inside a record is three levels of JSON down: object, fields, object


def load_json(text: str) -> Json:
    """The JSON of a schema text.

    Raises:
        InvalidSchema: If it is no JSON, or larger or deeper than allowed.
    """
    if len(text) > SCHEMA_BYTES or len(text.encode(errors="surrogatepass")) > SCHEMA_BYTES:
        msg = f"schema is larger than {SCHEMA_BYTES} bytes"
        raise InvalidSchema(msg)
    try:
        loaded = json.loads(text, parse_constant=_refuse_constant, parse_float=_double, parse_int=_whole)
        json.dumps(loaded, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        msg = f"schema is no JSON: {error}"
        raise InvalidSchema(msg) from error
    if _deeper_than(loaded, _JSON_DEPTH):
        msg = f"schema is nested deeper than {SCHEMA_DEPTH} types"
        raise InvalidSchema(msg)
    return loaded


def check_length(name: str) -> None:
    """Refuse a name that would make a schema's places and problems larger than the schema by orders of magnitude.

    Raises:
        InvalidSchema: If it is longer than allowed.
    """
    if len(name) > NAME:
        msg = f"the name {name[:20]}... has {len(name)} letters, allowed are {NAME}"
        raise InvalidSchema(msg)


def _refuse_constant(constant: str) -> None:
    msg = f"{constant} is no number of JSON"
    raise ValueError(msg)


def _double(text: str) -> float:
    """A number that is no whole one; beyond a double it would become infinity, which JSON has no word for."""
    number = float(text)
    if math.isinf(number):
        msg = f"{text[:20]} is beyond what a double holds"
        raise ValueError(msg)
    return number


def _whole(text: str) -> int:
    """A whole number, within the same bounds, since it may be compared with others."""
    _double(text)
    return int(text)


def _deeper_than(value: object, depth: int) -> bool:
    """Whether JSON is nested deeper than that, found without recursion."""
    level = [value]
    for _ in range(depth):
        level = [part for outer in level for part in _parts(outer)]
        if not level:
            return False
    return True


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        for key in value:
            check_length(key)
        return value.values()
    return value if isinstance(value, list) else ()
