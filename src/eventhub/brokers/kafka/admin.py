"""What is asked of the cluster as a whole, with every code of every answer looked at.

The client's own administration leaves most error codes in the answers for nobody to read, and
creates unknown topics when asked to describe them; the requests here do neither.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    InvalidTopicError,
    KafkaError,
    LeaderNotAvailableError,
    NodeNotReadyError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.admin import CreateTopicsRequest, DescribeConfigsRequest
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest, OffsetResetStrategy

from eventhub.brokers.base import NewTopic, OffsetAndMetadata, OffsetRange, TopicInfo
from eventhub.brokers.kafka.closing import close_connections
from eventhub.brokers.kafka.errors import translate, translated
from eventhub.errors import BrokerError
from eventhub.record import TopicPartition

T = TypeVar("T")

ANSWER_TIMEOUT = 10.0

_BACK_OFF = 0.1
_REACH_TIMEOUT = 5.0
_TOPIC_RESOURCE = 2
_CONFIGS = ["max.message.bytes", "cleanup.policy"]
_NO_SUCH_TOPIC = frozenset({UnknownTopicOrPartitionError.errno, InvalidTopicError.errno})
_GROUP_COORDINATOR = 0
_NO_OFFSET = -1
_READ_UNCOMMITTED = 0
"""Ends are the high watermark: under an open transaction the last stable offset would hide what waits."""
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
        places = ", ".join(f"{broker.host}:{broker.port}" for broker in brokers)
        msg = f"the cluster names {places or 'no broker'}, not to be reached from here; check its advertised.listeners"
        raise BrokerError(msg)

    async def stop(self) -> None:
        """Disconnect; a later question connects again."""
        client, self._client = self._client, None
        if client is not None:
            await close_connections(client, 1.0)

    async def topics(self) -> Mapping[str, TopicInfo]:
        """All topics by name, but for Kafka's internal ones."""
        return await self._ask("listing topics", lambda client: _describe(client, None))

    async def describe(self, names: Collection[str]) -> Mapping[str, TopicInfo]:
        """Those of these topics that exist and may be seen, found without creating any."""
        return await self._ask(
            f"describing {', '.join(sorted(names))}", lambda client: _describe(client, sorted(names))
        )

    async def create_topics(self, topics: Sequence[NewTopic]) -> None:
        """Create topics with the cluster's default replication and wait until every broker knows them."""
        existing = await self.describe({topic.name for topic in topics})
        missing = [topic for topic in topics if topic.name not in existing]
        if missing:
            names = ", ".join(topic.name for topic in missing)
            await self._ask(f"creating {names}", lambda client: _create(client, missing))
            await self._ask(f"waiting for {names}", lambda client: _await_leaders(client, missing))

    async def committed(
        self, group: str, partitions: Collection[TopicPartition] | None = None
    ) -> Mapping[TopicPartition, OffsetAndMetadata]:
        """The positions that a group has stored, of some partitions or, with None, of all."""
        return await self._ask(
            f"reading the offsets of group {group}", lambda client: _committed(client, group, partitions)
        )

    async def offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, OffsetRange]:
        """The first and the next offset of each partition."""
        if not partitions:
            return {}
        return await self._ask("reading offsets", lambda client: _offsets(client, partitions))

    async def _ask(self, doing: str, question: Callable[[AIOKafkaClient], Awaitable[T]]) -> T:
        """Ask until there is an answer, an error that will not pass, or no time left."""
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
                client = AIOKafkaClient(**self._connection)
                with translated(doing):
                    await client.bootstrap()
                self._client = client
            return self._client


async def _send(client: AIOKafkaClient, request: object, node: int | None = None) -> Any:  # noqa: ANN401 - answers have no types
    """Send to one broker, or to any."""
    node = client.get_random_node() if node is None else node
    if node is None:
        raise NodeNotReadyError
    return await client.send(node, request)


async def _metadata(client: AIOKafkaClient, names: Sequence[str] | None, node: int | None = None) -> Mapping[str, Any]:
    request = MetadataRequest(None if names is None else list(names), allow_auto_topic_creation=False)
    answer: Mapping[str, Any] = (await _send(client, request, node)).to_object()
    for topic in answer["topics"]:
        if topic["error_code"] not in _NO_SUCH_TOPIC:
            _raise_for(topic["error_code"], topic["topic"])
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
    answer = await _send(client, request)
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
    )


async def _create(client: AIOKafkaClient, topics: Sequence[NewTopic]) -> None:
    wanted: list[Any] = [
        (topic.name, topic.partitions, _DEFAULT_REPLICATION, _NO_REPLICAS, _settings(topic)) for topic in topics
    ]
    request = CreateTopicsRequest(wanted, timeout=int(ANSWER_TIMEOUT * 1000), validate_only=False)
    controller = client.cluster.controller
    answer = await _send(client, request, controller.nodeId if controller else None)
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


async def _committed(
    client: AIOKafkaClient, group: str, partitions: Collection[TopicPartition] | None
) -> Mapping[TopicPartition, OffsetAndMetadata]:
    coordinator = await _send(client, FindCoordinatorRequest(group, _GROUP_COORDINATOR))
    _raise_for(coordinator.error_code, group)
    wanted = None if partitions is None else [(topic, ids) for topic, ids in _by_topic(partitions).items()]
    answer = await _send(client, OffsetFetchRequest(group, wanted), coordinator.coordinator_id)
    _raise_for(answer.error_code, group)
    stored = {}
    for topic, entries in answer.topics:
        for partition, offset, metadata, code in entries:
            _raise_for(code, group)
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
        answer = await _send(client, OffsetRequest(-1, _READ_UNCOMMITTED, wanted), leader)
        for topic, entries in answer.topics:
            for partition, code, _, offset in entries:
                _raise_for(code, topic)
                offsets[TopicPartition(topic, partition)] = offset
    return offsets


def _by_topic(partitions: Collection[TopicPartition]) -> Mapping[str, list[int]]:
    topics: defaultdict[str, list[int]] = defaultdict(list)
    for topic, partition in partitions:
        topics[topic].append(partition)
    return topics


def _raise_for(code: int, about: str) -> None:
    if code:
        raise for_code(code)(about)
