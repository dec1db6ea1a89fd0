"""Events as Protobuf: the files that are registered, values both ways, and numbers that stay what they are."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import AliasChoices, BaseModel, Field, NaiveDatetime, RootModel

from eventhub.codecs.protobuf import Number, ProtobufCodec
from eventhub.codecs.serde import Serde
from eventhub.errors import DeclarationError, DecodeError, InvalidSchema, SchemaMismatch
from eventhub.event import Event, Format
from eventhub.record import Record
from eventhub.registry.base import Schema, SchemaType
from eventhub.registry.client import embedded_registry
from tests.codecs.avro.test_schema import FEATURE_NAMES, FEATURES
from tests.codecs.models import Money

CODEC = ProtobufCodec()
GOLDEN = Path(__file__).parent / "golden"


class Channel(StrEnum):
    """Where an order came from."""

    WEB = "web"
    OTHER = "other"
    __default__ = "other"


class Priority(IntEnum):
    """How soon."""

    LOW = 1


class Card(BaseModel):
    """One way to pay."""

    number: Annotated[str, Number(1)]


class BankTransfer(BaseModel):
    """Another, with the same field."""

    number: Annotated[str, Number(1)]


class Texts(RootModel[list[str]]):
    """Some texts."""


class OrderPlaced(Event, topic="placed", key="order_id", name="shop.orders.OrderPlaced", format=Format.PROTOBUF):
    """Every type that has a place."""

    order_id: Annotated[UUID, Number(1)]
    placed_at: Annotated[datetime, Number(2)]
    local: Annotated[NaiveDatetime, Number(3)]
    day: Annotated[date, Number(4)]
    hour: Annotated[time, Number(5)]
    wait: Annotated[timedelta, Number(6)]
    total: Annotated[Decimal, Field(max_digits=12, decimal_places=2), Number(7)]
    channel: Annotated[Channel, Number(8)] = Channel.WEB
    priority: Annotated[Priority, Number(9)] = Priority.LOW
    urgent: Annotated[bool, Number(10)] = True
    weight: Annotated[float, Number(11)] = 1.5
    raw: Annotated[bytes, Number(12)] = b"\xff"
    note: Annotated[str | None, Number(15)] = None
    by: Annotated[Card | BankTransfer | None, Number(16)] = None
    either: Annotated[int | str | UUID, Number(17)] = 1
    cards: Annotated[list[Card], Number(18)] = Field(default_factory=list)
    tags: Annotated[dict[str, int], Number(19)] = Field(default_factory=dict)
    by_name: Annotated[dict[Channel, Card], Number(20)] = Field(default_factory=dict)
    mixed: Annotated[list[int | str], Number(21)] = Field(default_factory=list)
    texts: Annotated[Texts, Number(22)] = Texts([])
    moments: Annotated[list[datetime], Number(23)] = Field(default_factory=list)


class Folder(Event, topic="folders", format=Format.PROTOBUF):
    """A class that contains itself."""

    label: Annotated[str, Number(1)]
    folders: Annotated[list[Folder], Number(2)] = Field(default_factory=list)


PLACED = OrderPlaced(
    order_id=UUID("0190d9a0-7c2b-7cc1-8a53-6f1f0c5b7a10"),
    placed_at=datetime(2026, 11, 23, 12, 34, 56, 789012, tzinfo=UTC),
    local=datetime(2026, 11, 23, 12, 34, 56, 789012),  # noqa: DTZ001 - without zone on purpose
    day=date(1969, 7, 20),
    hour=time(9, 30, 0, 1),
    wait=timedelta(seconds=-3.5),
    total=Decimal("47.40"),
    channel=Channel.OTHER,
    note="",
    by=BankTransfer(number="1"),
    either="x",
    cards=[Card(number="2"), Card(number="")],
    tags={"a": 0, "b": -1},
    by_name={Channel.WEB: Card(number="3")},
    mixed=[1, "1"],
    texts=Texts(["t"]),
    moments=[datetime(1, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC)],
)
SMALLEST = OrderPlaced.model_validate(
    PLACED.model_dump(include={"order_id", "placed_at", "local", "day", "hour", "wait", "total"})
)
TREE = Folder(label="root", folders=[Folder(label=""), Folder(label="x", folders=[Folder(label="y")])])


def written(event: Event) -> bytes:
    """An event's bytes after the usual path to its message."""
    return CODEC.encoder(type(event), CODEC.schema(type(event)), b"\x00\x00\x00\x00\x07")(event)


