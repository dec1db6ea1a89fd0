"""Explanations of our own."""

from __future__ import annotations

import pytest

from eventhub.registry.base import Compatibility, Reference, RegisteredSchema, Schema
from eventhub.registry.explain import explain

pytestmark = pytest.mark.anyio

_OLD = [RegisteredSchema(Schema('"int"'), 1, "s", 1)]


async def _nothing(subject: str, version: int) -> RegisteredSchema | None:
    del subject, version
    return None


async def _endless(subject: str, version: int) -> RegisteredSchema | None:
    """A chain of references without an end."""
    schema = Schema('"int"', references=(Reference(f"r{version}", subject, version + 1),))
    return RegisteredSchema(schema, version, subject, version)


async def test_level_decides() -> None:
    """The same pair is a conflict or none."""
    assert 1 == len(await explain(Compatibility.BACKWARD, Schema('"string"'), _OLD, _nothing))
    assert not await explain(Compatibility.NONE, Schema('"string"'), _OLD, _nothing)


@pytest.mark.parametrize("fetch", [_nothing, _endless])
@pytest.mark.parametrize("text", ['"string"', "{"])
async def test_what_cannot_be_read_is_not_explained(fetch: object, text: str) -> None:
    """A reference to nothing, a chain without end or an invalid text has no explanation, and is no error."""
    schema = Schema(text, references=(Reference("r", "s", 1),))

    assert not await explain(Compatibility.BACKWARD, schema, _OLD, fetch)  # type: ignore[arg-type]
