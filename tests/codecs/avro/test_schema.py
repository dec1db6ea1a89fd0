"""Avro schemas of event classes: the type table, golden files, and types that have no place."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag, StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Generic, Literal, NewType, Optional, TypeVar, Union
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from annotated_types import Ge, Len
from pydantic import (
    AfterValidator,
    AliasChoices,
    AnyUrl,
    AwareDatetime,
    Base64Bytes,
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    FutureDate,
    HttpUrl,
    Json,
    JsonValue,
    NaiveDatetime,
    PastDatetime,
    PlainSerializer,
    PositiveInt,
    RootModel,
    SecretBytes,
    SecretStr,
    StrictInt,
    StringConstraints,
    create_model,
    field_serializer,
)
from typing_extensions import TypeAliasType

from eventhub.codecs.avro import AvroCodec
from eventhub.codecs.avro.schema import avro_schema
from eventhub.errors import DeclarationError
from eventhub.event import Event
from tests.codecs.models import EVENTS, Channel, Money

GOLDEN = Path(__file__).parent.parent / "golden"
T = TypeVar("T")

Sku = NewType("Sku", str)
Skus = TypeAliasType("Skus", list[Sku])
First = TypeVar("First")
Second = TypeVar("Second")
Many = TypeAliasType("Many", list[T], type_params=(T,))
Perhaps = TypeAliasType("Perhaps", T | None, type_params=(T,))
Itself = TypeAliasType("Itself", T, type_params=(T,))
Swapped = TypeAliasType("Swapped", dict[Second, list[First]], type_params=(First, Second))
Amount = Annotated[Decimal, Field(max_digits=9, decimal_places=4)]


class Plain(BaseModel):
    """A nested model."""

    x: int


class Other(BaseModel):
    """Another nested model with the same fields."""

    x: int


class Box(BaseModel, Generic[T]):
    """A generic model."""

    inside: T


class Tags(RootModel[list[str]]):
    """A root model."""


class Nested(RootModel["list[Nested]"]):
    """A root model that contains itself without a name."""


class Maybe(RootModel[int | None]):
    """A root model that may hold nothing."""


class Colour(StrEnum):
    """Avro names."""

    RED = "red"
    BLUE = "blue"


class Size(Enum):
    """Texts that are no Avro names."""

    XL = "extra-large"


class Level(IntEnum):
    """Numbers."""

    LOW = 1


class Flags(IntFlag):
    """Bits."""

    A = 1
    B = 2


UTC_MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
LOCAL_MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6)  # noqa: DTZ001 - without zone on purpose
STRING, LONG, NULL = "string", "long", "null"
TIMESTAMP = {"type": "long", "logicalType": "timestamp-micros"}
LOCAL = {"type": "long", "logicalType": "local-timestamp-micros"}
DATE = {"type": "int", "logicalType": "date"}
TIME = {"type": "long", "logicalType": "time-micros"}
SPAN = {"type": "long", "logicalType": "timedelta-micros"}
UUID_TEXT = {"type": "string", "logicalType": "uuid"}
CENTS = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}
PLAIN = {"type": "record", "name": "Plain", "fields": [{"name": "x", "type": "long"}]}
OTHER = {"type": "record", "name": "Other", "fields": [{"name": "x", "type": "long"}]}
COLOUR = {"type": "enum", "name": "Colour", "symbols": ["red", "blue"]}


def array(items: Any) -> dict[str, Any]:
    """An array type."""
    return {"type": "array", "items": items}


def mapped(values: Any) -> dict[str, Any]:
    """A map type."""
    return {"type": "map", "values": values}


ID = UUID("0190d9a0-7c2b-7cc1-8a53-6f1f0c5b7a10")
FEATURES: tuple[tuple[Any, Any, Any], ...] = (
    (bool, True, "boolean"),
    (int, -7, LONG),
    (float, 2.5, "double"),
    (str, "ä", STRING),
    (bytes, b"\x00\xff", "bytes"),
    (None, None, NULL),
    (datetime, UTC_MOMENT, TIMESTAMP),
    (AwareDatetime, UTC_MOMENT, TIMESTAMP),
    (PastDatetime, datetime(2020, 1, 1, tzinfo=UTC), TIMESTAMP),
    (NaiveDatetime, LOCAL_MOMENT, LOCAL),
    (date, date(1969, 7, 20), DATE),
    (FutureDate, date(9000, 1, 1), DATE),
    (time, time(23, 59, 59, 999999), TIME),
    (timedelta, timedelta(days=-3, microseconds=1), SPAN),
    (UUID, ID, UUID_TEXT),
    (Decimal, Decimal("1.5000"), STRING),
    (Money, Decimal("-9999999999.99"), CENTS),
    (Amount, Decimal("0.0001"), {**CENTS, "precision": 9, "scale": 4}),
    (Annotated[Decimal, Field(decimal_places=2)], Decimal("1.25"), STRING),
    (Colour, Colour.BLUE, COLOUR),
    (Channel, Channel.APP, {"type": "enum", "name": "Channel", "symbols": ["web", "app"], "default": "web"}),
    (Size, Size.XL, STRING),
    (Level, Level.LOW, LONG),
    (Flags, Flags.A | Flags.B, LONG),
    (Literal["a", "b"], "b", STRING),
    (Literal[1, 2], 2, LONG),
    (Literal[True], True, "boolean"),
    (Literal["a"] | None, None, [NULL, STRING]),
    (Literal["a", 1], 1, [STRING, LONG]),
    (Literal[Colour.RED], Colour.RED, COLOUR),
    (Optional[int], None, [NULL, LONG]),  # noqa: UP045 - the old form is a form
    (int | None, 3, [NULL, LONG]),
    (Union[int, str], "x", [LONG, STRING]),  # noqa: UP007 - the old form is a form
    (int | float, 2.0, [LONG, "double"]),
    (int | bool, True, [LONG, "boolean"]),
    (str | UUID, "x", STRING),
    (bytes | UUID | None, ID, [NULL, "bytes", UUID_TEXT]),
    (date | datetime, date(2020, 1, 1), [DATE, TIMESTAMP]),
    (date | datetime | None, UTC_MOMENT, [NULL, DATE, TIMESTAMP]),
    (Plain | Other, Other(x=1), [PLAIN, OTHER]),
    (Plain | dict[str, int], {"x": 1, "y": 2}, [PLAIN, mapped(LONG)]),
    (Colour | int, Colour.RED, [COLOUR, LONG]),
    (Size | bytes, Size.XL, [STRING, "bytes"]),
    (list[int], [1, 2], array(LONG)),
    (list[list[str]], [["a"], []], array(array(STRING))),
    (list[int | None], [None, 1], array([NULL, LONG])),
    (list[Money], [Decimal("1.10")], array(CENTS)),
    (set[str], {"a"}, array(STRING)),
    (frozenset[UUID], frozenset({ID}), array(UUID_TEXT)),
    (tuple[int, ...], (1, 2), array(LONG)),
    (tuple[float, float], (1.5, 2.5), array("double")),
    (Sequence[str], ["a"], array(STRING)),
    (deque[int], deque([1]), array(LONG)),
    (dict[str, bytes], {"k": b"v"}, mapped("bytes")),
    (Mapping[str, int], {"k": 1}, mapped(LONG)),
    (dict[UUID, int], {ID: 1}, mapped(LONG)),
    (dict[Colour, list[int]], {Colour.RED: [1]}, mapped(array(LONG))),
    (Plain, Plain(x=1), PLAIN),
    (list[Plain], [Plain(x=1)], array(PLAIN)),
    (Box[int], Box[int](inside=1), {"type": "record", "name": "Box_int", "fields": [{"name": "inside", "type": LONG}]}),
    (
        Box[list[str]],
        Box[list[str]](inside=["x"]),
        {"type": "record", "name": "Box_list_str", "fields": [{"name": "inside", "type": array(STRING)}]},
    ),
    (Sku, "tea", STRING),
    (Skus, ["tea"], array(STRING)),
    (Tags, Tags(["a"]), array(STRING)),
    (Maybe, Maybe(None), [NULL, LONG]),
    (list[Maybe], [Maybe(1), Maybe(None)], array([NULL, LONG])),
    (PositiveInt, 1, LONG),
    (StrictInt, 1, LONG),
    (Annotated[str, StringConstraints(max_length=3)], "abc", STRING),
    (Annotated[list[Annotated[int, Ge(0)]], Len(1)], [1], array(LONG)),
    (Annotated[UUID, AfterValidator(lambda value: value)], ID, UUID_TEXT),
    (ByteSize, ByteSize(1024), LONG),
    (HttpUrl, HttpUrl("https://example.org/a?b=c"), STRING),
    (AnyUrl, AnyUrl("amqp://host/vhost"), STRING),
    (IPv4Address, IPv4Address("10.0.0.1"), STRING),
    (IPv6Address | None, IPv6Address("::1"), [NULL, STRING]),
    (IPv4Network, IPv4Network("10.0.0.0/8"), STRING),
    (PurePosixPath, PurePosixPath("/tmp/x"), STRING),  # noqa: S108 - a path is only a text here
    (ZoneInfo, ZoneInfo("Europe/Berlin"), STRING),
    (SecretStr, SecretStr("hush"), STRING),
    (SecretBytes, SecretBytes(b"hush"), "bytes"),
    (Annotated[datetime, PlainSerializer(str, when_used="json")], UTC_MOMENT, TIMESTAMP),
    (Many[int], [1, -1], {"type": "array", "items": LONG}),
    (Perhaps[Many[Itself[Plain]]], [Plain(x=1)], [NULL, {"type": "array", "items": PLAIN}]),
    (Swapped[int, Sku], {"a": [1]}, {"type": "map", "values": {"type": "array", "items": LONG}}),
)
FEATURE_NAMES = [re.sub(" at 0x[0-9a-f]+", "", str(annotation)) for annotation, _, _ in FEATURES]
"""Their names as tests: the same in every process, so without the addresses of functions."""


def event_of(annotation: Any, **keywords: Any) -> Any:
    """An event class with one field ``value``."""
    return create_model(
        "Feature",
        __base__=Event,
        __cls_kwargs__={"topic": "features"},
        value=(annotation, keywords.get("default", ...)),
    )


def type_of(annotation: Any) -> Any:
    """The Avro type of an annotation."""
    return json.loads(avro_schema(event_of(annotation)))["fields"][0]["type"]


def default_of(annotation: Any, default: Any) -> Any:
    """The type and the default of a field."""
    field = json.loads(avro_schema(event_of(annotation, default=default)))["fields"][0]
    return field["type"], field["default"]


@pytest.mark.parametrize(("annotation", "value", "avro"), FEATURES, ids=FEATURE_NAMES)
def test_each_type_has_its_place_and_comes_back(annotation: Any, value: Any, avro: Any) -> None:
    """The schema is the table's, and a value read is the value written, class included."""
    codec, cls = AvroCodec(), event_of(annotation)
    schema = codec.schema(cls)
    event = cls(value=value)

    read: Any = codec.decoder(cls, schema)(codec.encoder(cls, schema, b"")(event), 0)

    assert avro == json.loads(schema.text)["fields"][0]["type"]
    assert event == read
    assert type(event.value) is type(read.value)


