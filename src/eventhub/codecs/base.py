"""The port of a codec: everything that is done once an event class and a schema, never once a record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from eventhub.event import Event
from eventhub.registry.base import Schema
from eventhub.registry.compatibility import Problem

Encode = Callable[[Event], bytes]
"""An event in, its framed bytes out. Raises ``SchemaMismatch`` if a value has no place in the schema."""

Decode = Callable[[bytes, int], Event]
"""Framed bytes and the index where the body begins in, the event out.

Raises ``DecodeError`` if the bytes are not what the schema promises, ``SchemaMismatch`` if the
event class does not take the values. Nothing else, whatever the bytes; time and memory are bounded by their length.
"""


class Codec(Protocol):
    """One format: Avro, JSON Schema or Protobuf."""

    def schema(self, event: type[Event]) -> Schema:
        """The schema of an event class, the same text at every call.

        Raises:
            DeclarationError: If a field's type has no place in the format, naming class, field and what to use instead.
        """
        ...

    def encoder(self, event: type[Event], schema: Schema, prefix: bytes) -> Encode:
        """A function that writes events of a class with a schema, after a fixed prefix."""
        ...

    def decoder(self, event: type[Event], schema: Schema) -> Decode:
        """A function that reads what a writer wrote with its schema into an event of a class.

        Raises:
            InvalidSchema: If nothing can be read with the schema.
        """
        ...

    def path(self, event: type[Event], schema: Schema) -> bytes:
        """What an encoder writes before each body to say which type of its schema follows; empty but in Protobuf."""
        ...

    def name(self, schema: Schema, path: Sequence[int] = (0,)) -> str:
        """The full name of the event type that a schema describes; of a Protobuf file, the message at a path."""
        ...

    def problems(self, event: type[Event], schema: Schema) -> Sequence[Problem]:
        """Why the event class could not read what was written with a schema; empty if it can."""
        ...
