"""Sources at work: what they yielded when they are told to stop."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from eventhub import BrokerError, Hub, Options, Service, produces
from eventhub.brokers.memory import MemoryBroker
from eventhub.brokers.memory.faults import Operation
from eventhub.testing.waiting import until
from tests.events import OrderCreated


class Away:
    """A broker that takes no records; everything else works."""

    def __init__(self) -> None:
        """Refuse nothing yet."""
        self.refused = 0

    async def before(self, operation: Operation, client: str) -> None:
        """Lose what is sent."""
        del client
        if operation is Operation.SEND:
            self.refused += 1
            msg = "the broker is away"
            raise BrokerError(msg)

    async def after(self, operation: Operation, client: str) -> None:
        """Let every answer come back."""


@pytest.mark.parametrize(("stop_grace", "end"), [(0.0, Hub.stop), (3600.0, Hub.hurry)])
async def test_a_source_does_not_wait_for_ever_for_a_broker_that_is_away(
    stop_grace: float, end: Callable[[Hub], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Told to stop it gives up after the grace, told to hurry at once; what is not confirmed is counted in the log."""

    @produces(OrderCreated)
    async def one() -> AsyncIterator[OrderCreated]:
        yield OrderCreated(order_id="o-1")
        await asyncio.Event().wait()

    faults = Away()
    hub = Hub(MemoryBroker(faults=faults), registry="embedded", provision=True, options=Options(stop_grace=stop_grace))
    async with hub, asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(hub.serve(Service("order", [one])))
        await until(lambda: faults.refused)
        end(hub)
    said = capsys.readouterr().out

    assert "eventhub.source_cut_off" in said
    assert "unconfirmed=1" in said
