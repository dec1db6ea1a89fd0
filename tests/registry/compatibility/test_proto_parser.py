"""Protobuf files as text and as descriptors, with Google's library as judge."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import (
    any_pb2,
    api_pb2,
    descriptor_pb2,
    source_context_pb2,
    struct_pb2,
    timestamp_pb2,
    type_pb2,
)
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from eventhub.errors import InvalidSchema
from eventhub.registry.compatibility.bounds import SCHEMA_BYTES
from eventhub.registry.compatibility.proto_descriptor import read_descriptor, write_descriptor
from eventhub.registry.compatibility.proto_model import Enum, Field, Message, ProtoFile
from eventhub.registry.compatibility.proto_parser import parse_protobuf

_SHOP = """
// An order, with everything that the language has.
syntax = "proto3";

package shop.orders;

import public "google/protobuf/timestamp.proto";
import "line.proto";

option java_package = "com.shop";
option (custom).nested = { a: 1; b: ["x", 'y'] };

/* A comment
   over two lines; with a ; in it. */
message Order {
  reserved 7, 9 to 11;
  reserved "old";
  option deprecated = true;
  string id = 1 [deprecated = true, (custom) = { a: "}" }];
  optional sint64 count = 2;
  repeated Line lines = 3;
  map<string, .shop.orders.Order.Part.Kind> kinds = 4;
  oneof payment {
    option (custom) = 1;
    Card card = 5;
    bytes cash = 6;
    ;
  };
  google.protobuf.Timestamp at = 8;
  map<int32, Order> parts = 0x10;
  message Part {
    Kind kind = 1;
    enum Kind {
      option allow_alias = true;
      UNKNOWN = 0;
      OTHER = -1 [deprecated = true];
      reserved 5;
      ;
    }
  }
  ;
}

message Card { Order.Part part = 1; }

service Orders {
  rpc Get (Order) returns (stream Order) { option (custom) = "x"; }
}
"""
_LINE = (
    'syntax = "proto3"; package shop.orders; message Line { string sku = 1; State state = 2; } enum State { NEW = 0; }'
)


@pytest.fixture
def shop() -> ProtoFile:
    """The file above, with its import."""
    return parse_protobuf(_SHOP, {"line.proto": _LINE})


def test_text_is_understood(shop: ProtoFile) -> None:
    """Messages, enums, maps and oneofs are read with their names in full; everything else is skipped."""
    kind = Enum("Kind", (("UNKNOWN", 0), ("OTHER", -1)))
    part = Message("Part", (Field("kind", 1, "", "enum", "shop.orders.Order.Part.Kind"),), (), (kind,))
    order = Message(
        "Order",
        (
            Field("id", 1, "", "string"),
            Field("count", 2, "", "sint64"),
            Field("lines", 3, "repeated", "message", "shop.orders.Line"),
            Field("kinds", 4, "repeated", "map", "string,shop.orders.Order.Part.Kind"),
            Field("card", 5, "", "message", "shop.orders.Card", "payment"),
            Field("cash", 6, "", "bytes", "", "payment"),
            Field("at", 8, "", "message", "google.protobuf.Timestamp"),
            Field("parts", 16, "repeated", "map", "int32,shop.orders.Order"),
        ),
        (part,),
    )
    card = Message("Card", (Field("part", 1, "", "message", "shop.orders.Order.Part"),))
    imports = ("google/protobuf/timestamp.proto", "line.proto")

    assert ProtoFile("shop.orders", "proto3", imports, (order, card)) == shop


def test_descriptor_of_a_text_is_taken_by_googles_library(shop: ProtoFile) -> None:
    """What we write as descriptor makes a message class that writes and reads every field."""
    pool = DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    for name, file in (("line.proto", parse_protobuf(_LINE, {})), ("shop.proto", shop)):
        pool.AddSerializedFile(base64.b64decode(write_descriptor(file, name)))
    order = GetMessageClass(pool.FindMessageTypeByName("shop.orders.Order"))
    values = {
        "id": "o-1",
        "count": "-5",
        "lines": [{"sku": "tea"}],
        "kinds": {"a": "OTHER"},
        "card": {"part": {"kind": "OTHER"}},
        "at": "2026-11-23T00:00:00Z",
        "parts": {"3": {"id": "o-2"}},
    }

    written = ParseDict(values, order()).SerializeToString()

    assert values == MessageToDict(order.FromString(written))


def test_descriptor_is_read_as_its_text(shop: ProtoFile) -> None:
    """A file says the same as text and as descriptor."""
    assert shop == parse_protobuf(write_descriptor(shop, "shop.proto"), {"line.proto": _LINE})


def test_what_is_optional_says_so_in_a_descriptor(shop: ProtoFile) -> None:
    """In proto3 it is what tells zero from nothing, and a oneof of its own; in proto2 every field does."""
    order = FileDescriptorProto.FromString(base64.b64decode(write_descriptor(shop, "shop.proto"))).message_type[0]
    old = FileDescriptorProto.FromString(
        base64.b64decode(write_descriptor(replace(shop, syntax="proto2"), "old.proto"))
    ).message_type[0]
    [count] = [field for field in order.field if field.proto3_optional]
    again = parse_protobuf(write_descriptor(shop, "shop.proto"), {"line.proto": _LINE})

    assert ("count", "_count") == (count.name, order.oneof_decl[count.oneof_index].name)
    assert ["payment", "_count"] == [oneof.name for oneof in order.oneof_decl]
    assert (["payment"], []) == (
        [oneof.name for oneof in old.oneof_decl],
        [field.name for field in old.field if field.proto3_optional],
    )
    assert ["count"] == [field.name for field in again.messages[0].fields if field.is_optional]


@pytest.mark.parametrize("module", [descriptor_pb2, api_pb2, type_pb2, struct_pb2, timestamp_pb2])
def test_descriptors_of_googles_own_files_are_understood(module: Any) -> None:
    """Every message, field, enum and oneof of the library's own files is read as it reads them, and written again."""
    theirs = FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
    ours = read_descriptor(base64.b64encode(theirs.SerializeToString()).decode())
    again = FileDescriptorProto.FromString(base64.b64decode(write_descriptor(ours, theirs.name)))
    pool = DescriptorPool()
    for dependency in (any_pb2, source_context_pb2, type_pb2):
        if dependency is not module:
            pool.AddSerializedFile(dependency.DESCRIPTOR.serialized_pb)
    pool.Add(again)
    loaded = pool.FindFileByName(theirs.name)

    assert _outline(module.DESCRIPTOR) == _outline(loaded)


