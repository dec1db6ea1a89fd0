"""Offset maps: their exact text, their size, and texts that were made to harm."""

from __future__ import annotations

import tracemalloc
import zlib
from base64 import b64encode
from random import Random

import pytest

from eventhub.brokers.base import METADATA_LIMIT
from eventhub.runtime.offset_map import OffsetMap, decode_map, encode_map

RUNS, BITMAP, DEFLATED = 0, 1, 2


def text_of(content: bytes) -> str:
    """The text around some content, with the right checksum, as an attacker would make it."""
    return "eh1:" + b64encode(content + zlib.crc32(content).to_bytes(4, "big")).decode()


def deflated(body: bytes) -> bytes:
    """Bytes without zlib's frame."""
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(body) + compressor.flush()


def varint(number: int) -> bytes:
    """One number as Protocol Buffers write it."""
    return b"" if number < 0 else bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def test_a_map_reads_back_as_it_was_written() -> None:
    """Base, end, unfinished offsets, attempts and restarts all survive."""
    written = OffsetMap(base=100, end=120, unfinished=frozenset({100, 107, 108}), attempts={100: 3, 108: 1}, restarts=2)

    text = encode_map(written)

    assert text is not None
    assert written == decode_map(text, committed=100)


def test_the_text_is_the_same_in_every_release() -> None:
    """A map written by one release is read by the next: the bytes are fixed."""
    text = "eh1:AQEFCgIBAAMJXvbT0A=="
    offset_map = OffsetMap(base=5, end=10, unfinished=frozenset({5, 8}), attempts={5: 3}, restarts=1)

    assert text == encode_map(offset_map)
    assert offset_map == decode_map(text, committed=5)


def test_done_is_what_lies_in_the_range_and_is_not_unfinished() -> None:
    """Before the base and from the end on nothing is known, so nothing is done."""
    offset_map = OffsetMap(base=10, end=14, unfinished=frozenset({10, 12}))

    assert [11, 13] == [offset for offset in range(20) if offset_map.done(offset)]


@pytest.mark.parametrize(
    ("base", "end", "unfinished", "attempts", "restarts"),
    [
        (-1, 4, {2}, {}, 0),
        (5, 4, set(), {}, 0),
        (0, 2**63, set(), {}, 0),
        (5, 8, {4}, {}, 0),
        (5, 8, {8}, {}, 0),
        (5, 8, {6}, {7: 1}, 0),
        (5, 8, {6}, {6: 0}, 0),
        (5, 8, {6}, {}, -1),
    ],
)
def test_what_no_partition_looks_like_is_refused(
    base: int, end: int, unfinished: set[int], attempts: dict[int, int], restarts: int
) -> None:
    """A map outside of its range, or with negative counts, is an error of the caller."""
    with pytest.raises(ValueError, match=r"offset map|unfinished|attempts"):
        OffsetMap(base, end, frozenset(unfinished), attempts, restarts)


def test_one_stuck_key_costs_a_few_characters_however_much_went_past_it() -> None:
    """Four million finished records behind one that is stuck fit into 40 characters."""
    text = encode_map(OffsetMap(base=7, end=4_000_007, unfinished=frozenset({7}), attempts={7: 4}))

    assert text is not None
    assert len(text) < 40


def test_a_full_service_fits() -> None:
    """A thousand records in flight, half of them parked, in random places among 20,000."""
    random = Random(1)
    unfinished = sorted(random.sample(range(20_000), 1000))
    attempts = {offset: random.randint(1, 7) for offset in unfinished[::2]}

    text = encode_map(OffsetMap(base=0, end=20_000, unfinished=frozenset(unfinished), attempts=attempts))

    assert text is not None
    assert len(text) < METADATA_LIMIT * 0.75


@pytest.mark.parametrize(("share", "offsets"), [(0.01, 200_000), (0.1, 40_000), (0.5, 24_000)])
def test_random_holes_fit_by_the_ten_thousand(share: float, offsets: int) -> None:
    """Even the worst pattern, every second offset at random, holds 24,000 offsets."""
    random = Random(2)
    offset_map = OffsetMap(0, offsets, frozenset(o for o in range(offsets) if random.random() < share))

    text = encode_map(offset_map)

    assert text is not None
    assert offset_map == decode_map(text, committed=0)


def test_what_does_not_fit_is_not_written() -> None:
    """Random holes in more offsets than the limit can hold give no text at all."""
    random = Random(3)

    assert encode_map(OffsetMap(0, 40_000, frozenset(random.sample(range(40_000), 20_000)))) is None
    assert encode_map(OffsetMap(0, 10**6, frozenset(random.sample(range(10**6), 60_000)))) is None
    assert encode_map(OffsetMap(0, 10**6, frozenset(range(70_000)))) is None
    assert encode_map(OffsetMap(0, 640_000, frozenset(range(0, 640_000, 16)))) is None


def test_a_smaller_limit_is_kept() -> None:
    """The text has at most as many characters as the caller allows."""
    offset_map = OffsetMap(base=5, end=10, unfinished=frozenset({5, 8}), attempts={5: 3}, restarts=1)
    text = encode_map(offset_map)

    assert text is not None
    assert text == encode_map(offset_map, limit=len(text))
    assert encode_map(offset_map, limit=len(text) - 1) is None


