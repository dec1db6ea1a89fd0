"""Events as JSON, under a JSON Schema: pydantic's own on both sides.

The schema is pydantic's, made fit for a registry: the title is the event's name; descriptions and the
titles of fields are left out, so that better prose never registers a new version; and objects are
closed (``additionalProperties: false``), without which the rules of registries take every added
field for incompatible, since an open object could have held anything under its name before.
A class that reads takes its own schema as an open one: it ignores what it does not know.

Names on the wire are the fields' names, or their aliases where the class says ``serialize_by_alias``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

from pydantic import ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaWarningKind

from eventhub.codecs.base import Decode, Encode
from eventhub.codecs.json_formats import PARSED
from eventhub.codecs.json_values import lost_types, value_check
from eventhub.codecs.models import Refused, has_validators, mismatch, refusing
from eventhub.codecs.names import event_name
from eventhub.errors import DeclarationError, DecodeError, InvalidSchema, SchemaMismatch
from eventhub.event import Event
from eventhub.registry.base import Schema, SchemaType
from eventhub.registry.compatibility import Problem, problems

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MAX_TEXT = 1024 * 1024
_NAMED_SCHEMAS = ("properties", "patternProperties", "$defs")
_ODD_FIELD = re.compile(r"field_name='(\w+)'")
_PROSE = ("title", "description", "examples")


class JsonSchemaCodec:
    """The codec of ``Format.JSON_SCHEMA``."""

    def schema(self, event: type[Event]) -> Schema:
        """The JSON Schema of an event class, derived or as written by hand under ``__schema__``."""
        by_hand = event.__dict__.get("__schema__")
        if by_hand is not None:
            return _checked(event, by_hand)
        return Schema(_text(_derived(event, is_closed=True)), SchemaType.JSON)

    def encoder(self, event: type[Event], schema: Schema, prefix: bytes) -> Encode:
        """A function that writes events of a class, after a fixed prefix; the schema changes nothing about them."""
        del schema
        to_json = partial(
            event.__pydantic_serializer__.to_json,
            by_alias=_goes_by_alias(event),
            round_trip=True,  # without computed fields
            warnings="error",
        )
        check = value_check(event.__pydantic_core_schema__)

        def encode(value: Event) -> bytes:
            if event.model_fields.keys() > value.__dict__.keys():
                missing = ", ".join(sorted(event.model_fields.keys() - value.__dict__.keys()))
                msg = f"{event.__name__}: the value is missing: {missing}"
                raise SchemaMismatch(msg)
            try:
                written = to_json(value)
            except (ValueError, AttributeError, RecursionError) as error:
                odd = ", ".join(_ODD_FIELD.findall(str(error))) or "not said"  # the text itself holds values
                msg = f"{event.__name__}: a value is none that its field takes, or nests too deeply; fields: {odd}"
                raise SchemaMismatch(msg) from error
            lost = check(value, written)
            if lost is not None:
                msg = f"{event.__name__}: {lost}"
                raise SchemaMismatch(msg)
            return prefix + written

        return encode

    def decoder(self, event: type[Event], schema: Schema) -> Decode:
        """A function that reads JSON into an event of a class; the writer's schema is not needed for it."""
        del schema
        validator = event.__pydantic_validator__.validate_json
        validate = refusing(partial(validator, strict=False, by_alias=True, by_name=True))

        def decode(value: bytes, start: int) -> Event:
            try:
                return cast("Event", validate(value[start:]))
            except Refused as error:
                reason = _not_json(error.__cause__)
                if reason is not None:
                    msg = f"{event.__name__}: {reason}"
                    raise DecodeError(msg) from error.__cause__
                raise mismatch(event.__name__, error) from error.__cause__

        return decode

    def path(self, event: type[Event], schema: Schema) -> bytes:
        """Nothing: a schema describes one type."""
        del event, schema
        return b""

    def name(self, schema: Schema, path: Sequence[int] = (0,)) -> str:
        """The title of a schema; empty where it has none."""
        del path  # a schema describes one type
        loaded = _loaded(schema.text)
        title = loaded.get("title") if isinstance(loaded, dict) else None
        return title if isinstance(title, str) else ""

    def problems(self, event: type[Event], schema: Schema) -> Sequence[Problem]:
        """Why the event class could not read what was written with a schema.

        The registry's rules decide, and whether a text is written as the class parses it. What a schema by hand says
        of texts, or a validator takes for one, is not known here.
        """
        by_hand = event.__dict__.get("__schema__")
        if by_hand is not None:
            return problems(_checked(event, by_hand), schema)
        reader = Schema(_text(_derived(event, is_closed=False)), SchemaType.JSON)
        return problems(reader, schema, formats={} if has_validators(event.__pydantic_core_schema__) else PARSED)


