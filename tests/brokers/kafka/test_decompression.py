"""Batches that grow: what is ordinary passes, what would fill the memory does not."""

from __future__ import annotations

import asyncio
import json
import sys

import cramjam
import pytest
from aiokafka import codec
from aiokafka.record._crecords import default_records
from hypothesis import given
from hypothesis import strategies as st

from eventhub.brokers.kafka import KafkaBroker
from eventhub.brokers.kafka.decompression import LIMIT_BYTES, TooLarge, bound_decompression
from eventhub.record import ProducerRecord, TopicPartition
from eventhub.testing.conformance.brokers.reader import DEADLINE, send
from tests.brokers.kafka.bomb import BOMB_MIB
from tests.brokers.kafka.helpers import running

pytestmark = pytest.mark.anyio

CODECS = ("gzip", "snappy", "lz4", "zstd")

bound_decompression()


def encode(name: str, data: bytes) -> bytes:
    """What the client writes."""
    encoded: bytes = getattr(codec, f"{name}_encode")(data)
    return encoded


def decode(name: str, data: bytes) -> bytes:
    """What the client's extension calls."""
    decoded: bytes = getattr(default_records, f"{name}_decode")(memoryview(data))
    return decoded


@pytest.mark.parametrize("name", CODECS)
@given(st.binary(max_size=200_000) | st.integers(0, 3_000_000).map(bytes))
def test_what_is_compressed_comes_back(name: str, data: bytes) -> None:
    """Whether it grows by little or by much."""
    assert data == decode(name, encode(name, data))


@pytest.mark.parametrize("name", CODECS)
def test_what_grows_beyond_the_limit_is_refused(name: str) -> None:
    """One byte decides."""
    largest = decode(name, encode(name, bytes(LIMIT_BYTES)))
    with pytest.raises(TooLarge, match="64 MiB"):
        decode(name, encode(name, bytes(LIMIT_BYTES + 1)))

    assert LIMIT_BYTES == len(largest)


def test_snappy_without_blocks_is_bounded_too() -> None:
    """Clients in other languages write it so."""
    small = codec.snappy_encode(bytes(1000), xerial_compatible=False)
    large = codec.snappy_encode(bytes(LIMIT_BYTES + 1), xerial_compatible=False)
    with pytest.raises(TooLarge):
        decode("snappy", large)

    assert bytes(1000) == decode("snappy", small)


def test_what_is_cut_off_is_an_error_as_before() -> None:
    """Only too small a buffer is tried again."""
    with pytest.raises(cramjam.DecompressionError, match="unexpected end"):
        decode("gzip", encode("gzip", b"cut off")[:5])


@pytest.mark.kafka
async def test_a_batch_that_would_fill_the_memory_stops_its_partition_and_no_other(
    broker: KafkaBroker, kafka_bootstrap: str, topic: str
) -> None:
    """A process that reads 200 kB does not need 200 MiB for them, and goes on with what it can read."""
    script = "import asyncio, sys; from tests.brokers.kafka.bomb import *; asyncio.run({}(*sys.argv[1:]))"
    async with asyncio.timeout(DEADLINE), running(broker.producer()) as producer:
        await in_a_process(script.format("write"), kafka_bootstrap, topic)
        await send(producer, ProducerRecord(topic, None, b"sound", partition=1))
        told = json.loads(await in_a_process(script.format("read"), kafka_bootstrap, topic))
        place = await broker.admin.offsets([TopicPartition(topic, 0)])

    assert 1 == place[TopicPartition(topic, 0)].end
    assert "a batch is larger than 64 MiB" in told["unreadable"]
    assert "sound" == told["read"]
    assert told["grown_mib"] < BOMB_MIB


async def in_a_process(script: str, *arguments: str) -> str:
    """What a Python process prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, *arguments, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()

    assert 0 == process.returncode
    return printed.decode()
