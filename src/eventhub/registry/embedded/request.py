"""A request as the routes see it, and what they take out of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar
from unicodedata import category

from eventhub.registry.base import LAST_NUMBER
from eventhub.registry.embedded.bodies import SchemaBody, read
from eventhub.registry.embedded.refused import Refused, invalid_subject
from eventhub.registry.embedded.state import DEFAULT_CONTEXT, Subject, parse_subject
from eventhub.registry.embedded.store import Proposal

Row = TypeVar("Row")

_WHOLE = re.compile("-?[0-9]{1,10}")
_FORBIDDEN = frozenset({"__GLOBAL", "__EMPTY"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request, decoded."""

    captured: Sequence[str] = ()
    """The parts of the path that the route leaves open."""
    query: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    context: str = DEFAULT_CONTEXT
    """The context that subjects are in, unless they name one."""

    def text(self, name: str) -> str:
        """A parameter of the query, the last of its name; empty if it is not there."""
        return dict(self.query).get(name, "")

    def texts(self, name: str) -> list[str]:
        """Every parameter of that name, without the quotes that Confluent's Python client puts around them."""
        return [value.strip('"') for key, value in self.query if key == name]

    def flag(self, name: str) -> bool:
        """A parameter that is true or false; Confluent's Python client writes True and False."""
        return self.text(name).lower() == "true"

    def number(self, name: str, default: int) -> int:
        """A parameter that is a whole number."""
        text = self.text(name)
        if not text:
            return default
        if not _WHOLE.fullmatch(text):
            raise Refused(404, "HTTP 404 Not Found")  # what Confluent's server makes of it
        return int(text)

    def page(self, rows: Sequence[Row]) -> Sequence[Row]:
        """The part of some rows that ``offset`` and ``limit`` ask for."""
        offset, limit = max(self.number("offset", 0), 0), self.number("limit", -1)
        return rows[offset:] if limit < 0 else rows[offset : offset + limit]

    @property
    def subject(self) -> Subject:
        """The subject that the path begins with."""
        subject = self.place
        if not subject.name or subject.name in _FORBIDDEN:
            raise invalid_subject(self.captured[0])
        return subject

    @property
    def place(self) -> Subject:
        """The subject, or the whole context ``:.context:``, that the path begins with."""
        text = self.captured[0]
        if any(category(letter) == "Cc" for letter in text):
            raise invalid_subject(text)
        return parse_subject(text) if text.startswith(":.") else Subject(self.context, text)

    @property
    def root(self) -> Subject:
        """Where the settings of the whole context are kept."""
        return Subject(self.context, "")

    @property
    def version(self) -> int | None:
        """The version that the path names second; None for the latest."""
        text = self.captured[1]
        if text in {"latest", "-1"}:
            return None
        if not _WHOLE.fullmatch(text) or not 0 < int(text) <= LAST_NUMBER:
            message = (
                f"The specified version '{text}' is not a valid version id. Allowed values are between [1, 2^31-1] "
                'and the string "latest"'
            )
            raise Refused(42202, message)
        return int(text)

    @property
    def proposal(self) -> Proposal:
        """The schema in the body."""
        return replace(read(SchemaBody, self.body).proposal, normalize=self.flag("normalize"))
