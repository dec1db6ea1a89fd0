"""What kind of cluster a test wants, as one frozen value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

DEFAULT_VERSION = "4.3.1"


def wanted_version(environ: Mapping[str, str] = os.environ) -> str:
    """The Apache Kafka version to run: ``EVENTHUB_TEST_KAFKA_VERSION``, else the one tested with."""
    return environ.get("EVENTHUB_TEST_KAFKA_VERSION") or DEFAULT_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaOptions:
    """What kind of cluster a test wants.

    Attributes:
        nodes: 1, or 3 for replicated topics (replication factor 3, 2 in sync to write).
        version: The Apache Kafka version.
        settings: More lines for every node's ``server.properties``; they win over eventhub's own.
        heap_mib: The largest Java heap of one node.
        start_timeout: Seconds until every node must be ready.
    """

    nodes: int = 1
    version: str = field(default_factory=wanted_version)
    settings: Mapping[str, str] = field(default_factory=dict)
    heap_mib: int = 256
    start_timeout: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what no cluster can be.

        Raises:
            ValueError: If the number of nodes is neither 1 nor 3.
        """
        if self.nodes not in {1, 3}:
            message = f"a test cluster has 1 or 3 nodes, not {self.nodes}"
            raise ValueError(message)
