"""How a group of the client shares out its partitions."""

from collections.abc import Collection, Mapping
from typing import Any

import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.structs import TopicPartition
from hypothesis import example, given
from hypothesis import strategies as st

from eventhub.brokers.kafka.assignors import assignors

GROUP = "inventory"
ORDERS, BESIDE, RETRIES = "orders", "orders.inventory.retry.replay", "orders.inventory.retry.10s"
Shares = Mapping[str, set[TopicPartition]]


class Cluster(ClusterMetadata):  # type: ignore[misc]  # the client has no types
    """A cluster with these topics."""

    def __init__(self, partitions: Mapping[str, int]) -> None:
        """Count the partitions of each topic."""
        super().__init__()
        self._counts = partitions

    def topics(self, *_: Any, **__: Any) -> set[str]:
        """All of them."""
        return set(self._counts)

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        """Their numbers."""
        return set(range(self._counts[topic])) if topic in self._counts else None


def rebalance(cluster: Cluster, members: Mapping[str, type[StickyPartitionAssignor]], generation: int) -> Shares:
    """Share out as the first member, and let every member remember."""
    asked = {name: member.metadata(sorted(cluster.topics())) for name, member in members.items()}
    shares = next(iter(members.values())).assign(cluster, asked)
    for name, member in members.items():
        member.on_assignment(shares[name])
        member.on_generation_assignment(generation)
    return {name: set(share.partitions()) for name, share in shares.items()}


def counts(shares: Shares, topic: str) -> list[int]:
    """How many partitions of a topic each member has."""
    return sorted(sum(partition.topic == topic for partition in share) for share in shares.values())


def numbers(share: Collection[TopicPartition], topic: str) -> set[int]:
    """The numbers of a topic's partitions in a share."""
    return {partition.partition for partition in share if partition.topic == topic}


@given(
    comings=st.lists(st.sets(st.sampled_from("abcd"), min_size=1), min_size=1, max_size=6),
    partitions=st.integers(1, 12),
)
@example(comings=[{"a"}, {"a", "b"}], partitions=3)
def test_partitions_beside_others_go_with_them(comings: list[set[str]], partitions: int) -> None:
    """Whoever comes and goes, the events are shared out fairly, and all is read by somebody."""
    topics = (ORDERS, BESIDE, RETRIES)
    cluster = Cluster(dict.fromkeys(topics, partitions))
    members: dict[str, type[StickyPartitionAssignor]] = {}
    for generation, present in enumerate(comings):
        members = {name: members.get(name) or assignors(GROUP, topics)[0] for name in sorted(present)}
        shares = rebalance(cluster, members, generation)

        assert counts(shares, ORDERS)[-1] - counts(shares, ORDERS)[0] <= 1
        assert partitions == sum(counts(shares, ORDERS))
        for topic in (BESIDE, RETRIES):
            assert all(numbers(share, ORDERS) == numbers(share, topic) for share in shares.values())


def test_a_newcomer_takes_no_more_than_its_share() -> None:
    """Those who stay keep what they have, beside other topics too."""
    cluster = Cluster({ORDERS: 6, BESIDE: 6})
    first, second = (assignors(GROUP, [ORDERS, BESIDE])[0] for _ in "ab")
    [before] = rebalance(cluster, {"a": first}, 1).values()
    after = rebalance(cluster, {"a": first, "b": second}, 2)

    assert 6 == len(before & after["a"])
    assert {"a": 6, "b": 6} == {name: len(share) for name, share in after.items()}


@pytest.mark.parametrize("beside", [4, 2])
def test_a_topic_of_other_partitions_is_shared_out_by_itself(beside: int) -> None:
    """Else some of them would be nobody's."""
    cluster = Cluster({ORDERS: 3, BESIDE: beside})
    members = {name: assignors(GROUP, [ORDERS, BESIDE])[0] for name in "ab"}
    shares = rebalance(cluster, members, 1)

    assert 3 + beside == sum(map(len, shares.values()))
    assert beside == sum(counts(shares, BESIDE))
