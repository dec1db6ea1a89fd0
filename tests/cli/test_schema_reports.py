"""What is said of schemas."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from eventhub.cli.schema_reports import Compared, Subject, as_table, compared_text, version_head
from eventhub.registry.base import Compatibility, Reference, RegisteredSchema, Schema, SchemaType
from eventhub.registry.compatibility import Problem
from eventhub.registry.differences import Change, Difference


def test_subjects_are_a_table() -> None:
    """Versions are told as ranges, and nothing of a subject is markup or a control character."""
    out = StringIO()
    subjects = (
        Subject("a-value", (1, 2, 3, 5), (4,), SchemaType.AVRO, Compatibility.FULL, 7),
        Subject("[red]\x1b[2J", (), (1,), SchemaType.JSON, None, 8),
    )
    Console(file=out, width=120, force_terminal=False).print(as_table(subjects))
    rows = [" ".join(row.split()) for row in out.getvalue().splitlines()]

    assert [
        "subject versions deleted type level latest id",
        "a-value 1-3, 5 4 AVRO FULL 7",
        "[red]\\x1b[2J 1 JSON level unknown 8",
    ] == rows


def test_a_version_is_told_with_what_it_leans_on() -> None:
    """A registry without GUIDs has none."""
    schema = Schema('"R"', references=(Reference("R", "r\x1b", 3),))
    lines = version_head(RegisteredSchema(schema, 9, "orders", 2)).splitlines()

    assert ["subject orders", "version 2", "id 9", "guid none", "type AVRO", "refers to R: r\\x1b version 3"] == [
        " ".join(line.split()) for line in lines
    ]


def test_differences_are_signs_and_places() -> None:
    """And who reads whom, with the reasons why not; no name makes a line of its own."""
    changes = (
        Difference(Change.ADDED, "/fields/1", new={"name": "note"}),
        Difference(Change.REMOVED, "/fields/0", old={"name": "a" * 300}),
        Difference(Change.CHANGED, "", "long", "Grüße\x9b"),
        Difference(Change.MOVED, "/fields", ["a", "b"], ["b", "a"]),
        Difference(Change.ADDED, "/properties/a\nno problems", new=True),
    )
    problem = Problem("KIND", "/fields/1", "why", "a", "b")
    lines = compared_text(Compared("s", "version 1", "version 2", changes, (problem,), ())).splitlines()

    assert [
        "s: version 1 -> version 2",
        '  + /fields/1  {"name": "note"}',
        f'  - /fields/0  {{"name": "{"a" * 190}...',
        '  ~ /  "long" -> "Grüße\\x9b"',
        '  = /fields  ["a", "b"] -> ["b", "a"]',
        "  + /properties/a\\nno problems  true",
        "version 2 cannot read version 1",
        "  /fields/1: KIND: why",
        "version 1 reads version 2",
    ] == lines
