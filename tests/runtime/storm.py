"""A shop whose broker can be cut off, and a clock on which nobody waits long."""

import asyncio

from anyio.lowlevel import checkpoint

from eventhub.brokers.memory import MemoryBroker, Operation
from eventhub.clock import SystemClock
from eventhub.errors import PublishUncertain
from tests.runtime.conftest import Shop


class Network:
    """What is lost on the way to the broker, by operation or by client."""

    def __init__(self) -> None:
        """Begin without faults."""
        self.lost: set[Operation] = set()
        self.lost_answers: set[Operation] = set()
        self.dead: set[str] = set()
        """Clients whose process is gone."""
        self.losses = 0
        """How often something was lost."""

    async def before(self, operation: Operation, client: str) -> None:
        """Lose requests."""
        self._lose(operation in self.lost or client in self.dead, operation)

    async def after(self, operation: Operation, client: str) -> None:
        """Lose answers."""
        self._lose(operation in self.lost_answers or client in self.dead, operation)

    def _lose(self, really: bool, operation: Operation) -> None:
        if really:
            self.losses += 1
            msg = f"{operation} is lost"
            raise PublishUncertain(msg)


class Hurried(SystemClock):
    """The system's clock, on which a wait is a turn of the loop, and waiting for ever still is that."""

    @staticmethod
    async def sleep(seconds: float) -> None:
        """Let the others have their turn."""
        if seconds == float("inf"):
            await asyncio.Event().wait()
        await checkpoint()


class StormyShop(Shop):
    """A shop on a broker in memory, behind a network that can fail."""

    def __init__(self, network: Network | None = None, *, session_timeout: float = 10.0) -> None:
        """Begin in calm."""
        self.network = network or Network()
        self.broker = MemoryBroker(faults=self.network, session_timeout=session_timeout)
        super().__init__(lambda: self.broker)
