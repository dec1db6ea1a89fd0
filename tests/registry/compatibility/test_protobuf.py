"""Whether a reader's Protobuf file can read what a writer's wrote."""

from __future__ import annotations

import pytest

from eventhub.registry.compatibility.proto_parser import parse_protobuf
from eventhub.registry.compatibility.protobuf import proto_problems


def _file(text: str) -> str:
    return f'syntax = "proto2"; package shop; {text}'


def _kinds(reader: str, writer: str) -> list[str]:
    return [problem.kind for problem in proto_problems(parse_protobuf(reader, {}), parse_protobuf(writer, {}))]


@pytest.mark.parametrize(
    ("reader", "writer"),
    [
        ("message A {} message B {}", "message A {}"),
        ("message B {} message A {}", "message A {} message B {}"),
        ("enum E { X = 0; }", "enum E { X = 0; Y = 1; } enum F { Z = 0; }"),
        ("message A { optional int32 a = 1; }", "message A {}"),
        ("message A {}", "message A { optional int32 a = 1; }"),
        ("message A { optional int32 b = 1; }", "message A { optional int32 a = 1; }"),
        ("message A { optional uint64 a = 1; }", "message A { optional int32 a = 1; }"),
        ("message A { optional bool a = 1; }", "message A { optional E a = 1; } enum E { X = 0; }"),
        ("message A { optional sint64 a = 1; }", "message A { optional sint32 a = 1; }"),
        ("message A { optional bytes a = 1; }", "message A { optional string a = 1; }"),
        ("message A { optional fixed32 a = 1; }", "message A { optional sfixed32 a = 1; }"),
        ("message A { optional fixed64 a = 1; }", "message A { optional sfixed64 a = 1; }"),
        ("message A { repeated string a = 1; }", "message A { optional string a = 1; }"),
        ("message A { map<string, A> a = 1; }", "message A { map<string, A> a = 1; }"),
        ("message A { oneof o { int32 a = 1; } }", "message A { optional int32 a = 1; }"),
        ("message A { oneof o { int32 a = 1; int32 b = 2; } }", "message A { oneof o { int32 a = 1; } }"),
        ("message A { optional int32 a = 1; }", "message A { oneof o { int32 a = 1; } }"),
        ("message A {}", "message A { oneof o { int32 a = 1; int32 b = 2; } }"),
    ],
)
def test_change_that_the_wire_allows_is_no_problem(reader: str, writer: str) -> None:
    """What may be added, removed, renamed, moved, or looks the same on the wire."""
    assert [] == _kinds(_file(reader), _file(writer))


@pytest.mark.parametrize(
    ("reader", "writer", "kind"),
    [
        ("message A {}", "message A {} message B {}", "MESSAGE_REMOVED"),
        ("message A {}", "message A { message B {} }", "MESSAGE_REMOVED"),
        ("message A { optional string a = 1; }", "message A { optional int32 a = 1; }", "FIELD_SCALAR_KIND_CHANGED"),
        ("message A { optional sint32 a = 1; }", "message A { optional int32 a = 1; }", "FIELD_SCALAR_KIND_CHANGED"),
        ("message A { optional A a = 1; }", "message A { optional bytes a = 1; }", "FIELD_SCALAR_KIND_CHANGED"),
        (
            "message A { optional B a = 1; } message B {}",
            "message A { optional A a = 1; } message B {}",
            "FIELD_NAMED_TYPE_CHANGED",
        ),
        (
            "message A { map<string, int32> a = 1; }",
            "message A { map<string, string> a = 1; }",
            "FIELD_NAMED_TYPE_CHANGED",
        ),
        ("message A { repeated int32 a = 1; }", "message A { optional int32 a = 1; }", "FIELD_NUMERIC_LABEL_CHANGED"),
        ("message A { required int32 a = 1; }", "message A {}", "REQUIRED_FIELD_ADDED"),
        ("message A {}", "message A { required int32 a = 1; }", "REQUIRED_FIELD_REMOVED"),
        ("message A { required int32 a = 1; }", "message A { optional int32 a = 1; }", "REQUIRED_FIELD_ADDED"),
        ("message A { optional int32 a = 1; }", "message A { required int32 a = 1; }", "REQUIRED_FIELD_REMOVED"),
        (
            "message A { oneof o { int32 a = 1; } }",
            "message A { oneof o { int32 a = 1; int32 b = 2; } }",
            "ONEOF_FIELD_REMOVED",
        ),
        (
            "message A { oneof o { int32 a = 1; int32 b = 2; } }",
            "message A { oneof o { int32 a = 1; } optional int32 b = 2; }",
            "FIELD_MOVED_TO_EXISTING_ONEOF",
        ),
        (
            "message A { oneof o { int32 a = 1; int32 b = 2; } }",
            "message A { optional int32 a = 1; optional int32 b = 2; }",
            "MULTIPLE_FIELDS_MOVED_TO_ONEOF",
        ),
    ],
)
def test_change_that_loses_data_is_a_problem(reader: str, writer: str, kind: str) -> None:
    """What the wire does not allow, or what a reader would misread."""
    assert [kind] == _kinds(_file(reader), _file(writer))


def test_package_is_part_of_every_name() -> None:
    """In another package everything is something else."""
    assert ["PACKAGE_CHANGED"] == _kinds("package a; message A {}", "package b; message A {} message B {}")


def test_problem_says_where_what_and_why() -> None:
    """A problem is one sentence with the message, the number and both sides."""
    reader = parse_protobuf(_file("message A { message B { optional string b = 4; } }"), {})
    writer = parse_protobuf(_file("message A { message B { repeated int32 a = 4; } }"), {})

    assert [
        "/shop.A.B/4: FIELD_SCALAR_KIND_CHANGED: field 'b' is read as string, and was written as repeated int32"
    ] == list(map(str, proto_problems(reader, writer)))
