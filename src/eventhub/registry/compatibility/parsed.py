"""A schema of any type, read once: its canonical text, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from eventhub.errors import InvalidSchema
from eventhub.registry.base import Reference, Schema, SchemaType
from eventhub.registry.compatibility.avro import avro_problems
from eventhub.registry.compatibility.avro_model import AvroSchema
from eventhub.registry.compatibility.avro_parser import parse as parse_avro
from eventhub.registry.compatibility.bounds import REFERENCES, REFERENCES_TEXT
from eventhub.registry.compatibility.canonical import canonical_avro, sorted_json, write_json
from eventhub.registry.compatibility.json_model import JsonSchema, parse_json_schema
from eventhub.registry.compatibility.json_schema import NO_FORMATS, Formats, json_problems
from eventhub.registry.compatibility.problem import Problem
from eventhub.registry.compatibility.proto_model import ProtoFile
from eventhub.registry.compatibility.proto_parser import parse_protobuf
from eventhub.registry.compatibility.protobuf import proto_problems

Resolve = Callable[[Reference], Schema]
"""Finds the schema that a reference stands for; raises ``InvalidSchema`` if there is none."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A valid schema."""

    type: SchemaType
    text: str
    """The canonical text: equal for schemas that differ only in how they are written down."""
    model: AvroSchema | JsonSchema | ProtoFile
    """What the text says."""
    referenced: tuple[str, ...] = ()
    """The texts of the schemas it leans on."""


def parse_schema(schema: Schema, resolve: Resolve | None = None, *, normal: bool = False) -> Parsed:
    """Parse a schema and everything it refers to.

    Args:
        schema: The schema.
        resolve: Finds what it refers to; None for what is at hand in the schema itself.
        normal: Whether differences of order that mean nothing are taken out of the canonical text as well.

    Raises:
        InvalidSchema: If it is not valid, refers to what is not there, or is larger or deeper than allowed.
    """
    known = _referenced(schema, resolve or partial(_at_hand, schema))
    with _within_reach():
        return _parse(schema, known, normal=normal)


@contextmanager
def _within_reach() -> Iterator[None]:
    """Refuse what goes deeper than Python can follow: types may be chained by name far beyond the depth of the text."""
    try:
        yield
    except RecursionError:
        msg = "types are chained deeper than can be followed"
        raise InvalidSchema(msg) from None


def _parse(schema: Schema, known: Mapping[Reference, Schema], *, normal: bool) -> Parsed:
    texts = tuple(each.text for each in known.values())
    if schema.type is SchemaType.AVRO:
        avro = parse_avro(schema.text, texts)
        return Parsed(schema.type, canonical_avro(avro, normal=normal), avro, texts)
    if schema.type is SchemaType.JSON:
        json = parse_json_schema(schema.text, {reference.name: each.text for reference, each in known.items()})
        return Parsed(schema.type, write_json(sorted_json(json.root) if normal else json.root), json, texts)
    proto = parse_protobuf(schema.text, {reference.name: each.text for reference, each in known.items()})
    return Parsed(schema.type, schema.text, proto, texts)


def problems_between(reader: Parsed, writer: Parsed, *, formats: Formats = NO_FORMATS) -> tuple[Problem, ...]:
    """What of a writer's schema a reader's cannot read.

    Args:
        reader: The reader's schema.
        writer: The writer's.
        formats: Of JSON Schemas the formats of texts that the reader parses; a registry knows of none.

    Raises:
        InvalidSchema: If the two are too large or too deep to compare.
    """
    if reader.type is not writer.type:
        reason = f"{reader.type} cannot be read from {writer.type}"
        return (Problem("TYPE_MISMATCH", "", reason, reader.type, writer.type),)
    if (reader.text, reader.referenced) == (writer.text, writer.referenced):
        return ()
    with _within_reach():
        match reader.model, writer.model:
            case AvroSchema() as ours, AvroSchema() as theirs:
                return avro_problems(ours, theirs)
            case JsonSchema() as ours, JsonSchema() as theirs:
                return json_problems(ours, theirs, formats)
            case ProtoFile() as ours, ProtoFile() as theirs:
                return proto_problems(ours, theirs)
            case _:
                raise AssertionError  # pragma: no cover - schemas of one type have models of one type


def _referenced(schema: Schema, resolve: Resolve) -> dict[Reference, Schema]:
    """All schemas that a schema leans on, each after those it leans on itself."""
    ordered: dict[Reference, Schema] = {}
    _visit(schema, resolve, (), ordered)
    return ordered


def _visit(schema: Schema, resolve: Resolve, above: tuple[Reference, ...], ordered: dict[Reference, Schema]) -> None:
    for reference in schema.references:
        if reference in above:
            msg = f"references go round in a circle: {reference.subject} version {reference.version}"
            raise InvalidSchema(msg)
        if len(ordered) + len(above) >= REFERENCES:
            msg = f"a schema may lean on at most {REFERENCES} others"
            raise InvalidSchema(msg)
        if reference not in ordered:
            found = resolve(reference)
            _visit(found, resolve, (*above, reference), ordered)
            ordered[reference] = found
            if sum(len(each.text) for each in ordered.values()) > REFERENCES_TEXT:
                msg = f"the schemas that a schema leans on have more than {REFERENCES_TEXT} letters together"
                raise InvalidSchema(msg)


def _at_hand(schema: Schema, reference: Reference) -> Schema:
    if reference in schema.definitions:
        return schema.definitions[reference]
    msg = f"reference to {reference.subject} version {reference.version} cannot be resolved here"
    raise InvalidSchema(msg)
