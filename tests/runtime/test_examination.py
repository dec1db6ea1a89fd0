"""The true cause of a group's troubles: asked of the broker, logged, told in health, in the way of nobody."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from eventhub import Hub, Options, Service, subscribe
from eventhub.brokers.base import NewTopic
from eventhub.brokers.kafka import KafkaBroker
from eventhub.brokers.memory import MemoryBroker, Operation
from eventhub.clock import ManualClock
from eventhub.errors import BrokerError
from eventhub.record import TopicPartition
from eventhub.runtime.assignment import Assignment
from eventhub.runtime.channels import Channel
from eventhub.runtime.examination import REPEAT, Examination
from eventhub.runtime.lanes import Lanes
from eventhub.runtime.watchdog import Patience
from eventhub.service import replay_topic
from eventhub.subscription import Ordering
from eventhub.testing.waiting import until
from tests.brokers.kafka.helpers import client_admin
from tests.runtime.conftest import Shop
from tests.runtime.storm import Network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventhub.record import Record
    from eventhub.runtime.partition import Partition

CAUSE = "127.0.0.1:9092: the password is wrong"


class Examined(MemoryBroker):
    """A broker that fails as its network does, and knows why; it tells at once, or never."""

    def __init__(self, *, tells: bool = True) -> None:
        """Begin without faults."""
        self.network = Network()
        self.examined = 0
        self._tells = tells
        super().__init__(faults=self.network)

    async def examine(self, group: str, topics: Sequence[str]) -> Sequence[str]:  # noqa: ARG002 - the port's shape
        """Tell the cause, or nothing ever."""
        self.examined += 1
        if not self._tells:
            await asyncio.Event().wait()
        return [CAUSE]


class Baffled(Examined):
    """A broker whose examination itself fails."""

    async def examine(self, group: str, topics: Sequence[str]) -> Sequence[str]:
        """Fail."""
        raise ZeroDivisionError(group, topics)


def listener(shop: Shop, seen: list[int]) -> Service[Any]:
    """A service that notes the number of every order."""

    @subscribe(shop.order)
    async def listen(order: Any) -> None:
        seen.append(order.number)

    return Service(shop.name("listener"), [listen])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broker", "cause"),
    [(Examined(), CAUSE), (Baffled(), "could not be found out: ('listener")],
    ids=["found", "baffled"],
)
async def test_a_replaced_consumer_is_told_with_the_true_cause(broker: Examined, cause: str) -> None:
    """Log and health have what the broker says beside what the client said; nothing is ready meanwhile."""
    shop, seen = Shop(lambda: broker), list[int]()
    with capture_logs() as logs:
        async with shop.serving(listener(shop, seen)) as hub:
            broker.network.lost = {Operation.POLL}
            await until(lambda: any(cause in said for found in hub.health().values() for said in found.problems))
            [broken] = hub.health().values()
            broker.network.lost = set()
            await hub.publish_many(shop.orders("a"))
            await until(lambda: seen)
            [healed] = hub.health().values()
    [logged] = [entry for entry in logs if entry["event"] == "eventhub.worker_rebuilt"]

    assert ("poll is lost", True) == (logged["error"], cause in logged["cause"])
    assert (True, False) == (broken.live, broken.ready)
    assert (True, ()) == (healed.ready, healed.problems)
    assert cause in healed.detail.replaced


@pytest.mark.slow
async def test_an_examination_that_never_ends_delays_neither_healing_nor_the_stop() -> None:
    """The next consumer works while the cause of the last one's end is still looked for."""
    broker = Examined(tells=False)
    shop, seen = Shop(lambda: broker), list[int]()
    with capture_logs() as logs:
        async with asyncio.timeout(10), shop.serving(listener(shop, seen)) as hub:
            broker.network.lost = {Operation.POLL}
            await until(lambda: broker.examined)
            broker.network.lost = set()
            await hub.publish_many(shop.orders("a"))
            await until(lambda: seen)
            before = [entry for entry in logs if entry["event"] == "eventhub.worker_rebuilt"]
    [logged] = [entry for entry in logs if entry["event"] == "eventhub.worker_rebuilt"]

    assert [] == before
    assert "not found out before the stop" == logged["cause"]


class Restless:
    """A group of one topic on a clock that is moved by hand, and one member's view of it."""

    def __init__(self) -> None:
        """Begin before the first assignment."""
        self.clock = ManualClock()
        self.broker = Examined()
        options = Options(clock=self.clock)
        lanes = Lanes(_ignore, concurrency=1, clock=self.clock)
        self.assignment = Assignment("group", {"orders": Channel(Ordering.KEY)}, lanes, options)
        self.consumer = self.broker.consumer("group", ["orders"], self.assignment)
        self.assignment.use(self.consumer)
        self.examination = Examination("group", ["orders"], self.broker, options)

    async def look_after(self, seconds: float) -> list[Any]:
        """Let some time pass and look; what is warned of."""
        self.clock.advance(seconds)
        with capture_logs() as logs:
            await self.examination.look(self.assignment)
        return logs


async def _ignore(_: Record, __: Partition) -> None:
    """Handle a record."""


