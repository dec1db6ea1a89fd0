"""Events: what a class declares, and what an event says of itself."""

import uuid
from decimal import Decimal

import pytest
from pydantic import ValidationError

from eventhub.errors import DeclarationError
from eventhub.event import (
    Event,
    EventInfo,
    Format,
    Occurrence,
    Stamp,
    SubjectName,
    caused_stamp,
    event_info,
    event_key,
    occurrence_stamp,
)
from tests.events import OrderConfirmed, OrderCreated

CAUSE = Stamp(
    id="01890a5d-ac96-774b-bcce-b302099a8057",
    time=1_688_000_000.0,
    source="order",
    type="OrderCreated",
    correlation="c-1",
    trace=(("traceparent", b"00-abc"),),
)


def test_a_class_declares_topic_key_and_name() -> None:
    """The class keywords stand under __event__, with the defaults of the rest."""
    assert EventInfo("orders", "order_id", "OrderCreated", SubjectName.TOPIC, Format.AVRO) == OrderCreated.__event__


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (SubjectName.TOPIC, "orders-value"),
        (SubjectName.RECORD, "shop.OrderCreated"),
        (SubjectName.TOPIC_RECORD, "orders-shop.OrderCreated"),
    ],
)
def test_the_subject_follows_the_strategy(strategy: SubjectName, expected: str) -> None:
    """Each of the three strategies of the Schema Registry is spelled as it spells it."""
    info = EventInfo("orders", None, "shop.OrderCreated", strategy, Format.AVRO)

    assert expected == info.subject_name


def test_an_event_cannot_be_changed() -> None:
    """A fact stays what it was."""
    order = OrderCreated(order_id="o-1")

    with pytest.raises(ValidationError, match="frozen"):
        order.order_id = "o-2"


def test_a_misspelt_class_keyword_is_refused_with_the_right_one() -> None:
    """The error names the class, the keyword and the one that was probably meant."""
    with pytest.raises(DeclarationError, match=r"Paid: unknown class keyword 'topik'; did you mean 'topic'"):
        type("Paid", (Event,), {"__module__": __name__}, topik="orders")


def test_a_class_keyword_like_no_other_is_refused_with_all_that_exist() -> None:
    """Where nothing is close, the error lists what is allowed."""
    with pytest.raises(DeclarationError, match=r"allowed are topic, key, name, subject, format, frame"):
        type("Paid", (Event,), {"__module__": __name__}, zzz="orders")


def test_a_key_that_is_no_field_is_refused_with_the_fields() -> None:
    """The error lists the fields that could be meant."""
    with pytest.raises(DeclarationError, match=r"key 'id' is no field; the fields are order_id"):

        class Paid(Event, topic="payments", key="id"):
            order_id: str


@pytest.mark.parametrize("topic", ["", "a b", "..", "x" * 250, "ümlaut"])
def test_a_topic_name_that_kafka_would_refuse_is_refused(topic: str) -> None:
    """The rule is Kafka's own."""
    with pytest.raises(DeclarationError, match="no topic name"):
        type("Paid", (Event,), {"__module__": __name__}, topic=topic)


def test_a_name_that_no_schema_can_have_is_refused() -> None:
    """Event names are Avro names."""
    with pytest.raises(DeclarationError, match="no event name"):
        type("Paid", (Event,), {"__module__": __name__}, topic="payments", name="paid-out")


def test_an_unknown_subject_strategy_is_refused() -> None:
    """A strategy is one of SubjectName."""
    with pytest.raises(DeclarationError, match="'nope' is not a valid SubjectName"):
        type("Paid", (Event,), {"__module__": __name__}, topic="payments", subject="nope")


def test_keywords_without_a_topic_are_refused() -> None:
    """Whoever declares a key means an event, which needs a topic."""
    with pytest.raises(DeclarationError, match="an event needs a topic"):
        type("Paid", (Event,), {"__module__": __name__}, name="Paid")


