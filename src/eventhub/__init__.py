"""The event backbone for Python services on Apache Kafka."""

__all__: list[str] = []
