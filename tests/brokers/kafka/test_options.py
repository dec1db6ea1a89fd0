"""What may be tuned on the client, and what would break a promise."""

from __future__ import annotations

import inspect

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import collect_hosts
from pydantic import SecretStr

from eventhub.brokers.kafka.options import client_options, parse_url, parsed
from eventhub.errors import DeclarationError
from eventhub.settings import Security

URL = "kafka://one:9092"


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("kafka://one:9092", (("one", 9092),)),
        ("kafka://one:9092,two:19092", (("one", 9092), ("two", 19092))),
        ("kafka://one, two:1/", (("one", 9092), ("two", 1))),
        ("kafka://[::1]:9092,[fe80::1]", (("::1", 9092), ("fe80::1", 9092))),
    ],
)
def test_url_lists_addresses(url: str, addresses: object) -> None:
    """Addresses stand side by side; the port has Kafka's default."""
    assert addresses == parse_url(url)


def test_client_reads_the_addresses_as_they_were_meant() -> None:
    """An IPv6 address goes to the client in brackets, without which it would take the port for a part of it."""
    options = client_options("kafka://[::1]:9093,one", Security(), {})
    addresses = options.consumer["bootstrap_servers"]
    read = collect_hosts(addresses, randomize=False)

    assert [("::1", 9093), ("one", 9092)] == [(host, port) for host, port, _ in read] == [*map(parsed, addresses)]


@pytest.mark.parametrize(
    "url",
    [
        "kafka://",
        "kafka:///",
        "http://one:9092",
        "one:9092",
        "kafka://one:port",
        "kafka://one:0",
        "kafka://one:65536",
        "kafka://one,,two",
        "kafka://one/topic",
        "kafka://one?acks=1",
    ],
)
def test_malformed_url_is_refused(url: str) -> None:
    """What is no list of addresses is refused with the right form."""
    with pytest.raises(DeclarationError, match="host:port"):
        parse_url(url)


def test_credentials_in_the_url_are_refused_and_not_repeated() -> None:
    """A password in a URL would be logged, so it is refused without being shown."""
    with pytest.raises(DeclarationError, match="Security") as caught:
        parse_url("kafka://clerk:tea@one:9092")

    assert "tea" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("acks", "all in-sync replicas"),
        ("auto_offset_reset", "positions"),
        ("bootstrap_servers", "URL"),
        ("enable_auto_commit", "what was handled"),
        ("enable_idempotence", "twice"),
        ("group_id", "service's name"),
        ("group_instance_id", "throw each other out"),
        ("key_deserializer", "stop the partition"),
        ("linger_ms", "latency"),
        ("partitioner", "Java"),
        ("partition_assignment_strategy", "sticky"),
        ("transactional_id", "outbox"),
        ("value_deserializer", "stop the partition"),
        ("sasl_plain_password", "Security"),
        ("security_protocol", "Security"),
        ("ssl_context", "Security"),
    ],
)
def test_option_that_would_break_a_promise_is_refused_with_the_reason(name: str, reason: str) -> None:
    """Options that the promises stand on cannot be changed, and the error says why."""
    with pytest.raises(DeclarationError, match=f"'{name}'.*{reason}"):
        client_options(URL, Security(), {name: None})


def test_misspelt_option_is_refused_with_the_right_spelling() -> None:
    """An unknown option is never ignored."""
    with pytest.raises(DeclarationError, match="did you mean 'fetch_max_bytes'"):
        client_options(URL, Security(), {"fetch_max_byte": 1})


@pytest.mark.parametrize("kind", [AIOKafkaConsumer, AIOKafkaProducer])
def test_every_option_of_the_client_is_tunable_or_refused_with_a_reason(kind: type) -> None:
    """No option of the client is called unknown."""
    names = set(inspect.signature(kind).parameters) - {"topics"}
    unknown = {name for name in names if "unknown client option" in _complaint(name)}

    assert set() == unknown


def test_options_go_to_the_clients_that_know_them() -> None:
    """Tuning of reading does not reach the producer, nor the reverse; tuning of the connection reaches all."""
    tuning = {"fetch_max_bytes": 1, "compression_type": "zstd", "client_id": "shop"}
    options = client_options(URL, Security(), tuning)

    assert (1, "shop") == (options.consumer["fetch_max_bytes"], options.consumer["client_id"])
    assert ("zstd", "shop") == (options.producer["compression_type"], options.producer["client_id"])
    assert "shop" == options.admin["client_id"]
    assert set(options.admin) <= set(inspect.signature(AIOKafkaClient).parameters)


def test_promises_are_kept() -> None:
    """Nobody but the runtime commits what is read or leaves a group, and all replicas confirm what is written."""
    options = client_options(URL, Security(), {})

    assert not options.consumer["enable_auto_commit"]
    assert "none" == options.consumer["auto_offset_reset"]
    assert "read_committed" == options.consumer["isolation_level"]
    assert (
        2**31 - 1 == options.consumer["max_poll_interval_ms"]
    )  # the largest there is: the client never leaves by itself
    assert 30_000 == options.consumer["rebalance_timeout_ms"]
    assert "all" == options.producer["acks"]
    assert options.producer["enable_idempotence"]


@pytest.mark.parametrize(
    ("tuning", "complaint"),
    [
        ({"session_timeout_ms": 6000, "heartbeat_interval_ms": 3000}, "a third"),
        ({"rebalance_timeout_ms": 60000}, "can never be joined"),
        ({"request_timeout_ms": 10000}, "can never be joined"),
        ({"compression_type": "zip"}, "compression_type='zip'"),
    ],
)
def test_contradictory_options_are_refused(tuning: dict[str, object], complaint: str) -> None:
    """Times that would keep a member out of its group, and codecs that do not exist, are errors at once."""
    with pytest.raises(DeclarationError, match=complaint):
        client_options(URL, Security(), tuning)


def test_password_is_not_shown() -> None:
    """The options show their addresses only."""
    options = client_options(URL, Security(username="clerk", password=SecretStr("tea")), {})

    assert "ClientOptions(addresses=(('one', 9092),))" == repr(options)


def _complaint(name: str) -> str:
    try:
        client_options(URL, Security(), {name: None})
    except DeclarationError as error:
        return str(error)
    except TypeError:  # a number that is None: the option is known
        pass
    return ""