def _not_json(error: BaseException | None) -> str | None:
    """What makes a text no JSON, or None if it is some."""
    if not isinstance(error, ValidationError) or error.error_count() != 1:
        return None
    [found] = error.errors(include_url=False, include_input=False, include_context=False)
    is_whole = not found["loc"]  # a field may hold a text that has to be JSON, too
    return found["msg"] if found["type"] == "json_invalid" and is_whole else None


class _Generator(GenerateJsonSchema):
    """Pydantic's generator; a default that JSON cannot say is left out without a warning."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - as the base class declares it


def _derived(event: type[Event], *, is_closed: bool) -> dict[str, Any]:
    """The schema of a class."""
    name = event_name(event)
    mode: JsonSchemaMode = "serialization" if _goes_by_alias(event) else "validation"  # whose aliases count
    try:
        made = event.model_json_schema(by_alias=_goes_by_alias(event), schema_generator=_Generator, mode=mode)
    except PydanticInvalidForJsonSchema as error:
        msg = f"{event.__name__}: a field has no place in a JSON Schema: {error.message}"
        raise DeclarationError(msg) from error
    lost = next(lost_types(event.__pydantic_core_schema__, event.__name__), None)
    if lost is not None:
        raise DeclarationError(lost)
    lean = _lean(made, is_closed=is_closed)
    if '"format":"binary"' in _text(lean):
        msg = (
            f"{event.__name__}: bytes are no JSON text; set ser_json_bytes='base64' and val_json_bytes='base64' "
            "in the model_config of the class that holds them"
        )
        raise DeclarationError(msg)
    return {"$schema": _DIALECT, "title": name, **lean}


def _lean(schema: Any, *, is_closed: bool) -> Any:
    """A schema without prose, with its objects closed where they are to be."""
    if isinstance(schema, list):
        return [_lean(entry, is_closed=is_closed) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    lean = {
        key: {name: _lean(inner, is_closed=is_closed) for name, inner in entry.items()}
        if key in _NAMED_SCHEMAS
        else entry
        if key in {"default", "const", "enum", "required"}
        else _lean(entry, is_closed=is_closed)
        for key, entry in schema.items()
        if key not in _PROSE
    }
    if schema.get("type") == "object" and "properties" in schema and is_closed:
        lean.setdefault("additionalProperties", False)
    return lean


def _checked(event: type[Event], by_hand: object) -> Schema:
    """A schema written by hand, once it is known to have the event's name."""
    loaded = _loaded(by_hand) if isinstance(by_hand, str) else None
    if not isinstance(loaded, dict) or loaded.get("title") != event_name(event):
        msg = f"{event.__name__}.__schema__ is no JSON Schema with the title {event_name(event)!r}"
        raise DeclarationError(msg)
    return Schema(str(by_hand), SchemaType.JSON)


def _loaded(text: str) -> Any:
    """A schema's text as JSON.

    Raises:
        InvalidSchema: If it is none, or too large or too deep.
    """
    if len(text) > _MAX_TEXT:
        msg = f"schema has {len(text)} characters, allowed are {_MAX_TEXT}"
        raise InvalidSchema(msg)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"schema is no JSON: {error}"
        raise InvalidSchema(msg) from error


def _goes_by_alias(event: type[Event]) -> bool:
    return bool(event.model_config.get("serialize_by_alias"))


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
