"""A real Apache Kafka for anyone's tests."""

from eventhub.testing.kafka.cluster import KafkaCluster, kafka
from eventhub.testing.kafka.errors import KafkaStartError, KafkaUnavailable
from eventhub.testing.kafka.node import Node
from eventhub.testing.kafka.options import KafkaOptions

__all__ = [
    "KafkaCluster",
    "KafkaOptions",
    "KafkaStartError",
    "KafkaUnavailable",
    "Node",
    "kafka",
]
