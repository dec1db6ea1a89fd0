"""The log of a partition behaves like a list of offsets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eventhub.brokers.memory.log import PartitionLog
from eventhub.record import ProducerRecord, TopicPartition

_OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["append", "skip", "delete_before", "truncate"]), st.integers(min_value=0, max_value=12))
)


@given(operations=_OPERATIONS, limit=st.integers(min_value=0, max_value=15))
def test_log_holds_what_was_appended_and_not_removed(operations: list[tuple[str, int]], limit: int) -> None:
    """Whatever is appended, skipped, deleted and truncated, reads see exactly the offsets that are left."""
    log = PartitionLog(TopicPartition("orders", 0))
    held: list[int] = []
    beginning = end = 0
    for operation, number in operations:
        match operation:
            case "append":
                assert end == log.append(ProducerRecord("orders", None, b"%d" % end), 0.0)
                held.append(end)
                end += 1
            case "skip":
                log.skip(number)
                end += number
            case "delete_before":
                log.delete_before(number)
                beginning = max(beginning, min(number, end))
            case _:
                log.truncate(number)
                end = max(beginning, min(number, end))
        held = [offset for offset in held if beginning <= offset < end]

    assert (beginning, end) == (log.beginning, log.end)
    for start in range(end + 2):
        left = [offset for offset in held if offset >= start]
        assert bool(left) == log.has(start)
        assert left[:limit] == [record.offset for record in log.read(start, limit)]
        assert all(b"%d" % record.offset == record.value for record in log.read(start, limit))