def test_the_map_of_another_offset_is_ignored() -> None:
    """A commit that was moved, or copied to another group or cluster, does not take its map along."""
    text = encode_map(OffsetMap(base=5, end=10, unfinished=frozenset({5})))

    assert text is not None
    assert decode_map(text, committed=4) is None
    assert decode_map(text, committed=6) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "eh1:",
        "eh1:AAAA",
        "eh2:AQEFCgEBAAMJGVapAA==",
        "a note of another program",
        "eh1:ä€😀",
        "eh1:" + "A" * 5000,
        'bCgAAAAA{"metadata": 1}',
        text_of(b""),
        text_of(b"\x01"),
        text_of(b"\x02\x00\x00\x00\x00\x00"),
        text_of(b"\x01\x04\x00\x00\x00\x00"),
    ],
)
def test_foreign_text_is_ignored(text: str) -> None:
    """No text that eventhub did not write in this version is read as a map."""
    assert decode_map(text, committed=0) is None


def test_a_map_with_anything_added_is_ignored() -> None:
    """A text is read in full or not at all."""
    text = "eh1:AQEFCgIBAAMJXvbT0A=="

    assert decode_map(text, committed=5) is not None
    assert decode_map(text + "\n", committed=5) is None
    assert decode_map(text.replace("FCg", "F Cg"), committed=5) is None
    assert decode_map(" " + text, committed=5) is None


def test_a_text_longer_than_any_commit_is_ignored() -> None:
    """What no broker would have stored is not even looked at."""
    content = bytes((1, RUNS)) + b"\x00" + varint(4000) + b"\x00\x00"

    assert decode_map(text_of(content + b"\x01\x01" * 2000), committed=0) is None
    assert decode_map(text_of(content + b"\x02\x02" * 1000), committed=0) is not None


HUGE = varint(10**18)
HOSTILE = {
    "end far away, bitmap": bytes((1, BITMAP)) + b"\x00" + HUGE + b"\x00\x00",
    "everything unfinished": bytes((1, RUNS)) + b"\x00" + HUGE + b"\x00\x00" + HUGE + b"\x00",
    "attempts without end": bytes((1, RUNS)) + b"\x00\x05\x00" + HUGE,
    "attempts at no place": bytes((1, RUNS)) + b"\x00\x05\x00\x01\x09\x01\x05\x00",
    "number without end": bytes((1, RUNS)) + b"\xff" * 3000,
    "number larger than an offset": bytes((1, RUNS)) + b"\x00" + varint(2**63) + b"\x00\x00\x00" + varint(2**63),
    "ten million unfinished": bytes((1, RUNS)) + b"\x00" + varint(10**7) + b"\x00\x00" + varint(10**7) + b"\x00",
    "attempts larger than any number": bytes((1, RUNS)) + b"\x00\x01\x00\x01\x00" + varint(2**77) + b"\x01\x00",
    "zlib bomb": bytes((1, BITMAP | DEFLATED)) + b"\x00" + varint(2**24) + b"\x00" + deflated(bytes(2**21 + 1)),
    "zlib bomb of numbers": bytes((1, RUNS | DEFLATED)) + b"\x00" + HUGE + b"\x00" + deflated(b"\xff" * 10**6),
    "zlib, cut": bytes((1, RUNS | DEFLATED)) + b"\x00\x05\x00" + deflated(b"\x00\x05\x00")[:-1],
    "zlib, followed": bytes((1, RUNS | DEFLATED)) + b"\x00\x05\x00" + deflated(b"\x00\x05\x00") + b"\x00",
    "zlib of noise": bytes((1, RUNS | DEFLATED)) + b"\x00\x05\x00" + b"\xfe\xfe\xfe",
    "full bitmap": bytes((1, BITMAP | DEFLATED))
    + b"\x00"
    + varint(500_000)
    + b"\x00"
    + deflated(b"\x00" + b"\xff" * 62_500),
    "bitmap too short": bytes((1, BITMAP)) + b"\x00\x09\x00\x00\x00",
    "bitmap past the end": bytes((1, BITMAP)) + b"\x00\x04\x00\x00\x10",
    "runs too short": bytes((1, RUNS)) + b"\x00\x09\x00\x00\x04\x04",
    "runs too long": bytes((1, RUNS)) + b"\x00\x09\x00\x00\x04\x06",
    "end before base": bytes((1, RUNS)) + b"\x05\x04\x00\x00",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_map_is_ignored_at_a_bounded_price(content: bytes) -> None:
    """A right checksum does not help a text that claims what cannot be, or would exhaust memory."""
    text = text_of(content)
    tracemalloc.start()
    read = decode_map(text, committed=content[2] if content[2] < 128 else 0)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(text) <= METADATA_LIMIT
    assert read is None
    assert peak_bytes < 2**20


def test_the_helpers_of_this_file_write_maps() -> None:
    """The hostile texts above fail for what they say, not for how they are framed."""
    content = bytes((1, RUNS | DEFLATED)) + b"\x00\x05\x00" + deflated(b"\x00\x02\x03")

    assert OffsetMap(0, 5, frozenset({0, 1})) == decode_map(text_of(content), committed=0)