def read(cls: type[Event], value: bytes, start: int = 5) -> Any:
    """What a class makes of bytes."""
    return CODEC.decoder(cls, CODEC.schema(cls))(value, start)


@pytest.mark.parametrize("event", [PLACED, TREE], ids=["OrderPlaced", "Folder"])
def test_files_are_those_of_the_golden_files(event: Event) -> None:
    """What was registered once is registered for ever: the text must not change."""
    assert (GOLDEN / f"{type(event).__name__}.proto").read_text(encoding="utf-8") == CODEC.schema(type(event)).text


@pytest.mark.parametrize("event", [PLACED, SMALLEST, TREE], ids=["full", "smallest", "recursive"])
def test_events_come_back_as_they_were(event: Event) -> None:
    """Zeros and empty texts are told from what is not there."""
    assert event == read(type(event), written(event))


def test_an_event_stands_behind_its_frame_and_the_path_to_its_message() -> None:
    """The first message of a file takes one byte."""
    assert bytes.fromhex("00 00000007 00 0a0178") == written(Folder(label="x"))


def test_a_path_in_the_long_form_is_read() -> None:
    """Not every writer knows the short one."""
    assert Folder(label="x") == read(Folder, bytes.fromhex("00 00000007 0200 0a0178"))


@pytest.mark.parametrize("path", ["02 04", "04 00 00", "02 fe ff ff ff 0f"])
def test_a_path_to_no_message_is_an_error(path: str) -> None:
    """The file has one message, with none inside."""
    with pytest.raises(DecodeError, match=r"Folder: file has no message at \[\d"):
        read(Folder, bytes.fromhex(f"00 00000007 {path} 0a0178"))


async def test_a_hub_reads_and_writes_it_like_any_format() -> None:
    """The codec is imported where the first event asks for it."""
    serde = Serde(embedded_registry(), auto_register=True)
    await serde.prepare(writes=[Folder], reads=[Folder])
    record = Record("folders", 0, 0, 0.0, None, serde.encode(TREE))

    assert TREE == serde.reader([Folder]).decode(record)


NO_PLACE = (
    "None",
    "list[list[str]]",
    "list[int | None]",
    "dict[tests.codecs.avro.test_schema.Colour, list[int]]",
    "list[tests.codecs.avro.test_schema.Maybe]",
    "Perhaps[Many[Itself[tests.codecs.avro.test_schema.Plain]]]",
    "Swapped[int, tests.codecs.avro.test_schema.Sku]",
)
"""Types of Avro's table that Protobuf has no way to say."""


@pytest.mark.parametrize(("annotation", "value", "_"), FEATURES, ids=FEATURE_NAMES)
def test_each_type_of_avros_table_comes_back_or_says_why_not(annotation: Any, value: Any, _: Any) -> None:
    """Class and all; models of the table declare no numbers, without which there is no Protobuf."""
    cls: Any = event_of(value=Annotated[annotation, Number(1)])
    if str(annotation) in NO_PLACE or re.search(r"Plain\b|Box", str(annotation)):
        with pytest.raises(DeclarationError, match=r"has no number|has no place|cannot tell None"):
            CODEC.schema(cls)
        return
    event = cls(value=value)
    found = read(cls, written(event))

    assert event == found
    assert type(event.value) is type(found.value)


