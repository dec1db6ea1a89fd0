"""Kafka's protocol, as far as a test cluster needs it."""

import asyncio

import pytest

from eventhub.testing.kafka.wire import Answer, ask, request, string


def test_a_request_says_its_length_its_api_and_who_asks() -> None:
    """The frame is as the protocol lays it down."""
    expected = (
        b"\x00\x00\x00\x1c" + b"\x00\x03\x00\x02" + b"\x00\x00\x00\x01" + b"\x00\x10eventhub-testing" + b"\xca\xfe"
    )

    assert expected == request((3, 2), b"\xca\xfe")


@pytest.mark.parametrize("text", [None, "", "tea", "thé"])
def test_a_string_is_read_as_it_was_written(text: str | None) -> None:
    """Null, empty and longer texts come back; the length counts bytes."""
    assert text == Answer(string(text), 0).string()


def test_numbers_are_signed_and_follow_one_another() -> None:
    """Every width has its sign, and reading goes on where it stopped."""
    answer = Answer(b"\xff" + b"\x80\x00" + b"\x00\x00\x01\x00", 0)

    assert (-1, -32_768, 256) == (answer.int8(), answer.int16(), answer.int32())


async def test_a_length_that_no_answer_has_is_refused_at_once() -> None:
    """Another service on the port is told by its first four bytes, without waiting for more."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        await writer.drain()
        await closed.wait()
        writer.close()

    closed = asyncio.Event()
    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(10):
            with pytest.raises(ValueError, match="does not speak Kafka: 1213486160 is no length"):
                await ask("127.0.0.1", port, (3, 2), b"")
        closed.set()
