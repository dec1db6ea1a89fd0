"""Delivering records: until the broker has all of them, and no longer."""

from eventhub.brokers.memory import MemoryBroker, Operation
from eventhub.clock import SystemClock
from eventhub.codecs.serde import Serde
from eventhub.registry.client import embedded_registry
from eventhub.runtime.publisher import Publisher


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
