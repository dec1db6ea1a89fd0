"""What is asked of the cluster as a whole, with every code of every answer looked at.

The client's own administration leaves most error codes in the answers for nobody to read, and
creates unknown topics when asked to describe them; the requests here do neither.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any, TypeVar

from aiokafka.client import AIOKafkaClient
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import (
    GroupIdNotFound,
    InvalidTopicError,
    KafkaError,
    LeaderNotAvailableError,
    NodeNotReadyError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.admin import CreateTopicsRequest, DescribeConfigsRequest, DescribeGroupsRequest
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest, OffsetResetStrategy

from eventhub.brokers.base import NewTopic, OffsetAndMetadata, OffsetRange, TopicInfo
from eventhub.brokers.kafka.batches import Fetched
from eventhub.brokers.kafka.closing import close_connections
from eventhub.brokers.kafka.errors import translate, translated
from eventhub.brokers.kafka.options import written
from eventhub.brokers.kafka.preflight import answering
from eventhub.errors import BrokerError, TopicMissing
from eventhub.record import TopicPartition

T = TypeVar("T")

ANSWER_TIMEOUT = 10.0

_BACK_OFF = 0.1
_REACH_TIMEOUT = 5.0
_SILENCE = 1.0  # seconds that one of several brokers may take; the last one has what is left of the question's time
_TOPIC_RESOURCE = 2
_FOR_EVER = -1  # milliseconds: nothing is deleted for its age
_CONFIGS = ["max.message.bytes", "cleanup.policy", "retention.ms"]
_NO_SUCH_TOPIC = frozenset({UnknownTopicOrPartitionError.errno, InvalidTopicError.errno})
_GROUP_COORDINATOR = 0
_SETTLED = frozenset({"Stable", "Empty", "Dead"})
"""States of a group in which its shares are what they say; the last is that of a group that does not exist."""
_NO_OFFSET = -1
_READ_UNCOMMITTED = 0
"""Ends are the high watermark: under an open transaction the last stable offset would hide what waits."""
_READ_COMMITTED = 1
_FETCH_BYTES = 1 << 20
"""Of one fetch; the broker gives a first batch that is larger all the same (KIP-74)."""
_FETCH_WAIT_MS = 500
_DEFAULT_REPLICATION = -1
_NO_REPLICAS: list[tuple[int, list[int]]] = []


class KafkaAdmin:
    """One connection to the cluster for questions, opened when the first is asked."""

    def __init__(self, connection: Mapping[str, Any], *, timeout: float = ANSWER_TIMEOUT) -> None:
        """Remember how to connect; a question may take ``timeout`` seconds, all attempts together."""
        self._connection = connection
        self._timeout = timeout
        self._client: AIOKafkaClient | None = None
        self._opening = asyncio.Lock()

    async def start(self) -> None:
        """Connect, also to an address that the cluster gives for itself: it may be unknown from here.

        Raises:
            BrokerError: If no broker answers.
        """
        client = await self._cluster("connecting to Kafka")
        brokers = list(client.cluster.brokers())
        for broker in brokers:
            with suppress(TimeoutError):
                async with asyncio.timeout(_REACH_TIMEOUT / len(brokers)):
                    if await client.ready(broker.nodeId):
                        return
        places = ", ".join(written(broker.host, broker.port) for broker in brokers)
        msg = f"the cluster names {places or 'no broker'}, not to be reached from here; check its advertised.listeners"
        raise BrokerError(msg)

    async def stop(self) -> None:
        """Disconnect; a later question connects again."""
        client, self._client = self._client, None
        if client is not None:
            await close_connections(client, 1.0)

    async def topics(self) -> Mapping[str, TopicInfo]:
        """All topics by name, but for Kafka's internal ones."""
        return await self.ask("listing topics", lambda client: _describe(client, None))

    async def describe(self, names: Collection[str]) -> Mapping[str, TopicInfo]:
        """Those of these topics that exist and may be seen, found without creating any."""
        return await self.ask(f"describing {', '.join(sorted(names))}", lambda client: _describe(client, sorted(names)))

    async def create_topics(self, topics: Sequence[NewTopic]) -> None:
        """Create topics with the cluster's default replication and wait until every broker knows them."""
        existing = await self.describe({topic.name for topic in topics})
        missing = [topic for topic in topics if topic.name not in existing]
        if missing:
            names = ", ".join(topic.name for topic in missing)
            await self.ask(f"creating {names}", lambda client: _create(client, missing))
            await self.ask(f"waiting for {names}", lambda client: _await_leaders(client, missing))

    async def committed(
        self, group: str, partitions: Collection[TopicPartition] | None = None
    ) -> Mapping[TopicPartition, OffsetAndMetadata]:
        """The positions that a group has stored, of some partitions or, with None, of all."""
        return await self.ask(
            f"reading the offsets of group {group}", lambda client: _committed(client, group, partitions)
        )

    async def offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, OffsetRange]:
        """The first and the next offset of each partition."""
        if not partitions:
            return {}
        return await self.ask("reading offsets", lambda client: _offsets(client, partitions))

    async def fetch(self, partition: TopicPartition, offset: int) -> Fetched:
        """The batches of a partition from the one with this offset on, as the broker keeps them."""
        doing = f"fetching {partition.topic}[{partition.partition}] at {offset}"
        return await self.ask(doing, lambda client: _fetch(client, partition, offset))

    async def unread(self, group: str, topics: Collection[str]) -> Collection[TopicPartition]:
        """The partitions of these topics that no member of a group owns; none while the group rebalances.

        Raises:
            TopicMissing: If topics do not exist.
        """
        found = await self.describe(topics)
        if missing := sorted(set(topics) - found.keys()):
            msg = f"topics missing for group {group}: {', '.join(missing)}"
            raise TopicMissing(msg, missing)
        owned = await self.ask(f"describing group {group}", lambda client: _owned(client, group))
        if owned is None:
            return set()
        return {TopicPartition(name, n) for name, info in found.items() for n in range(info.partitions)} - owned

    async def ask(self, doing: str, question: Callable[[AIOKafkaClient], Awaitable[T]]) -> T:
        """Ask until there is an answer, an error that will not pass, or no time left.

        Raises:
            BrokerError: If there is none; it says what was being done.
        """
        last: BaseException = TimeoutError()
        try:
            async with asyncio.timeout(self._timeout):
                while True:
                    client = await self._cluster(doing)
                    try:
                        return await question(client)
                    except KafkaError as error:
                        if not error.retriable:
                            raise translate(error, doing) from error
                        last = error
                    await asyncio.sleep(_BACK_OFF)
        except TimeoutError:
            await self.stop()  # the brokers that it knows may have moved; the next question starts at the URL again
            raise translate(last, f"{doing}: gave up after {self._timeout:g} s") from last

    async def _cluster(self, doing: str) -> AIOKafkaClient:
        async with self._opening:
            if self._client is None:
                client = AIOKafkaClient(**await answering(self._connection))
                with translated(doing):
                    await client.bootstrap()
                self._client = client
            return self._client