def test_what_was_not_written_has_the_classes_default() -> None:
    """Also where the default is not zero."""

    class Old(Event, topic="old", format=Format.PROTOBUF):
        """What a writer declared."""

        a: Annotated[int, Number(1)]

    class New(Event, topic="new", format=Format.PROTOBUF):
        """What its reader declares."""

        a: Annotated[int, Number(1)]
        currency: Annotated[str, Number(2)] = "EUR"
        note: Annotated[str | None, Number(3)]

    class Needy(Event, topic="new", format=Format.PROTOBUF):
        """What another reader declares."""

        b: Annotated[str, Number(4)]

    assert New(a=3, currency="EUR", note=None) == read(New, written(Old(a=3)))
    with pytest.raises(SchemaMismatch, match=r"Needy\.b: Field required"):
        read(Needy, written(Old(a=3)))


class Dated(Event, topic="dated", format=Format.PROTOBUF):
    """A union of types that are all texts to Protobuf."""

    value: Annotated[str | Money | date | time | float, Number(1)]


@pytest.mark.parametrize(
    "value", ["2026-01-01", "1.50", Decimal("1.50"), Decimal("7.00"), 7.5, date(2026, 1, 1), time(1, 2, 3, 4)]
)
def test_members_of_a_union_that_are_all_texts_are_told_apart(value: Any) -> None:
    """Each has a field of its own in the oneof, and is read as what was written in it."""
    found = read(Dated, written(Dated(value=value))).value

    assert (type(value), value) == (type(found), found)


@pytest.mark.parametrize(("number", "kind"), [(2, "bytes decimal"), (3, "int date"), (4, "long time-micros")])
def test_a_text_that_is_none_of_its_kind_is_an_error_of_the_bytes(number: int, kind: str) -> None:
    """The file promised a date, and the error holds nothing of what came instead."""
    body = bytes([number << 3 | 2, 4]) + b"hush"

    with pytest.raises(DecodeError, match=rf"Dated\.Value holds a text that is no {kind}$"):
        read(Dated, b"\x00\x0a" + bytes([len(body)]) + body, 0)


def test_what_the_reader_does_not_know_is_passed_over() -> None:
    """By its number."""

    class Reads(Event, topic="placed", format=Format.PROTOBUF):
        """Two fields of an order."""

        day: Annotated[date, Number(4)]
        by: Annotated[Card | BankTransfer | None, Number(16)]

    assert Reads(day=PLACED.day, by=PLACED.by) == read(Reads, written(PLACED))


class Fax(StrEnum):
    """An enum that came later, without a default."""

    WEB = "web"


def test_an_unknown_symbol_is_the_enums_default_or_an_error() -> None:
    """As in every format."""

    class Writes(Event, topic="w", format=Format.PROTOBUF):
        """A text."""

        channel: Annotated[str, Number(1)]

    class Reads(Event, topic="r", format=Format.PROTOBUF):
        """An enum with a default."""

        channel: Annotated[Channel, Number(1)]

    class Strict(Event, topic="r", format=Format.PROTOBUF):
        """An enum without."""

        channel: Annotated[Fax, Number(1)]

    value = written(Writes(channel="telex"))

    assert Reads(channel=Channel.OTHER) == read(Reads, value)
    with pytest.raises(SchemaMismatch, match=r"Strict\.Fax has no 'telex', only web; declare __default__"):
        read(Strict, value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("00 00000007", "message index ends early"),
        ("00 00000007 00 0a", "Folder: "),
        ("00 00000007 00 0a 01 ff", "Folder: "),
        ("00 00000007 00 0b", "Folder: "),
        ("00 00000007 82 01", "has 65 message indexes"),
        ("00 00000007 00 ff ff ff ff ff ff ff ff ff ff 01", "Folder: "),
    ],
)
def test_hostile_bytes_are_one_error(value: str, reason: str) -> None:
    """Whatever Google's library says about them."""
    with pytest.raises(DecodeError, match=reason):
        read(Folder, bytes.fromhex(value))


