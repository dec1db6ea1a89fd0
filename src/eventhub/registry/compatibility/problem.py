"""One reason why two schemas do not get on with each other."""

from __future__ import annotations

from dataclasses import dataclass

INVALID_SCHEMA = "INVALID_SCHEMA"
"""The kind of a problem that lies in one schema alone: nothing can be compared with it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a reader's schema cannot read of a writer's."""

    kind: str
    """A word of Confluent's Schema Registry where it has one, such as ``TYPE_MISMATCH``."""
    path: str
    """Where in the reader's schema, as a JSON pointer; empty for the whole."""
    reason: str
    """One sentence that names both sides."""
    reader: str
    """What the reader's schema says there, in short."""
    writer: str
    """What the writer's schema says there, in short."""

    def __str__(self) -> str:
        """Path, kind and reason, as a person reads them."""
        return f"{self.path or '/'}: {self.kind}: {self.reason}"