@pytest.mark.parametrize("event", EVENTS, ids=[type(event).__name__ for event in EVENTS])
def test_models_have_the_schemas_of_the_golden_files(event: Event) -> None:
    """What was registered once is registered for ever: the text must not change."""
    golden = (GOLDEN / f"{type(event).__name__}.avsc").read_text(encoding="utf-8")

    assert golden == avro_schema(type(event)) + "\n"


@pytest.mark.parametrize("event", EVENTS, ids=[type(event).__name__ for event in EVENTS])
def test_models_come_back_as_they_were(event: Event) -> None:
    """An event of each of the twelve models survives."""
    codec = AvroCodec()
    schema = codec.schema(type(event))

    assert event == codec.decoder(type(event), schema)(codec.encoder(type(event), schema, b"")(event), 0)


@pytest.mark.slow
def test_schemas_are_the_same_in_every_process() -> None:
    """Neither the seed of hashes nor the order of imports shows in a schema."""
    program = "from tests.codecs.models import *\nfrom eventhub.codecs.avro.schema import avro_schema\n"
    program += "print(''.join(avro_schema(type(event)) for event in EVENTS), end='')"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "src:.", "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            check=True,
            text=True,
            encoding="utf-8",
        ).stdout
        for seed in ("1", "2")
    }

    assert {"".join(avro_schema(type(event)) for event in EVENTS)} == outputs


