"""A record that ends the process: after a few deaths it is found, given up, and the others go on."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from eventhub import Event, Hub, Service, subscribe
from eventhub.brokers.kafka import KafkaBroker
from eventhub.registry.embedded.server import serve
from eventhub.runtime.assignment import CAREFUL_RESTARTS
from eventhub.runtime.dead_letter import read_dead_letter
from eventhub.testing.reading import read_topic

PROGRAM = """
import asyncio, os, signal, sys
from pathlib import Path
from eventhub import Event, Hub, Limits, Options, Service, subscribe

broker, registry, topic, seen = sys.argv[1:]


class Order(Event, topic=topic, key="customer", name="Order"):
    customer: str
    number: int


@subscribe(Order)
async def handle(order: Order) -> None:
    if order.number == 7:
        os._exit(9)
    await asyncio.sleep(0.01)
    with Path(seen).open("a") as file:
        print(order.number, file=file)


async def main():
    client = {"session_timeout_ms": 1500, "heartbeat_interval_ms": 300}
    async with Hub(broker, registry=registry, provision=True, client=client) as hub:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, hub.stop)
        await hub.serve(Service(f"{topic}-reader", [handle]))

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.kafka
async def test_a_record_that_kills_the_process_is_given_up_and_the_others_are_handled(
    kafka_url: str, tmp_path: Path
) -> None:
    """Its letter says that it was a crash; every other order is handled, and the last process stops in order."""
    topic = f"orders-{os.getpid()}-{tmp_path.name}"
    seen, program = tmp_path / "seen", tmp_path / "program.py"
    program.write_text(PROGRAM)

    class Order(Event, topic=topic, key="customer", name="Order"):
        customer: str
        number: int

    @subscribe(Order)
    async def never(_: Order) -> None: ...

    service = Service(f"{topic}-reader", [never])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)}
    deaths = 0
    async with serve() as registry:
        async with Hub(kafka_url, registry=registry.url, auto_register=True, provision=True) as hub:
            await hub.publish_many(Order(customer="abc"[number % 3], number=number) for number in range(12))
        while True:
            arguments = (str(program), kafka_url, registry.url, topic, str(seen))
            process = await asyncio.create_subprocess_exec(sys.executable, *arguments, env=environment)
            ended = asyncio.create_task(process.wait())
            while not ended.done() and not (seen.exists() and handled(seen) == set(range(12)) - {7}):
                await asyncio.wait([ended], timeout=0.1)
            if not ended.done():
                process.terminate()
                break
            deaths += 1
            assert deaths <= CAREFUL_RESTARTS + 3
        code = await ended
    broker = KafkaBroker(kafka_url)
    await broker.start()
    letters = [read_dead_letter(record) for record in await read_topic(broker, service.dead_letter_topics[0])]
    await broker.stop()

    assert 0 == code
    assert CAREFUL_RESTARTS == deaths
    assert [("crash", "eventhub.errors.CrashPoison")] == [(letter.stage, letter.error_type) for letter in letters]


def handled(seen: Path) -> set[int]:
    """The numbers of the orders that were handled."""
    return {int(line) for line in seen.read_text().split()}