def test_deep_nesting_is_an_error_in_both_directions() -> None:
    """The library's own limit is a hundred levels."""
    body = b""
    for _ in range(5000):
        body = b"\x12" + varint(len(body)) + body
    deep = Folder(label="x")
    for _ in range(200):
        deep = Folder(label="x", folders=[deep])

    with pytest.raises(DecodeError):
        read(Folder, b"\x00" + body, 0)
    with pytest.raises((SchemaMismatch, DecodeError)):
        read(Folder, written(deep))


def varint(number: int) -> bytes:
    """A number as Protobuf writes it."""
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def test_a_moment_beyond_the_calendar_is_an_error() -> None:
    """Other languages have other calendars."""

    class Moment(Event, topic="moments", format=Format.PROTOBUF):
        """A moment."""

        at: Annotated[datetime, Number(1)]

    far = b"\x08" + b"\xff" * 8 + b"\x7f"

    with pytest.raises(DecodeError, match="Moment: "):
        read(Moment, b"\x00\x0a" + bytes([len(far)]) + far, 0)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"placed_at": datetime(2026, 1, 1)}, r"OrderPlaced\.placed_at: datetime has no time zone"),  # noqa: DTZ001
        ({"local": datetime(2026, 1, 1, tzinfo=UTC)}, r"OrderPlaced\.local: datetime is no datetime without a time"),
        ({"channel": "fax"}, r"OrderPlaced\.channel: 'fax' is no symbol of shop\.orders\.Channel: web, other"),
        ({"priority": 2**63}, r"OrderPlaced\.priority: 9223372036854775808 needs more than 64 bits"),
        ({"weight": "x"}, r"OrderPlaced\.weight: str is no float"),
        ({"order_id": 7}, r"OrderPlaced\.order_id: int is no str"),
        ({"order_id": None}, r"OrderPlaced\.order_id: NoneType is no str"),
        ({"by": "x"}, r"OrderPlaced\.by: str is none of the types of its union"),
        ({"cards": [None]}, r"OrderPlaced\.cards: NoneType is no model"),
        ({"cards": "abc"}, r"OrderPlaced\.cards: str is no list"),
        ({"tags": {"a": 1.5}}, r"OrderPlaced\.tags: float is no int"),
    ],
)
def test_a_value_without_a_place_is_a_mismatch_that_names_its_field(values: dict[str, Any], reason: str) -> None:
    """Nothing is written as something else."""
    changed = PLACED.model_copy()
    changed.__dict__.update(values)

    with pytest.raises(SchemaMismatch, match=reason):
        written(changed)


def test_an_event_without_a_field_is_a_mismatch() -> None:
    """Its reader would only find out later."""
    with pytest.raises(SchemaMismatch, match=r"Folder\.label: the value is missing"):
        written(Folder.model_construct())


def event_of(**annotations: Any) -> type[Event]:
    """An event with these fields."""
    return type("Wrong", (Event,), {"__annotations__": annotations, "__module__": __name__}, topic="wrong")


@pytest.mark.parametrize(
    ("annotations", "reason"),
    [
        ({"a": int}, r"Wrong\.a has no number; say a: Annotated\[\.\.\., Number\(n\)\]"),
        ({"a": Annotated[int, Number(0)]}, r"Wrong\.a: 0 is no number for a field"),
        ({"a": Annotated[int, Number(19_500)]}, r"Wrong\.a: 19500 is no number for a field"),
        ({"a": Annotated[int, Number(1)], "b": Annotated[int, Number(1)]}, r"Wrong\.b: number 1 is another field's"),
        ({"a": Annotated[list[list[int]], Number(1)]}, r"Wrong\.a: .* has no place in Protobuf; declare a model"),
        ({"a": Annotated[list[int | None], Number(1)]}, r"Wrong\.a: .* has no place in Protobuf"),
        ({"a": Annotated[dict[str, list[int]], Number(1)]}, r"Wrong\.a: .* has no place in Protobuf"),
        ({"a": Annotated[list[int] | None, Number(1)]}, r"Wrong\.a: Protobuf cannot tell None from an empty list"),
        ({"a": Annotated[Any, Number(1)]}, r"Wrong\.a: Any has no place"),
    ],
)
def test_fields_without_a_place_say_what_to_do(annotations: dict[str, Any], reason: str) -> None:
    """The error names the class and the field."""
    with pytest.raises(DeclarationError, match=reason):
        CODEC.schema(event_of(**annotations))


