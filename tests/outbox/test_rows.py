"""Buckets, claims and headers."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from eventhub.event import Stamp
from eventhub.outbox.rows import BUCKETS, bucket_of, claim_of, day_of, event_id, headers_from_text, headers_text
from eventhub.record import Headers, ProducerRecord

NOON = 1_700_000_000.0  # 2023-11-14
UUID7 = "018bcfe5-6800-7000-8000-000000000000"  # the same moment


def stamp(identity: str, time: float = 0.0) -> Stamp:
    """A stamp with an id and a time."""
    return Stamp(identity, time, "shop", "Order", identity)


@given(st.lists(st.tuples(st.text(), st.none() | st.binary() | st.text().map(str.encode))))
def test_headers_come_back_as_they_were(headers: list[tuple[str, bytes | None]]) -> None:
    """Any names and bytes survive, in their order."""
    assert tuple(headers) == headers_from_text(headers_text(tuple(headers)))


def test_headers_can_be_read_by_people() -> None:
    """Text stands in the table as text."""
    headers: Headers = (("ce_id", "grün".encode()), ("none", None), ("raw", b"\xff"))

    assert '[["ce_id","grün"],["none",null],["raw",null,"/w=="]]' == headers_text(headers)


def test_buckets_never_change() -> None:
    """A bucket is what it was when rows were written by an earlier release."""
    records = [ProducerRecord("orders", key, b"") for key in (b"", b"a", b"o-1", "ü".encode())]

    assert [14, 1, 12, 9] == [bucket_of(record, BUCKETS) for record in records]


def test_records_without_a_key_are_spread_by_their_event() -> None:
    """Two events without a key may be in different buckets, one event always is in the same."""
    buckets = {bucket_of(ProducerRecord("t", None, b"", (("ce_id", b"%d" % n),)), BUCKETS) for n in range(100)}

    assert len(buckets) > 8


def test_the_day_of_a_uuid7_is_its_own() -> None:
    """However late the event comes, and whatever its time header says, the claim's day stays."""
    claim = claim_of(stamp(UUID7, time=0.0), "g")

    assert ("g", UUID(UUID7), date(2023, 11, 14), "") == claim


def test_a_foreign_id_gets_a_uuid_of_its_own() -> None:
    """An id that is no UUID stands for the same one at each delivery; its day is the event's time."""
    first, second = claim_of(stamp("t/0/1", NOON), "g"), claim_of(stamp("t/0/2", NOON), "g")

    assert first == claim_of(stamp("t/0/1", NOON), "g")
    assert first.event != second.event
    assert date(2023, 11, 14) == first.day


def test_a_uuid_without_a_time_takes_the_events() -> None:
    """A uuid4 says no day."""
    assert date(2023, 11, 14) == claim_of(stamp("7f3f8a52-66e4-4f0a-8f0e-111111111111", NOON), "g").day


@given(st.floats(allow_nan=False))
def test_every_time_has_a_day(seconds: float) -> None:
    """A time that no calendar has counts as the first day."""
    assert date(1, 1, 1) <= day_of(seconds) <= date(9999, 12, 31)


def test_a_record_without_an_event_has_no_event_id() -> None:
    """The id is the event's, as text, or empty."""
    assert "" == event_id(ProducerRecord("t", None, b"", (("ce_id", None),)))
    assert "e-1" == event_id(ProducerRecord("t", None, b"", (("ce_id", b"e-1"),)))