@pytest.mark.parametrize(
    ("annotation", "default", "avro", "as_json"),
    [
        (int, 3, LONG, 3),
        (float, 1, "double", 1.0),
        (bytes, b"\x00\xff", "bytes", "\x00ÿ"),
        (Money, Decimal("1.10"), CENTS, "n"),
        (datetime, UTC_MOMENT, TIMESTAMP, 1767323045000006),
        (date, date(1969, 12, 31), DATE, -1),
        (timedelta, timedelta(milliseconds=1), SPAN, 1000),
        (UUID, ID, UUID_TEXT, str(ID)),
        (Colour, Colour.BLUE, COLOUR, "blue"),
        (Size, Size.XL, STRING, "extra-large"),
        (SecretStr, SecretStr("x"), STRING, "x"),
        (int | None, None, [NULL, LONG], None),
        (int | None, 3, [LONG, NULL], 3),
        (int | str | None, "x", [STRING, NULL, LONG], "x"),
        (list[int], [1], array(LONG), [1]),
        (dict[str, Money], {"a": Decimal("1.10")}, mapped(CENTS), {"a": "n"}),
        (Plain, Plain(x=1), PLAIN, {"x": 1}),
        (Tags, Tags(["a"]), array(STRING), ["a"]),
    ],
)
def test_defaults_are_what_the_wire_would_hold(annotation: Any, default: Any, avro: Any, as_json: Any) -> None:
    """A default is JSON of the Avro value, and its branch of a union comes first."""
    assert (avro, as_json) == default_of(annotation, default)


