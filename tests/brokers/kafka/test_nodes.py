"""A node that is silent keeps a client from no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.metadata import MetadataResponse_v0
from structlog.testing import capture_logs

from eventhub.brokers.base import Consumer, NewTopic
from eventhub.brokers.kafka import KafkaBroker
from eventhub.brokers.kafka.nodes import patience, spare_others
from eventhub.errors import BrokerError
from eventhub.testing.conformance.brokers.reader import DEADLINE
from eventhub.testing.kafka import KafkaOptions, kafka
from tests.brokers.kafka.helpers import Member, listener, running, until

pytestmark = pytest.mark.anyio

DRAWS = 100


@asynccontextmanager
async def _client(*ports: int, connect_timeout: float) -> AsyncIterator[AIOKafkaClient]:
    """A client that knows nodes at these ports by the ids 1, 2, ..."""
    client = AIOKafkaClient()
    spare_others(client, connect_timeout=connect_timeout)
    _name(client, *ports)
    yield client
    await client.close()


def _name(client: AIOKafkaClient, *ports: int) -> None:
    nodes = [(number, "127.0.0.1", port) for number, port in enumerate(ports, 1)]
    client.cluster.update_metadata(MetadataResponse_v0(nodes, []))


def _port(bootstrap: str) -> int:
    return int(bootstrap.rpartition(":")[2])


async def _started(make: Callable[[], Any]) -> Any:
    """A client that has started, another if need be: a cluster that lost a node may have no ids for some seconds."""
    async with asyncio.timeout(DEADLINE):
        while True:
            client = make()
            try:
                await client.start()
            except BrokerError:
                await client.stop()
            else:
                return client


@pytest.mark.kafka
async def test_other_nodes_are_connected_to_while_one_is_silent(kafka_bootstrap: str) -> None:
    """Whoever waits for a silent node waits alone."""
    async with (
        listener(hangs_up=False) as silent,
        _client(silent, _port(kafka_bootstrap), connect_timeout=100 * DEADLINE) as client,
        asyncio.TaskGroup() as tasks,
        asyncio.timeout(DEADLINE),
    ):
        waiting = tasks.create_task(client.ready(1))
        await asyncio.wait([waiting], timeout=0)
        connected = await client.ready(2)
        still_waiting = not waiting.done()
        waiting.cancel()

    assert connected
    assert still_waiting


async def test_silent_node_rests_for_as_long_as_it_was_waited_for() -> None:
    """Who waited behind another for the same node, or asks soon after, is not kept waiting once more."""
    async with listener(hangs_up=False) as silent, _client(silent, 1, connect_timeout=1.0) as client:
        with capture_logs() as logs:
            connected = await asyncio.gather(*(client.ready(1) for _ in range(3)))

    assert [False] * 3 == connected
    assert ["eventhub.node_silent"] == [entry["event"] for entry in logs]


async def test_silent_node_is_given_up_and_not_chosen_again() -> None:
    """As long as there are others no question goes to it by chance."""
    async with listener(hangs_up=False) as silent, _client(silent, 1, connect_timeout=0.1) as client:
        with capture_logs() as logs:
            connected = await client.ready(1)
        chosen = {client.get_random_node() for _ in range(DRAWS)}

    assert not connected
    assert {2} == chosen
    assert [("eventhub.node_silent", 1, 0.1)] == [(entry["event"], entry["node"], entry["seconds"]) for entry in logs]


@pytest.mark.kafka
async def test_node_that_is_back_is_chosen_again(kafka_bootstrap: str) -> None:
    """A connection that succeeds makes up for all that failed before."""
    async with listener(hangs_up=True) as rude, _client(rude, 1, connect_timeout=DEADLINE) as client:
        failed = [await client.ready(1) for _ in range(2)]
        avoided = {client.get_random_node() for _ in range(DRAWS)}
        _name(client, _port(kafka_bootstrap), 1)
        back = await client.ready(1)
        chosen = {client.get_random_node() for _ in range(DRAWS)}

    assert [False, False] == failed
    assert {2} == avoided
    assert back
    assert {1, 2} == chosen


async def test_no_node_is_chosen_while_none_is_known() -> None:
    """The client asks for one before it knows the cluster."""
    async with _client(connect_timeout=DEADLINE) as client:
        assert client.get_random_node() is None


def test_patience_grows_with_each_failure_up_to_a_limit() -> None:
    """A network or a login that takes seconds is no dead node."""
    assert [1.0, 2.0, 4.0, 8.0, 10.0, 10.0] == [patience(failures, 1.0) for failures in range(6)]
    assert 60.0 == patience(3, 60.0)


@pytest.mark.kafka
async def test_producers_and_consumers_start_beside_a_silent_node() -> None:
    """A node that the cluster still names, although it has died, keeps nobody out."""
    async with kafka(KafkaOptions(nodes=3)) as cluster, running(KafkaBroker(f"kafka://{cluster.bootstrap}")) as broker:
        await broker.admin.create_topics([NewTopic("orders", 3)])
        async with running(Member(broker, ["orders"]).consumer):
            pass  # the topic of the groups' positions is there now
        await cluster.nodes[1].pause()
        members: list[Member] = []

        def consumer() -> Consumer:
            members.append(Member(broker, ["orders"]))
            return members[-1].consumer

        started = await asyncio.gather(*(_started(make) for make in 3 * [broker.producer, consumer]))
        try:
            await until(lambda: 3 == sum(3 == len(member.owned) for member in members))
        finally:
            await asyncio.gather(*(client.stop() for client in started))

    assert 6 == len(started)
