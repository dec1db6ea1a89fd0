"""What keeps a group from reading: asked anew, over connections of its own, and told in words.

A connection that is open says nothing about one that has yet to be opened: credentials may have
changed since. So nothing here goes through a client that is in use.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiokafka.errors import (
    GroupAuthorizationFailedError,
    NoError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.metadata import MetadataRequest

from eventhub.brokers.kafka.admin import KafkaAdmin, coordinator, send
from eventhub.brokers.kafka.options import written
from eventhub.brokers.kafka.preflight import Address, failing, told
from eventhub.errors import BrokerError

if TYPE_CHECKING:
    from aiokafka.client import AIOKafkaClient

STEP_TIMEOUT = 2.5
"""Seconds for each of four steps: the addresses that we know, those that the cluster gives, and what it says there."""

_NOBODY = "eventhub-preflight"  # the id of no member; a heartbeat of it changes nothing


async def examine(
    addresses: Collection[Address], connection: Mapping[str, Any], group: str, topics: Collection[str]
) -> Sequence[str]:
    """What is wrong, one sentence each; takes at most 10 s, and 5 s more if there are tokens."""
    protocol = connection["security_protocol"]
    failed = await failing(addresses, connection, STEP_TIMEOUT)
    found = [told(address, error, protocol) for address, error in failed.items()]
    good = [written(*address) for address in addresses if address not in failed]
    if not good:
        return found
    admin = KafkaAdmin({**connection, "bootstrap_servers": good}, timeout=STEP_TIMEOUT)
    try:
        given = await admin.ask("asking for the cluster's addresses", _given)
        failed = await failing(given - set(addresses), connection, STEP_TIMEOUT)
        found += [told(address, error, protocol) for address, error in failed.items()]
        if failed.keys() != given:
            found += await admin.ask("asking for topics and rights", lambda client: _ask(client, group, topics))
    except BrokerError as error:
        found.append(str(error))
    finally:
        await admin.stop()
    return found


async def _given(client: AIOKafkaClient) -> set[Address]:
    return {(node.host, node.port) for node in client.cluster.brokers()}


async def _ask(client: AIOKafkaClient, group: str, topics: Collection[str]) -> list[str]:
    """What the cluster says of topics and rights."""
    answer = (await send(client, MetadataRequest(sorted(topics), allow_auto_topic_creation=False))).to_object()
    problems = [said for topic in answer["topics"] if (said := _topic_problem(topic)) is not None]
    readable = [topic["topic"] for topic in answer["topics"] if topic["error_code"] == NoError.errno]
    return [*problems, *await _denied_topics(client, readable), *await _denied_group(client, group)]


def _topic_problem(topic: Mapping[str, Any]) -> str | None:
    """What the cluster says is wrong with a topic."""
    name, code = topic["topic"], topic["error_code"]
    if code == TopicAuthorizationFailedError.errno:
        return f"the right to see topic {name} is missing; grant READ on the topic"
    headless = sorted(partition["partition"] for partition in topic["partitions"] if partition["leader"] < 0)
    if headless:
        return f"no broker leads {', '.join(f'{name}[{number}]' for number in headless)}; is a broker down?"
    return f"topic {name}: {for_code(code).message} [{code}]" if code else None


async def _denied_topics(client: AIOKafkaClient, topics: Sequence[str]) -> list[str]:
    """The topics that may be seen but not read; rights come before everything else, so any broker tells."""
    if not topics:
        return []
    nothing: list[Any] = [(topic, [(0, 0, 1)]) for topic in topics]
    answer = await send(client, FetchRequest(0, 0, 1, 0, nothing))
    codes = {topic: partitions[0][1] for topic, partitions in answer.topics}
    denied = sorted(topic for topic, code in codes.items() if code == TopicAuthorizationFailedError.errno)
    return [f"the right to read topic {topic} is missing; grant READ on the topic" for topic in denied]


async def _denied_group(client: AIOKafkaClient, group: str) -> list[str]:
    try:
        node = await coordinator(client, group)
    except GroupAuthorizationFailedError:
        code = GroupAuthorizationFailedError.errno
    else:
        code = (await send(client, HeartbeatRequest(group, 0, _NOBODY), node)).error_code
    denied = code == GroupAuthorizationFailedError.errno
    return [f"the right to read as group {group} is missing; grant READ on the group"] if denied else []
