"""A request as the routes see it, and what they take out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from eventhub.registry.base import Reference, Schema, SchemaType
from eventhub.registry.embedded.refused import Refused, invalid_schema
from eventhub.registry.embedded.state import Subject, Version, parse_subject
from eventhub.registry.embedded.store import Proposal

Row = TypeVar("Row")

_FORBIDDEN = frozenset({"__GLOBAL", "__EMPTY"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request, decoded."""

    captured: Sequence[str] = ()
    """The parts of the path that the route leaves open."""
    query: Mapping[str, str] | None = None
    body: Mapping[str, Any] | None = None

    def text(self, name: str) -> str:
        """A parameter of the query; empty if it is not there."""
        return (self.query or {}).get(name, "")

    def flag(self, name: str) -> bool:
        """A parameter that is true or false; Confluent's Python client writes True and False."""
        return self.text(name).lower() == "true"

    def number(self, name: str, default: int) -> int:
        """A parameter that is a whole number."""
        text = self.text(name)
        try:
            return int(text) if text else default
        except ValueError:
            raise Refused(404, "HTTP 404 Not Found") from None  # what JAX-RS makes of it

    def page(self, rows: Sequence[Row]) -> Sequence[Row]:
        """The part of some rows that ``offset`` and ``limit`` ask for."""
        offset, limit = max(self.number("offset", 0), 0), self.number("limit", -1)
        return rows[offset:] if limit < 0 else rows[offset : offset + limit]

    @property
    def subject(self) -> Subject:
        """The subject that the path begins with."""
        text = self.captured[0]
        subject = parse_subject(text)
        if not subject.name or subject.name in _FORBIDDEN or any(letter < " " or letter == "\x7f" for letter in text):
            raise Refused(42208, f"The specified subject '{text}' is not a valid.")
        return subject

    @property
    def place(self) -> Subject:
        """The subject, or the whole context ``:.context:``, that a setting is for."""
        subject = parse_subject(self.captured[0])
        return self.subject if subject.name else subject

    @property
    def version(self) -> int | None:
        """The version that the path names second; None for the latest."""
        text = self.captured[1]
        if text in {"latest", "-1"}:
            return None
        if not text.isdecimal() or not 0 < int(text[:20]) < 1 << 31:
            message = (
                f"The specified version '{text}' is not a valid version id. Allowed values are between [1, 2^31-1] "
                'and the string "latest"'
            )
            raise Refused(42202, message)
        return int(text)

    @property
    def proposal(self) -> Proposal:
        """The schema in the body."""
        body = self.body or {}
        text = body.get("schema")
        if not isinstance(text, str) or not text:
            raise Refused(42201, "Empty schema")
        type_ = body.get("schemaType") or SchemaType.AVRO
        if type_ not in set(SchemaType):
            reason = f"unknown schemaType {type_!r}; known are {', '.join(SchemaType)}"
            raise invalid_schema(reason)
        references = tuple(_reference(each) for each in body.get("references") or ())
        schema = Schema(text, SchemaType(type_), references)
        return Proposal(
            schema,
            _object(body, "metadata"),
            _object(body, "ruleSet"),
            _whole(body, "id"),
            _whole(body, "version"),
        )


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer that is JSON already."""

    text: str


def _reference(each: object) -> Reference:
    match each:
        case {"name": str(name), "subject": str(subject), "version": int(version)} if not isinstance(version, bool):
            return Reference(name, subject, version)
    reason = "a reference needs a name, a subject and a version"
    raise invalid_schema(reason)


def _object(body: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
    value = body.get(key)
    if value is not None and not isinstance(value, dict):
        raise Refused(422, f"{key} must be an object")
    return value


def _whole(body: Mapping[str, Any], key: str) -> int | None:
    value = body.get(key)
    if value in {None, -1, 0}:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 31:
        raise Refused(422, f"{key} must be a whole number between 1 and 2^31-1")
    return value


def schema_answer(version: Version) -> dict[str, Any]:
    """A schema as JSON; what it has not is left out, and so is the type of Avro schemas."""
    definition = version.definition
    references = [
        {"name": reference.name, "subject": reference.subject, "version": reference.version}
        for reference in definition.schema.references
    ]
    parts = {
        "schemaType": None if definition.schema.type is SchemaType.AVRO else definition.schema.type.value,
        "schema": definition.schema.text,
        "references": references or None,
        "metadata": definition.metadata,
        "ruleSet": definition.rule_set,
    }
    return {key: value for key, value in parts.items() if value is not None}


def version_answer(version: Version) -> dict[str, Any]:
    """A version of a subject as JSON."""
    return {
        "subject": str(version.subject),
        "version": version.version,
        "id": version.id,
        "guid": version.definition.guid,
        **schema_answer(version),
        **({"deleted": True} if version.deleted else {}),
    }
