"""Say why a schema is incompatible where the registry only says that it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from eventhub.errors import InvalidSchema
from eventhub.registry.base import Compatibility, Reference, RegisteredSchema, Schema
from eventhub.registry.compatibility import Conflict, Parsed, conflicts, parse_schema
from eventhub.registry.compatibility.bounds import REFERENCES

FetchVersion = Callable[[str, int], Awaitable[RegisteredSchema | None]]
"""Gets one version of a subject; None if there is none."""


async def explain(
    level: Compatibility, schema: Schema, versions: Sequence[RegisteredSchema], fetch: FetchVersion
) -> Sequence[Conflict]:
    """What our own checker says about a schema after all versions of a subject.

    Empty if the level allows it, or if one of the schemas is beyond our understanding.
    """
    try:
        known = await _referenced([schema, *(version.schema for version in versions)], fetch)
        new = parse_schema(schema, known.__getitem__)
        return conflicts(level, new, versions, lambda version: parse_schema(version.schema, known.__getitem__))
    except InvalidSchema:
        return ()


async def parsed(schemas: Sequence[Schema], fetch: FetchVersion) -> Sequence[Parsed]:
    """Schemas, read with all that they lean on.

    Raises:
        InvalidSchema: If one is beyond our understanding, or leans on what is not there.
    """
    known = await _referenced(schemas, fetch)
    return [parse_schema(schema, known.__getitem__) for schema in schemas]


async def _referenced(schemas: Iterable[Schema], fetch: FetchVersion) -> Mapping[Reference, Schema]:
    """Every schema that some schemas lean on, directly or not."""
    known: dict[Reference, Schema] = {}
    wanted = [reference for schema in schemas for reference in schema.references]
    while wanted:
        reference = wanted.pop()
        if reference in known:
            continue
        version = await fetch(reference.subject, reference.version)
        if version is None or len(known) >= REFERENCES:
            msg = f"reference to {reference.subject} version {reference.version} cannot be resolved"
            raise InvalidSchema(msg)
        known[reference] = version.schema
        wanted += version.schema.references
    return known
