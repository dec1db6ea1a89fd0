"""The fixtures that users of eventhub get."""

import pytest
from aiokafka import AIOKafkaProducer


@pytest.mark.anyio
async def test_a_client_reaches_the_shared_kafka(kafka_bootstrap: str) -> None:
    """A plain client connects to the address of the fixture."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap)
    await producer.start()
    brokers = producer.client.cluster.brokers()
    await producer.stop()

    assert 1 == len(brokers)


def test_the_url_is_the_address_with_its_scheme(kafka_bootstrap: str, kafka_url: str) -> None:
    """``kafka_url`` is what ``Hub`` takes."""
    assert f"kafka://{kafka_bootstrap}" == kafka_url
