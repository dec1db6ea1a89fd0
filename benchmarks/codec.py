"""What a codec costs beside the usual way, fastavro between ``model_dump`` and ``model_validate``.

Run from the root of the project with ``python -m benchmarks.codec``. All ways run in turn, many short
rounds each, so that the machine's mood is the same for all; what counts is the ratio of the medians.
"""

from __future__ import annotations

import gc
import io
import json
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import fastavro
from pydantic import BaseModel, Field

from eventhub.codecs.avro import AvroCodec
from eventhub.event import Event

ROUNDS = 200
CALLS = 200  # a round; short enough that a change of clock speed meets all ways alike
TARGET = 0.5
PREFIX = b"\x00\x00\x00\x00\x01"

Money = Annotated[Decimal, Field(max_digits=12, decimal_places=2)]


class Channel(StrEnum):
    """Where an order came from."""

    WEB = "web"
    APP = "app"
    SHOP = "shop"


class LineItem(BaseModel):
    """One line of an order."""

    sku: str
    quantity: int
    unit_price: Money


class OrderCreated(Event, topic="orders", key="order_id"):
    """An order of ordinary size: nested lines, money, moments and identifiers."""

    order_id: UUID
    customer_id: UUID
    created_at: datetime
    total: Money
    currency: str
    country: str
    channel: Channel
    lines: list[LineItem]
    note: str | None = None
    tags: dict[str, str]
    gift: bool = False


ORDER = OrderCreated(
    order_id=UUID("0190d9a0-7c2b-7cc1-8a53-6f1f0c5b7a10"),
    customer_id=UUID("0190d9a0-7c2b-7cc1-8a53-6f1f0c5b7a11"),
    created_at=datetime(2026, 11, 23, 12, 34, 56, 789012, tzinfo=UTC),
    total=Decimal("129.97"),
    currency="EUR",
    country="DE",
    channel=Channel.WEB,
    lines=[
        LineItem(sku="tea-0001", quantity=2, unit_price=Decimal("19.99")),
        LineItem(sku="cup-0815", quantity=4, unit_price=Decimal("7.50")),
        LineItem(sku="pot-4711", quantity=1, unit_price=Decimal("59.99")),
    ],
    note="leave it at the door",
    tags={"campaign": "autumn", "source": "newsletter"},
)


def ways() -> dict[str, Callable[[], Any]]:
    """Each way to write and to read the order."""
    codec = AvroCodec()
    schema = codec.schema(OrderCreated)
    parsed = fastavro.parse_schema(json.loads(schema.text))
    encode, decode = codec.encoder(OrderCreated, schema, PREFIX), codec.decoder(OrderCreated, schema)
    value = encode(ORDER)

    def usual_encode() -> bytes:
        out = io.BytesIO()
        out.write(PREFIX)
        fastavro.schemaless_writer(out, parsed, ORDER.model_dump())
        return out.getvalue()

    def usual_decode() -> OrderCreated:
        body = io.BytesIO(value)
        body.seek(len(PREFIX))
        return OrderCreated.model_validate(fastavro.schemaless_reader(body, parsed, None))

    if not (usual_encode() == value and usual_decode() == decode(value, len(PREFIX)) == ORDER):
        sys.exit("the ways do not do the same")
    return {
        "encode": lambda: encode(ORDER),
        "model_dump + fastavro": usual_encode,
        "decode": lambda: decode(value, len(PREFIX)),
        "fastavro + model_validate": usual_decode,
    }


def measure(ways: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """The median time of one call of each way, in microseconds."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    gc.collect()
    gc.freeze()
    for _ in range(ROUNDS):
        for name, call in ways.items():
            start = time.process_time_ns()
            for _ in range(CALLS):
                call()
            times[name].append((time.process_time_ns() - start) / CALLS / 1000)
    return {name: statistics.median(measured) for name, measured in times.items()}


def main() -> int:
    """Print the table; the exit code is 1 if a ratio is above the target."""
    medians = measure(ways())
    for name, median in medians.items():
        print(f"{name:28} {median:8.2f} us")
    ratios = {
        "encode": medians["encode"] / medians["model_dump + fastavro"],
        "decode + validate": medians["decode"] / medians["fastavro + model_validate"],
    }
    for name, ratio in ratios.items():
        print(f"{name:28} {ratio:8.2f} x, target {TARGET} x")
    return int(max(ratios.values()) > TARGET)


if __name__ == "__main__":
    sys.exit(main())
