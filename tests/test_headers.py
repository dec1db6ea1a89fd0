"""Headers: stamps survive the way, and what strangers write does no harm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.event import Format, Stamp
from eventhub.headers import read_stamp, stamp_headers, without_control
from eventhub.record import Headers, Record

STAMP = Stamp(
    id="01890a5d-ac96-774b-bcce-b302099a8057",
    time=1_688_000_000.123456,
    source="order",
    type="OrderCreated",
    correlation="c-1",
    causation="c-0",
    trace=(("traceparent", b"00-abc"), ("tracestate", b"x=y")),
)


def record(headers: Headers) -> Record:
    """A record with these headers."""
    return Record("orders", 2, 17, 1_600_000_000.0, None, b"", headers)


def test_a_stamp_survives_the_way_through_headers() -> None:
    """What was written is read, to the microsecond."""
    assert STAMP == read_stamp(record(stamp_headers(STAMP, Format.AVRO)), "Other")


def test_headers_are_cloudevents_in_binary_mode() -> None:
    """Names and values are those of the Kafka protocol binding of CloudEvents 1.0."""
    headers = dict(stamp_headers(STAMP, Format.AVRO))

    assert b"1.0" == headers["ce_specversion"]
    assert b"2023-06-29T00:53:20.123456Z" == headers["ce_time"]
    assert b"application/avro" == headers["content-type"]


def test_a_foreign_record_gets_the_stamp_of_its_place() -> None:
    """Id, time, source and type follow from where the record stands."""
    stamp = read_stamp(record(()), "OrderCreated")

    assert Stamp("orders/2/17", 1_600_000_000.0, "orders", "OrderCreated", "orders/2/17") == stamp


@given(
    st.lists(st.tuples(st.sampled_from(["ce_id", "ce_time", "ce_source", "traceparent", "x"]), st.binary() | st.none()))
)
def test_reading_a_stamp_never_fails(headers: list[tuple[str, bytes | None]]) -> None:
    """Whatever strangers write, a stamp comes out."""
    stamp = read_stamp(record(tuple(headers)), "OrderCreated")

    assert stamp.id
    assert stamp.correlation


def test_an_attribute_that_is_absurdly_long_counts_as_left_out() -> None:
    """It would be copied along every chain of events."""
    assert "orders/2/17" == read_stamp(record((("ce_id", b"x" * 2000),)), "OrderCreated").id


def test_a_time_without_a_zone_counts_as_left_out() -> None:
    """CloudEvents times are RFC 3339; a local time means nothing here."""
    assert 1_600_000_000.0 == read_stamp(record((("ce_time", b"2023-06-29T00:53:20"),)), "OrderCreated").time


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.999999Z"]
)
def test_a_time_that_no_event_could_be_given_counts_as_left_out(text: str) -> None:
    """What a handler returns takes over the time of its cause, and has to be written."""
    stamp = read_stamp(record((("ce_time", text.encode()),)), "OrderCreated")

    assert 1_600_000_000.0 == stamp.time


@pytest.mark.parametrize("seconds", [-1e15, 1e15])
def test_a_record_at_no_date_is_taken_for_the_nearest_one(seconds: float) -> None:
    """Producers choose the timestamps of their records; an event that follows from one can be written all the same."""
    stamp = read_stamp(record(())._replace(timestamp=seconds), "OrderCreated")

    assert dict(stamp_headers(stamp, Format.AVRO))["ce_time"]


def test_control_headers_of_strangers_are_dropped() -> None:
    """Only their own name decides."""
    headers = (("eventhub-attempt", b"99"), ("ce_id", b"1"), ("eventhubx", b"2"))

    assert (("ce_id", b"1"), ("eventhubx", b"2")) == without_control(headers)
