"""Keys go where Kafka's own clients put them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.brokers.partitioner import murmur2, partition_for

# Source: org.apache.kafka.common.utils.UtilsTest, Apache Kafka 4.3; Java's integers are signed.
_JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("data", _JAVA)
def test_hash_is_javas(data: bytes) -> None:
    """The hash of each of Kafka's own test vectors is the one that Java computes."""
    assert _JAVA[data] & 0xFFFFFFFF == murmur2(data)


@pytest.mark.parametrize("data", _JAVA)
def test_partition_is_the_positive_hash_modulo_the_partitions(data: bytes) -> None:
    """A hash that Java sees as negative loses its sign bit, it is not negated."""
    assert (_JAVA[data] & 0x7FFFFFFF) % 12 == partition_for(data, 12)


@given(key=st.binary(max_size=64), partitions=st.integers(min_value=1, max_value=1000))
def test_every_key_has_a_partition(key: bytes, partitions: int) -> None:
    """The partition of any key, the empty one too, is one that the topic has."""
    assert 0 <= partition_for(key, partitions) < partitions
