"""What the user may tune on the client, and what would break eventhub's promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from eventhub.brokers.kafka.security import connection_security
from eventhub.errors import DeclarationError
from eventhub.settings import Security

DEFAULT_PORT = 9092

_CONNECTION = frozenset(
    {"client_id", "connections_max_idle_ms", "metadata_max_age_ms", "request_timeout_ms", "retry_backoff_ms"}
)
_CONSUMER = frozenset(
    {
        "check_crcs",
        "client_rack",
        "consumer_timeout_ms",
        "fetch_max_bytes",
        "fetch_max_wait_ms",
        "fetch_min_bytes",
        "heartbeat_interval_ms",
        "isolation_level",
        "max_partition_fetch_bytes",
        "rebalance_timeout_ms",
        "session_timeout_ms",
    }
)
_PRODUCER = frozenset({"compression_type", "max_batch_size", "max_request_size"})

_REFUSED: Mapping[str, str] = {
    "acks": "every publish is confirmed by all in-sync replicas; with less, acknowledged records are lost",
    "api_version": "the client asks the broker",
    "auto_commit_interval_ms": "the runtime commits what was handled, the client would commit what was read",
    "auto_offset_reset": "the runtime resolves positions; the client would jump in silence",
    "bootstrap_servers": "the addresses stand in the URL",
    "enable_auto_commit": "the runtime commits what was handled, the client would commit what was read",
    "enable_idempotence": "without it a retried batch is written twice or out of order",
    "exclude_internal_topics": "internal topics carry no events",
    "group_id": "the service's name is the group",
    "group_instance_id": "two processes with one id throw each other out for ever, without any error",
    "key_deserializer": "keys are bytes to the runtime; an error in here would stop the partition",
    "key_serializer": "keys are bytes to the runtime",
    "linger_ms": "records gather while a batch is in flight; waiting longer only adds latency",
    "loop": "the running loop is used",
    "max_poll_interval_ms": "the runtime has its own watchdog for slow handlers",
    "max_poll_records": "the runtime asks for as many records as it has room for",
    "partition_assignment_strategy": "each member needs a sticky assignor of its own; the client's shares its state",
    "partitioner": "equal keys go where every Java producer puts them",
    "transaction_timeout_ms": "the client's transactions cannot fence a zombie; use outbox and inbox",
    "transactional_id": "the client's transactions cannot fence a zombie; use outbox and inbox",
    "value_deserializer": "values are decoded in the worker; an error in here would stop the partition",
    "value_serializer": "values are encoded by the codec",
}
_SECURITY = ("sasl_", "ssl_", "security_")

_CODECS = (None, "gzip", "snappy", "lz4", "zstd")


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """The keyword arguments of aiokafka's clients, complete but for groups and topics."""

    addresses: tuple[tuple[str, int], ...]
    admin: Mapping[str, Any]
    consumer: Mapping[str, Any]
    producer: Mapping[str, Any]

    def __repr__(self) -> str:
        """The addresses only, since the rest holds a password."""
        return f"ClientOptions(addresses={self.addresses!r})"


def client_options(url: str, security: Security, tuning: Mapping[str, Any]) -> ClientOptions:
    """Join the address, the security and the user's tuning.

    Raises:
        DeclarationError: If the URL is malformed or an option is unknown, refused or contradictory.
    """
    addresses = parse_url(url)
    for name in tuning:
        _check_name(name)
    connection: dict[str, Any] = {
        "bootstrap_servers": [written(host, port) for host, port in addresses],
        "client_id": "eventhub",
        "request_timeout_ms": 10_000,
        # a topic deleted and made again is noticed after this time only; the client's default is five minutes
        "metadata_max_age_ms": 30_000,
        **connection_security(security),
        **_chosen(tuning, _CONNECTION),
    }
    consumer = connection | _CONSUMER_DEFAULTS | _chosen(tuning, _CONNECTION | _CONSUMER) | _CONSUMER_PROMISES
    producer = connection | _PRODUCER_DEFAULTS | _chosen(tuning, _CONNECTION | _PRODUCER) | _PRODUCER_PROMISES
    _check_times(consumer)
    if producer["compression_type"] not in _CODECS:
        msg = f"compression_type={producer['compression_type']!r} is not one of {_CODECS}"
        raise DeclarationError(msg)
    return ClientOptions(addresses, connection, consumer, producer)


