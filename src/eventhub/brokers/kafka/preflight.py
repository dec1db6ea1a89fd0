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
from eventhub.brokers.kafka.options import parsed, written
from eventhub.brokers.kafka.tokens import Tokens, TokenUnavailable
from eventhub.errors import BrokerError

ANSWER_TIMEOUT = 10.0
"""Seconds that one address has to take the connection and the credentials."""

GRACE = 1.0
"""Seconds that the other addresses have once one has answered, to say what is wrong with them."""

_OURS = ("client_id", "request_timeout_ms", "sasl_", "security_", "ssl_")
"""How the names of options begin that belong to one connection."""

Address = tuple[str, int]


async def preflight(
    addresses: Collection[Address],
    connection: Mapping[str, Any],
    *,
    timeout: float = ANSWER_TIMEOUT,
    grace: float = GRACE,
) -> Mapping[Address, str]:
    """Try all addresses at once; returns what is wrong with those that failed, or were late.

    Raises:
        BrokerError: If none of them can be used; it names each with its cause and what to try.
    """
    failures = await failing(addresses, connection, timeout, grace)
    if failures.keys() == set(addresses):
        raise _unreachable(failures, connection)
    return {address: explain(error) for address, error in failures.items()}


async def answering(connection: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same connection by way of the address that answers first; by way of all of them if none does.

    The client would ask one address after the other, in random order, and wait for a silent one as
    long as for the answer to any request. Asked anew for each client, since an address that was
    good a minute ago may be the dead one now.
    """
    servers = {parsed(server): server for server in connection["bootstrap_servers"]}
    if len(servers) == 1:
        return connection
    failures = await failing(servers, connection, ANSWER_TIMEOUT, grace=0)
    answered = [server for address, server in servers.items() if address not in failures]
    return {**connection, "bootstrap_servers": answered} if answered else connection


async def failing(
    addresses: Collection[Address], connection: Mapping[str, Any], timeout: float, grace: float | None = None
) -> Mapping[Address, BaseException]:
    """Try all addresses at once; returns the true causes of those that failed.

    A token, if one is needed, is fetched before that.

    Args:
        addresses: Where to connect.
        connection: The client's options.
        timeout: Seconds that each address has.
        grace: Seconds that the others still have once one has answered; None gives each its whole time.
    """
    tokens: Tokens | None = connection.get("sasl_oauth_token_provider")
    if tokens is not None:
        try:
            await tokens.token()
        except TokenUnavailable as unavailable:  # said before an address is blamed for it
            return dict.fromkeys(addresses, unavailable)
    arguments = {name: value for name, value in connection.items() if name.startswith(_OURS)}
    async with asyncio.TaskGroup() as group:
        trials = {address: group.create_task(_try(address, arguments, timeout)) for address in addresses}
        if grace is not None:
            await _cut_short(trials.values(), grace)
    failures = {address: error for address, trial in trials.items() if (error := _outcome(trial)) is not None}
    if tokens is not None and any(isinstance(error, client.SaslAuthenticationFailed) for error in failures.values()):
        tokens.forget()  # nobody else looks at why a connection is refused
    return failures


async def _cut_short(trials: Collection[asyncio.Task[BaseException | None]], grace: float) -> None:
    """Wait until one address has answered well or all have failed, and end what then takes longer than the grace."""
    running = set(trials)
    while running and not any(trial.done() and trial.result() is None for trial in trials):
        _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    if running:
        _, late = await asyncio.wait(running, timeout=grace)
        for trial in late:
            trial.cancel()


def _outcome(trial: asyncio.Task[BaseException | None]) -> BaseException | None:
    return TimeoutError() if trial.cancelled() else trial.result()


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
    return f"{written(*address)}: {explain(error)}; {_advice(error, protocol)}"


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
