"""What tests of the Kafka broker do again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiokafka.admin import AIOKafkaAdminClient
from pydantic import SecretStr

from eventhub.brokers.kafka import KafkaBroker
from eventhub.record import Record, TopicPartition
from eventhub.settings import Security
from eventhub.testing.conformance.brokers.reader import DEADLINE, unique
from eventhub.testing.kafka import KafkaCluster, User, kafka

T = TypeVar("T")


@asynccontextmanager
async def running(part: Any) -> AsyncIterator[Any]:
    """A broker, producer or consumer between its start and its stop."""
    await part.start()
    try:
        yield part
    finally:
        await part.stop()


@asynccontextmanager
async def own_cluster() -> AsyncIterator[tuple[KafkaCluster, KafkaBroker]]:
    """A cluster of the test's own, to do harm to."""
    async with kafka() as cluster, running(KafkaBroker(f"kafka://{cluster.bootstrap}")) as broker:
        yield cluster, broker


@asynccontextmanager
async def listener(*, hangs_up: bool) -> AsyncIterator[int]:
    """A port where somebody takes the connection, and then hangs up or never says a word."""

    async def meet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not hangs_up:
            await done.wait()
        writer.close()

    done = asyncio.Event()
    async with await asyncio.start_server(meet, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        done.set()


def as_user(cluster: KafkaCluster, user: User, **options: Any) -> KafkaBroker:
    """A cluster as seen by one who logs in."""
    security = Security(username=user.name, password=SecretStr(user.password), **options)
    return KafkaBroker(f"kafka://{cluster.bootstrap}", security=security)


@asynccontextmanager
async def client_admin(broker: KafkaBroker) -> AsyncIterator[AIOKafkaAdminClient]:
    """The client's own administration, for what eventhub never does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.url.removeprefix("kafka://"))
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def until_gone(broker: KafkaBroker, topic: str) -> None:
    """Wait until a topic has been deleted."""
    async with asyncio.timeout(DEADLINE):
        while topic in await broker.admin.describe([topic]):
            pass


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that nobody tells of."""
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.wait([never], timeout=0.01)


class Member:
    """A member of a group that reads everything from the beginning, and remembers what it was told."""

    def __init__(self, broker: KafkaBroker, topics: Sequence[str], group: str | None = None) -> None:
        self.consumer = broker.consumer(group or unique("group"), topics, self)
        self.owned: AbstractSet[TopicPartition] = frozenset()
        self.assignments: list[AbstractSet[TopicPartition]] = []

    async def on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Own these no longer."""
        self.owned -= partitions

    async def on_assigned(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Own these, from the beginning."""
        for partition, place in (await self.consumer.offsets(partitions)).items():
            self.consumer.seek(partition, place.beginning)
        self.owned = frozenset(partitions)
        self.assignments.append(self.owned)

    async def poll(self, timeout: float = 0.1) -> Mapping[TopicPartition, Sequence[Record]]:
        """The next records of what it owns."""
        async with asyncio.timeout(DEADLINE):
            return await self.consumer.poll(self.owned, max_records=500, timeout=timeout)


async def read_all(broker: KafkaBroker, topic: str) -> Sequence[Record]:
    """Everything in a topic; each partition in order."""
    member = Member(broker, [topic])
    records: list[Record] = []
    async with running(member.consumer):
        ends = await broker.admin.offsets(member.owned)
        wanted = sum(place.end - place.beginning for place in ends.values())
        async with asyncio.timeout(DEADLINE):
            while len(records) < wanted:
                records += [record for found in (await member.poll()).values() for record in found]
    return records