def test_none_has_to_be_the_default_of_what_may_be_none() -> None:
    """What is not there would come back as the default."""

    class Wrong(Event, topic="wrong"):
        """A limit of ten, or none."""

        limit: Annotated[int | None, Number(1)] = 10

    with pytest.raises(DeclarationError, match=r"Wrong\.limit: .* make None the default"):
        CODEC.schema(Wrong)


def test_a_number_that_was_another_fields_is_a_problem() -> None:
    """The rules of registries take it for a renamed field, and a reader would take one text for another."""

    class Before(Event, topic="placed", name="Placed", format=Format.PROTOBUF):
        """What was written."""

        sku: Annotated[str, Number(1)]
        note: Annotated[str, Number(2)]

    class Swapped(Event, topic="placed", name="Placed", format=Format.PROTOBUF):
        """The numbers in the wrong order."""

        note: Annotated[str, Number(1)]

    class Renamed(Event, topic="placed", name="Placed", format=Format.PROTOBUF):
        """A field that says what it was called."""

        item: Annotated[str, Field(validation_alias=AliasChoices("sku")), Number(1)]

    problems = [list(CODEC.problems(cls, CODEC.schema(Before))) for cls in (Before, Renamed, Swapped)]

    assert [[], []] == problems[:2]
    assert [("FIELD_NUMBER_REUSED", "/Placed/1", "note", "sku")] == [
        (problem.kind, problem.path, problem.reader, problem.writer) for problem in problems[2]
    ]


def test_a_file_that_is_none_is_a_problem_and_no_crash() -> None:
    """A registry may hold what somebody else's server let pass."""
    assert 1 == len(CODEC.problems(Folder, Schema("message {", SchemaType.PROTOBUF)))
    with pytest.raises(InvalidSchema):
        CODEC.name(Schema("message {", SchemaType.PROTOBUF))


def test_the_name_of_a_file_is_that_of_its_first_message() -> None:
    """With the package; a file without messages has none."""
    assert ["shop.orders.OrderPlaced", "Folder", ""] == [
        CODEC.name(schema)
        for schema in (
            CODEC.schema(OrderPlaced),
            CODEC.schema(Folder),
            Schema('syntax = "proto3";', SchemaType.PROTOBUF),
        )
    ]


@pytest.mark.slow
def test_nothing_of_protobuf_is_imported_before_it_is_used() -> None:
    """It is an extra."""
    program = "import sys, eventhub, eventhub.codecs.serde; sys.exit('google.protobuf' in sys.modules)"

    subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": "src"}, check=True)


@pytest.mark.slow
def test_a_missing_library_names_the_extra() -> None:
    """At start, before anything is registered."""
    program = """
import asyncio, sys
sys.modules["google.protobuf"] = None
from eventhub.codecs.serde import Serde
from eventhub.event import Event, Format
from eventhub.registry.client import embedded_registry
Folder = type("Folder", (Event,), {}, topic="folders", format=Format.PROTOBUF)
asyncio.run(Serde(embedded_registry(), auto_register=True).prepare(writes=[Folder]))
"""

    failed = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": "src"}, capture_output=True, check=False, text=True
    )

    assert "Folder: Protobuf needs an extra: pip install 'eventhub[protobuf]'" in failed.stderr
    assert "DeclarationError" in failed.stderr
