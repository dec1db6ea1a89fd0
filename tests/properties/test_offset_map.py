"""Offset maps under any history of a partition, and under any damage."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eventhub.brokers.base import METADATA_LIMIT
from eventhub.runtime.offset_map import OffsetMap, decode_map, encode_map

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="


@st.composite
def offset_maps(draw: st.DrawFn) -> OffsetMap:
    """Maps as partitions have them: stretches of finished and unfinished offsets, some of them tried."""
    base = draw(st.integers(0, 2**62))
    stretches = draw(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3000)), max_size=40))
    unfinished: list[int] = []
    end = base
    for pending, finished in stretches:
        unfinished.extend(range(end, end + pending))
        end += pending + finished
    tried = draw(st.sets(st.sampled_from(unfinished), max_size=30)) if unfinished else set()
    attempts = {offset: draw(st.integers(1, 300)) for offset in sorted(tried)}
    return OffsetMap(base, end, frozenset(unfinished), attempts, draw(st.integers(0, 1000)))


@given(offset_maps())
def test_a_round_trip_changes_nothing(written: OffsetMap) -> None:
    """What is read is what was written, and the text is ASCII within the limit."""
    text = encode_map(written)

    assert text is not None
    assert text.isascii()
    assert len(text) <= METADATA_LIMIT
    assert written == decode_map(text, committed=written.base)


@given(offset_maps(), st.data())
def test_an_unfinished_offset_is_never_done(written: OffsetMap, data: st.DataObject) -> None:
    """After a restart exactly the finished offsets are skipped."""
    read = decode_map(encode_map(written) or "", committed=written.base)
    offset = data.draw(st.integers(max(written.base - 5, 0), written.end + 5))

    assert read is not None
    assert not any(read.done(unfinished) for unfinished in written.unfinished)
    assert read.done(offset) == written.done(offset)


@given(offset_maps(), st.integers(0, 4096))
def test_the_limit_is_kept(written: OffsetMap, limit: int) -> None:
    """A text is never longer than allowed; where it would be, there is none."""
    text = encode_map(written, limit=limit)

    assert text is None or len(text) <= limit


@given(offset_maps(), st.data())
def test_damage_never_makes_another_map(written: OffsetMap, data: st.DataObject) -> None:
    """One character changed anywhere gives no map, or the very same."""
    text = encode_map(written) or ""
    place = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:place] + data.draw(st.sampled_from(ALPHABET) | st.characters()) + text[place + 1 :]
    read = decode_map(damaged, committed=written.base)

    assert read is None or read == written


@given(offset_maps(), st.data())
def test_a_part_of_a_map_is_no_map(written: OffsetMap, data: st.DataObject) -> None:
    """A text cut off anywhere is ignored."""
    text = encode_map(written) or ""

    assert decode_map(text[: data.draw(st.integers(0, len(text) - 1))], committed=written.base) is None


@given(offset_maps(), st.integers(0, 2**63 - 1))
def test_the_map_of_another_offset_is_no_map(written: OffsetMap, committed: int) -> None:
    """A map counts for the offset that it was committed with, and for no other."""
    read = decode_map(encode_map(written) or "", committed=committed)

    assert read == (written if committed == written.base else None)


@given(st.text() | st.text(ALPHABET).map("eh1:".__add__), st.integers(0, 2**63 - 1))
def test_no_text_is_an_error(text: str, committed: int) -> None:
    """Foreign metadata is never read as a map, and never raises."""
    assert decode_map(text, committed) is None
