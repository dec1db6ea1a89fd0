"""The codec of Avro: schemas from classes, and functions that write and read them.

What was written is read with the schema of its writer; pydantic then fills in defaults.
"""

from __future__ import annotations

from collections.abc import Sequence

from eventhub.codecs.avro.decoder import compiled_decoder
from eventhub.codecs.avro.encoder import NotCompilable, compiled_encoder
from eventhub.codecs.avro.interpreted import interpreted_decoder, interpreted_encoder
from eventhub.codecs.avro.meanings import meaning_problems
from eventhub.codecs.avro.schema import avro_schema, avro_type, reader_schema
from eventhub.codecs.avro.text import text
from eventhub.codecs.avro.types import Record, parse
from eventhub.codecs.base import Decode, Encode
from eventhub.errors import DeclarationError, InvalidSchema
from eventhub.event import Event
from eventhub.registry.base import Schema
from eventhub.registry.compatibility import INVALID_SCHEMA, Problem, problems


class AvroCodec:
    """The codec of ``Format.AVRO``."""

    def schema(self, event: type[Event]) -> Schema:
        """The Avro schema of an event class, derived or as written by hand under ``__schema__``."""
        declared = Schema(avro_schema(event))
        try:
            parse(declared.text)
        except InvalidSchema as error:
            msg = f"{event.__name__}: {error}"
            raise DeclarationError(msg) from error
        return declared

    def encoder(self, event: type[Event], schema: Schema, prefix: bytes) -> Encode:
        """A function that writes events of a class with a schema, after a fixed prefix."""
        derived = avro_type(event)  # knows the classes behind its types, which the text does not
        declared = derived if text(derived) == schema.text else parse(schema.text)
        try:
            return compiled_encoder(event, declared, prefix)
        except NotCompilable:
            return interpreted_encoder(event, declared, prefix)

    def decoder(self, event: type[Event], schema: Schema) -> Decode:
        """A function that reads what a writer wrote with its schema into an event of a class.

        Raises:
            InvalidSchema: If the writer's schema is none, or larger or deeper than allowed.
        """
        written = parse(schema.text)
        wanted = avro_type(event)
        try:
            return compiled_decoder(event, written, wanted)
        except NotCompilable:
            return interpreted_decoder(event, written, wanted)

    def path(self, event: type[Event], schema: Schema) -> bytes:
        """Nothing: a schema describes one type."""
        del event, schema
        return b""

    def name(self, schema: Schema, path: Sequence[int] = (0,)) -> str:
        """The full name of the record that a schema describes; empty for what is no record."""
        del path  # a schema describes one type
        declared = parse(schema.text)
        return declared.name if isinstance(declared, Record) else ""

    def problems(self, event: type[Event], schema: Schema) -> Sequence[Problem]:
        """Why the event class could not read what was written with a schema.

        Avro's rules for readers and writers decide, and whether what a value means is ever taken by the class. The
        name of the event itself is no reason: which class reads a schema was decided before.
        """
        try:
            written = parse(schema.text)
            found = problems(Schema(reader_schema(event, self.name(schema))), schema)
        except InvalidSchema as error:
            return (Problem(INVALID_SCHEMA, "", str(error), "", ""),)
        known = {problem.path for problem in found}
        meant = meaning_problems(written, avro_type(event), event.__pydantic_core_schema__)
        return (*found, *(problem for problem in meant if problem.path not in known))
