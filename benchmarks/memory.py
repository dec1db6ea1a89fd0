"""What a service's memory grows by while its handlers stand still and large records wait, on a real Kafka.

Run: python -m benchmarks.memory [--records 400] [--mib 1.0] [--broker kafka://host:port]

The service runs in a process of its own with the limits that it has by default. No handler of it
returns, so that it reads until it may read no more. What its process has grown by then, at its
peak, is printed beside the bytes that it counts as unfinished and those that it may.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sys
import uuid
from contextlib import ExitStack
from pathlib import Path

from eventhub import Event, Hub, Options, Service, subscribe
from eventhub.brokers.base import NewTopic
from eventhub.registry.embedded.server import serve
from eventhub.testing.kafka.shared import shared_kafka
from eventhub.testing.waiting import until

PARTITIONS = 6
CUSTOMERS = 16  # as many as may run: what queues behind them counts, what waits for a place to run is not taken up
MIB = 1024 * 1024
ROOM = 2048  # bytes that the broker's largest record, 1 MiB, has for more than the body
TURNS = 20  # of the poll task without another record: it has read all that it may


def upload(topic: str) -> type[Event]:
    """An event as large as it likes."""

    class Upload(Event, topic=topic, key="customer"):
        """Something large."""

        customer: int
        body: bytes

    return Upload


async def stand_still(url: str, registry: str, topic: str) -> None:
    """Read all that may be read, and print what that takes."""

    @subscribe(upload(topic))
    async def keep(_: Event) -> None:
        await asyncio.Event().wait()

    service = Service(f"{topic}-reader", [keep])
    async with (
        Hub(url, registry=registry, provision=True, options=Options(stop_grace=0.0)) as hub,
        asyncio.TaskGroup() as tasks,
    ):
        before = resident_mib()
        tasks.create_task(hub.serve(service))
        held, same = -1, 0
        while same < TURNS:
            heartbeat = heartbeat_of(hub)
            await until(lambda heartbeat=heartbeat: heartbeat_of(hub) > heartbeat, timeout=60)
            detail = hub.health()[service.name].detail
            same = same + 1 if detail.in_flight_bytes == held > 0 else 0
            held = detail.in_flight_bytes
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{detail.in_flight} records in flight, {held / MIB:.0f} MiB of at most "
            f"{service.limits.max_in_flight_bytes / MIB:.0f}; the process grew by {peak - before:.0f} MiB"
            f" from {before:.0f}"
        )
        hub.stop()


def resident_mib() -> float:
    """What the process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


def heartbeat_of(hub: Hub) -> float:
    """When the poll task last had its turn."""
    worker = hub.supervisors[0].worker if hub.supervisors else None
    return worker.heartbeat if worker is not None else 0.0


async def measure(url: str, records: int, mib: float) -> None:
    """Fill a topic, and let a process stand still over it."""
    topic = f"uploads-{uuid.uuid4().hex[:8]}"
    kind, body = upload(topic), bytes(int(mib * MIB) - ROOM)
    async with serve() as registry:
        options = Options(partitions=PARTITIONS)
        async with Hub(url, registry=registry.url, auto_register=True, provision=True, options=options) as hub:
            await hub.broker.admin.create_topics([NewTopic(topic, PARTITIONS)])
            for number in range(records):
                await hub.publish(kind(customer=number % CUSTOMERS, body=body))
        command = [sys.executable, "-m", "benchmarks.memory", "--stand-still", url, registry.url, topic]
        await (await asyncio.create_subprocess_exec(*command)).wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=400)
    parser.add_argument("--mib", type=float, default=1.0)
    parser.add_argument("--broker", help="kafka://host:port; a real Kafka is started without it")
    parser.add_argument("--stand-still", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stand_still:
        asyncio.run(stand_still(*arguments.stand_still))
        return
    with ExitStack() as stack:
        url = arguments.broker or f"kafka://{stack.enter_context(shared_kafka()).bootstrap}"
        asyncio.run(measure(url, arguments.records, arguments.mib))


if __name__ == "__main__":
    main()
