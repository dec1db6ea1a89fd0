"""What a node is told at its start."""

from pathlib import Path

from eventhub.testing.kafka.certificates import Certificates
from eventhub.testing.kafka.configuration import NodePlace, new_id, random_ports, server_settings
from eventhub.testing.kafka.options import KafkaOptions, Security

PLACES = [
    NodePlace(node, Path(f"/kafka/node-{node}"), 20_000 + node, 21_000 + node, 22_000 + node) for node in (1, 2, 3)
]


def test_three_nodes_replicate_three_times() -> None:
    """Everything is on all three nodes, and two are enough to write."""
    settings = server_settings(PLACES[0], PLACES, KafkaOptions(nodes=3))

    assert "3" == settings["default.replication.factor"]
    assert "3" == settings["offsets.topic.replication.factor"]
    assert "2" == settings["min.insync.replicas"]
    assert "1@127.0.0.1:22001,2@127.0.0.1:22002,3@127.0.0.1:22003" == settings["controller.quorum.voters"]


def test_one_node_replicates_nothing() -> None:
    """A topic of one replica is written with one in sync."""
    settings = server_settings(PLACES[0], PLACES[:1], KafkaOptions())

    assert "1" == settings["default.replication.factor"]
    assert "1" == settings["min.insync.replicas"]


def test_the_tests_settings_win() -> None:
    """What a test sets stands instead of eventhub's own."""
    options = KafkaOptions(settings={"auto.create.topics.enable": "true"})

    assert "false" == server_settings(PLACES[0], PLACES[:1], KafkaOptions())["auto.create.topics.enable"]
    assert "true" == server_settings(PLACES[0], PLACES[:1], options)["auto.create.topics.enable"]


def test_only_the_clients_listener_is_secured() -> None:
    """Clients log in over TLS; brokers trust one another, and their listener is never advertised as the clients'."""
    files = Certificates(Path("/ca.pem"), Path("/client.pem"), Path("/broker.pem"))
    settings = server_settings(PLACES[0], PLACES[:1], KafkaOptions(security=Security.SCRAM_TLS), files)

    assert "CLIENT:SASL_SSL,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT" == settings["listener.security.protocol.map"]
    assert "INTERNAL" == settings["inter.broker.listener.name"]
    assert "/broker.pem" == settings["ssl.keystore.location"]
    assert "SCRAM-SHA-512" == settings["listener.name.client.sasl.enabled.mechanisms"]


def test_ports_are_never_those_of_outgoing_connections() -> None:
    """A node's ports lie under 32768, where Linux begins to take ports for others."""
    chosen = [random_ports() for _ in range(1_000)]

    assert {3} == {len(ports) for ports in chosen}
    assert min(ports[0] for ports in chosen) >= 20_000
    assert max(ports[-1] for ports in chosen) < 32_768


def test_ids_are_sixteen_bytes_in_text() -> None:
    """Kafka refuses an id of another length."""
    assert {22} == {len(new_id()) for _ in range(100)}
