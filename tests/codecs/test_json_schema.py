"""Events as JSON: the schemas that are registered, and values both ways."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    PlainSerializer,
    SecretBytes,
    SecretStr,
    computed_field,
    create_model,
    field_serializer,
)

from eventhub.codecs.json_schema import JsonSchemaCodec
from eventhub.errors import DeclarationError, DecodeError, InvalidSchema, SchemaMismatch
from eventhub.event import Event, Format
from eventhub.registry.base import Schema, SchemaType
from tests.codecs.avro.test_schema import FEATURE_NAMES, FEATURES, Other, Plain
from tests.codecs.models import EVENTS, ORDER, Card, OrderCreated, Transfer

CODEC = JsonSchemaCodec()
GOLDEN = Path(__file__).parent / "golden"
IDS = [type(event).__name__ for event in EVENTS]


def written(event: Event) -> bytes:
    """An event's JSON, without a frame."""
    return CODEC.encoder(type(event), CODEC.schema(type(event)), b"")(event)


def read(cls: type[Event], value: bytes) -> Any:
    """What a class makes of JSON."""
    return CODEC.decoder(cls, CODEC.schema(cls))(value, 0)


def schema_of(cls: type[Event]) -> Any:
    """The schema of a class, loaded."""
    return json.loads(CODEC.schema(cls).text)


@pytest.mark.parametrize("event", EVENTS, ids=IDS)
def test_models_have_the_schemas_of_the_golden_files(event: Event) -> None:
    """What was registered once is registered for ever: the text must not change."""
    golden = (GOLDEN / f"{type(event).__name__}.json").read_text(encoding="utf-8")

    assert golden == CODEC.schema(type(event)).text + "\n"


@pytest.mark.parametrize("event", EVENTS, ids=IDS)
def test_models_come_back_as_they_were(event: Event) -> None:
    """An event of each of the twelve models survives."""
    assert event == read(type(event), written(event))


class Feature(Event):
    """What the types of the table are fields of."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


SECRETS = (SecretStr, SecretBytes)
LOOKALIKES = (Plain | Other, Plain | dict[str, int])
"""Types of which JSON does not say which one it is."""


@pytest.mark.parametrize(("annotation", "value", "_"), FEATURES, ids=FEATURE_NAMES)
def test_each_type_of_the_table_comes_back(annotation: Any, value: Any, _: Any) -> None:
    """All that has a place in Avro; only secrets have to say how they are written, and lookalikes are confused."""
    cls: Any = create_model("Feature", __base__=Feature, __cls_kwargs__={"topic": "features"}, value=(annotation, ...))
    if annotation in SECRETS:
        with pytest.raises(DeclarationError, match=r"Feature\.value: pydantic writes a secret to JSON as asterisks"):
            CODEC.schema(cls)
        return
    event = cls(value=value)
    found = read(cls, written(event))

    assert (annotation not in LOOKALIKES) == (event == found)
    assert annotation in LOOKALIKES or type(found.value) is type(event.value)


def test_models_of_a_union_are_told_apart_by_a_field() -> None:
    """As a discriminator, or by a literal that only one of them has."""

    class Paid(Event, topic="paid"):
        """A choice."""

        by: Card | Transfer

    assert Paid(by=Transfer(iban="x")) == read(Paid, written(Paid(by=Transfer(iban="x"))))


def test_an_event_is_written_after_its_frame() -> None:
    """And read from where its body begins."""
    schema = CODEC.schema(OrderCreated)

    framed = CODEC.encoder(OrderCreated, schema, b"\x00\x00\x00\x00\x07")(ORDER)

    assert b'\x00\x00\x00\x00\x07{"order_id":' == framed[:17]
    assert ORDER == CODEC.decoder(OrderCreated, schema)(framed, 5)


class Order(Event, topic="orders", name="shop.Order", format=Format.JSON_SCHEMA):
    """An order as another team declared it."""

    order_id: UUID
    sku: str = Field(description="What was ordered.", examples=["tea"])
    quantity: int = Field(default=1, validation_alias=AliasChoices("qty"))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        """Twice as many."""
        return 2 * self.quantity


def test_prose_is_no_part_of_a_schema() -> None:
    """A better description registers no new version; the title is the event's name."""
    assert {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "shop.Order",
        "type": "object",
        "properties": {
            "order_id": {"type": "string", "format": "uuid"},
            "sku": {"type": "string"},
            "quantity": {"type": "integer", "default": 1},
        },
        "required": ["order_id", "sku"],
        "additionalProperties": False,
    } == schema_of(Order)


def test_fields_may_be_called_like_keywords() -> None:
    """Only prose is left out, not a field that has its name."""

    class Book(Event, topic="books"):
        """A book."""

        title: str
        description: str
        properties: dict[str, str]
        default: int = 1

    assert {"title", "description", "properties", "default"} == schema_of(Book)["properties"].keys()
    assert Book(title="t", description="d", properties={}) == read(
        Book, written(Book(title="t", description="d", properties={}))
    )


