"""What a registry's answers mean: decided by HTTP status, then by ``error_code``, never by the text.

Servers differ: error bodies may be empty or no JSON, some answer 204, older ones leave out versions and guids.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from eventhub.errors import InvalidSchema, RegistryError, SchemaNotFound
from eventhub.registry.base import LAST_NUMBER, Reference, RegisteredSchema, Schema, SchemaType
from eventhub.registry.compatibility.bounds import Json

RETRIABLE = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed; those that Confluent's own clients retry."""
INVALID_SCHEMA = 42201
_LONGEST_MESSAGE = 2_000


@dataclass(frozen=True)  # without slots, since its JSON is kept: reading 4 MiB takes half a second
class Answer:
    """One answer of a server."""

    url: str
    """What was asked, without credentials."""
    method: str
    status: int
    body: bytes
    retry_after: float | None = None
    """The seconds that the server asks us to wait, or None."""
    secrets: Collection[str] = field(default=(), repr=False)
    """What was sent and is not to be shown, should the server say it again."""

    @cached_property
    def json(self) -> Json:
        """The body as JSON; None if it is empty or no JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def code(self) -> int | None:
        """The registry's ``error_code``, or None."""
        match self.json:
            case {"error_code": int(code)}:
                return code
            case _:
                return None

    @property
    def message(self) -> str:
        """What the server says is wrong, in one line of letters that can be seen, shortened and without secrets."""
        match self.json:
            case {"message": str(message)}:
                text = message
            case _:
                text = self.body.decode(errors="replace")
        for secret in self.secrets:
            text = text.replace(secret, "***")
        text = " ".join(text[: 2 * _LONGEST_MESSAGE].split())[:_LONGEST_MESSAGE]
        return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)

    @property
    def succeeded(self) -> bool:
        """Whether the server did what it was asked; redirects are not followed, so they are failures."""
        return self.status in {200, 201, 204}

    @property
    def missing(self) -> bool:
        """Whether the registry itself says that it does not have what was asked for.

        A 404 without one of its codes comes from whatever stands in front of a registry that is being
        replaced, or from a wrong path: it says nothing about any schema.
        """
        return self.status == 404 and self.code is not None and self.code // 100 == 404

    @property
    def unrouted(self) -> bool:
        """Whether a registry may have said that it has no such call: by an empty body, or the status as its code."""
        return self.status == 404 and (not self.body or self.code == 404)

    @property
    def retriable(self) -> bool:
        """Whether the same request may succeed at once, here or at another address of the same registry.

        A POST that is answered by 500 with code 0 is the fault of what was sent: Apicurio Registry
        answers so to an unknown schema type.
        """
        return self.status in RETRIABLE and not (self.status == 500 and self.code == 0)


def failure(answer: Answer, *, optional: bool = False) -> Exception:
    """The error that an answer stands for; incompatibility is not among them, since it needs the subject.

    Args:
        answer: The answer.
        optional: Whether a registry that has no such call does not have what was asked for either.
    """
    said = f": {answer.message}" if answer.message else ""
    hint = "" if answer.missing else _hint(answer.status)
    text = f"schema registry answered {answer.status} to {answer.method} {answer.url}{said}{hint}"
    if answer.missing or (optional and answer.unrouted):
        return SchemaNotFound(text, status=answer.status, code=answer.code, url=answer.url)
    if answer.status == 422 and answer.code in {INVALID_SCHEMA, None} and answer.method == "POST":
        return InvalidSchema(text)
    retriable = answer.retriable or answer.status == 404
    return RegistryError(text, retriable=retriable, status=answer.status, code=answer.code, url=answer.url)


def _hint(status: int) -> str:
    """What to try, where the status tells."""
    if status == 401:
        return "; check user and password, or the token"
    if status == 403:
        return "; the user lacks the right to do this"
    if status == 404:
        return "; no Schema Registry says so of a schema: check the path in the address, and what stands in front"
    if 300 <= status < 400:
        return "; redirects are not followed: give the final address"
    return ""


def schema_in(answer: Answer, sent: Schema | None = None) -> Schema:
    """The schema in an answer; what it leaves out is taken from what was sent, or means Avro and no references.

    Raises:
        RegistryError: If there is none in it.
    """
    match answer.json:
        case {"schema": str(text), **rest}:
            return Schema(text, _type(answer, rest, sent), _references(answer, rest, sent))
        case _:
            raise unreadable(answer)


def registered_in(answer: Answer, subject: str, sent: Schema | None = None) -> RegisteredSchema:
    """The version in an answer; an answer without a schema means what was sent.

    Raises:
        RegistryError: If there is no version in it, or no id that fits into a record.
    """
    match answer.json:
        case {"id": schema_id, "version": version, **rest} if is_number(schema_id) and is_number(version):
            schema = sent if sent is not None and "schema" not in rest else schema_in(answer, sent)
            return RegisteredSchema(schema, schema_id, subject, version, _guid(rest.get("guid")))
        case _:
            raise unreadable(answer)


def is_number(value: Json) -> bool:
    """Whether JSON is an id or the number of a version: four bytes of a record hold it, with a sign."""
    return type(value) is int and 0 < value <= LAST_NUMBER


def _guid(given: Json) -> str | None:
    """A GUID in its usual form; what is none is of no use in a record's header."""
    try:
        return str(UUID(given)) if isinstance(given, str) else None
    except ValueError:
        return None


def _type(answer: Answer, body: Mapping[Any, Json], sent: Schema | None) -> SchemaType:
    """The type of a schema; Apicurio leaves it out of look-ups, Confluent's server wherever it is Avro."""
    try:
        return SchemaType(body.get("schemaType") or (SchemaType.AVRO if sent is None else sent.type))
    except ValueError as error:
        raise unreadable(answer) from error


def _references(answer: Answer, body: Mapping[Any, Json], sent: Schema | None) -> tuple[Reference, ...]:
    references = body.get("references")
    if references is None:
        return () if sent is None else sent.references
    if not isinstance(references, list):
        raise unreadable(answer)
    return tuple(_reference(answer, each) for each in references)


def _reference(answer: Answer, each: Json) -> Reference:
    match each:
        case {"name": str(name), "subject": str(subject), "version": int(version)}:
            return Reference(name, subject, version)
        case _:
            raise unreadable(answer)


def unreadable(answer: Answer) -> RegistryError:
    """The error for an answer that succeeded and says nothing we can use."""
    text = (
        f"schema registry answered {answer.status} to {answer.method} {answer.url} with what no Schema Registry says: "
        f"{answer.message[:200] or 'nothing'}"
    )
    return RegistryError(text, retriable=False, status=answer.status, url=answer.url)


def unreachable(url: str, limit: float, failures: Mapping[str, str]) -> RegistryError:
    """The error when no address gave a proper answer in so many seconds, with what happened at each."""
    each = "; ".join(f"{address}: {reason}" for address, reason in failures.items()) or url
    text = (
        f"schema registry gave no proper answer within {limit:g} s ({each}); "
        "check that it runs, that the address is right, and that nothing on the way blocks it"
    )
    return RegistryError(text, url=url)
