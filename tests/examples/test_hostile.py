"""The hostile records."""

from eventhub.brokers.base import NewTopic
from eventhub.brokers.memory import MemoryBroker
from examples.hostile import UNKNOWN_SCHEMA_ID, hostile_values, send_hostile

GENUINE = b"\x00\x00\x00\x00\x07abcdefgh"


def test_each_breaks_one_thing() -> None:
    """One has a foreign magic byte, one ends early, one names a schema that nobody has registered."""
    unknown_id = UNKNOWN_SCHEMA_ID.to_bytes(4, "big")

    assert [
        b"\x7f\x00\x00\x00\x07abcdefgh",
        b"\x00\x00\x00\x00\x07abcd",
        b"\x00" + unknown_id + b"abcdefgh",
    ] == list(hostile_values(GENUINE))


async def test_they_are_written_as_they_are() -> None:
    """Nothing on the way refuses or changes them."""
    broker = MemoryBroker()
    await broker.admin.create_topics([NewTopic("shop.orders")])

    sent = await send_hostile(broker, "shop.orders", GENUINE)

    assert hostile_values(GENUINE) == sent
    assert [*sent] == [record.value for record in broker.records("shop.orders")]
