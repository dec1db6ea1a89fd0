"""A clock that steps: what takes time takes as long as ever."""

from collections import Counter
from uuid import UUID

from eventhub import Retry, Service, subscribe
from eventhub.brokers.memory import Operation
from tests.regressions.shop import GROUP, ORDERS, Order, Receipt, Shop, worker
from tests.simulation.virtual import VirtualClock

DAY = 86_400.0  # seconds


class SteppingClock(VirtualClock):
    """Its time of day goes two days ahead and two back, from one look to the next."""

    _looks = 0

    def now(self) -> float:
        """The time of day, off by a day."""
        self._looks += 1
        return super().now() + (DAY if self._looks % 2 else -DAY)


async def test_a_time_of_day_that_steps_changes_nothing_that_takes_time(shop: Shop) -> None:
    """Waits, deadlines, commits and heartbeats keep their seconds; ids stay unique, and nothing is given up."""
    tried: dict[int, list[float]] = {0: [], 1: []}

    @subscribe(Order, retry=Retry(waits=(5.0,)), timeout=10.0)
    async def handle(order: Order) -> Receipt:
        tried[order.number].append(shop.clock.monotonic())
        if shop.note(order) == 1 and order.number == 0:
            raise OSError
        if len(tried[1]) == 1 and order.number == 1:
            await shop.pass_time(60.0)
        return Receipt(customer=order.customer, number=order.number)

    one = await shop.start(Service(GROUP, [handle]), clock=SteppingClock(shop.loop))
    assert one.hub is not None
    await one.hub.publish_many([Order(customer="a", number=0), Order(customer="b", number=1)])
    await shop.until(lambda: worker(one).counters.handled == 2)
    await shop.pass_time(30.0)
    waited = {number: round(times[1] - times[0]) for number, times in tried.items()}
    written = [*shop.broker.records(ORDERS), *shop.broker.records(Receipt.__event__.topic)]
    ids = Counter(UUID((record.header("ce_id") or b"").decode()) for record in written)

    assert {0: 5, 1: 15} == waited
    assert (4, {1}) == (len(ids), set(ids.values()))
    assert ([], 2) == ([*shop.letters], await shop.committed())
    assert 1 == shop.network.asked.count(Operation.JOIN)
