"""Counting the digits of decimals once: where the wire has done it, pydantic need not.

``Field(max_digits=12, decimal_places=2)`` costs pydantic more than all else about a line of an order.
An Avro ``decimal(12, 2)`` says the same, and the generated decoder holds its bytes to it; so where
every such field of a class is read from a type that allows no more digits than the class, the
class's own schema is compiled once more without them. Everything else is validated as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import SchemaValidator

from eventhub.codecs.avro.types import AvroType, Fixed, Logical, Primitive, Union


def promises_digits(written: AvroType, wanted: AvroType | None) -> bool:
    """Whether a value read as something with a limit of digits keeps it by what its writer promises."""
    branches = wanted.branches if isinstance(wanted, Union) else (wanted,)
    limits = [limit for branch in branches if (limit := _decimal(branch)) is not None]
    promised = _decimal(written)
    if not limits or written == Primitive("null"):
        return True
    return promised is not None and all(_allows(limit, promised) for limit in limits)


def _decimal(declared: AvroType | None) -> Logical | None:
    logical = declared.logical if isinstance(declared, (Primitive, Fixed)) else None
    return logical if logical is not None and logical.name == "decimal" else None


def _allows(limit: Logical, promised: Logical) -> bool:
    whole = promised.precision - promised.scale
    return promised.scale <= limit.scale and whole <= limit.precision - limit.scale


@lru_cache(maxsize=1000)
def validator_of_the_rest(model: type[BaseModel]) -> Callable[..., Any]:
    """The validator of a class that takes decimals of any number of digits where it limits them."""
    bare = _without_digits(model.__pydantic_core_schema__)
    try:
        # Nested models would otherwise be validated by the validators that they already have.
        return SchemaValidator(bare, _use_prebuilt=False).validate_python
    except TypeError:  # pragma: no cover - a version of pydantic-core that cannot be told so
        return model.__pydantic_validator__.validate_python


def _without_digits(core_schema: Any) -> Any:
    if isinstance(core_schema, list):
        return [_without_digits(entry) for entry in core_schema]
    if not isinstance(core_schema, Mapping):
        return core_schema
    is_limited = core_schema.get("type") == "decimal" and {"max_digits", "decimal_places"} <= core_schema.keys()
    left_out = {"max_digits", "decimal_places"} if is_limited else set()
    return {key: _without_digits(entry) for key, entry in core_schema.items() if key not in left_out}
