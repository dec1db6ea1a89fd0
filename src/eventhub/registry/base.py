"""The port of a Schema Registry, and the values it speaks of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

LAST_NUMBER = 2**31 - 1
"""The last id and the last version that there can be: a record has four bytes for an id, with a sign."""


class SchemaType(StrEnum):
    """The languages of schemas, as the registry spells them."""

    AVRO = "AVRO"
    JSON = "JSON"
    PROTOBUF = "PROTOBUF"


class Compatibility(StrEnum):
    """Which earlier schemas a new version of a subject has to get on with."""

    NONE = "NONE"
    BACKWARD = "BACKWARD"
    """Readers of the new schema can read what the latest one wrote; the default everywhere."""
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FORWARD = "FORWARD"
    """Readers of the latest schema can read what the new one writes."""
    FORWARD_TRANSITIVE = "FORWARD_TRANSITIVE"
    FULL = "FULL"
    FULL_TRANSITIVE = "FULL_TRANSITIVE"


@dataclass(frozen=True, slots=True)
class Reference:
    """A schema of another subject that a schema speaks of by name."""

    name: str
    subject: str
    version: int


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema as text."""

    text: str
    type: SchemaType = SchemaType.AVRO
    references: tuple[Reference, ...] = ()
    definitions: Mapping[Reference, Schema] = field(default_factory=dict, compare=False, repr=False)
    """The schemas that it leans on, directly or not, where they are at hand."""


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A schema as one version of a subject."""

    schema: Schema
    id: int
    """The number that stands in front of every record written with it."""
    subject: str
    version: int
    guid: str | None = None
    """The id that is the same in every registry, or None where the server has none."""


class SchemaRegistry(Protocol):
    """A Schema Registry, in this process or behind HTTP.

    Every method raises ``RegistryError`` if there is no proper answer in time; ``retriable``
    says whether waiting may help.
    """

    @property
    def url(self) -> str:
        """The address, without credentials; for messages."""
        ...

    async def start(self) -> None:
        """Make sure that the registry answers.

        Raises:
            RegistryError: Within 15 s, naming the addresses and what to try.
        """
        ...

    async def stop(self) -> None:
        """Close the connections."""
        ...

    async def register(self, subject: str, schema: Schema) -> RegisteredSchema:
        """Make the schema a version of the subject, unless it is one already.

        Raises:
            IncompatibleSchema: If the subject's compatibility level forbids it.
            InvalidSchema: If the text is no valid schema.
        """
        ...

    async def lookup(self, subject: str, schema: Schema) -> RegisteredSchema:
        """The version of the subject that this schema is.

        Raises:
            SchemaNotFound: If the subject or the schema is not registered.
        """
        ...

    async def schema(self, schema_id: int) -> Schema:
        """The schema with this id.

        Raises:
            SchemaNotFound: If the registry does not know the id (yet).
        """
        ...

    async def schema_by_guid(self, guid: str) -> Schema:
        """The schema with this GUID, which is the same in every registry.

        Raises:
            SchemaNotFound: If the registry does not know the GUID, or knows no GUIDs at all.
        """
        ...

    async def versions(self, subject: str) -> Sequence[RegisteredSchema]:
        """All versions of the subject that are not deleted, oldest first; empty for an unknown subject."""
        ...

    async def check(self, subject: str, schema: Schema) -> Sequence[str]:
        """What would make ``register`` refuse the schema, one sentence each; empty when it would be taken."""
        ...
