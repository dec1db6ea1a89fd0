"""What fetches tell besides records: on a real Kafka with open transactions and quotas."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from structlog.testing import capture_logs

from eventhub import Options, Service, subscribe
from eventhub.brokers.kafka import KafkaBroker
from eventhub.record import ProducerRecord, TopicPartition
from eventhub.runtime.watchdog import Patience
from eventhub.testing.conformance.brokers.reader import send, unique
from eventhub.testing.kafka.wire import ask, string
from eventhub.testing.waiting import until
from tests.brokers.kafka.helpers import Member, running
from tests.runtime.conftest import Shop

pytestmark = [pytest.mark.anyio, pytest.mark.kafka]

_ALTER_CLIENT_QUOTAS = (49, 0)


async def test_what_waits_behind_an_open_transaction_is_no_lag_of_nought(
    broker: KafkaBroker, kafka_bootstrap: str, topic: str
) -> None:
    """The end is that of the log, and what may not be read yet is counted by itself."""
    member, partition = Member(broker, [topic]), TopicPartition(topic, 0)
    transactional = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, transactional_id=unique("transaction"))
    await transactional.start()
    try:
        await transactional.begin_transaction()
        await transactional.send_and_wait(topic, b"open", partition=0)
        async with running(broker.producer()) as producer:
            await send(producer, *[ProducerRecord(topic, None, b"behind", partition=0)] * 2)
        async with running(member.consumer):
            await until(lambda: member.consumer.end_offset(partition) == 3)
            during = member.consumer.withheld(partition), dict(await member.poll())
            await transactional.commit_transaction()
            await until(lambda: member.consumer.withheld(partition) == 0, timeout=30)
            after = await member.poll(10)
    finally:
        await transactional.stop()

    assert (3, {}) == during
    assert [b"open", b"behind", b"behind"] == [record.value for record in after[partition]]


@pytest.mark.slow
async def test_a_quota_that_is_used_up_is_not_taken_for_a_dead_broker(kafka_bootstrap: str) -> None:
    """The broker said for how long it will not answer; nobody is replaced, the lag is seen, every record comes."""
    client_id, seen = unique("client"), list[int]()
    shop = Shop(
        lambda: KafkaBroker(
            f"kafka://{kafka_bootstrap}", client={"client_id": client_id, "max_partition_fetch_bytes": 200_000}
        )
    )

    @subscribe(shop.order)
    async def listen(order: Any) -> None:
        seen.append(order.number)

    service, options = Service(shop.name("listener"), [listen]), Options(patience=Patience(silence=2.0), partitions=1)
    orders = [shop.order(customer="x" * 10_000, number=number) for number in range(60)]
    async with shop.hub(options) as hub:
        await hub.publish_many(orders)
    await set_read_quota(kafka_bootstrap, client_id, 80_000.0)
    with capture_logs() as logs:
        async with shop.serving(service, options=options) as hub:
            await until(lambda: 0 < len(seen) < len(orders) and _detail(hub).lag > 0, timeout=60)
            await until(lambda: len(seen) == len(orders), timeout=60)
            rebuilt = hub.supervisors[0].counters.rebuilt
    muted = [entry["seconds"] for entry in logs if entry["event"] == "eventhub.throttled"]

    assert 0 == rebuilt
    assert max(muted) > options.patience.silence


async def set_read_quota(bootstrap: str, client_id: str, bytes_per_second: float) -> None:
    """Let clients of this name read so much."""
    host, _, port = bootstrap.partition(",")[0].rpartition(":")
    entity = struct.pack(">i", 1) + string("client-id") + string(client_id)
    change = struct.pack(">i", 1) + string("consumer_byte_rate") + struct.pack(">db", bytes_per_second, 0)
    answer = await ask(host, int(port), _ALTER_CLIENT_QUOTAS, struct.pack(">i", 1) + entity + change + b"\0")
    answer.int32()  # throttle time
    answer.int32()  # how many entities
    code, reason = answer.int16(), answer.string()

    assert (0, None) == (code, reason)


def _detail(hub: Any) -> Any:
    """The numbers of the one service of a hub."""
    [found] = hub.health().values()
    return found.detail
