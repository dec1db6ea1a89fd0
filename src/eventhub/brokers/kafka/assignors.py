"""How a group of the client shares out its partitions."""

from __future__ import annotations

from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor


def assignors() -> tuple[type, type]:
    """Sticky first; every member joins a group that still uses round robin, too.

    The sticky assignor keeps its state on its class, so members in one process would overwrite each
    other's: each gets a class of its own.
    """
    return type("StickyAssignor", (StickyPartitionAssignor,), {}), RoundRobinPartitionAssignor
