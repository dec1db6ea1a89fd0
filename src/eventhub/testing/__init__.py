"""What tests of services on eventhub use.

``running`` runs services on a memory broker; ``assert_reads_every_version`` asks a registry whether a class can
read what was ever written; ``eventhub.testing.kafka`` starts a real Apache Kafka;
``eventhub.testing.conformance`` holds the suites that every broker, registry and store passes.
"""

from eventhub.testing.evolution import assert_reads_every_version
from eventhub.testing.running import RunningHub, running
from eventhub.testing.waiting import until

__all__ = ["RunningHub", "assert_reads_every_version", "running", "until"]