def test_what_is_no_event_at_all_is_told_to_become_one() -> None:
    """Whoever publishes a dictionary is not told to declare ``class dict``."""
    with pytest.raises(DeclarationError, match=r"^dict is no event; declare a class of your own, as in class Order"):
        event_info(dict)  # type: ignore[arg-type]


def test_a_base_class_without_a_topic_is_no_event_of_its_own() -> None:
    """It can be subclassed, but not subscribed to; and what it inherits from an event does not count."""

    class Derived(OrderCreated):
        pass

    with pytest.raises(DeclarationError, match=r"Derived is no event with a topic"):
        event_info(Derived)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (str, "ö-1", "ö-1".encode()),
        (bytes, b"\x00\xff", b"\x00\xff"),
        (int, 7, b"7"),
        (uuid.UUID, uuid.UUID(int=1), b"00000000-0000-0000-0000-000000000001"),
        (Decimal, Decimal("1.50"), b"1.50"),
        (str | None, None, None),
    ],
)
def test_the_key_is_the_text_of_its_field(kind: type, value: object, expected: bytes | None) -> None:
    """Text in UTF-8, bytes as they are, None for no key."""
    keyed = type("Keyed", (Event,), {"__module__": __name__, "__annotations__": {"id": kind}}, topic="t", key="id")

    assert expected == event_key(keyed(id=value))


def test_an_event_without_a_key_field_has_no_key() -> None:
    """Its records go anywhere."""

    class Tick(Event, topic="ticks"):
        pass

    assert event_key(Tick()) is None


def test_a_caused_stamp_is_the_same_whenever_it_is_made() -> None:
    """A handler that runs twice emits the same id, a different position another one."""
    order = OrderConfirmed(order_id="o-1")
    first = caused_stamp(CAUSE, order, service="order", handler="confirm", position=0)
    second = caused_stamp(CAUSE, order, service="order", handler="confirm", position=0)
    other = caused_stamp(CAUSE, order, service="order", handler="confirm", position=1)

    assert first == second
    assert first.id != other.id


def test_the_stamp_of_an_occurrence_is_the_same_whenever_it_is_made() -> None:
    """Its id is a uuid7 of its time, and another for another occurrence, source or service."""
    order, told = OrderConfirmed(order_id="o-1"), Occurrence("lsn-1", 1_700_000_000.123)
    first = occurrence_stamp(order, told, service="order", source="feed")
    others = [
        occurrence_stamp(order, Occurrence("lsn-2", told.time), service="order", source="feed"),
        occurrence_stamp(order, told, service="order", source="other"),
        occurrence_stamp(order, told, service="other", source="feed"),
    ]
    parsed = uuid.UUID(first.id)

    assert first == occurrence_stamp(order, told, service="order", source="feed")
    assert 4 == len({first.id, *(other.id for other in others)})
    assert (7, 1_700_000_000_123) == (parsed.version, parsed.int >> 80)
    assert (told.time, "order", "OrderConfirmed", first.id, None) == first[1:6]


def test_a_caused_stamp_is_a_uuid7_of_its_causes_time_and_names_its_cause() -> None:
    """The id sorts by the cause's time; correlation and trace are handed on."""
    caused = caused_stamp(CAUSE, OrderConfirmed(order_id="o-1"), service="order", handler="confirm", position=0)
    parsed = uuid.UUID(caused.id)

    assert (7, uuid.RFC_4122) == (parsed.version, parsed.variant)
    assert uuid.UUID(CAUSE.id).int >> 80 == parsed.int >> 80
    assert ("order", "OrderConfirmed", "c-1", CAUSE.id, CAUSE.trace) == caused[2:]


@pytest.mark.parametrize("foreign", ["orders/0/17", "2f1e6f0e-6a2e-4a9e-9d5e-0f7f2b1c3d4e"])
def test_a_cause_with_a_foreign_id_gives_its_records_time(foreign: str) -> None:
    """An id that carries no time leaves the stamp's own."""
    caused = caused_stamp(
        CAUSE._replace(id=foreign), OrderConfirmed(order_id="o-1"), service="s", handler="h", position=0
    )

    assert int(CAUSE.time * 1000) == uuid.UUID(caused.id).int >> 80
