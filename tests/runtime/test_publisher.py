"""Delivering records: until the broker has all of them, and no longer."""

from typing import Any

from eventhub import Event, Options, Service, subscribe
from eventhub.brokers.memory import MemoryBroker, Operation
from eventhub.clock import SystemClock
from eventhub.codecs.serde import Serde
from eventhub.registry.client import embedded_registry
from eventhub.runtime.publisher import Publisher
from eventhub.testing.waiting import until
from tests.runtime.conftest import Shop
from tests.runtime.storm import Hurried, StormyShop


class Observed:
    """A network that notes what is asked of the broker."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.asked: list[Operation] = []

    async def before(self, operation: Operation, _: str) -> None:
        """Note the request."""
        self.asked.append(operation)

    async def after(self, _: Operation, __: str) -> None:
        """Let the answer pass."""


async def test_for_no_records_the_broker_is_not_asked() -> None:
    """A handler that returned an empty list waits for nobody: neither a round trip nor a broker that is away."""
    network = Observed()
    publisher = Publisher(MemoryBroker(faults=network).producer(), Serde(embedded_registry(), auto_register=True))

    await publisher.deliver([], SystemClock.sleep, lambda: 0.0)

    assert [] == network.asked


def cashier(shop: Shop, called: list[int]) -> Service[Any]:
    """A service that notes its calls and returns a receipt for every order."""
    Receipt = shop.receipt  # noqa: N806 - a class

    @subscribe(shop.order)
    async def receipt(order: Any) -> Receipt:  # type: ignore[valid-type]
        called.append(order.number)
        return Receipt(customer=order.customer, number=order.number)  # type: ignore[no-any-return]

    return Service(shop.name("cashier"), [receipt])


async def test_what_the_broker_does_not_take_is_sent_again_and_the_handler_is_not_called_again() -> None:
    """The order is finished once its receipt is there; until then nothing is committed over it."""
    shop, called = StormyShop(), list[int]()
    service = cashier(shop, called)
    async with shop.hub() as hub:
        await hub.publish_many(shop.orders("a"))
    shop.network.lost = {Operation.SEND}
    async with shop.serving(service, options=Options(clock=Hurried(), commit_interval=0.01)) as hub:
        await until(lambda: shop.network.losses > 3)
        before = await shop.committed(shop.order, service)
        shop.network.lost.clear()
        await until(lambda: hub.supervisors[0].counters.published == 1)

    assert 0 == before
    assert [0] == called
    assert [b"a"] == [record.key for record in shop.broker.records(shop.receipt.__event__.topic)]
    assert 1 == await shop.committed(shop.order, service)


async def test_what_may_have_been_taken_is_sent_again_with_the_same_id() -> None:
    """A reader can tell the repetition, since both say the same."""
    shop, called = StormyShop(), list[int]()
    async with shop.hub() as hub:
        await hub.publish_many(shop.orders("a"))
    shop.network.lost_answers = {Operation.SEND}
    async with shop.serving(cashier(shop, called), options=Options(clock=Hurried())) as hub:
        await until(lambda: shop.network.losses > 1)
        shop.network.lost_answers.clear()
        await until(lambda: hub.supervisors[0].counters.published == 1)
    written = shop.broker.records(shop.receipt.__event__.topic)

    assert [0] == called
    assert len(written) > 1
    assert 1 == len({record.header("ce_id") for record in written})


async def test_what_the_broker_will_never_take_makes_a_dead_letter_of_its_cause(shop: Shop) -> None:
    """A receipt that is too large can be sent as often as one likes; the next order is handled."""

    class Parcel(Event, topic=f"parcels-{shop.unique}", name="Parcel"):
        """As large as it likes."""

        content: bytes

    @subscribe(shop.order)
    async def pack(order: Any) -> Parcel:
        return Parcel(content=b"x" * (2 * 1024 * 1024 if order.number == 0 else 1))

    service = Service(shop.name("packer"), [pack])
    async with shop.serving(service) as hub:
        await hub.publish_many(shop.orders("aa"))
        await until(lambda: hub.supervisors[0].counters.published == 1)
    [letter] = await shop.letters(shop.order, service)

    assert ("publish", 1) == (letter.stage, letter.attempt)
    assert "too large" in (letter.error_message or "") or "refuses" in (letter.error_message or "")
    assert 1 == len(await shop.records(Parcel.__event__.topic))
