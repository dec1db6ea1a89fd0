"""A real Apache Kafka and a Schema Registry behind HTTP, for as long as a run takes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from eventhub.registry.embedded.server import serve
from eventhub.testing.kafka import kafka


@asynccontextmanager
async def kafka_and_registry() -> AsyncIterator[tuple[str, str]]:
    """Start both; yields their URLs, as ``Hub`` takes them."""
    async with kafka() as cluster, serve() as registry:
        yield f"kafka://{cluster.bootstrap}", registry.url
