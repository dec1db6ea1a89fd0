"""A partition's commit: what is finished beyond it goes along as long as it fits."""

from random import Random

import pytest

from eventhub.brokers.base import METADATA_LIMIT, OffsetAndMetadata
from eventhub.record import TopicPartition
from eventhub.runtime.offset_map import decode_map
from eventhub.runtime.offsets import Offsets
from eventhub.runtime.partition import CROWDED, Partition
from eventhub.subscription import Ordering


def with_holes(count: int) -> Partition:
    """A partition of which so many offsets were begun, and half of those after the first were finished, at random."""
    partition = Partition(TopicPartition("orders", 0), Ordering.KEY, Offsets(0), count)
    for offset in range(count):
        partition.offsets.begin(offset)
    for offset in Random(0).sample(range(1, count), count // 2):
        partition.offsets.finish(offset)
    return partition


@pytest.mark.parametrize(
    ("count", "crowded", "fits"), [(1_000, False, True), (21_000, True, True), (60_000, True, False)]
)
def test_a_commit_whose_map_hardly_fits_stops_the_fetching(count: int, crowded: bool, fits: bool) -> None:
    """Above three quarters nothing more is asked for; a map that does not fit at all is left out, not the commit."""
    partition = with_holes(count)
    due = partition.commit_due()

    assert due is not None
    assert (0, crowded, fits) == (due.offset, partition.crowded, due.metadata != "")
    assert (len(due.metadata) > CROWDED, len(due.metadata) <= METADATA_LIMIT) == (crowded and fits, True)
    assert fits == (decode_map(due.metadata, 0) is not None)


def test_what_is_committed_already_is_not_due() -> None:
    """A commit is due once more when something was finished since."""
    partition = with_holes(1)
    partition.committed = OffsetAndMetadata(0)
    before = partition.commit_due()
    partition.offsets.finish(0)
    after = partition.commit_due()

    assert before != after
    assert after is not None
    assert partition.committed.offset < after.offset
