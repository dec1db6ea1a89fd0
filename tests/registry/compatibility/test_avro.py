"""Whether a reader's Avro schema can read what a writer's wrote."""

from __future__ import annotations

import json

import pytest

from eventhub.errors import InvalidSchema
from eventhub.registry.compatibility.avro import avro_problems
from eventhub.registry.compatibility.avro_parser import parse
from tests.registry.compatibility import java_verdicts


def test_verdicts_are_those_of_java() -> None:
    """For each recorded pair the problems have the kinds and the places that Java's library gives them."""
    differing = [
        (reader, writer, wanted, found)
        for reader, writer, wanted in java_verdicts.pairs()
        if wanted != (found := sorted(_kinds_and_places(reader, writer)))
    ]

    assert len(java_verdicts.pairs()) > 9_000
    assert [] == differing


def _kinds_and_places(reader: str, writer: str) -> list[tuple[str, str]]:
    return [(problem.kind, problem.path or "/") for problem in avro_problems(parse(reader), parse(writer))]


def _record(*fields: object, **attributes: object) -> dict[str, object]:
    return {"type": "record", "name": "R", "fields": fields, **attributes}


def _field(type_: object, name: str = "f", **attributes: object) -> dict[str, object]:
    return {"name": name, "type": type_, **attributes}


def _enum(*symbols: str, **attributes: object) -> dict[str, object]:
    return {"type": "enum", "name": "E", "symbols": symbols, **attributes}


_FIXED = {"type": "fixed", "name": "F", "size": 1}


@pytest.mark.parametrize(
    ("reader", "writer", "problem"),
    [
        ("int", "long", "/: TYPE_MISMATCH: 'int' cannot be read from 'long'"),
        (
            _record(_field("int"), _field("string", "g")),
            _record(_field("int")),
            "/fields/1: READER_FIELD_MISSING_DEFAULT_VALUE: field 'g' has no default, and 'R' is written without it",
        ),
        (
            _record(_field(_enum("A"))),
            _record(_field(_enum("A", "C", "B"))),
            "/fields/0/type/symbols: MISSING_ENUM_SYMBOLS: enum 'E' lacks B, C and has no default symbol",
        ),
        (
            _FIXED,
            {**_FIXED, "size": 2},
            "/size: FIXED_SIZE_MISMATCH: fixed 'F' is read as 1 bytes, 2 were written",
        ),
        (
            _record(name="n.New"),
            _record(name="n.Old"),
            "/name: NAME_MISMATCH: 'n.New' is read, 'n.Old' was written, and no alias joins them",
        ),
        (
            _record(_field(["null", "int"])),
            _record(_field("string")),
            "/fields/0/type: MISSING_UNION_BRANCH: no branch takes a string",
        ),
        (
            ["null", _record(_field("int"))],
            _record(_field("string")),
            "/: MISSING_UNION_BRANCH: no branch takes a R; closest: 'int' cannot be read from 'string'",
        ),
        (
            _record(_field("int", aliases=["g", "h"])),
            _record(_field("int", "g"), _field("int", "h")),
            "/fields/0: READER_FIELD_AMBIGUOUS: field 'f' and its aliases stand for several fields of the writer: g, h",
        ),
    ],
)
def test_problem_says_where_what_and_why(reader: object, writer: object, problem: str) -> None:
    """A problem is one sentence with path, kind and both sides."""
    found = avro_problems(parse(json.dumps(reader)), parse(json.dumps(writer)))

    assert [problem] == [str(each) for each in found]


@pytest.mark.parametrize(
    ("reader", "writer"),
    [
        (_record(_field("int"), _field("string", "g", default="")), _record(_field("int"))),
        (_record(_field("double")), _record(_field("int"), _field("bytes", "g"))),
        (_record(_field("int", aliases=["old"])), _record(_field("int", "old"))),
        (_record(_field("int", aliases=["f"])), _record(_field("int"))),
        (_record(name="n.R"), _record(name="m.R")),
        (_record(name="New", namespace="n", aliases=["Old"]), _record(name="n.Old")),
        (_enum("A", default="A"), _enum("A", "B")),
        (["int", "string"], "int"),
        ("int", ["int"]),
        (_record(_field(["null", "R"])), _record(_field(["null", "R"]))),
    ],
)
def test_compatible_schemas_have_no_problems(reader: object, writer: object) -> None:
    """Defaults, promotions, aliases, unions and recursion are understood."""
    assert () == avro_problems(parse(json.dumps(reader)), parse(json.dumps(writer)))


def test_alias_without_a_namespace_stands_in_that_of_its_type() -> None:
    """An unqualified alias does not join a type with a namespace to one without; Java decides so."""
    reader = _record(name="New", namespace="n", aliases=["Old"])

    assert [("NAME_MISMATCH", "/name")] == _kinds_and_places(json.dumps(reader), json.dumps(_record(name="Old")))


def test_schemas_too_large_to_compare_are_refused() -> None:
    """The work is bounded: two unions of thousands of records give up with a reason."""
    union = [_record(name=f"R{number}") for number in range(1_000)]

    with pytest.raises(InvalidSchema, match="too large to compare"):
        avro_problems(parse(json.dumps([*union, "int"])), parse(json.dumps([_record(name="Other"), *union, "long"])))
