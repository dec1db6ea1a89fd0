"""Connecting to a real Kafka: who cannot is told why, within fifteen seconds."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from structlog.testing import capture_logs

from eventhub.brokers.kafka import KafkaBroker
from eventhub.brokers.kafka.broker import keep_payloads_out_of_logs
from eventhub.errors import BrokerError, DeclarationError
from eventhub.record import ProducerRecord, RecordMetadata
from eventhub.settings import Security
from eventhub.testing.kafka import ADMIN, KafkaOptions, User, kafka
from eventhub.testing.kafka import Security as ClusterSecurity
from tests.brokers.kafka.helpers import as_user, listener, own_cluster, read_all, running

pytestmark = [pytest.mark.anyio]


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens at, and that nobody else takes meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture
def client_logger() -> Iterator[logging.Logger]:
    """One of the client's loggers."""
    logger = logging.getLogger("aiokafka.conn")
    yield logger
    logger.setLevel(logging.NOTSET)


def test_declaration_is_checked_before_anything_connects() -> None:
    """A wrong URL or option is an error where the broker is made."""
    with pytest.raises(DeclarationError):
        KafkaBroker("kafka://clerk:password@one:9092")
    with pytest.raises(DeclarationError, match="acks"):
        KafkaBroker("kafka://one:9092", client={"acks": 1})


