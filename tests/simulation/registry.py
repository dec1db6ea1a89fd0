"""The Schema Registry of a simulation: the embedded one's decisions, without the HTTP around them."""

import asyncio
from collections.abc import Sequence

from eventhub.errors import RegistryError, SchemaNotFound
from eventhub.registry.base import RegisteredSchema, Schema
from eventhub.registry.embedded.state import Version, parse_subject
from eventhub.registry.embedded.store import Proposal, Store


class Registry:
    """A ``SchemaRegistry`` that can be away; what has been registered before it goes stays known to its clients."""

    url = "simulated"

    def __init__(self) -> None:
        """Begin empty and present."""
        self._store = Store()
        self._schemas: dict[int, Schema] = {}
        self.away = False
        """Whether nobody can look up a schema id."""

    async def start(self) -> None:
        """Do nothing."""

    async def stop(self) -> None:
        """Do nothing."""

    async def register(self, subject: str, schema: Schema) -> RegisteredSchema:
        """Make the schema a version of the subject."""
        await asyncio.sleep(0)
        return self._registered(self._store.register(parse_subject(subject), Proposal(schema)))

    async def lookup(self, subject: str, schema: Schema) -> RegisteredSchema:
        """The version of the subject that this schema is."""
        await asyncio.sleep(0)
        return self._registered(self._store.lookup(parse_subject(subject), Proposal(schema)))

    async def schema(self, schema_id: int) -> Schema:
        """The schema with this id."""
        await asyncio.sleep(0)
        if self.away:
            msg = "the registry is away"
            raise RegistryError(msg)
        if schema_id not in self._schemas:
            msg = f"no schema {schema_id}"
            raise SchemaNotFound(msg)
        return self._schemas[schema_id]

    async def schema_by_guid(self, guid: str) -> Schema:
        """No record of a simulation names a GUID."""
        raise SchemaNotFound(guid)

    async def versions(self, subject: str) -> Sequence[RegisteredSchema]:
        """All versions of the subject."""
        await asyncio.sleep(0)
        return [self._registered(version) for version in self._store.state.versions(parse_subject(subject))]

    async def check(self, subject: str, schema: Schema) -> Sequence[str]:
        """Nothing is ever checked without being registered."""
        del subject, schema
        return ()

    def _registered(self, version: Version) -> RegisteredSchema:
        schema = self._schemas[version.id] = version.definition.schema
        return RegisteredSchema(schema, version.id, str(version.subject), version.version)