def test_only_factories_of_containers_make_defaults() -> None:
    """A factory that gives every process another value is never called."""

    def never() -> UUID:
        raise AssertionError

    class Made(Event, topic="made"):
        """Some fields with factories."""

        id: UUID = Field(default_factory=never)
        tags: list[str] = Field(default_factory=list)
        counts: dict[str, int] = Field(default_factory=dict)

    fields = json.loads(avro_schema(Made))["fields"]

    assert [("id", False), ("tags", True), ("counts", True)] == [
        (field["name"], "default" in field) for field in fields
    ]


def test_declared_old_names_are_aliases() -> None:
    """The registry then knows a renamed field for the same; an alias generator is about JSON."""

    class Renamed(Event, topic="renamed"):
        """Two fields that had other names."""

        model_config = ConfigDict(alias_generator=str.upper)

        quantity: int = Field(validation_alias=AliasChoices("qty", "amount", "no-avro-name"))
        sku: str = Field(alias="item")
        plain: str

    fields = json.loads(avro_schema(Renamed))["fields"]

    assert [["qty", "amount"], ["item"], []] == [field.get("aliases", []) for field in fields]


def test_fields_that_are_not_written_are_not_in_the_schema() -> None:
    """Excluded fields stay at home, and have to have a default."""

    class Partly(Event, topic="partly"):
        """One field is written."""

        kept: int
        _private: int = 1
        hidden: int = Field(default=0, exclude=True)

    class Wrong(Event, topic="partly"):
        """A reader could never make one."""

        hidden: int = Field(exclude=True)

    assert ["kept"] == [field["name"] for field in json.loads(avro_schema(Partly))["fields"]]
    with pytest.raises(DeclarationError, match=r"Wrong\.hidden is required but excluded"):
        avro_schema(Wrong)


