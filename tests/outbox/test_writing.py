"""Events in a transaction apart from any handler."""

from __future__ import annotations

import asyncio

import pytest

from eventhub import DeclarationError, Event, Hub
from eventhub.brokers.memory import MemoryBroker
from eventhub.headers import read_stamp
from eventhub.outbox.memory import MemoryStore
from eventhub.outbox.relay import Relay
from eventhub.testing.conformance.stores.samples import rows_of
from eventhub.testing.waiting import until


class Placed(Event, topic="writing.placed", key="order_id"):
    """An order was placed."""

    order_id: str


class Unknown(Event, topic="writing.unknown"):
    """Nobody told the hub of it."""


def hub(broker: MemoryBroker) -> Hub:
    """A hub as a web service has it."""
    return Hub(broker, registry="embedded", provision=True, source="web")


async def test_events_of_a_transaction_wait_in_the_outbox() -> None:
    """After the commit the events are rows, stamped by the hub's name; the broker has nothing yet."""
    store, broker = MemoryStore(), MemoryBroker()
    async with hub(broker) as web, web.outbox(store, Placed) as outbox:
        async with outbox.transaction() as transaction:
            transaction.connection["o-1"] = "placed"
            await transaction.publish(Placed(order_id="o-1"), Placed(order_id="o-2"))
        rows = await rows_of(store)

    assert {"o-1": "placed"} == outbox.store.data  # type: ignore[attr-defined]
    assert [b"o-1", b"o-2"] == [row.key for row in rows]
    assert [b"web", b"web"] == [dict(row.headers)["ce_source"] for row in rows]
    assert [] == broker.records("writing.placed")


async def test_a_relay_carries_them_to_the_broker() -> None:
    """What the broker gets is the row, byte for byte."""
    store, broker = MemoryStore(), MemoryBroker()
    async with hub(broker) as web, web.outbox(store, Placed) as outbox:
        async with outbox.transaction() as transaction:
            await transaction.publish(Placed(order_id="o-1"))
        [row] = await rows_of(store)
        relay = Relay(store, web.producer)
        await _relay_everything(relay, store)
        [record] = broker.records("writing.placed")

    assert row.record[:4] == (record.topic, record.key, record.value, record.headers)
    assert row.event_id == read_stamp(record, "Placed").id


async def test_a_class_that_was_not_named_is_refused() -> None:
    """Its schema was not resolved at the start, so the transaction fails as a whole and says so."""
    store = MemoryStore()
    async with hub(MemoryBroker()) as web, web.outbox(store, Placed) as outbox:
        with pytest.raises(DeclarationError, match="Unknown was not prepared for writing"):
            async with outbox.transaction() as transaction:
                await transaction.publish(Unknown())

    assert 0 == (await store.status()).depth


async def _relay_everything(relay: Relay, store: MemoryStore) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(relay.run())
        await until(lambda: store.counters.relayed == store.counters.enqueued)
        relay.stop()
