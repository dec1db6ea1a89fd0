"""Records that are given up: once, kept until the letter is there, and without harm to the others."""

from eventhub import Retry, Service, subscribe
from eventhub.brokers.memory import Operation
from eventhub.dead_letters import DeadLetterTopic, Selection
from eventhub.record import ProducerRecord
from tests.regressions.shop import GROUP, ORDERS, Order, Shop, worker

NO_FRAME = b"\x01, which begins no frame"


async def test_bytes_that_nobody_can_read_become_one_letter_and_a_replay_of_it_one_more(shop: Shop) -> None:
    """They are written as they are, by nobody who would have to understand them; then the key goes on."""

    @subscribe(Order)
    async def handle(order: Order) -> None:
        shop.note(order)

    one = await shop.start(Service(GROUP, [handle]))
    await shop.publish(Order(customer="a", number=0))
    await shop.write(ProducerRecord(ORDERS, b"a", NO_FRAME))
    await shop.publish(Order(customer="a", number=1))
    await shop.until(lambda: shop.tried(1))
    await shop.pass_time(10.0)
    first = [letter.record.value for letter in shop.letters]
    await DeadLetterTopic(shop.broker, ORDERS, GROUP).replay(Selection(), dry_run=False)
    await shop.until(lambda: len(shop.letters) == 2)
    await shop.pass_time(10.0)

    assert [NO_FRAME] == first
    assert [(NO_FRAME, 0), (NO_FRAME, 1)] == [(letter.record.value, letter.replay_count) for letter in shop.letters]
    assert [0, 1] == [number for _, number in shop.tries]
    assert 2 == worker(one).counters.dead_lettered


async def test_a_record_that_cannot_be_decoded_does_not_cost_the_connection(shop: Shop) -> None:
    """The consumer that met it goes on: no new one, no second delivery, and no other key waits."""

    @subscribe(Order)
    async def handle(order: Order) -> None:
        shop.note(order)

    one = await shop.start(Service(GROUP, [handle]))
    await shop.publish(Order(customer="a", number=0))
    [whole] = shop.broker.records(ORDERS)
    await shop.write(ProducerRecord(ORDERS, b"a", (whole.value or b"") + b"more"))
    await shop.publish(Order(customer="b", number=1))
    await shop.until(lambda: shop.tried(1))
    await shop.pass_time(10.0)

    assert [0, 1] == [number for _, number in shop.tries]
    assert 1 == shop.network.asked.count(Operation.JOIN)
    assert (1, 0) == (len(shop.letters), worker(one).counters.rebuilt)


async def test_a_record_is_not_skipped_because_its_letter_was_not_taken(shop: Shop) -> None:
    """Others are handled behind it, the commit stays before it, and whoever reads on has it again."""

    @subscribe(Order, retry=Retry(waits=(1.0,)))
    async def handle(order: Order) -> None:
        shop.note(order)
        if order.number == 0:
            raise OSError

    service = Service(GROUP, [handle])
    one = await shop.start(service)
    shop.network.lost = {Operation.SEND}
    await shop.publish(Order(customer="a", number=0), Order(customer="b", number=1))
    await shop.until(lambda: shop.tried(1) and shop.tried(0) == 2)
    await shop.pass_time(30.0)
    await shop.stop(one)
    committed = await shop.committed()
    shop.network.lost = set()
    await shop.start(service, "two")
    await shop.until(lambda: shop.letters)
    await shop.pass_time(10.0)

    assert 0 == committed
    assert [("one", 0), ("one", 0), ("one", 1), ("two", 0)] == sorted(shop.tries)
    assert [2] == [letter.attempt for letter in shop.letters]


async def test_a_schema_that_is_late_is_waited_for_and_one_that_never_comes_is_not(shop: Shop) -> None:
    """Nothing is given up for a registry whose replica lags by half a minute; after one minute it is."""

    @subscribe(Order)
    async def handle(order: Order) -> None:
        shop.note(order)

    await shop.start(Service(GROUP, [handle]))
    await shop.publish(Order(customer="a", number=0))
    [whole] = shop.broker.records(ORDERS)
    value = whole.value or b""
    late, never = (value[:1] + number.to_bytes(4, "big") + value[5:] for number in (1001, 1002))
    await shop.write(ProducerRecord(ORDERS, b"b", late))
    await shop.pass_time(30.0)
    shop.registry._schemas[1001] = shop.registry._schemas[int.from_bytes(value[1:5], "big")]
    await shop.until(lambda: len(shop.tries) == 2)
    await shop.write(ProducerRecord(ORDERS, b"c", never))
    await shop.pass_time(55.0)
    before = [*shop.letters]
    await shop.until(lambda: shop.letters)

    assert [] == before
    assert [("decode", b"c")] == [(letter.stage, letter.record.key) for letter in shop.letters]
    assert 2 == len(shop.tries)
