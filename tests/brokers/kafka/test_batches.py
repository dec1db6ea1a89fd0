"""Batches that the client cannot take apart, and all others as well as it can."""

from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchBuilderPy
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from eventhub.brokers.kafka.batches import Fetched, read_batches
from eventhub.errors import RecordUnreadable
from eventhub.record import Headers, Record, TopicPartition

PLACE = TopicPartition("orders", 2)
ENOUGH = 1000
RAW = 0
CODECS = {"none": RAW, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}

Written = tuple[bytes | None, bytes | None, Headers]
values = st.none() | st.binary(max_size=40)
written = st.tuples(values, values, st.lists(st.tuples(st.text(max_size=8), values), max_size=3).map(tuple))


class Foreign(str):
    """The name of a header whose bytes are no UTF-8."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        """What clients in other languages can send."""
        return b"na\xffme"


def batch(
    records: Sequence[Written],
    *,
    base: int = 0,
    codec: int = RAW,
    producer: int | None = None,
    append_time: bool = False,
) -> bytes:
    """A batch as a broker stores it; one of a transaction if it has a producer."""
    transactional = producer is not None
    builder = _DefaultRecordBatchBuilderPy(2, codec, transactional, producer or -1, 0, 0, 1_000_000)
    for number, (key, value, headers) in enumerate(records):
        assert builder.append(number, 1_000 + number, key, value, list(headers)) is not None
    built = bytearray(builder.build())
    built[:8] = base.to_bytes(8)
    if append_time:
        built[22] |= 0x08
        built[35:43] = (77_000).to_bytes(8)
        built[17:21] = calc_crc32c(bytes(built[21:])).to_bytes(4)
    return bytes(built)


def marker(base: int, producer: int, *, aborts: bool) -> bytes:
    """The control batch that ends a transaction."""
    made = bytearray(
        batch([(bytes([0, 0, 0, not aborts]), b"\x00\x00\x00\x00\x00\x00", ())], base=base, producer=producer)
    )
    made[22] |= 0x20
    made[17:21] = calc_crc32c(bytes(made[21:])).to_bytes(4)
    return bytes(made)


def orders(*numbers: int) -> list[Written]:
    """Records that are told apart by their values."""
    return [(b"k", b"%d" % number, ()) for number in numbers]


def seen(fetched: Fetched, offset: int = 0, max_records: int = ENOUGH) -> tuple[list[bytes | None], int]:
    """The values that are read, and where to go on."""
    records, following = read_batches(fetched, PLACE, offset, max_records)
    return [record.value for record in records], following


@pytest.mark.parametrize("codec", CODECS.values(), ids=list(CODECS))
@given(records=st.lists(written, min_size=1, max_size=5), base=st.integers(0, 2**40), append_time=st.booleans())
def test_what_the_client_can_read_is_read_alike(
    records: list[Written], base: int, append_time: bool, codec: int
) -> None:
    """Offsets, times, keys, values and headers are those that the client gives."""
    data = batch(records, base=base, codec=codec, append_time=append_time)
    client = [
        Record(*PLACE, r.offset, r.timestamp / 1000, r.key, r.value, tuple(r.headers)) for r in DefaultRecordBatch(data)
    ]

    assert (client, base + len(records)) == read_batches(Fetched(data), PLACE, base, ENOUGH)


def test_a_name_that_is_no_utf_8_is_written_with_escapes() -> None:
    """The record keeps everything else, and so do those of its batch."""
    data = batch([(b"k", b"v", ((Foreign("x"), b"1"), ("plain", None))), *orders(2)])

    with pytest.raises(UnicodeDecodeError):
        list(DefaultRecordBatch(data))
    [hostile, other], _ = read_batches(Fetched(data), PLACE, 0, ENOUGH)

    assert (("na\\xffme", b"1"), ("plain", None)) == hostile.headers
    assert b"2" == other.value


def test_reading_begins_within_a_batch_and_ends_within_one() -> None:
    """What came before the offset is left out; what is too much is for the next time."""
    data = batch(orders(0, 1, 2)) + batch(orders(3, 4, 5), base=3)

    assert ([b"2", b"3"], 4) == seen(Fetched(data), 2, 2)
    assert ([b"4", b"5"], 6) == seen(Fetched(data), 4, 2)


def test_a_batch_that_was_cut_off_is_left_for_the_next_fetch() -> None:
    """An answer ends where its bound is, not where a batch ends."""
    data = batch(orders(0)) + batch(orders(1), base=1)[:-1]

    assert ([b"0"], 1) == seen(Fetched(data))


def test_aborted_transactions_are_passed_over_and_committed_ones_are_not() -> None:
    """A producer's records count until its next abort marker, whatever others do."""
    data = (
        batch(orders(0), producer=7)
        + batch(orders(1), base=1, producer=8)
        + marker(2, 7, aborts=True)
        + marker(3, 8, aborts=False)
        + batch(orders(4), base=4, producer=7)
        + marker(5, 7, aborts=False)
    )

    assert ([b"1", b"4"], 6) == seen(Fetched(data, [(7, 0)]))


def test_offsets_that_compaction_emptied_are_passed() -> None:
    """A batch keeps its last offset when its last records are gone."""
    made = bytearray(batch(orders(0)))
    made[23:27] = (9).to_bytes(4)
    made[17:21] = calc_crc32c(bytes(made[21:])).to_bytes(4)

    assert ([b"0"], 10) == seen(Fetched(bytes(made)))


def test_what_stands_before_a_damaged_batch_is_read_first() -> None:
    """The damage is told when reading begins at it."""
    damaged = bytearray(batch(orders(1), base=1))
    damaged[-1] ^= 1
    fetched = Fetched(batch(orders(0)) + bytes(damaged))

    assert ([b"0"], 1) == seen(fetched)
    with pytest.raises(RecordUnreadable, match=r"orders\[2\].*checksum is wrong"):
        read_batches(Fetched(bytes(damaged)), PLACE, 1, ENOUGH)


def test_a_length_beyond_everything_is_no_crash() -> None:
    """The client's own compiled reader of such numbers would end the process."""
    data = bytearray(batch([(b"k", b"v" * 100, ())]))
    at = data.index(b"k") + 1
    data[at : at + 9] = b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"  # the length of the value, as large as can be
    data[17:21] = calc_crc32c(bytes(data[21:])).to_bytes(4)

    with pytest.raises(RecordUnreadable, match="IndexError"):
        read_batches(Fetched(bytes(data)), PLACE, 0, ENOUGH)


def test_an_old_format_is_named() -> None:
    """Kafka converts nothing any more, so nobody else can read it either."""
    old = bytearray(batch(orders(0)))
    old[16] = 1

    with pytest.raises(RecordUnreadable, match="its format is 1, not 2"):
        read_batches(Fetched(bytes(old)), PLACE, 0, ENOUGH)


@given(
    records=st.lists(written, min_size=1, max_size=3),
    codec=st.sampled_from(list(CODECS.values())),
    damage=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), min_size=1, max_size=4),
)
def test_damaged_bytes_are_one_error(records: list[Written], codec: int, damage: list[tuple[int, int]]) -> None:
    """Whoever broke them also mended the checksum: nothing but ``RecordUnreadable`` comes out."""
    made = bytearray(batch(records, codec=codec))
    for where, change in damage:
        made[21 + where % (len(made) - 21)] ^= change
    made[17:21] = calc_crc32c(bytes(made[21:])).to_bytes(4)
    try:
        read, _ = read_batches(Fetched(bytes(made)), PLACE, 0, ENOUGH)
    except RecordUnreadable:
        return

    assert len(read) <= ENOUGH