def test_wire_names_are_aliases_only_where_the_class_says_so() -> None:
    """``serialize_by_alias`` is pydantic's own word for it."""

    class Camel(Event, topic="camels"):
        """A field with another name on the wire."""

        model_config = ConfigDict(serialize_by_alias=True, populate_by_name=True)

        first_name: str = Field(alias="firstName")

    codec = AvroCodec()
    schema, event = codec.schema(Camel), Camel(first_name="Ada")  # type: ignore[call-arg]

    assert ["firstName"] == [field["name"] for field in json.loads(schema.text)["fields"]]
    assert event == codec.decoder(Camel, schema)(codec.encoder(Camel, schema, b"")(event), 0)


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        (Any, r"Feature\.value: Any has no place in an Avro schema; say which types it may have"),
        (object, r"object has no place .*; say which types"),
        (list, r"list has no place .*; say what is in it, as in list\[str\]"),
        (dict, r"dict has no place .*; say what is in it, as in dict\[str, int\]"),
        (list[Any], r"Feature\.value\[\]: Any has no place"),
        (dict[str, complex], r"Feature\.value\{\}: complex has no place .*; use two floats"),
        (dict[int, str], r"Feature\.value: the keys of an Avro map are strings"),
        (tuple[int, str], r"a tuple of different types has no place in Avro; declare a model"),
        (JsonValue, r"JsonValue has no place"),
        (Nested, r"Feature\.value\[\]: .*Nested'> contains itself without a name; declare a model"),
        (Box, r"Box\.inside: T has no place .*; give the generic class its argument"),
        (Many, r"Feature\.value\[\]: T has no place .*; give the generic class its argument"),
        (datetime | NaiveDatetime, r"two types of this union are both long to Avro"),
        (list[int] | list[str], r"two types of this union are both array to Avro"),
        (Base64Bytes, r"an encoded text would be decoded twice; declare bytes"),
        (Json[int], r"an encoded text would be decoded twice"),
        (Annotated[int, PlainSerializer(str)], r"not a serializer's; set when_used='json'"),
        (Enum("Odd", {"A": 1, "B": "b"}), r"the values of enum Odd are neither all strings nor all ints"),
        (Enum("Empty", {}), r"the values of enum Empty are neither"),
        (list[None], r"an array of items without size"),
        (Annotated[Decimal, Field(max_digits=2, decimal_places=3)], r"a Decimal of 2 digits cannot have 3 places"),
        (Annotated[Decimal, Field(max_digits=2000, decimal_places=3)], r"a decimal of 2000 digits"),
    ],
)
def test_types_without_a_place_say_what_to_use_instead(annotation: Any, reason: str) -> None:
    """The error names the class, the field and a way out."""
    with pytest.raises(DeclarationError, match=reason):
        AvroCodec().schema(event_of(annotation))


def test_a_class_that_is_no_model_is_to_be_one() -> None:
    """Other classes with annotations are one step from a model."""

    class Point:
        """A class with annotations."""

        x: int

    class Holder(Event, topic="holders"):
        """An event with a foreign class."""

        model_config = ConfigDict(arbitrary_types_allowed=True)

        point: Point

    with pytest.raises(DeclarationError, match=r"Holder\.point: Point has no place .*; declare it as a pydantic BaseM"):
        avro_schema(Holder)


def test_two_classes_of_one_name_are_told_apart_by_renaming() -> None:
    """Avro has one type a name, so the error names both classes."""

    def second() -> Any:
        class Plain(BaseModel):
            """Another class of the same name."""

            y: int

        return Plain

    with pytest.raises(DeclarationError, match=r"Feature contains two classes that are both 'Plain'.*rename one"):
        avro_schema(event_of(dict[str, Plain] | list[second()]))  # type: ignore[misc]


def test_a_default_without_a_place_is_refused() -> None:
    """Pydantic does not check defaults, Avro does."""
    for annotation, default, reason in (
        (int, "x", "the default has no place in the schema: str is no int"),
        (int, 2**63, "needs more than 64 bits"),
        (float, float("inf"), "inf is nothing that JSON can say"),
        (Money, Decimal("1.001"), "would be rounded"),
        (datetime, LOCAL_MOMENT, "datetime has no time zone"),
        (int | None, "x", "str is none of the types of its union"),
    ):
        with pytest.raises(DeclarationError, match=reason):
            avro_schema(event_of(annotation, default=default))


