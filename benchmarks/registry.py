"""What the embedded registry costs with 10,000 subjects, beside the same requests without a registry behind them.

Run from the root of the project with ``python -m benchmarks.registry``. Each call is timed by the processor's time of
this process, client and server together, so that other processes on the machine do not count.
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

import httpx

from eventhub.registry.base import Schema
from eventhub.registry.client import HttpSchemaRegistry
from eventhub.registry.embedded.app import EmbeddedRegistry

SUBJECTS = 10_000
FIELDS = 20  # of each record, with a default and a sentence each; an ordinary event has fewer
LOOK_UPS = 2_000
WARM = 10_000
MOST_MEGABYTES = 300
MOST_MILLISECONDS = 5.0  # of a registration or a look-up, 99 of 100 times


def schema(number: int) -> Schema:
    """A schema that no other subject has."""
    field = '{"name":"field_%d","type":["null","string"],"default":null,"doc":"What it is, in some words."}'
    fields = ",".join(field % at for at in range(FIELDS))
    return Schema(f'{{"type":"record","name":"Event{number}","namespace":"shop","fields":[{fields}]}}')


async def nothing(_: MutableMapping[str, Any], __: object, send: Callable[[Any], Awaitable[None]]) -> None:
    """The floor: a server that always says the same."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b'{"schema":"\\"int\\""}'})


def client(app: object) -> HttpSchemaRegistry:
    """A client without a network."""
    return HttpSchemaRegistry("http://registry", transport=httpx.ASGITransport(app))  # type: ignore[arg-type]


async def timed(calls: list[Callable[[], Awaitable[object]]]) -> list[float]:
    """The milliseconds of each call, shortest first."""
    took = []
    for call in calls:
        began = time.process_time()
        await call()
        took.append((time.process_time() - began) * 1000)
    return sorted(took)


async def measured() -> bool:
    """Print the figures; whether all are as they have to be."""
    app = EmbeddedRegistry()
    registry, other, floor = client(app), client(app), client(nothing)
    registered = await timed(
        [partial(registry.register, f"topic-{number}", schema(number)) for number in range(SUBJECTS)]
    )
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    looked_up = await timed([partial(other.lookup, f"topic-{number}", schema(number)) for number in range(LOOK_UPS)])
    by_id = await timed([partial(other.schema, number) for number in range(LOOK_UPS + 1, SUBJECTS + 1)])
    least = await timed([partial(floor.schema, number) for number in range(LOOK_UPS)])
    warm = await timed([partial(registry.schema, SUBJECTS)] * WARM)

    print(f"{SUBJECTS} subjects of {FIELDS} fields; milliseconds of processor time, in process")
    fine = megabytes < MOST_MEGABYTES
    print(f"  memory of the process  {megabytes:8.0f} MB, at most {MOST_MEGABYTES}")
    for name, took in (("register", registered), ("look up", looked_up), ("read by id", by_id)):
        p50, p99 = statistics.median(took), took[int(len(took) * 0.99)]
        ratio = p50 / statistics.median(least)
        fine = fine and p99 < MOST_MILLISECONDS
        print(f"  {name:<22} {p50:8.2f} p50 {p99:8.2f} p99, at most {MOST_MILLISECONDS:g}; {ratio:.1f}x the floor")
    print(f"  read by id, warm       {statistics.median(warm):8.4f} p50")
    return fine


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(measured()) else 1)
