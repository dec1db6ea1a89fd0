"""Dead letters of any record, within any limit, and the headers of anybody."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eventhub import headers as names
from eventhub.record import Record
from eventhub.runtime.dead_letter import Origin, Reason, dead_letter, read_dead_letter

CONTROL = [
    value
    for name, value in vars(names).items()
    if isinstance(value, str) and value.startswith("eventhub-") and name.isupper()
]
HEADERS = st.lists(
    st.tuples(st.text(max_size=20) | st.sampled_from(CONTROL), st.none() | st.binary(max_size=300)), max_size=12
).map(tuple)
RECORDS = st.builds(
    Record,
    topic=st.text("abc.-_", min_size=1, max_size=249),
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    timestamp=st.floats(),
    key=st.none() | st.binary(max_size=3000),
    value=st.none() | st.binary(max_size=3000),
    headers=HEADERS,
)
REASONS = st.builds(
    Reason,
    group=st.text(max_size=300),
    handler=st.none() | st.text(max_size=300),
    attempt=st.integers(1, 1000),
    error=st.text(max_size=2000).map(ValueError),
    stage=st.sampled_from(["decode", "handle"]),
    first_failure_at=st.floats(0, 2**32),
    failed_at=st.floats(0, 2**32),
)


@given(RECORDS, REASONS, st.booleans(), st.integers(4096, 20_000))
def test_a_letter_is_the_record_or_refers_to_it(record: Record, reason: Reason, trusted: bool, limit: int) -> None:
    """The bytes are the original ones unless they do not fit, and then a header says so."""
    written = dead_letter(record, reason, topic="dlt", trusted=trusted, max_bytes=limit)
    foreign = [header for header in written.headers if not header[0].startswith("eventhub-")]
    read = read_dead_letter(Record("dlt", 0, 0, 0.0, written.key, written.value, written.headers))

    assert record.partition == written.partition
    if not read.is_reference:
        assert (record.key, record.value) == (written.key, written.value)
        assert [header for header in record.headers if not header[0].startswith("eventhub-")] == foreign
    assert _bytes(written.headers) + len(written.key or b"") + len(written.value or b"") <= limit


@given(RECORDS, REASONS, st.booleans())
def test_ours_are_short_unique_and_text(record: Record, reason: Reason, trusted: bool) -> None:
    """What is added is UTF-8, at most 16 KiB, and no name comes twice."""
    written = dead_letter(record, reason, topic="dlt", trusted=trusted)
    ours = [(name, value or b"") for name, value in written.headers if name.startswith("eventhub-")]

    assert _bytes(tuple(ours)) <= 16 * 1024
    assert len(ours) == len(dict(ours))
    assert all(value == value.decode().encode() for _, value in ours)


@given(RECORDS, REASONS)
def test_the_origin_survives_failing_again(record: Record, reason: Reason) -> None:
    """However often a record of the group's own topics fails, its origin stays the first one."""
    once = dead_letter(record, reason, topic="retry")
    read_again = Record("retry", 1, 2, 3.0, once.key, once.value, once.headers)
    twice = dead_letter(read_again, reason, topic="dlt", trusted=True)
    origin = read_dead_letter(Record("dlt", 0, 0, 0.0, None, None, twice.headers)).origin

    assert origin is not None
    assert (record.topic, record.partition, record.offset) == origin[:3]


@given(RECORDS)
def test_no_header_is_an_error(record: Record) -> None:
    """Whatever strangers write, it is read as something or left out."""
    read = read_dead_letter(record)

    assert record is read.record
    assert read.origin is None or isinstance(read.origin, Origin)
    assert all(c.isprintable() or c in "\n\t" for text in (read.handler, read.error_stack) for c in text or "")


def _bytes(headers: tuple[tuple[str, bytes | None], ...]) -> int:
    return sum(len(name.encode()) + len(value or b"") for name, value in headers)
