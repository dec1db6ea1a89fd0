"""Offsets: what may be committed, and what a successor need not do again."""

import pytest

from eventhub.runtime.offset_map import OffsetMap
from eventhub.runtime.offsets import Offsets


def test_nothing_beyond_the_start_is_committable_before_the_first_record() -> None:
    """A new assignment commits where it began."""
    assert 7 == Offsets(7).committable


def test_records_finished_in_turn_move_the_commit_over_gaps() -> None:
    """Offsets that were never delivered are not waited for."""
    offsets = Offsets(0)
    offsets.passed(0)
    offsets.passed(5)

    assert 6 == offsets.committable


def test_an_unfinished_record_holds_the_commit_and_finishing_it_releases_all() -> None:
    """What was finished meanwhile counts as soon as the head is finished."""
    offsets = Offsets(0)
    offsets.begin(0)
    offsets.begin(3)
    offsets.finish(3)
    offsets.passed(4)
    held = offsets.committable
    offsets.finish(0)

    assert (0, 5) == (held, offsets.committable)


def test_finishing_what_was_never_begun_is_an_error() -> None:
    """A completion that belongs nowhere is a bug, not a fact."""
    with pytest.raises(KeyError):
        Offsets(0).finish(3)


def test_the_map_tells_what_is_finished_beyond_the_commit() -> None:
    """It holds the unfinished offsets and how often they were tried."""
    offsets = Offsets(10)
    for offset in (10, 11, 12):
        offsets.begin(offset)
    offsets.finish(11)
    offsets.failed(10, 3)

    assert OffsetMap(base=10, end=13, unfinished=frozenset({10, 12}), attempts={10: 3}) == offsets.map()


def test_there_is_no_map_when_nothing_is_finished_out_of_turn() -> None:
    """The usual commit carries no metadata."""
    offsets = Offsets(0)
    offsets.passed(0)
    offsets.begin(1)

    assert offsets.map() is None


def test_what_a_predecessor_finished_is_known_until_its_end() -> None:
    """Records it finished are recognised, those it did not are begun anew with their attempts."""
    before = OffsetMap(base=10, end=14, unfinished=frozenset({10, 12}), attempts={10: 2})
    offsets = Offsets(10, before)
    recognised = [offset for offset in range(10, 16) if offsets.was_finished(offset)]

    assert [11, 13] == recognised
    assert 2 == offsets.attempts(10)
    assert offsets.resuming

    for offset in range(10, 14):
        offsets.passed(offset)

    assert not offsets.resuming


def test_the_map_keeps_what_a_predecessor_finished_and_was_not_delivered_again_yet() -> None:
    """A second restart in the middle of the first one's work forgets nothing."""
    before = OffsetMap(base=10, end=100, unfinished=frozenset({10, 50}), attempts={50: 4})
    offsets = Offsets(10, before)
    offsets.begin(10)
    offsets.passed(11)

    assert OffsetMap(base=10, end=100, unfinished=frozenset({10, 50}), attempts={50: 4}) == offsets.map()


def test_progress_ends_the_suspicion() -> None:
    """The next owner starts to count anew."""
    offsets = Offsets(5, restarts=4)
    before = offsets.map()
    offsets.passed(5)

    assert OffsetMap(5, 5, restarts=4) == before
    assert offsets.map() is None


def test_a_record_is_marked_only_while_it_is_the_head() -> None:
    """The mark belongs to the record at the committed offset."""
    offsets = Offsets(5, restarts=6)
    offsets.begin(5)
    offsets.trying = 5
    marked = offsets.map()
    offsets.finish(5)

    assert OffsetMap(5, 6, frozenset({5}), restarts=6, trying=True) == marked
    assert offsets.map() is None


def test_attempts_before_a_restart_stay_known_while_their_record_is_in_hand() -> None:
    """However often is committed meanwhile, and though all that the predecessor knew of has been delivered."""
    offsets = Offsets(10, OffsetMap(base=10, end=11, unfinished=frozenset({10}), attempts={10: 2}))
    offsets.begin(10)
    maps = [offsets.map() for _commit in range(3)]

    assert [OffsetMap(base=10, end=11, unfinished=frozenset({10}), attempts={10: 2})] * 3 == maps
    assert 2 == offsets.attempts(10)
