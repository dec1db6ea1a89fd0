"""Records."""

from eventhub.record import Record, TopicPartition


def test_the_last_header_of_a_name_counts() -> None:
    """As Kafka's own clients read them."""
    record = Record("orders", 1, 5, 0.0, None, b"", (("a", b"1"), ("a", b"2"), ("b", None)))

    assert b"2" == record.header("a")
    assert record.header("b") is None
    assert record.header("c") is None


def test_a_record_knows_its_partition() -> None:
    """Topic and number together."""
    assert TopicPartition("orders", 1) == Record("orders", 1, 5, 0.0, None, b"").topic_partition
