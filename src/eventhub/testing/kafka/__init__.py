"""A real Apache Kafka for anyone's tests."""

from eventhub.testing.kafka.acl import Acl, Operation, Resource
from eventhub.testing.kafka.certificates import Certificates
from eventhub.testing.kafka.cluster import KafkaCluster, StartKafka, kafka
from eventhub.testing.kafka.errors import KafkaStartError, KafkaUnavailable
from eventhub.testing.kafka.node import Node
from eventhub.testing.kafka.options import ADMIN, KafkaOptions, Security, User

__all__ = [
    "ADMIN",
    "Acl",
    "Certificates",
    "KafkaCluster",
    "KafkaOptions",
    "KafkaStartError",
    "KafkaUnavailable",
    "Node",
    "Operation",
    "Resource",
    "Security",
    "StartKafka",
    "User",
    "kafka",
]
