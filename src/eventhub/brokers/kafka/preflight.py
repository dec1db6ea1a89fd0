"""Connect to each address by itself, which is the only way to the true cause of a failure.

Asked for a whole cluster the client answers "unable to bootstrap" to a wrong password, an unknown
authority and a closed port alike.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aiokafka import errors as client
from aiokafka.conn import create_conn
from aiokafka.protocol.metadata import MetadataRequest

from eventhub.brokers.kafka.errors import FOREIGN, explain
from eventhub.brokers.kafka.tokens import Tokens, TokenUnavailable
from eventhub.errors import BrokerError

ANSWER_TIMEOUT = 10.0
"""Seconds that one address has to take the connection and the credentials."""

_NOT_OURS = frozenset({"bootstrap_servers", "metadata_max_age_ms", "retry_backoff_ms", "connections_max_idle_ms"})

Address = tuple[str, int]


async def preflight(
    addresses: Sequence[Address], connection: Mapping[str, Any], *, timeout: float = ANSWER_TIMEOUT
) -> Mapping[Address, str]:
    """Try all addresses at once; returns what is wrong with those that failed.

    Raises:
        BrokerError: If none of them can be used; it names each with its cause and what to try.
    """
    failures = await failing(addresses, connection, timeout)
    if failures.keys() == set(addresses):
        raise _unreachable(failures, connection)
    return {address: explain(error) for address, error in failures.items()}


async def failing(
    addresses: Collection[Address], connection: Mapping[str, Any], timeout: float
) -> Mapping[Address, BaseException]:
    """Try all addresses at once, each for so many seconds; returns the true causes of those that failed.

    A token, if one is needed, is fetched before that.
    """
    tokens: Tokens | None = connection.get("sasl_oauth_token_provider")
    if tokens is not None:
        try:
            await tokens.token()
        except TokenUnavailable as unavailable:  # said before an address is blamed for it
            return dict.fromkeys(addresses, unavailable)
    arguments = {name: value for name, value in connection.items() if name not in _NOT_OURS}
    async with asyncio.TaskGroup() as group:
        trials = {address: group.create_task(_try(address, arguments, timeout)) for address in addresses}
    failures = {address: error for address, trial in trials.items() if (error := trial.result()) is not None}
    if tokens is not None and any(isinstance(error, client.SaslAuthenticationFailed) for error in failures.values()):
        tokens.forget()  # nobody else looks at why a connection is refused
    return failures


async def _try(address: Address, arguments: Mapping[str, Any], timeout: float) -> BaseException | None:
    try:
        async with asyncio.timeout(timeout):
            connection = await create_conn(*address, **arguments)
            try:
                # A listener that wants a login answers the first question to anybody, and hangs up at the second.
                answer: Any = await connection.send(MetadataRequest([], allow_auto_topic_creation=False))
            finally:
                connection.close()
        if not answer.brokers:  # RFC 7628 tells a refusal in an answer without an error, and the client goes on
            refused: BaseException = client.SaslAuthenticationFailed("the broker does not take the token")
            return refused
    except (*FOREIGN, UnicodeError) as error:  # the latter from names that no resolver takes
        return error
    return None


def _unreachable(failures: Mapping[Address, BaseException], connection: Mapping[str, Any]) -> BrokerError:
    protocol = connection["security_protocol"]
    listed = "".join(f"\n  - {told(address, error, protocol)}" for address, error in failures.items())
    permanent = (client.SaslAuthenticationFailed, client.UnsupportedSaslMechanismError, ssl.SSLCertVerificationError)
    retriable = not all(isinstance(error, permanent) for error in failures.values())
    return BrokerError(f"cannot connect to Kafka ({protocol}):{listed}", retriable=retriable)


def told(address: Address, error: BaseException, protocol: str) -> str:
    """What is wrong with an address, and what to try."""
    host, port = address
    return f"{host}:{port}: {explain(error)}; {_advice(error, protocol)}"


def _advice(error: BaseException, protocol: str) -> str:
    """What to try, by the true cause."""
    for kind, advice in _ADVICE:
        if isinstance(error, kind):
            return advice
    return f"the other side hung up: does this listener speak {protocol}?"


_ADVICE: Sequence[tuple[type[BaseException], str]] = (
    (client.SaslAuthenticationFailed, "check the user name and the password, or the token"),
    (TokenUnavailable, "look into the function that fetches tokens"),
    (client.UnsupportedSaslMechanismError, "choose a mechanism that the broker has enabled"),
    (ssl.SSLCertVerificationError, "set ca_file to the authority that signed the broker's certificate"),
    (ConnectionRefusedError, "nothing listens there: is the broker up, and is the port right?"),
    (socket.gaierror, "the name does not resolve: is it spelt right, and known from this machine?"),
    (TimeoutError, "a firewall, a wrong port, or a TLS listener asked without TLS?"),
)