async def test_a_group_that_does_not_settle_is_warned_of_once_in_a_while() -> None:
    """Three rebalances within a minute are no news, the fourth is; it is no reason to begin a fifth."""
    group = Restless()
    for _ in range(3):
        await group.assignment.on_assigned(set())
    calm = await group.look_after(1)
    await group.assignment.on_assigned(set())
    [warned] = await group.look_after(1)
    again = [await group.look_after(1), await group.look_after(REPEAT)]
    later = await group.look_after(60)

    assert [] == [entry for entry in calm if entry["event"] == "eventhub.group_unsettled"]
    assert ("eventhub.group_unsettled", 4, CAUSE) == (warned["event"], warned["rebalances"], warned["cause"])
    assert [0, 1] == [sum(entry["event"] == "eventhub.group_unsettled" for entry in logs) for logs in again]
    assert [] == [entry for entry in later if entry["event"] == "eventhub.group_unsettled"]
    assert group.assignment.failure is None


@pytest.mark.slow
async def test_members_that_come_and_go_are_told_and_nobody_is_replaced(shop: Shop) -> None:
    """Each costs the group two rebalances; the one that stays says so, with what the broker has to say."""
    service = listener(shop, [])
    with capture_logs() as logs:
        async with shop.serving(service) as hub:
            for _ in range(2):
                async with shop.serving(service):
                    pass
            await until(lambda: any(entry["event"] == "eventhub.group_unsettled" for entry in logs), timeout=30)
            told = problems(hub)
            rebuilt = hub.supervisors[0].counters.rebuilt
    [warned] = [entry for entry in logs if entry["event"] == "eventhub.group_unsettled"]

    assert warned["rebalances"] > 3
    assert "nothing is wrong with the addresses, the topics or the rights" == warned["cause"]
    assert "times within a minute" in told
    assert 0 == rebuilt


async def test_partitions_that_nobody_reads_are_told_while_that_lasts() -> None:
    """A member without partitions asks whether the group reads everything, and says what it does not read."""
    group = Restless()
    await group.assignment.on_assigned(set())
    early = await group.look_after(4)
    missing = await group.look_after(1)
    await group.broker.admin.create_topics([NewTopic("orders", 6)])
    quiet = await group.look_after(5)
    told = group.examination.unread
    await group.consumer.start()
    warned = await group.look_after(REPEAT)
    await group.consumer.stop()

    assert [] == early
    assert [("eventhub.partitions_unread", True)] == [(e["event"], "no such topic" in e["found"]) for e in missing]
    assert [] == quiet
    assert "no member of the group reads orders[0], orders[1], orders[2], orders[3], orders[4] and 1 more" == told
    assert ([], "") == (warned, group.examination.unread)


async def test_a_member_that_is_one_too_many_says_nothing() -> None:
    """Who has no partition since the others read them all stands by, and that is well."""
    group, other = Restless(), Restless()
    await group.broker.admin.create_topics([NewTopic("orders", 1)])
    other.consumer = group.broker.consumer("group", ["orders"], other.assignment)
    other.assignment.use(other.consumer)
    await other.consumer.start()
    await group.assignment.on_assigned(set())
    logs = await group.look_after(5)
    await other.consumer.stop()

    assert ([], "") == (logs, group.examination.unread)
    assert {TopicPartition("orders", 0)} == other.assignment.partitions.keys()


async def test_a_member_that_is_given_nothing_for_too_long_is_replaced() -> None:
    """Its client may be the one that does not know of the partitions."""
    group = Restless()
    await group.broker.admin.create_topics([NewTopic("orders", 1)])
    await group.assignment.on_assigned(set())
    await group.look_after(5)
    await group.look_after(90)
    before = group.assignment.failure
    await group.look_after(5)

    assert before is None
    assert isinstance(group.assignment.failure, BrokerError)
    assert "no member of the group reads orders[0]" in str(group.assignment.failure)


@pytest.mark.slow
@pytest.mark.kafka
async def test_a_topic_that_was_made_again_is_told_until_it_is_read(kafka_url: str) -> None:
    """While the client does not know of it, the group reads nothing of it, and says so."""
    shop, seen = Shop(lambda: KafkaBroker(kafka_url, client={"metadata_max_age_ms": 6000})), list[int]()
    service, options = listener(shop, seen), Options(patience=Patience(idle=0.2), partitions=1)
    topics = [shop.order.__event__.topic, replay_topic(shop.order.__event__.topic, service.name)]
    with capture_logs() as logs:
        async with shop.serving(service, options=options) as hub:
            async with client_admin(KafkaBroker(kafka_url)) as admin:
                await admin.delete_topics(topics)
            await until(lambda: "topics missing" in problems(hub), timeout=30)
            await hub.broker.admin.create_topics([NewTopic(topic) for topic in topics])
            await until(lambda: f"no member of the group reads {topics[0]}[0]" in problems(hub), timeout=30)
            await hub.publish_many(shop.orders("a"))
            await until(lambda: seen and not problems(hub), timeout=30)
            rebuilt = hub.supervisors[0].counters.rebuilt
    warned = [entry["found"] for entry in logs if entry["event"] == "eventhub.partitions_unread"]

    assert warned
    assert ([0], 0) == (seen, rebuilt)


def problems(hub: Hub) -> str:
    """What is wrong with the one service of a hub, as health tells it."""
    [found] = hub.health().values()
    return " ".join(found.problems)
