"""A record with a header whose name is no UTF-8, which Kafka takes and its Python client does not."""

import asyncio
import time
import uuid
from typing import Any

import aiokafka
import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from eventhub import Event, Hub, Service, subscribe
from eventhub.registry.client import embedded_registry
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
async def test_a_header_that_the_client_cannot_read_stops_its_partition_and_no_other(kafka_bootstrap: str) -> None:
    """The service lives, says what is wrong, and commits nothing beyond the record."""
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
        places = {}
        for customer in "abcdefgh":
            places[customer] = (await hub.publish(Order(customer=customer))).partition
        await write_hostile(kafka_bootstrap, topic, places["a"])
        stopped = (await hub.publish(Order(customer="a"))).partition
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(hub.serve(service))
            others = {customer for customer, partition in places.items() if partition != stopped}
            await until(lambda: others <= set(seen), timeout=30)
            await until(lambda: any(found.detail.unreadable == 1 for found in hub.health().values()), timeout=30)
            [found] = hub.health().values()
            for customer in sorted(others):
                await hub.publish(Order(customer=customer))
            await until(lambda: all(seen.count(customer) == 2 for customer in others), timeout=30)
            hub.stop()
        committed = await hub.broker.admin.committed(service.name)

    assert "1 partitions hold a record that the client cannot take apart" in found.problems
    assert committed[next(tp for tp in committed if tp == (topic, stopped))].offset <= places_before(places, stopped)


def places_before(places: dict[str, int], partition: int) -> int:
    """How many orders stand in a partition before the hostile record."""
    return sum(where == partition for where in places.values())
