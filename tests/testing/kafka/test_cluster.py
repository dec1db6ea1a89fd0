"""A cluster of a test's own, on the real Apache Kafka."""

import os
import shutil
import socket
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from eventhub.testing.kafka import KafkaOptions, KafkaStartError, KafkaUnavailable, Node, StartKafka
from eventhub.testing.kafka.configuration import random_ports
from eventhub.testing.kafka.errors import PortTaken
from eventhub.testing.kafka.probe import fetch_metadata

NEVER_READY = """#!/bin/sh
test "$1" = -version && exec {java} -version
echo starting
echo $$ > {home}/pid
exec sleep 60
"""

pytestmark = pytest.mark.kafka


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_cluster_is_ready_when_the_block_begins(start_kafka: StartKafka) -> None:
    """The address given answers at once, as the cluster that was started."""
    async with start_kafka() as cluster:
        host, _, port = cluster.bootstrap.partition(":")
        metadata = await fetch_metadata(host, int(port))

    assert metadata is not None
    assert cluster.cluster_id == metadata.cluster_id


async def test_nothing_is_left_after_the_block(start_kafka: StartKafka) -> None:
    """The process and the directory of a cluster end with its block."""
    async with start_kafka() as cluster:
        (node,) = cluster.nodes
        directory = node.log.parent.parent

        assert _is_running(node.pid)
        assert directory.is_dir()

    assert not _is_running(node.pid)
    assert not directory.exists()


async def test_a_killed_node_starts_again_on_its_address(start_kafka: StartKafka) -> None:
    """After a kill a node answers nobody; started again it is the same broker on the same port."""
    async with start_kafka() as cluster:
        (node,) = cluster.nodes
        host, _, port = node.address.partition(":")
        first = node.pid
        await node.kill()

        assert not node.running
        assert await fetch_metadata(host, int(port)) is None

        await node.start()
        metadata = await fetch_metadata(host, int(port))

        assert node.pid != first
        assert metadata is not None
        assert cluster.cluster_id == metadata.cluster_id


async def test_a_paused_node_is_silent_until_it_is_resumed(start_kafka: StartKafka) -> None:
    """A paused node takes connections and answers nothing; resumed it goes on."""
    async with start_kafka() as cluster:
        (node,) = cluster.nodes
        host, _, port = node.address.partition(":")
        await node.pause()
        paused = await fetch_metadata(host, int(port), within=0.3)
        await node.resume()
        resumed = await fetch_metadata(host, int(port))

    assert paused is None
    assert resumed is not None


async def test_a_node_that_ends_at_once_tells_why(start_kafka: StartKafka) -> None:
    """A setting that Kafka refuses comes back as an error with the log's end and a log that stays."""
    options = KafkaOptions(settings={"num.io.threads": "none"})
    with pytest.raises(KafkaStartError, match=r"num\.io\.threads") as raised:
        async with start_kafka(options):
            pass

    assert raised.value.tail.splitlines()[-1] in raised.value.log.read_text()
    assert isinstance(raised.value.log, Path)

    raised.value.log.unlink()


async def test_three_nodes_go_on_without_one(start_kafka: StartKafka) -> None:
    """With one of three nodes killed a topic is written and read; started again all three see one another."""
    async with start_kafka(KafkaOptions(nodes=3)) as cluster:
        first, second, third = cluster.nodes
        admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic("orders", num_partitions=1, replication_factor=3)])
        await admin.close()
        await third.kill()
        async with AIOKafkaProducer(bootstrap_servers=first.address, acks="all") as producer:
            written = await producer.send_and_wait("orders", b"value", partition=0)
        await third.start()
        await cluster.ready()
        seen = [await fetch_metadata(*node.internal) for node in cluster.nodes]

    assert 0 == written.offset
    assert [{1, 2, 3}] * 3 == [one and set(one.broker_ids) for one in seen]
    assert [1, 2, 3] == [first.id, second.id, third.id]


async def test_a_stopped_node_hands_over(start_kafka: StartKafka) -> None:
    """A node that is stopped ends by itself, and starts again on its data."""
    async with start_kafka() as cluster:
        (node,) = cluster.nodes
        await node.stop()
        stopped = not node.running
        shut_down = "shut down" in node.log.read_text()
        await node.start()
        metadata = await fetch_metadata(*node.internal)

    assert stopped
    assert shut_down
    assert metadata is not None
    assert cluster.cluster_id == metadata.cluster_id


async def test_a_node_that_is_never_ready_is_given_up(
    start_kafka: StartKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the start's timeout the error names the node, and nothing is left of it."""
    async with start_kafka():
        pass  # what is derived from the jars is there now
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(NEVER_READY.format(java=shutil.which("java"), home=tmp_path))
    java.chmod(0o700)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(KafkaStartError, match=r"node 1 was not ready in 0\.5 s") as raised:
        async with start_kafka(KafkaOptions(start_timeout=0.5)):
            pass

    assert "starting" == raised.value.tail
    assert not _is_running(int((tmp_path / "pid").read_text()))

    raised.value.log.unlink()


async def test_ports_that_others_take_are_given_up_at_last(start_kafka: StartKafka) -> None:
    """A node that cannot bind is tried again with other ports, and not for ever."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        client, (_, internal, controller) = taken.getsockname()[1], random_ports()
        settings = {
            "listeners": f"CLIENT://127.0.0.1:{client},INTERNAL://127.0.0.1:{internal},CONTROLLER://127.0.0.1:{controller}",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        }
        with pytest.raises(KafkaUnavailable, match="other processes took the ports"):
            async with start_kafka(KafkaOptions(settings=settings)):
                pass


async def test_another_cluster_on_the_port_is_not_taken_for_the_node(start_kafka: StartKafka) -> None:
    """The answer of a broker that belongs to somebody else is no readiness."""
    async with start_kafka() as cluster:
        (node,) = cluster.nodes
        stranger = Node(node._place, node._command, "another-cluster", node._keeper)
        with pytest.raises(PortTaken, match="belongs to another cluster") as raised:
            await stranger.sees({1})

    raised.value.log.unlink()
