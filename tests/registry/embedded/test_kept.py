"""What is kept of parsed schemas."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pytest

from eventhub.registry.base import Reference, Schema
from eventhub.registry.compatibility import Parsed, parse_schema
from eventhub.registry.embedded.kept import KeptSchemas


def _schema(letters: int) -> Parsed:
    """A schema whose canonical text has so many letters."""
    text = '{"type":"int","n":"%s"}'
    return parse_schema(Schema(text % ("x" * (letters - len(text % "")))))


_SCHEMAS = {key: _schema(100) for key in "abcde"}


def _parsed_anew(kept: KeptSchemas, asked: str, schemas: Mapping[str, Parsed]) -> str:
    """Which of the schemas that are asked for, a letter each and one after the other, had to be parsed."""
    anew: list[str] = []

    def parse(key: str) -> Parsed:
        anew.append(key)
        return schemas[key]

    for key in asked:
        kept.get(key, partial(parse, key))
    return "".join(anew)


def test_small_schemas_are_all_kept() -> None:
    """What fits is parsed once."""
    assert "abcde" == _parsed_anew(KeptSchemas(500), "abcdeabcde", _SCHEMAS)


def test_those_used_longest_ago_make_room() -> None:
    """The number of letters decides how many go: a large one takes the room of several."""
    assert "abcdeLbcdeL" == _parsed_anew(KeptSchemas(500), "abcdeaLabcdeL", _SCHEMAS | {"L": _schema(300)})


def test_one_that_is_too_large_by_itself_is_not_kept() -> None:
    """It is parsed each time, and takes no room from others."""
    assert "abcdeLL" == _parsed_anew(KeptSchemas(500), "abcdeLLabcde", _SCHEMAS | {"L": _schema(501)})


@pytest.mark.parametrize(("letters", "anew"), [(500, "ab"), (180, "abab")])
def test_what_a_schema_leans_on_counts(letters: int, anew: str) -> None:
    """It is kept with it."""
    named = Schema('{"type":"fixed","name":"N","size":1,"doc":"%s"}' % ("x" * 50))
    leaning = parse_schema(Schema('"N"', references=(Reference("N", "n", 1),)), lambda _: named)

    assert anew == _parsed_anew(KeptSchemas(letters), "abab", {"a": leaning, "b": leaning})
