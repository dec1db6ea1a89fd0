"""What a registry is asked: paths and bodies that every server of Confluent's REST API understands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from urllib.parse import quote

from eventhub.errors import InvalidSchema
from eventhub.registry.base import Schema, SchemaType
from eventhub.registry.compatibility import parse_schema


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent to whichever address is tried."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes | None = field(repr=False)


def part(text: str) -> str:
    """A part of a path; slashes in it are no separators, dots go nowhere, and what is no text finds nothing."""
    if text in {".", ".."}:
        return text.replace(".", "%2E")
    return quote(text, safe="", errors="surrogatepass")


def canonical(schema: Schema) -> Schema:
    """The schema with its canonical text, so that every server gives it one id; as it is if we cannot read it."""
    try:
        return replace(schema, text=parse_schema(schema).text)
    except InvalidSchema:
        return schema  # it may refer to schemas that only the registry knows; the registry decides


def schema_body(schema: Schema) -> Mapping[str, Any]:
    """A schema as a request; Avro is what a request without a type means, to old servers too."""
    body: dict[str, Any] = {"schema": schema.text}
    if schema.type is not SchemaType.AVRO:
        body["schemaType"] = schema.type.value
    if schema.references:
        body["references"] = [asdict(reference) for reference in schema.references]
    return body
