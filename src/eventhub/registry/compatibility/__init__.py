"""Which schemas get on with each other: pure functions, of use without any registry."""

from __future__ import annotations

from eventhub.errors import InvalidSchema
from eventhub.registry.base import Schema
from eventhub.registry.compatibility.levels import Conflict, conflicts
from eventhub.registry.compatibility.parsed import Parsed, Resolve, parse_schema, problems_between
from eventhub.registry.compatibility.problem import INVALID_SCHEMA, Problem

__all__ = [
    "INVALID_SCHEMA",
    "Conflict",
    "Parsed",
    "Problem",
    "Resolve",
    "conflicts",
    "parse_schema",
    "problems",
    "problems_between",
]


def problems(reader: Schema, writer: Schema) -> tuple[Problem, ...]:
    """What of a writer's schema a reader's cannot read; empty if it can read all.

    A schema that is not valid, or leans on others, is one problem.
    """
    try:
        return problems_between(parse_schema(reader), parse_schema(writer))
    except InvalidSchema as error:
        return (Problem(INVALID_SCHEMA, "", str(error), "", ""),)
