"""A record with a header whose name is no UTF-8, which Kafka takes and its Python client cannot take apart."""

import asyncio
import time
import uuid
from typing import Any

import aiokafka
import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from eventhub import Event, Hub, Service, subscribe
from eventhub.record import TopicPartition
from eventhub.registry.client import embedded_registry
from eventhub.testing.reading import read_topic
from eventhub.testing.waiting import until


class Unspeakable(str):
    """A text whose bytes are no UTF-8."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        """What other clients can send."""
        return b"\xff\xfe name"


async def write_hostile(bootstrap: str, topic: str, partition: int) -> None:
    """Write one record with such a header, as a client in another language may."""
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    batch: BatchBuilder = producer.create_batch()
    builder = _DefaultRecordBatchBuilderPy(2, 0, False, -1, -1, -1, 100_000)
    builder.append(0, int(time.time() * 1000), b"k", b"value", [(Unspeakable("x"), b"v")])
    batch._builder, batch._relative_offset = builder, 1
    batch.close()
    await (await producer.send_batch(batch, topic, partition=partition))
    await producer.stop()


@pytest.mark.slow
@pytest.mark.kafka
async def test_a_header_that_the_client_cannot_read_stops_nobody(kafka_bootstrap: str) -> None:
    """What is no event becomes a dead letter, the name of its header escaped; what stands behind it is handled."""
    topic = f"orders-{uuid.uuid4().hex[:8]}"
    seen: list[str] = []

    class Order(Event, topic=topic, key="customer"):
        customer: str

    @subscribe(Order)
    async def handle(order: Order) -> None:
        seen.append(order.customer)

    service = Service(f"{topic}-reader", [handle])
    hub = Hub(f"kafka://{kafka_bootstrap}", registry=embedded_registry(), auto_register=True, provision=True)
    async with hub:
        places = {customer: (await hub.publish(Order(customer=customer))).partition for customer in "abcdefgh"}
        await write_hostile(kafka_bootstrap, topic, places["a"])
        await hub.publish(Order(customer="a"))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(hub.serve(service))
            await until(lambda: sorted(seen) == sorted([*places, "a"]), timeout=30)
            await until(lambda: all(found.detail.counted.dead_lettered == 1 for found in hub.health().values()))
            [found] = hub.health().values()
            hub.stop()
        committed = await hub.broker.admin.committed(service.name)
        [letter] = await read_topic(hub.broker, f"{topic}.{service.name}.dlt")

    assert 0 == found.detail.unreadable
    assert places_before(places, places["a"]) + 2 == committed[TopicPartition(topic, places["a"])].offset
    assert (b"k", b"value", b"v") == (letter.key, letter.value, letter.header("\\xff\\xfe name"))


def places_before(places: dict[str, int], partition: int) -> int:
    """How many orders stand in a partition before the hostile record."""
    return sum(where == partition for where in places.values())
