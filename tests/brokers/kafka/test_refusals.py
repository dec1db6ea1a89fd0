"""What the broker would refuse is found before it is sent."""

from __future__ import annotations

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from eventhub.brokers.base import TopicInfo
from eventhub.brokers.kafka.refusals import BATCH_OVERHEAD, batch_size_of, refusal
from eventhub.record import ProducerRecord

NOW = 1_700_000_000.0
ORDERS = TopicInfo("orders", 3, max_record_bytes=1000)


def _refusal(record: ProducerRecord, info: TopicInfo = ORDERS, max_bytes: int = 2000) -> str:
    return str(refusal(record, batch_size_of(record), info, NOW, max_bytes) or "")


def test_ordinary_record_is_not_refused() -> None:
    """A record with or without a key, now, for any partition, may be sent."""
    assert "" == _refusal(ProducerRecord("orders", b"key", b"value", timestamp=NOW, partition=2))
    assert "" == _refusal(ProducerRecord("orders", None, None))


def test_record_larger_than_the_topic_takes_is_refused() -> None:
    """The error gives the size, the limit and where the limit stands."""
    complaint = _refusal(ProducerRecord("orders", b"key", b"x" * 1000))

    assert "a record of 1089 bytes is too large for orders: the topic's max.message.bytes is 1000" == complaint


def test_record_larger_than_the_client_sends_is_refused() -> None:
    """The client's own limit counts where it is the smaller."""
    complaint = _refusal(ProducerRecord("orders", b"key", b"x" * 1000), max_bytes=900)

    assert complaint.endswith("the client's max_request_size is 900")


def test_largest_record_is_not_refused() -> None:
    """The limit itself is allowed."""
    empty = batch_size_of(ProducerRecord("orders", None, b""))
    room = ORDERS.max_record_bytes - empty - 1  # the length of a longer value takes one byte more

    assert "" == _refusal(ProducerRecord("orders", None, b"x" * room))
    assert "" != _refusal(ProducerRecord("orders", None, b"x" * (room + 1)))


def test_record_without_a_key_is_refused_by_a_compacted_topic() -> None:
    """Compaction keeps the last record of each key, so there must be one."""
    complaint = _refusal(ProducerRecord("orders", None, b"value"), TopicInfo("orders", 1, compacted=True))

    assert "the topic is compacted" in complaint


@pytest.mark.parametrize(("ahead", "refused"), [(-1e9, False), (3599, False), (3600, False), (3601, True)])
def test_record_of_the_far_future_is_refused(ahead: float, refused: bool) -> None:
    """An hour ahead is taken, and so is any time ago."""
    assert refused == bool(_refusal(ProducerRecord("orders", b"key", b"value", timestamp=NOW + ahead)))


@pytest.mark.parametrize("partition", [-1, 3])
def test_partition_that_is_not_there_is_refused(partition: int) -> None:
    """The error says how many partitions there are."""
    complaint = _refusal(ProducerRecord("orders", b"key", b"value", partition=partition))

    assert f"orders has 3 partitions, no partition {partition}" == complaint


_BYTES = st.one_of(st.none(), st.binary(max_size=300))


@given(
    st.lists(
        st.builds(
            ProducerRecord,
            st.just("orders"),
            _BYTES,
            _BYTES,
            st.lists(st.tuples(st.text(max_size=20), _BYTES), max_size=3).map(tuple),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_a_batch_is_never_larger_than_the_sizes_of_its_records(records: list[ProducerRecord]) -> None:
    """What is counted before sending is an upper bound of what the client then builds."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 2**20)
    for number, record in enumerate(records):
        builder.append(number, 2**41, key=record.key, value=record.value, headers=list(record.headers))
    counted = sum(batch_size_of(record) for record in records) - BATCH_OVERHEAD * (len(records) - 1)

    assert len(builder.build()) <= counted