async def send(client: AIOKafkaClient, request: object, node: int | None = None) -> Any:  # noqa: ANN401 - answers have no types
    """Send to one broker, or to any: one that says nothing for a second leaves the question to the next."""
    if node is not None:
        return await client.send(node, request)
    nodes = [broker.nodeId for broker in client.cluster.brokers()]
    if not nodes:
        raise NodeNotReadyError
    last, *others = random.sample(nodes, len(nodes))
    for other in others:
        with suppress(TimeoutError):
            async with asyncio.timeout(_SILENCE):  # its end also frees the one lock under which the client connects
                return await client.send(other, request)
    return await client.send(last, request)


async def _metadata(client: AIOKafkaClient, names: Sequence[str] | None, node: int | None = None) -> Mapping[str, Any]:
    request = MetadataRequest(None if names is None else list(names), allow_auto_topic_creation=False)
    answer: Mapping[str, Any] = (await send(client, request, node)).to_object()
    for topic in answer["topics"]:
        if topic["error_code"] not in _NO_SUCH_TOPIC:
            raise_for(topic["error_code"], topic["topic"])
    return {topic["topic"]: topic for topic in answer["topics"] if topic["partitions"] and not topic["is_internal"]}


async def _describe(client: AIOKafkaClient, names: Sequence[str] | None) -> Mapping[str, TopicInfo]:
    found = await _metadata(client, names)
    configs = await _configs(client, sorted(found))
    return {name: _topic_info(name, len(topic["partitions"]), configs.get(name, {})) for name, topic in found.items()}


