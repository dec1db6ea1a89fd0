"""Apache Kafka as a broker, through aiokafka; nothing else in eventhub imports that client."""

from eventhub.brokers.kafka.broker import KafkaBroker

__all__ = ["KafkaBroker"]
