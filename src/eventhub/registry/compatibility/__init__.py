"""Which schemas get on with each other: pure functions, of use without any registry."""

from __future__ import annotations

from eventhub.errors import InvalidSchema
from eventhub.registry.base import Schema
from eventhub.registry.compatibility.json_schema import NO_FORMATS, Formats
from eventhub.registry.compatibility.levels import Conflict, conflicts
from eventhub.registry.compatibility.parsed import Parsed, Resolve, parse_schema, problems_between
from eventhub.registry.compatibility.problem import INVALID_SCHEMA, Problem

__all__ = [
    "INVALID_SCHEMA",
    "Conflict",
    "Formats",
    "Parsed",
    "Problem",
    "Resolve",
    "conflicts",
    "parse_schema",
    "problems",
    "problems_between",
]


def problems(reader: Schema, writer: Schema, *, formats: Formats = NO_FORMATS) -> tuple[Problem, ...]:
    """What of a writer's schema a reader's cannot read; empty if it can read all.

    A schema that is not valid, or leans on others, is one problem. Of JSON Schemas ``formats`` says which formats of
    texts the reader parses.
    """
    try:
        return problems_between(parse_schema(reader), parse_schema(writer), formats=formats)
    except InvalidSchema as error:
        return (Problem(INVALID_SCHEMA, "", str(error), "", ""),)
