"""What pydantic writes to JSON, and would not read again as it was.

Some of it a class shows by its types, before anything is written; some only a value does. A value is looked through
only where its text gives a reason to, since most give none and looking takes as long as writing.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, PlainSerializer, TypeAdapter, WrapSerializer

_MOST_DIGITS: Final = 4_300  # that pydantic reads, as Python does
_LONG_NUMBER: Final = re.compile(rb"(?<!\d)\d{4301}")
_TOO_LARGE: Final = 10**_MOST_DIGITS
_ZONE: Final = re.compile(rb'[+-]\d\d:\d\d"')
_REPLACED: Final = "\N{REPLACEMENT CHARACTER}".encode()
_SAID: Final = frozenset({str, bytes, bool, type(None), UUID, Decimal, date, timedelta})  # with nothing to look for
_NO_KEYS: Final = frozenset({"tuple", "named-tuple", "model", "dataclass", "nullable", "none"})


def lost_types(core_schema: Any, place: str) -> Iterator[str]:
    """The fields of a class of which pydantic does not read what it writes, each with the reason and the way out.

    Args:
        core_schema: The class's, as pydantic made it.
        place: What the class is called.
    """
    if isinstance(core_schema, (list, tuple)):
        for entry in core_schema:
            yield from lost_types(entry, place)
    if not isinstance(core_schema, Mapping):
        return
    serialization = core_schema.get("serialization")
    function = serialization.get("function") if isinstance(serialization, Mapping) else None
    if function is not None:  # whatever is within is not asked how it is written
        if getattr(function, "__name__", "").startswith("_serialize_secret"):  # pydantic.types
            yield (
                f"{place}: pydantic writes a secret to JSON as asterisks; say what is written, as in "
                "Annotated[SecretStr, PlainSerializer(SecretStr.get_secret_value, when_used='json')]"
            )
        return
    yield from _lost_type(core_schema, place)
    if core_schema.get("type") == "model":
        place = core_schema["cls"].__name__
    for key, entry in core_schema.items():
        is_field = isinstance(entry, Mapping) and entry.get("type") == "model-field"
        yield from lost_types(entry, f"{place}.{key}" if is_field else place)


def _lost_type(core_schema: Mapping[str, Any], place: str) -> Iterator[str]:
    """What is lost of one type, whatever stands within it."""
    kind = core_schema.get("type")
    keys = core_schema.get("keys_schema", {}) if kind == "dict" else {}
    if keys.get("type") in _NO_KEYS:
        yield f"{place}: keys of this type are written to JSON as texts that are not read again; use a list of models"
    for schema, is_key in ((core_schema, False), (keys, True)):
        odd = _odd_member(schema["cls"], is_key=is_key) if schema.get("type") == "enum" else None
        if odd is not None:
            yield f"{place}: what is written of {odd} is not read again; give it a text or a whole number for a value"


def _odd_member(enum: type[Enum], *, is_key: bool) -> Enum | None:
    """A member that does not come back, as a value or as a key; None if all do."""
    annotation: Any = dict[enum, int] if is_key else enum  # type: ignore[valid-type] # known at run time only
    adapter = TypeAdapter(annotation)
    for member in enum:
        value = {member: 1} if is_key else member
        try:
            comes_back = adapter.validate_json(adapter.dump_json(value)) == value
        except ValueError:
            comes_back = False
        if not comes_back:
            return member
    return None


def value_check(core_schema: Any) -> Callable[[Any, bytes], str | None]:
    """What tells what of a value its text does not say as it is; None if it says all.

    Args:
        core_schema: That of the value's class, as pydantic made it.
    """
    kinds = str(core_schema)
    writes_null = any(f"'type': '{kind}'" in kinds for kind in ("float", "any", "json"))  # for odd floats
    writes_zones = any(f"'type': '{kind}'" in kinds for kind in ("datetime", "time", "any", "json"))

    def check(value: Any, written: bytes) -> str | None:
        if (
            (writes_null and b"null" in written)
            or (writes_zones and _ZONE.search(written) is not None)
            or _REPLACED in written
            or (len(written) > _MOST_DIGITS and _LONG_NUMBER.search(written) is not None)
        ):
            return _lost(value, keeps_odd_floats=False)
        return None

    return check


def _lost(value: Any, *, keeps_odd_floats: bool) -> str | None:
    """What of a value, or of a part of it, JSON does not say."""
    reason = _reason(value, keeps_odd_floats=keeps_odd_floats)
    if reason is not None:
        return reason
    parts, config = _inside(value)
    if config is not None:
        keeps_odd_floats = config.get("ser_json_inf_nan", "null") != "null"
    for part in parts:
        if part.__class__ not in _SAID:
            reason = _lost(part, keeps_odd_floats=keeps_odd_floats)
            if reason is not None:
                return reason
    return None


def _reason(value: Any, *, keeps_odd_floats: bool) -> str | None:
    """Why a value by itself is not said."""
    match value:
        case float() if not keeps_odd_floats and not math.isfinite(value):
            return "a float is infinite or no number, which JSON cannot say"
        case int() if abs(value) >= _TOO_LARGE:
            return f"an int has more than {_MOST_DIGITS} digits, which nobody reads"
        case datetime() | time() if (value.utcoffset() or timedelta()) % timedelta(minutes=1):
            return "a time zone is seconds off, which JSON cannot say; convert it to UTC"
        case Mapping() if not all(_is_text(key) for key in value if isinstance(key, str)):
            return "a key has half of a surrogate pair, which is no text"
        case _:
            return None


def _inside(value: Any) -> tuple[Iterable[Any], Mapping[str, Any] | None]:
    """The parts of a value, and how they are written if it says so itself."""
    match value:
        case BaseModel():
            return _parts(value), value.model_config
        case Mapping():
            return (*value.keys(), *value.values()), None
        case str() | bytes() | bytearray():
            return (), None
        case Collection():
            return value, None
        case _ if dataclasses.is_dataclass(value):
            parts = [getattr(value, field.name) for field in dataclasses.fields(value)]
            return parts, getattr(value, "__pydantic_config__", {})
        case _:
            return (), None


def _parts(model: BaseModel) -> Iterator[Any]:
    """The values of a model, save those that the class writes in a way of its own."""
    own = {
        name for found in type(model).__pydantic_decorators__.field_serializers.values() for name in found.info.fields
    }
    for name, value in {**model.__dict__, **(model.__pydantic_extra__ or {})}.items():
        field = type(model).model_fields.get(name)
        metadata = () if field is None else field.metadata
        if name not in own and not any(isinstance(entry, (PlainSerializer, WrapSerializer)) for entry in metadata):
            yield value


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