def _outline(file: Any) -> dict[str, Any]:
    """What a loaded descriptor says, as far as we write it."""
    messages: dict[str, Any] = {}
    todo = list(file.message_types_by_name.values())
    while todo:
        message = todo.pop()
        todo += message.nested_types
        messages[message.full_name] = [
            (field.name, field.number, field.type, field.is_repeated, field.is_required) for field in message.fields
        ] + [(enum.full_name, enum.values_by_name.keys()) for enum in message.enum_types]
    return messages


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("message A", "the text ends too early"),
        ("messageA", "no descriptor of a Protobuf file"),
        ('syntax = "proto3"', "the text ends too early"),
        ("message A {", "the text ends too early"),
        ("message A { ? }", "in line 1: '? }' is no Protobuf"),
        ("message A {\n  int32 = 1;\n}", "in line 2: '=' is not expected here"),
        ("message A { int32 a; }", "'=' is expected, not ';'"),
        ("message A { int32 a = x; }", "'x' is no number"),
        ("message A { int32 a = 0; }", "field 'a' of 'A': 0 is no number of a field"),
        ("message A { int32 a = 19000; }", "19000 is no number of a field"),
        ("message A { int32 a = 1; int32 b = 1; }", "its name or its number 1 stands twice"),
        ("message A { int32 a = 1; int32 a = 2; }", "stands twice"),
        ("message A { map<A, int32> a = 1; }", "field 'a' of 'A': 'A' is no type of a map's keys"),
        ("message A { map<double, int32> a = 1; }", "'double' is no type of a map's keys"),
        ("message A {} message A {}", "'A' is defined twice"),
        ("message A { optional group B = 1 { } }", "'group' is not expected here"),
        ("message 1 {}", "'1' is not expected here"),
        ("enum E { A = 1 }", "'}' is not expected here"),
        ("option x = }", "'}' is not expected here"),
        ("hello;", "'hello' is not expected here"),
        ("aGVsbG8=", "no descriptor of a Protobuf file"),
        ("A", "no descriptor of a Protobuf file"),
        ("AAAA", "a field has the number 0"),
        (base64.b64encode(b"\xff" * 11).decode(), "a number is too long"),
        (base64.b64encode(b"\x0a\x09a").decode(), "it ends too early"),
        ("message A {" * 66 + "}" * 66, "nested deeper than 64"),
        (";" * (SCHEMA_BYTES + 1), "larger than"),
    ],
)
def test_what_is_no_protobuf_is_refused(text: str, reason: str) -> None:
    """The message says in which line, or why a descriptor is none."""
    with pytest.raises(InvalidSchema) as refused:
        parse_protobuf(text, {})

    assert reason in str(refused.value)


def test_deep_descriptor_is_refused() -> None:
    """Messages in messages are bounded in descriptors too."""
    message = Message("M")
    for _ in range(70):
        message = Message("M", messages=(message,))
    with pytest.raises(InvalidSchema, match="nested deeper than 64"):
        parse_protobuf(write_descriptor(ProtoFile(messages=(message,)), "deep.proto"), {})


@given(st.binary().map(lambda data: base64.b64encode(data).decode()) | st.text("message A{};=1[]<>,\"'/ \n"))
def test_no_text_is_a_surprise(text: str) -> None:
    """Whatever the text is, it is a file or it is refused."""
    try:
        parse_protobuf(text, {})
    except InvalidSchema as error:
        refused = str(error)
    else:
        refused = ""

    assert "Traceback" not in refused


@given(st.data())
def test_damaged_descriptor_is_no_surprise(data: st.DataObject) -> None:
    """A descriptor with some bytes changed is a file or is refused."""
    whole = bytearray(type_pb2.DESCRIPTOR.serialized_pb)
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        whole[at] = data.draw(st.integers(0, 255))
    try:
        parse_protobuf(base64.b64encode(whole).decode(), {})
    except InvalidSchema as error:
        refused = str(error)
    else:
        refused = ""

    assert "Traceback" not in refused
