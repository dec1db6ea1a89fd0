"""Names of tables, checked before they become part of a statement."""

from __future__ import annotations

import re

from eventhub.errors import DeclarationError

_PLAIN = re.compile(r"[a-z_][a-z0-9_]{0,39}")  # with a suffix it stays within PostgreSQL's 63 bytes


def plain(name: str) -> str:
    """The name, if it is one that means the same quoted and unquoted, in every database.

    Raises:
        DeclarationError: If it is not.
    """
    if not _PLAIN.fullmatch(name):
        msg = f"{name!r} is no plain name: 1 to 40 lower-case letters, digits and '_', not beginning with a digit"
        raise DeclarationError(msg)
    return name


def quoted(prefix: str, table: str, schema: str | None = None) -> str:
    """The quoted name of a table: prefix and table with ``_`` between, behind its schema if it has one."""
    name = f'"{plain(prefix)}_{table}"'
    return name if schema is None else f'"{plain(schema)}".{name}'
