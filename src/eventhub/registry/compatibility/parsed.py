"""A schema of any type, read once: its canonical text, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eventhub.errors import InvalidSchema
from eventhub.registry.base import Reference, Schema, SchemaType
from eventhub.registry.compatibility.avro import avro_problems
from eventhub.registry.compatibility.avro_model import AvroSchema
from eventhub.registry.compatibility.avro_parser import parse as parse_avro
from eventhub.registry.compatibility.bounds import REFERENCES, load_json
from eventhub.registry.compatibility.canonical import canonical_avro, sorted_json, write_json
from eventhub.registry.compatibility.problem import Problem

Resolve = Callable[[Reference], Schema]
"""Finds the schema that a reference stands for; raises ``InvalidSchema`` if there is none."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A valid schema."""

    type: SchemaType
    text: str
    """The canonical text: equal for schemas that differ only in how they are written down."""
    model: AvroSchema | Any
    """What the text says."""


def parse_schema(schema: Schema, resolve: Resolve | None = None, *, normal: bool = False) -> Parsed:
    """Parse a schema and everything it refers to.

    Args:
        schema: The schema.
        resolve: Finds what it refers to; None for a schema that refers to nothing.
        normal: Whether differences of order that mean nothing are taken out of the canonical text as well.

    Raises:
        InvalidSchema: If it is not valid, refers to what is not there, or is larger or deeper than allowed.
    """
    referenced = _referenced(schema, resolve or _unknown)
    if schema.type is SchemaType.AVRO:
        avro = parse_avro(schema.text, [each.text for each in referenced])
        return Parsed(schema.type, canonical_avro(avro, normal=normal), avro)
    if schema.type is SchemaType.JSON:
        loaded = load_json(schema.text)
        return Parsed(schema.type, write_json(sorted_json(loaded) if normal else loaded), loaded)
    return Parsed(schema.type, schema.text, schema.text)


def problems_between(reader: Parsed, writer: Parsed) -> tuple[Problem, ...]:
    """What of a writer's schema a reader's cannot read."""
    if reader.type is not writer.type:
        reason = f"{reader.type} cannot be read from {writer.type}"
        return (Problem("TYPE_MISMATCH", "", reason, reader.type, writer.type),)
    if reader.text == writer.text:
        return ()
    if reader.type is SchemaType.AVRO:
        return avro_problems(reader.model, writer.model)
    reason = f"compatibility of {reader.type} schemas cannot be proved"
    return (Problem("CANNOT_PROVE", "", reason, "", ""),)


def _referenced(schema: Schema, resolve: Resolve) -> list[Schema]:
    """All schemas that a schema leans on, each after those it leans on itself."""
    ordered: dict[tuple[str, int], Schema] = {}
    _visit(schema, resolve, (), ordered)
    return list(ordered.values())


def _visit(
    schema: Schema, resolve: Resolve, above: tuple[tuple[str, int], ...], ordered: dict[tuple[str, int], Schema]
) -> None:
    for reference in schema.references:
        place = (reference.subject, reference.version)
        if place in above:
            msg = f"references go round in a circle: {reference.subject} version {reference.version}"
            raise InvalidSchema(msg)
        if len(ordered) + len(above) >= REFERENCES:
            msg = f"a schema may lean on at most {REFERENCES} others"
            raise InvalidSchema(msg)
        if place not in ordered:
            found = resolve(reference)
            _visit(found, resolve, (*above, place), ordered)
            ordered[place] = found


def _unknown(reference: Reference) -> Schema:
    msg = f"reference to {reference.subject} version {reference.version} cannot be resolved here"
    raise InvalidSchema(msg)