def test_a_class_that_takes_more_stays_open() -> None:
    """``extra="allow"`` is the class's own word."""

    class Open(Event, topic="open"):
        """Takes anything."""

        model_config = ConfigDict(extra="allow")

        a: int

    assert schema_of(Open)["additionalProperties"] is True
    assert Open.model_validate({"a": 1, "b": 2}) == read(Open, b'{"a":1,"b":2}')


def test_computed_fields_are_not_written() -> None:
    """They are computed by whoever reads."""
    assert b'{"order_id":"00000000-0000-0000-0000-000000000001","sku":"tea","quantity":1}' == written(
        Order(order_id=UUID(int=1), sku="tea")
    )


def test_names_on_the_wire_are_aliases_only_where_the_class_says_so() -> None:
    """The schema and the value agree on it."""

    class Camel(Event, topic="camels"):
        """A field with another name on the wire."""

        model_config = ConfigDict(serialize_by_alias=True, populate_by_name=True)

        first_name: str = Field(alias="firstName")

    event = Camel(first_name="Ada")  # type: ignore[call-arg]

    assert ["firstName"] == list(schema_of(Camel)["properties"])
    assert b'{"firstName":"Ada"}' == written(event)
    assert event == read(Camel, written(event)) == read(Camel, b'{"first_name":"Ada"}')


def test_unknown_fields_are_dropped_and_old_names_found() -> None:
    """JSON needs no schema of its writer for that."""
    value = b'{"order_id":"00000000-0000-0000-0000-000000000001","sku":"tea","qty":3,"colour":"red"}'

    assert Order(order_id=UUID(int=1), sku="tea", qty=3) == read(Order, value)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "Order: Invalid JSON: EOF"),
        (b"{", "Order: Invalid JSON: EOF"),
        (b'{"sku":"tea"} x', "Order: Invalid JSON: trailing characters"),
        (b"\xff", "Order: Invalid JSON"),
        (b"[" * 5000, "Order: Invalid JSON: recursion limit exceeded"),
        (b'{"a":' * 5000, "Order: Invalid JSON: recursion limit exceeded"),
    ],
)
def test_what_is_no_json_is_an_error_of_the_bytes(value: bytes, reason: str) -> None:
    """The same bytes would fail again."""
    with pytest.raises(DecodeError, match=reason):
        read(Order, value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{}", r"Order\.order_id: Field required; Order\.sku: Field required"),
        (b"7", r"Order: Input should be an object"),
        (b'{"order_id":"x","sku":"tea"}', r"Order\.order_id: Input should be a valid UUID"),
    ],
)
def test_json_that_the_class_does_not_take_is_a_mismatch(value: bytes, reason: str) -> None:
    """It names the fields, and no values."""
    with pytest.raises(SchemaMismatch, match=reason):
        read(Order, value)


def test_a_text_that_is_no_json_within_good_json_is_a_mismatch() -> None:
    """A field may ask for JSON in a text; the bytes of the record are good."""

    class Nested(Event, topic="nested"):
        """JSON within JSON."""

        inner: Json[int]

    with pytest.raises(SchemaMismatch, match=r"Nested\.inner: Invalid JSON"):
        CODEC.decoder(Nested, Schema("{}", SchemaType.JSON))(b'{"inner":"{"}', 0)


@pytest.mark.parametrize("event", EVENTS, ids=IDS)
def test_an_event_cut_short_anywhere_is_an_error(event: Event) -> None:
    """There is no prefix of an event that is an event."""
    value, decode = written(event), CODEC.decoder(type(event), CODEC.schema(type(event)))

    for end in range(len(value)):
        with pytest.raises(DecodeError, match="Invalid JSON"):
            decode(value[:end], 0)


def test_values_that_a_field_does_not_take_are_a_mismatch() -> None:
    """The error names the field, and no value: what is published may be secret."""
    wrong = Order(order_id=UUID(int=1), sku="tea")
    wrong.__dict__["sku"] = 12345

    with pytest.raises(SchemaMismatch, match=r"Order: .* fields: sku") as raised:
        written(wrong)
    assert "12345" not in str(raised.value)


class Measured(Event, topic="measured", format=Format.JSON_SCHEMA):
    """An event with floats in every place."""

    one: float = 0.0
    many: list[dict[str, float | None]] = Field(default_factory=list)
    queue: deque[float] = Field(default_factory=deque)
    note: str | None = None


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")])
def test_a_float_that_json_cannot_say_is_a_mismatch(odd: float) -> None:
    """Pydantic would write null, which no reader takes for a float."""
    for event in (Measured(one=odd), Measured(many=[{"a": odd, "b": None}]), Measured(queue=deque([odd]))):
        with pytest.raises(SchemaMismatch, match="Measured: a float is infinite or no number, which JSON cannot say"):
            written(event)


