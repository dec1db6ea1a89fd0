"""Which schemas get on with each other: pure functions, of use without any registry."""

from __future__ import annotations

from eventhub.registry.base import Schema
from eventhub.registry.compatibility.levels import Conflict, conflicts
from eventhub.registry.compatibility.parsed import Parsed, Resolve, parse_schema, problems_between
from eventhub.registry.compatibility.problem import Problem

__all__ = ["Conflict", "Parsed", "Problem", "Resolve", "conflicts", "parse_schema", "problems", "problems_between"]


def problems(reader: Schema, writer: Schema) -> tuple[str, ...]:
    """What of a writer's schema a reader's cannot read, one sentence each; empty if it can read all.

    Raises:
        InvalidSchema: If one of them is not valid.
    """
    return tuple(map(str, problems_between(parse_schema(reader), parse_schema(writer))))
