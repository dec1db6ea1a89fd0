"""What the models within an event say of their fields, and what of it a binary format cannot honour."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from typing import Any, cast, get_args, get_origin

import pydantic
from pydantic import (
    AliasChoices,
    BaseModel,
    EncodedBytes,
    EncodedStr,
    PlainSerializer,
    ValidationError,
    WrapSerializer,
)
from pydantic.fields import FieldInfo
from typing_extensions import TypeAliasType

from eventhub.codecs.names import record_name
from eventhub.errors import DeclarationError, SchemaMismatch

_ALIASES = tuple({TypeAliasType, getattr(typing, "TypeAliasType", TypeAliasType)})
"""Python's own kind of alias, since 3.12, and that of typing_extensions."""
_ENCODED: tuple[type, ...] = (EncodedBytes, EncodedStr, cast("type", pydantic.Json))


_VALIDATING = frozenset({"function-before", "function-plain", "function-wrap"})
"""Core schemas with code that sees a value before it was validated, and may take anything for anything."""
_MAX_LISTED = 1000
"""Problems that are looked at one by one; a record can have as many as it has bytes, at a kilobyte of memory each."""
_MAX_SHOWN = 20


def models(event: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The classes of models within a class, itself included, by the names of their records."""
    found: dict[str, type[BaseModel]] = {}
    seen: list[Any] = []  # models and type aliases may contain themselves
    pending: list[Any] = [event]
    while pending:
        annotation = pending.pop(0)
        if annotation in seen:
            continue
        seen.append(annotation)
        alias = aliased(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if found.setdefault(record_name(annotation), annotation) is annotation:
                pending += [field.annotation for field in annotation.model_fields.values()]
        elif hasattr(annotation, "__supertype__"):
            pending.append(annotation.__supertype__)
        else:
            pending += get_args(annotation) if alias is None else [alias]
    return found


def aliased(annotation: Any) -> Any:
    """What a type alias stands for, with its arguments in the places of its parameters; None for what is no alias."""
    alias = get_origin(annotation) or annotation
    if not isinstance(alias, _ALIASES):
        return None
    value = alias.__value__
    given = dict(zip(alias.__type_params__, get_args(annotation), strict=False))
    if value in given:
        return given[value]
    parameters = getattr(value, "__parameters__", ())
    return value[tuple(given.get(each, each) for each in parameters)] if parameters and given else value


def wire_names(model: type[BaseModel]) -> dict[str, str]:
    """The fields of a model that are written, each with its name on the wire."""
    by_alias = bool(model.model_config.get("serialize_by_alias"))
    return {
        name: (field.serialization_alias or name) if by_alias else name
        for name, field in model.model_fields.items()
        if not field.exclude
    }


def read_aliases(field: FieldInfo) -> list[str]:
    """The names under which a field may be read, besides its own, if declared for this field."""
    if field.alias_priority == 1:  # an alias generator's: about JSON, not about renaming
        return []
    declared = field.validation_alias
    choices = declared.choices if isinstance(declared, AliasChoices) else [declared]
    return [choice for choice in choices if isinstance(choice, str)]


def check_metadata(metadata: list[Any], place: str) -> None:
    """Refuse annotations under which what is written is not what is read."""
    for entry in metadata:
        if isinstance(entry, _ENCODED):
            msg = f"{place}: an encoded text would be decoded twice; declare bytes or str, or the type within"
            raise DeclarationError(msg)
        if isinstance(entry, (PlainSerializer, WrapSerializer)) and not entry.when_used.startswith("json"):
            msg = f"{place}: Avro writes the field's own value, not a serializer's; set when_used='json'"
            raise DeclarationError(msg)


def check_serializers(model: type[BaseModel]) -> None:
    """Refuse serializers of a class, which Avro would not call."""
    decorators = model.__pydantic_decorators__
    infos: dict[str, Any] = {
        **{name: found.info for name, found in decorators.field_serializers.items()},
        **{name: found.info for name, found in decorators.model_serializers.items()},
    }
    for name, info in infos.items():
        if not info.when_used.startswith("json"):
            msg = f"{model.__name__}.{name}: Avro writes the field itself, not what a serializer makes of it; "
            msg += "set when_used='json'"
            raise DeclarationError(msg)


def has_validators(core_schema: Any) -> bool:
    """Whether a class has code of its user's that may take anything for anything; pydantic's own types do not count."""
    if isinstance(core_schema, (list, tuple)):
        return any(map(has_validators, core_schema))
    if not isinstance(core_schema, Mapping):
        return False
    if core_schema.get("type") in _VALIDATING:
        function = core_schema["function"]["function"]
        if not str(getattr(function, "__module__", "")).startswith("pydantic."):
            return True
    return any(has_validators(entry) for key, entry in core_schema.items() if key != "serialization")


class Refused(Exception):
    """A class does not take what was read: the bytes are good, and the cause is pydantic's or a validator's error."""


def refusing(validate: Callable[..., Any]) -> Callable[..., Any]:
    """A validator whose every error is one kind, so that none is taken for an error of the bytes.

    Validators that a class declares may raise anything; pydantic passes on what is no ``ValueError``.
    """

    def validated(values: Any) -> Any:
        try:
            return validate(values)
        except Exception as error:  # the class's own code, so the record is to blame
            raise Refused from error

    return validated


def mismatch(place: str, refused: BaseException) -> SchemaMismatch:
    """The error of a record whose values a class refused at a place, without the values."""
    cause = refused.__cause__
    if isinstance(cause, ValidationError):
        return SchemaMismatch(_reasons(place, cause))
    return SchemaMismatch(f"{place}: a validator failed with {type(cause).__name__}")  # whose text may hold values


def _reasons(place: str, error: ValidationError) -> str:
    """What pydantic found at a place, field by field."""
    count = error.error_count()
    if count > _MAX_LISTED:
        return f"{place}: {count} values are none that their fields take"
    found = error.errors(include_url=False, include_input=False, include_context=False)
    lines = [
        f"{place}{''.join(f'[{step}]' if isinstance(step, int) else f'.{step}' for step in entry['loc'])}"
        f": {entry['msg']}"
        for entry in found[:_MAX_SHOWN]
    ]
    return "; ".join(lines if count <= _MAX_SHOWN else [*lines, f"and {count - _MAX_SHOWN} more"])