def test_client_does_not_log_payloads(client_logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG the client prints values and passwords: that level stays silent, also when it is set afterwards."""
    keep_payloads_out_of_logs()
    client_logger.setLevel(logging.DEBUG)
    client_logger.debug("a password")
    client_logger.info("a word")

    assert ["a word"] == caplog.messages


async def test_unreachable_broker_is_named_with_what_to_try(closed_port: int) -> None:
    """The error names the address, the cause and the next step."""
    with pytest.raises(BrokerError, match=rf"127\.0\.0\.1:{closed_port}: Connection refused; .*is the broker up"):
        await KafkaBroker(f"kafka://127.0.0.1:{closed_port}").start()


@pytest.mark.kafka
async def test_address_that_fails_beside_a_good_one_is_logged(kafka_url: str, closed_port: int) -> None:
    """A cluster with one node down can be used."""
    with capture_logs() as logs:
        async with running(KafkaBroker(f"{kafka_url},127.0.0.1:{closed_port}")) as broker:
            url = broker.url

    assert f"{kafka_url},127.0.0.1:{closed_port}" == url
    assert [("eventhub.broker_address_failed", closed_port)] == [(entry["event"], entry["port"]) for entry in logs]


@pytest.mark.kafka
async def test_silent_addresses_keep_no_client_waiting(kafka_url: str, topic: str) -> None:
    """One address that answers among eight that never do is the one that each client goes to, also a later one."""
    async with AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(listener(hangs_up=False)) for _ in range(8)]
        many = KafkaBroker(",".join([kafka_url, *(f"127.0.0.1:{port}" for port in silent)]))
        with capture_logs() as logs:
            await stack.enter_async_context(running(many))
        for _ in range(2):
            async with running(many.producer()) as producer:
                outcomes = await producer.send([ProducerRecord(topic, b"key", b"value")])
        records = await read_all(many, topic)

    assert {("eventhub.broker_address_failed", port, "no answer in time") for port in silent} == {
        (entry["event"], entry["port"], entry["cause"]) for entry in logs
    }
    assert [RecordMetadata] == [type(outcome) for outcome in outcomes]
    assert [b"value", b"value"] == [record.value for record in records]


@pytest.mark.kafka
async def test_one_node_that_answers_is_enough_to_start() -> None:
    """The one that is dead and the one that is silent are told; with none left all are, each with its cause."""
    async with kafka(KafkaOptions(nodes=3)) as cluster:
        alive, dead, silent = cluster.nodes
        await dead.kill()
        await silent.pause()
        with capture_logs() as logs:
            async with running(KafkaBroker(f"kafka://{cluster.bootstrap}")):
                pass
        await alive.kill()
        complaint = await _complaint(KafkaBroker(f"kafka://{cluster.bootstrap}"))

    assert {dead.address: "Connection refused", silent.address: "no answer in time"} == {
        f"{entry['host']}:{entry['port']}": entry["cause"]
        for entry in logs
        if entry["event"] == "eventhub.broker_address_failed"
    }
    assert [
        f"  - {alive.address}: Connection refused",
        f"  - {dead.address}: Connection refused",
        f"  - {silent.address}: no answer in time",
    ] == [line.partition(";")[0] for line in str(complaint).splitlines()[1:]]


@pytest.mark.kafka
async def test_cause_of_a_stall_is_found_by_starting_again() -> None:
    """A start tells what is wrong now, also of a connection that once was good."""
    async with own_cluster() as (cluster, broker):
        await broker.start()
        await cluster.nodes[0].kill()
        complaint = await _complaint(broker)

    assert f"{cluster.bootstrap}: Connection refused" in str(complaint)


@pytest.mark.kafka
async def test_addresses_that_the_cluster_gives_are_tried_too() -> None:
    """A cluster that sends its clients to an address unknown to them is no hang but an error."""
    settings = {"advertised.listeners": "CLIENT://127.0.0.1:1,INTERNAL://127.0.0.1:1"}
    async with kafka(KafkaOptions(settings=settings)) as cluster:
        with pytest.raises(BrokerError, match=r"names 127\.0\.0\.1:1, .*advertised\.listeners"):
            await KafkaBroker(f"kafka://{cluster.bootstrap}").start()


@pytest.mark.kafka
async def test_wrong_credentials_say_so() -> None:
    """A wrong password, an unknown user and a mechanism that is off are told apart from a broken network."""
    async with kafka(KafkaOptions(security=ClusterSecurity.SCRAM)) as cluster:
        async with running(as_user(cluster, ADMIN)) as broker:
            topics = await broker.admin.topics()
        wrong = await _complaint(as_user(cluster, User(ADMIN.name, "guessed")))
        unknown = await _complaint(as_user(cluster, User("nobody", "guessed")))
        off = await _complaint(as_user(cluster, ADMIN, mechanism="PLAIN", allow_plaintext_credentials=True))
        nobody = await _complaint(KafkaBroker(f"kafka://{cluster.bootstrap}"))

    assert {} == topics
    assert "check the user name and the password" in str(wrong)
    assert not wrong.retriable
    assert "guessed" not in str(wrong)
    assert "check the user name and the password" in str(unknown)
    assert "choose a mechanism that the broker has enabled" in str(off)
    assert "does this listener speak PLAINTEXT?" in str(nobody)


@pytest.mark.kafka
async def test_tls_checks_the_broker() -> None:
    """With the cluster's authority a client is served; without it, or without TLS, it is told why not."""
    async with kafka(KafkaOptions(security=ClusterSecurity.SCRAM_TLS)) as cluster:
        assert cluster.certificates is not None
        async with running(as_user(cluster, ADMIN, ca_file=cluster.certificates.ca)) as broker:
            topics = await broker.admin.topics()
        untrusted = await _complaint(as_user(cluster, ADMIN, tls=True))
        unencrypted = await _complaint(as_user(cluster, ADMIN))

    assert {} == topics
    assert "certificate not trusted" in str(untrusted)
    assert "set ca_file" in str(untrusted)
    assert not untrusted.retriable
    assert "does this listener speak SASL_PLAINTEXT?" in str(unencrypted)


@pytest.mark.kafka
async def test_client_that_shows_a_certificate_is_served() -> None:
    """Mutual TLS needs the certificate's file only."""
    async with kafka(KafkaOptions(security=ClusterSecurity.TLS, settings={"ssl.client.auth": "required"})) as cluster:
        assert cluster.certificates is not None
        security = Security(ca_file=cluster.certificates.ca, cert_file=cluster.certificates.client)
        async with running(KafkaBroker(f"kafka://{cluster.bootstrap}", security=security)) as broker:
            topics = await broker.admin.topics()
        unknown = await _complaint(
            KafkaBroker(f"kafka://{cluster.bootstrap}", security=Security(ca_file=cluster.certificates.ca))
        )

    assert {} == topics
    assert "cannot connect to Kafka (SSL)" in str(unknown)


async def _complaint(broker: KafkaBroker) -> BrokerError:
    with pytest.raises(BrokerError) as caught:
        await broker.start()
    return caught.value
