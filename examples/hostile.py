"""Three records that no service can read, made from one that every service can."""

from collections.abc import Mapping

from eventhub.brokers.base import Broker
from eventhub.record import ProducerRecord

UNKNOWN_SCHEMA_ID = 2_000_000_000

MAGIC_BYTES = 1  # Confluent's wire format: a zero, the schema's id in four bytes, then Avro
FRAME_BYTES = 5


def hostile_values(genuine: bytes) -> Mapping[bytes, str]:
    """The three values, each with a word that the reason of its dead letter has to contain."""
    schema_id, avro = genuine[MAGIC_BYTES:FRAME_BYTES], genuine[FRAME_BYTES:]
    return {
        b"\x7f" + schema_id + avro: "magic byte",
        b"\x00" + schema_id + avro[: len(avro) // 2]: "bytes are left",
        b"\x00" + UNKNOWN_SCHEMA_ID.to_bytes(4, "big") + avro: str(UNKNOWN_SCHEMA_ID),
    }


async def send_hostile(broker: Broker, topic: str, genuine: bytes) -> Mapping[bytes, str]:
    """Put the three records on a topic, past everything that would refuse to write them."""
    values = hostile_values(genuine)
    producer = broker.producer()
    await producer.start()
    try:
        for outcome in await producer.send([ProducerRecord(topic, b"hostile", value) for value in values]):
            if isinstance(outcome, Exception):
                raise outcome
    finally:
        await producer.stop()
    return values