async def _configs(client: AIOKafkaClient, names: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """The settings of topics; a topic whose settings may not be read is left out, and gets the defaults."""
    if not names:
        return {}
    request = DescribeConfigsRequest([(_TOPIC_RESOURCE, name, _CONFIGS) for name in names], include_synonyms=False)
    answer = await send(client, request)
    return {
        name: {entry[0]: entry[1] for entry in entries} for code, _, _, name, entries in answer.resources if code == 0
    }


def _topic_info(name: str, partitions: int, configs: Mapping[str, str]) -> TopicInfo:
    default = TopicInfo(name, partitions)
    return TopicInfo(
        name,
        partitions,
        max_record_bytes=int(configs.get("max.message.bytes", default.max_record_bytes)),
        compacted="compact" in configs.get("cleanup.policy", ""),
        retention=_retention(int(configs.get("retention.ms", _FOR_EVER))),
    )


def _retention(milliseconds: int) -> float:
    return math.inf if milliseconds == _FOR_EVER else milliseconds / 1000


async def _create(client: AIOKafkaClient, topics: Sequence[NewTopic]) -> None:
    wanted: list[Any] = [
        (topic.name, topic.partitions, _DEFAULT_REPLICATION, _NO_REPLICAS, _settings(topic)) for topic in topics
    ]
    request = CreateTopicsRequest(wanted, timeout=int(ANSWER_TIMEOUT * 1000), validate_only=False)
    controller = client.cluster.controller
    answer = await send(client, request, controller.nodeId if controller else None)
    failures = [
        (name, for_code(code)(*([message] if message else [])))
        for name, code, message in answer.topic_errors
        if code and for_code(code) is not TopicAlreadyExistsError
    ]
    for _, error in failures:
        if error.retriable:
            await client.force_metadata_update()
            raise error
    if failures:
        reasons = [translate(error, name) for name, error in failures]
        msg = f"cannot create topics: {'; '.join(map(str, reasons))}"
        raise BrokerError(msg, retriable=False)


def _settings(topic: NewTopic) -> list[tuple[str, str]]:
    return [("cleanup.policy", "compact")] if topic.compacted else []


async def _await_leaders(client: AIOKafkaClient, topics: Sequence[NewTopic]) -> None:
    """Return when every broker knows a leader for each partition."""
    names = [topic.name for topic in topics]
    for broker in client.cluster.brokers():
        found = await _metadata(client, names, broker.nodeId)
        for name in names:
            partitions = found.get(name, {"partitions": []})["partitions"]
            if not partitions or any(partition["leader"] < 0 for partition in partitions):
                msg = f"broker {broker.nodeId} does not know {name} yet"
                raise NodeNotReadyError(msg)


async def _owned(client: AIOKafkaClient, group: str) -> AbstractSet[TopicPartition] | None:
    """What the members of a group own, or None while it is neither settled nor empty."""
    answer = await send(client, DescribeGroupsRequest([group]), await coordinator(client, group))
    code, _, state, _, _, members = answer.groups[0]
    if code != GroupIdNotFound.errno:  # nobody has ever joined it
        raise_for(code, group)
    if state not in _SETTLED:
        return None
    return owned_partitions(group, [assignment for *_, assignment in members if assignment])


def owned_partitions(group: str, assignments: Collection[bytes]) -> AbstractSet[TopicPartition]:
    """The partitions in what a group's leader, whatever program that is, gave to its members.

    Raises:
        BrokerError: If it gave one of them what makes no sense.
    """
    try:
        shares = [ConsumerProtocol.ASSIGNMENT.decode(assignment) for assignment in assignments]
        return {TopicPartition(*partition) for share in shares for partition in share.partitions()}
    except (ValueError, TypeError) as error:  # the client's reader has no error of its own
        msg = f"what a member of group {group} was given cannot be read; is another program in the group?"
        raise BrokerError(msg) from error


async def coordinator(client: AIOKafkaClient, group: str) -> int:
    """The node that coordinates a group."""
    answer = await send(client, FindCoordinatorRequest(group, _GROUP_COORDINATOR))
    raise_for(answer.error_code, group)
    node: int = answer.coordinator_id
    return node


async def _committed(
    client: AIOKafkaClient, group: str, partitions: Collection[TopicPartition] | None
) -> Mapping[TopicPartition, OffsetAndMetadata]:
    wanted = None if partitions is None else [(topic, ids) for topic, ids in _by_topic(partitions).items()]
    answer = await send(client, OffsetFetchRequest(group, wanted), await coordinator(client, group))
    raise_for(answer.error_code, group)
    stored = {}
    for topic, entries in answer.topics:
        for partition, offset, metadata, code in entries:
            raise_for(code, group)
            if offset != _NO_OFFSET:
                stored[TopicPartition(topic, partition)] = OffsetAndMetadata(offset, metadata)
    return stored


async def _offsets(
    client: AIOKafkaClient, partitions: Collection[TopicPartition]
) -> Mapping[TopicPartition, OffsetRange]:
    leaders = await _leaders(client, partitions)
    first, last = await asyncio.gather(
        _list_offsets(client, leaders, OffsetResetStrategy.EARLIEST),
        _list_offsets(client, leaders, OffsetResetStrategy.LATEST),
    )
    return {partition: OffsetRange(first[partition], last[partition]) for partition in partitions}


async def _leaders(
    client: AIOKafkaClient, partitions: Collection[TopicPartition]
) -> Mapping[int, Collection[TopicPartition]]:
    found = await _metadata(client, sorted({partition.topic for partition in partitions}))
    leader_of = {
        TopicPartition(name, entry["partition"]): entry["leader"]
        for name, topic in found.items()
        for entry in topic["partitions"]
    }
    leaders: defaultdict[int, list[TopicPartition]] = defaultdict(list)
    for partition in partitions:
        leader = leader_of.get(partition, -1)
        if leader < 0:
            raise LeaderNotAvailableError(f"{partition.topic}[{partition.partition}]")  # noqa: EM102 - not a sentence
        leaders[leader].append(partition)
    return leaders


async def _list_offsets(
    client: AIOKafkaClient, leaders: Mapping[int, Collection[TopicPartition]], which: int
) -> Mapping[TopicPartition, int]:
    offsets = {}
    for leader, partitions in leaders.items():
        wanted: list[Any] = [
            (topic, [(number, which) for number in numbers]) for topic, numbers in _by_topic(partitions).items()
        ]
        answer = await send(client, OffsetRequest(-1, _READ_UNCOMMITTED, wanted), leader)
        for topic, entries in answer.topics:
            for partition, code, _, offset in entries:
                raise_for(code, topic)
                offsets[TopicPartition(topic, partition)] = offset
    return offsets


async def _fetch(client: AIOKafkaClient, partition: TopicPartition, offset: int) -> Fetched:
    [leader] = await _leaders(client, [partition])
    wanted = [(partition.topic, [(partition.partition, offset, _FETCH_BYTES)])]
    request = FetchRequest(_FETCH_WAIT_MS, 1, _FETCH_BYTES, _READ_COMMITTED, wanted)
    answer = (await send(client, request, leader)).to_object()
    [topic] = answer["topics"]
    [found] = topic["partitions"]
    raise_for(found["error_code"], partition.topic)
    aborted = [(entry["producer_id"], entry["first_offset"]) for entry in found["aborted_transactions"] or ()]
    return Fetched(bytes(found["message_set"]), aborted)


def _by_topic(partitions: Collection[TopicPartition]) -> Mapping[str, list[int]]:
    topics: defaultdict[str, list[int]] = defaultdict(list)
    for topic, partition in partitions:
        topics[topic].append(partition)
    return topics


def raise_for(code: int, about: str) -> None:
    """Raise the client's error for a code, if it is one."""
    if code:
        raise for_code(code)(about)
