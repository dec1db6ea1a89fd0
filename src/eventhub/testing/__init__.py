"""What tests of services on eventhub use.

``running`` runs services on a memory broker; ``eventhub.testing.kafka`` starts a real Apache Kafka;
``eventhub.testing.conformance`` holds the suites that every broker, registry and store passes.
"""

from eventhub.testing.running import RunningHub, running
from eventhub.testing.waiting import until

__all__ = ["RunningHub", "running", "until"]
