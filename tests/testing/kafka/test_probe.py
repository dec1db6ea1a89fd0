"""What a broker's answer tells, and what no answer tells."""

import asyncio
import struct

import pytest

from eventhub.testing.kafka.probe import ClusterMetadata, fetch_metadata, read_metadata
from eventhub.testing.kafka.wire import Answer


def _string(text: bytes | None) -> bytes:
    return struct.pack(">h", -1) if text is None else struct.pack(">h", len(text)) + text


def _answer(controller: int) -> bytes:
    brokers = b"".join(
        struct.pack(">i", broker) + _string(b"127.0.0.1") + struct.pack(">i", 9092) + _string(None) for broker in (1, 3)
    )
    ends = _string(b"the-cluster") + struct.pack(">i", controller) + struct.pack(">i", 0)
    return struct.pack(">ii", 1, 2) + brokers + ends


def test_metadata_names_the_cluster_its_brokers_and_its_controller() -> None:
    """Each fact of the answer is read."""
    expected = ClusterMetadata("the-cluster", frozenset({1, 3}), controller_id=3)

    assert expected == read_metadata(Answer(_answer(controller=3), position=4))


def test_a_cluster_without_controller_says_so() -> None:
    """Kafka's -1 is None."""
    assert read_metadata(Answer(_answer(controller=-1), position=4)).controller_id is None


def test_a_cut_answer_is_no_metadata() -> None:
    """Bytes that end too soon are refused, wherever they end before the controller."""
    whole = _answer(controller=3)
    for length in range(len(whole) - 4):
        with pytest.raises(ValueError, match="the answer ends at byte"):
            read_metadata(Answer(whole[:length], position=4))


async def test_nobody_there_is_none() -> None:
    """A port that nobody listens on has no metadata."""
    assert await fetch_metadata("127.0.0.1", 1) is None


@pytest.mark.parametrize(
    "said",
    [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", struct.pack(">i", 2) + b"no", struct.pack(">i", -1)],
    ids=["nothing", "http", "too short", "negative length"],
)
async def test_what_is_no_kafka_is_none(said: bytes) -> None:
    """Another process on the port is never taken for a broker."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]

        assert await fetch_metadata("127.0.0.1", port, within=0.5) is None
