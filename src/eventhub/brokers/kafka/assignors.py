"""How a group of the client shares out its partitions."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import (
    StickyAssignorMemberMetadataV1,
    StickyPartitionAssignor,
)
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

from eventhub.brokers.beside import beside


def assignors(group: str, topics: Collection[str]) -> tuple[type, type]:
    """Sticky first; every member joins a group that still uses round robin, too.

    Partitions of topics that the group keeps beside another go with those of the same number of that one.

    The sticky assignor keeps its state on its class, so members in one process would overwrite each
    other's: each gets a class of its own.
    """
    kept = beside(group, topics)

    class Sticky(StickyPartitionAssignor):  # type: ignore[misc]  # the client has no types
        @classmethod
        def assign(
            cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
        ) -> dict[str, ConsumerProtocolMemberAssignment]:
            following = _following(cluster, members, kept)
            alone = {name: _without(member, following) for name, member in members.items()}
            return {name: _with(share, following) for name, share in super().assign(cluster, alone).items()}

        @classmethod
        def parse_member_metadata(cls, metadata: ConsumerProtocolMemberMetadata) -> StickyAssignorMemberMetadataV1:
            """What a member had before, less what it asks for no longer."""
            before = super().parse_member_metadata(metadata)
            asked = [partition for partition in before.partitions if partition.topic in before.subscription]
            return before._replace(partitions=asked)

    return Sticky, RoundRobinPartitionAssignor


def _following(
    cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata], kept: Mapping[str, str]
) -> Mapping[str, str]:
    """The topics that can follow another: as many partitions, and every member reads both."""
    asked = [member.subscription for member in members.values()]
    return {
        topic: other
        for topic, other in kept.items()
        if cluster.partitions_for_topic(topic) == cluster.partitions_for_topic(other) is not None
        and all(topic in subscription and other in subscription for subscription in asked)
    }


def _without(member: ConsumerProtocolMemberMetadata, topics: Collection[str]) -> ConsumerProtocolMemberMetadata:
    asked = [topic for topic in member.subscription if topic not in topics]
    return ConsumerProtocolMemberMetadata(member.version, asked, member.user_data)


def _with(share: ConsumerProtocolMemberAssignment, following: Mapping[str, str]) -> ConsumerProtocolMemberAssignment:
    given = dict(share.assignment)
    given |= {topic: given[other] for topic, other in following.items() if other in given}
    return ConsumerProtocolMemberAssignment(share.version, sorted(given.items()), share.user_data)