_CONSUMER_DEFAULTS: dict[str, Any] = {
    # the client sends JoinGroup with the request timeout, so it has to outlast a rebalance
    "request_timeout_ms": 40_000,
    "session_timeout_ms": 30_000,
    # how soon a rebalance is noticed: the joiner waits for everybody's next heartbeat
    "heartbeat_interval_ms": 1_000,
    # the runtime drains for 10 s at most, which has to fit in with room to spare
    "rebalance_timeout_ms": 30_000,
    "fetch_max_bytes": 16 * 1024 * 1024,
    "max_partition_fetch_bytes": 1024 * 1024,
    # aborted records never happened
    "isolation_level": "read_committed",
}
_CONSUMER_PROMISES: dict[str, Any] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "none",
    # the largest that fits: the client's own watchdog would leave the group behind the runtime's back
    "max_poll_interval_ms": 2**31 - 1,
}
_PRODUCER_DEFAULTS: dict[str, Any] = {
    "compression_type": None,
    "max_batch_size": 256 * 1024,
    "max_request_size": 1024 * 1024,
}
_PRODUCER_PROMISES: dict[str, Any] = {"acks": "all", "enable_idempotence": True, "linger_ms": 0}


def parse_url(url: str) -> tuple[tuple[str, int], ...]:
    """The addresses in ``kafka://host:port[,host:port...]``.

    Raises:
        DeclarationError: If it is no such URL, or holds credentials.
    """
    scheme, _, rest = url.partition("://")
    if "@" in rest:
        msg = "a broker URL must not hold credentials, since URLs are logged; pass security=Security(username=...)"
        raise DeclarationError(msg)
    rest = rest.rstrip("/")
    if scheme != "kafka" or not rest or "/" in rest or "?" in rest:
        msg = f"{url!r} is no Kafka URL; write kafka://host:port[,host:port...]"
        raise DeclarationError(msg)
    return tuple(_parse_address(address.strip(), url) for address in rest.split(","))


def _parse_address(address: str, url: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):  # no port; the latter is an IPv6 address
        host, port = address, str(DEFAULT_PORT)
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        msg = f"{address!r} in {url!r} is no address; write host:port"
        raise DeclarationError(msg)
    return host.strip("[]"), int(port)


def written(host: str, port: int) -> str:
    """An address as the client reads it, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parsed(address: str) -> tuple[str, int]:
    """Host and port of an address as the client reads it."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _check_name(name: str) -> None:
    if name in _REFUSED:
        msg = f"the client option {name!r} cannot be set: {_REFUSED[name]}"
        raise DeclarationError(msg)
    if name.startswith(_SECURITY):
        msg = f"the client option {name!r} cannot be set: pass security=Security(...) instead"
        raise DeclarationError(msg)
    known = _CONNECTION | _CONSUMER | _PRODUCER
    if name not in known:
        close = get_close_matches(name, sorted(known), n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known))}"
        msg = f"unknown client option {name!r}; {hint}"
        raise DeclarationError(msg)


def _chosen(tuning: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in tuning.items() if name in names}


def _check_times(consumer: Mapping[str, Any]) -> None:
    """Refuse times that would keep a member from ever joining or staying."""
    session, heartbeat = consumer["session_timeout_ms"], consumer["heartbeat_interval_ms"]
    if heartbeat * 3 > session:
        msg = f"heartbeat_interval_ms={heartbeat} must be at most a third of session_timeout_ms={session}"
        raise DeclarationError(msg)
    longest = max(session, consumer["rebalance_timeout_ms"])
    if consumer["request_timeout_ms"] < longest + 5_000:
        msg = (
            f"request_timeout_ms={consumer['request_timeout_ms']} must exceed session_timeout_ms={session} and"
            f" rebalance_timeout_ms={consumer['rebalance_timeout_ms']} by 5000, or a slow rebalance can never be joined"
        )
        raise DeclarationError(msg)