def test_what_is_missing_beside_a_float_is_written() -> None:
    """Null is what None is in JSON; and a class may ask for texts, which are read as floats again."""

    class AsText(Measured, topic="measured"):
        """The same with odd floats as texts."""

        model_config = ConfigDict(ser_json_inf_nan="strings")

    assert Measured(many=[{"b": None}]) == read(Measured, written(Measured(many=[{"b": None}])))
    assert AsText(one=float("inf")) == read(AsText, written(AsText(one=float("inf"))))


def test_an_event_without_a_field_is_a_mismatch() -> None:
    """Its reader would only find out later."""
    with pytest.raises(SchemaMismatch, match="Order: the value is missing: order_id"):
        written(Order.model_construct(sku="tea"))


def opaque() -> type[Event]:
    """An event with a field of a class that JSON does not know."""

    class Opaque(Event, topic="opaque"):
        """A field of a class of its own."""

        model_config = ConfigDict(arbitrary_types_allowed=True)

        it: Annotated[Callable[[], None], PlainSerializer(str)]

    return Opaque


def raw() -> type[Event]:
    """An event with bytes."""

    class Raw(Event, topic="raw"):
        """Bytes that may be no text."""

        it: list[bytes]

    return Raw


class Password(BaseModel):
    """A secret within a model."""

    word: SecretStr


def hidden() -> type[Event]:
    """An event with a secret somewhere in it."""

    class Hidden(Event, topic="hidden"):
        """A secret of which JSON would hold only asterisks."""

        them: dict[str, list[Password]]

    return Hidden


def test_a_secret_is_written_as_the_class_says() -> None:
    """A serializer of the field or of its type has the say."""

    class Told(Event, topic="told"):
        """Two secrets that are written, and one that is not asked for."""

        one: Annotated[SecretStr, PlainSerializer(SecretStr.get_secret_value, when_used="json")]
        other: SecretBytes

        @field_serializer("other", when_used="json")
        def reveal(self, other: SecretBytes) -> str:
            """Write the secret."""
            return other.get_secret_value().decode()

    told = Told(one=SecretStr("hush"), other=SecretBytes(b"x"))

    assert b'{"one":"hush","other":"x"}' == written(told)
    assert told == read(Told, written(told))


@pytest.mark.parametrize(
    ("cls", "reason"),
    [
        (
            hidden,
            r"Password\.word: pydantic writes a secret to JSON as asterisks; say what is written, as in Annotated",
        ),
        (opaque, "Opaque: a field has no place in a JSON Schema: .*CallableSchema"),
        (raw, "Raw: bytes are no JSON text; set ser_json_bytes='base64'"),
    ],
)
def test_types_without_a_place_are_refused_at_start(cls: Callable[[], type[Event]], reason: str) -> None:
    """Before anything is registered."""
    with pytest.raises(DeclarationError, match=reason):
        CODEC.schema(cls())


def test_a_schema_by_hand_is_taken_as_it_is() -> None:
    """Its title has to be the event's name."""

    class Paid(Event, topic="payments"):
        """An event with a schema of its own."""

        __schema__ = '{"title": "Paid", "type": "object"}'

        amount: int

    class Other(Event, topic="payments"):
        """An event with somebody else's schema."""

        __schema__ = '{"title": "Paid", "type": "object"}'

    assert Schema(Paid.__schema__, SchemaType.JSON) == CODEC.schema(Paid)
    with pytest.raises(DeclarationError, match=r"Other\.__schema__ is no JSON Schema with the title 'Other'"):
        CODEC.schema(Other)


def test_the_name_of_a_schema_is_its_title() -> None:
    """A schema without one has none, and a text that is no JSON is refused."""
    assert ["shop.Order", "", ""] == [
        CODEC.name(schema)
        for schema in (CODEC.schema(Order), Schema("{}", SchemaType.JSON), Schema("true", SchemaType.JSON))
    ]
    for text in ("{", "[" * 50_000, " " * (1 << 20) + "{}"):
        with pytest.raises(InvalidSchema):
            CODEC.name(Schema(text, SchemaType.JSON))


def test_a_reader_ignores_what_it_does_not_know() -> None:
    """Though the registered schemas are closed, a class that reads is open."""

    class Reads(Event, topic="orders", name="shop.Order"):
        """One field of an order."""

        order_id: UUID

    assert [] == list(CODEC.problems(Reads, CODEC.schema(Order)))


def test_a_reader_that_cannot_read_is_told_why() -> None:
    """A field that was never written, and one of another type."""

    class Reads(Event, topic="orders", name="shop.Order"):
        """An order as it never was."""

        sku: int
        urgent: bool

    assert {"sku", "urgent"} == {
        field
        for field in ("sku", "urgent")
        for problem in CODEC.problems(Reads, CODEC.schema(Order))
        if field in str(problem)
    }


def test_adding_a_field_with_a_default_breaks_no_reader() -> None:
    """That is what closed objects are for."""

    class Later(Event, topic="orders", name="shop.Order"):
        """The same order with one field more."""

        order_id: UUID
        sku: str
        quantity: int = 1
        note: str | None = None

    assert [] == list(CODEC.problems(Later, CODEC.schema(Order)))
