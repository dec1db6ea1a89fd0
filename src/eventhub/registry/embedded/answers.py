"""What the routes answer with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eventhub.registry.base import SchemaType
from eventhub.registry.compatibility.proto_descriptor import write_descriptor
from eventhub.registry.compatibility.proto_model import ProtoFile
from eventhub.registry.embedded.request import Request
from eventhub.registry.embedded.state import Version
from eventhub.registry.embedded.store import Store


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer that is JSON already."""

    text: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """An answer without a body."""


def schema_answer(store: Store, version: Version, request: Request) -> dict[str, Any]:
    """A schema as JSON; what it has not is left out, and so is the type of Avro schemas."""
    definition = version.definition
    references = [
        {"name": reference.name, "subject": reference.subject, "version": reference.version}
        for reference in definition.schema.references
    ]
    parts = {
        "schemaType": None if definition.schema.type is SchemaType.AVRO else definition.schema.type.value,
        "schema": _text(store, version, request),
        "references": references or None,
        "metadata": definition.metadata,
        "ruleSet": definition.rule_set,
    }
    return {key: value for key, value in parts.items() if value is not None}


def _text(store: Store, version: Version, request: Request) -> str:
    """The text of a schema; Confluent's Python client asks for Protobuf as descriptors, however it was registered."""
    schema = version.definition.schema
    if schema.type is not SchemaType.PROTOBUF or request.text("format") != "serialized" or ";" not in schema.text:
        return schema.text
    file = store.parsed(version).model
    return write_descriptor(file, str(version.subject)) if isinstance(file, ProtoFile) else schema.text


def version_answer(store: Store, version: Version, request: Request) -> dict[str, Any]:
    """A version of a subject as JSON."""
    return {
        "subject": str(version.subject),
        "version": version.version,
        "id": version.id,
        "guid": version.definition.guid,
        **schema_answer(store, version, request),
        **({"deleted": True} if version.deleted else {}),
    }
