"""What an event class makes of each version of its subject: it reads it, an upcast does, or nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from eventhub.codecs.avro.references import made_whole
from eventhub.codecs.base import Codec
from eventhub.codecs.formats import FORMATS
from eventhub.codecs.upcast import ByVersion, Upcast, applies
from eventhub.errors import DeclarationError, InvalidSchema
from eventhub.event import Event, Format, event_info
from eventhub.registry.base import Reference, RegisteredSchema, Schema, SchemaRegistry, SchemaType
from eventhub.registry.compatibility import Problem

_MAX_REFERENCES = 256  # definitions that one schema may lean on, as in the embedded registry


@dataclass(frozen=True, slots=True)
class Reading:
    """What an event class makes of one version of its subject."""

    version: RegisteredSchema
    """The version, its schema with all that it leans on."""
    upcast: Upcast[Any, Any] | None = None
    """The upcast that reads it, or None where the class itself does."""
    problems: tuple[Problem, ...] = ()
    """Why it cannot be read; empty if it can."""


def reading(
    event: type[Event], version: RegisteredSchema, codecs: Mapping[Format, Codec], upcasts: ByVersion
) -> Reading:
    """Judge whether an event class, or an upcast for it, reads what was written with a version.

    The schema is to be whole.
    """
    codec = codecs.get(FORMATS[version.schema.type])
    if codec is None:
        reason = f"{version.schema.type.value} was written, which only a process with an event in that format reads"
        return Reading(version, problems=(_format_not_read(event, version, reason),))
    try:
        return _reading(event, version, codec, upcasts)
    except DeclarationError as error:  # the class has no place in the format of its writer
        return Reading(version, problems=(_format_not_read(event, version, str(error)),))


def _format_not_read(event: type[Event], version: RegisteredSchema, reason: str) -> Problem:
    return Problem("FORMAT_NOT_READ", "", reason, event_info(event).format.value, version.schema.type.value)


def _reading(event: type[Event], version: RegisteredSchema, codec: Codec, upcasts: ByVersion) -> Reading:
    schema = version.schema
    upcast = upcasts.get((event, version.version))
    if upcast is not None and applies(upcast, codec, schema):
        return Reading(version, upcast)
    problems = tuple(codec.problems(event, schema))
    if problems and upcast is not None:
        nor_old = codec.problems(upcast.old, schema)
        problems += tuple(
            replace(problem, reason=f"nor can {upcast.old.__name__}: {problem.reason}") for problem in nor_old
        )
    return Reading(version, problems=problems)


async def whole(registry: SchemaRegistry, version: RegisteredSchema) -> RegisteredSchema:
    """A version whose schema has the definitions of other subjects that it refers to.

    Raises:
        RegistryError: If the registry does not answer.
    """
    return replace(version, schema=await whole_schema(registry, version.schema))


async def whole_schema(registry: SchemaRegistry, schema: Schema) -> Schema:
    """A schema with the definitions of other subjects that it refers to; one that makes no sense stays as it is.

    Raises:
        RegistryError: If the registry does not answer.
    """
    if not schema.references:
        return schema
    definitions: dict[Reference, Schema] = {}
    pending = list(schema.references)
    while pending and len(definitions) < _MAX_REFERENCES:
        reference = pending.pop()
        if reference not in definitions:
            versions = await registry.versions(reference.subject)
            for found in (version.schema for version in versions if version.version == reference.version):
                definitions[reference] = found
                pending += found.references
    if schema.type is not SchemaType.AVRO:
        return replace(schema, definitions=definitions)
    try:
        return Schema(made_whole(schema.text, {reference.name: each.text for reference, each in definitions.items()}))
    except InvalidSchema:
        return schema  # whoever parses it says what is wrong
