"""Reading along."""

from eventhub.brokers.base import NewTopic
from eventhub.brokers.memory import MemoryBroker
from eventhub.record import ProducerRecord
from examples.evidence import DeadLetter, Fact
from examples.watch import watching

TOPICS = ["shop.orders", "shop.orders.inventory.dlt"]


async def broker_with(*records: ProducerRecord) -> MemoryBroker:
    """A broker whose topics hold these records."""
    broker = MemoryBroker()
    await broker.admin.create_topics([NewTopic(topic, 3) for topic in TOPICS])
    await write(broker, *records)
    return broker


async def write(broker: MemoryBroker, *records: ProducerRecord) -> None:
    """Write records."""
    producer = broker.producer()
    await producer.start()
    await producer.send(records)
    await producer.stop()


def created(number: int) -> ProducerRecord:
    """An order as the runtime writes it."""
    headers = (("ce_type", b"OrderCreated"), ("ce_id", f"id-{number}".encode()))
    return ProducerRecord("shop.orders", f"o-{number}".encode(), b"value", headers)


async def test_what_is_written_is_seen() -> None:
    """Every record of every partition is read, and kept as what it is."""
    broker = await broker_with()
    async with watching(broker, TOPICS) as watch:
        await write(broker, *(created(number) for number in range(10)))
        await watch.catch_up()

    assert {Fact("OrderCreated", f"id-{n}", f"o-{n}", b"value") for n in range(10)} == set(watch.facts)
    assert 10 == len(watch.facts)


async def test_what_was_there_before_is_not() -> None:
    """An earlier run on the same topics is left alone."""
    broker = await broker_with(created(1))
    async with watching(broker, TOPICS) as watch:
        await write(broker, created(2))
        await watch.catch_up()

    assert ["o-2"] == [fact.order_id for fact in watch.facts]


async def test_dead_letters_are_told_apart() -> None:
    """What stands on a dead-letter topic is no event, whatever headers it kept."""
    headers = (("ce_type", b"OrderCreated"), ("eventhub-error-stage", b"decode"), ("eventhub-error-message", b"why"))
    broker = await broker_with()
    async with watching(broker, TOPICS) as watch:
        await write(broker, ProducerRecord("shop.orders.inventory.dlt", b"o-1", b"value", headers))
        await watch.catch_up()

    assert [] == watch.facts
    assert [DeadLetter("shop.orders.inventory.dlt", b"value", "decode", "why")] == watch.dead_letters


async def test_a_record_without_a_type_is_no_event() -> None:
    """The hostile records are not counted as orders."""
    broker = await broker_with()
    async with watching(broker, TOPICS) as watch:
        await write(broker, ProducerRecord("shop.orders", b"hostile", b"value"))
        await watch.catch_up()

    assert [] == watch.facts


async def test_a_poll_says_how_much_it_found() -> None:
    """So that whoever waits knows whether anything moves."""
    broker = await broker_with()
    async with watching(broker, TOPICS) as watch:
        nothing = await watch.poll(timeout=0)
        await write(broker, created(1))

        assert 0 == nothing
        assert 1 == await watch.poll(timeout=1)


async def test_reading_goes_on_after_a_rebalance() -> None:
    """A second watcher of the group takes partitions away and gives them back; nothing is seen twice."""
    broker = await broker_with()
    async with watching(broker, TOPICS) as watch:
        await write(broker, *(created(number) for number in range(10)))
        await watch.catch_up()
        async with watching(broker, TOPICS):
            pass
        await write(broker, created(10))
        await watch.catch_up()

    assert 11 == len(watch.facts)