def test_serializers_of_a_class_are_refused() -> None:
    """Avro writes the field itself; one for JSON alone is no matter."""

    class Wrong(Event, topic="wrong"):
        """A field that pydantic would write as something else."""

        at: datetime

        @field_serializer("at")
        def as_text(self, at: datetime) -> str:
            """Write text."""
            return str(at)

    class Right(Event, topic="right"):
        """A field that pydantic would write as something else in JSON."""

        at: datetime

        @field_serializer("at", when_used="json")
        def as_text(self, at: datetime) -> str:
            """Write text."""
            return str(at)

    with pytest.raises(DeclarationError, match=r"Wrong\.as_text: Avro writes the field itself"):
        avro_schema(Wrong)
    assert TIMESTAMP == json.loads(avro_schema(Right))["fields"][0]["type"]


def test_names_that_avro_cannot_spell_are_refused() -> None:
    """Python's letters are more than Avro's."""

    class Größe(BaseModel):  # noqa: PLC2401 - that is what is tested
        """A class with an umlaut."""

        x: int

    class string(BaseModel):  # noqa: N801 - a name that Avro took
        """A class with the name of a type."""

        x: int

    class Wrong(Event, topic="wrong"):
        """A field with an umlaut."""

        größe: int  # noqa: PLC2401 - that is what is tested

    for cls, reason in (
        (event_of(Größe), "Größe is no name for an Avro type"),
        (event_of(string), "string is no name for an Avro type"),
        (Wrong, r"Wrong\.größe: 'größe' is no Avro name"),
    ):
        with pytest.raises(DeclarationError, match=reason):
            avro_schema(cls)


def test_an_enum_declares_the_symbol_for_unknown_ones() -> None:
    """It has to be one of its own."""

    class Odd(StrEnum):
        """An enum with a default that it does not have."""

        A = "a"
        __default__ = "b"

    with pytest.raises(DeclarationError, match=r"Odd\.__default__ is 'b', which is no value of the enum"):
        avro_schema(event_of(Odd))


def test_a_schema_by_hand_is_taken_as_it_is() -> None:
    """Documentation, order and types of 32 bits are the author's to choose."""
    by_hand = """{"type": "record", "namespace": "shop", "name": "Paid", "doc": "By hand",
        "fields": [{"name": "region", "type": "string", "default": "EU"}, {"name": "amount", "type": "int"}]}"""

    class Paid(Event, topic="payments", name="shop.Paid"):
        """An event with a schema of its own."""

        __schema__ = by_hand

        amount: int
        region: str = "EU"

    codec = AvroCodec()
    schema = codec.schema(Paid)

    assert by_hand == schema.text
    assert b"\x04EU\x0e" == codec.encoder(Paid, schema, b"")(Paid(amount=7))
    assert Paid(amount=7) == codec.decoder(Paid, schema)(b"\x04EU\x0e", 0)


@pytest.mark.parametrize(
    ("by_hand", "reason"),
    [
        ("{", r"Paid\.__schema__: schema is no JSON"),
        ('"string"', r"Paid\.__schema__ is no Avro record"),
        (7, r"Paid\.__schema__ is no Avro record"),
        ('{"type":"record","name":"Other","fields":[]}', r"defines 'Other'; declare the event with name='Other'"),
        (
            '{"type":"record","name":"Paid","fields":[{"name":"amuont","type":"int"}]}',
            r"has the field 'amuont', which the class has not; it has amount",
        ),
    ],
)
def test_a_schema_by_hand_has_to_describe_the_event(by_hand: Any, reason: str) -> None:
    """A wrong one is found before anything is registered."""

    class Paid(Event, topic="payments"):
        """An event with a schema of its own."""

        __schema__ = by_hand

        amount: int

    with pytest.raises(DeclarationError, match=reason):
        AvroCodec().schema(Paid)


def test_a_name_that_is_never_defined_is_explained() -> None:
    """Classes may name classes that come later, but they have to come."""
    field: Any = ("Nowhere", ...)
    cls = create_model("Late", __base__=Event, __cls_kwargs__={"topic": "late"}, value=field)

    with pytest.raises(DeclarationError, match="Late: 'Nowhere' in its annotations is not defined"):
        avro_schema(cls)
