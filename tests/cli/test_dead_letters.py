"""``eventhub dead-letters``: its functions on the memory broker, the whole of it on a real Kafka."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import uuid
from random import Random
from typing import TYPE_CHECKING

import pytest
import typer

from eventhub.brokers.base import NewTopic
from eventhub.brokers.kafka import KafkaBroker
from eventhub.brokers.memory import MemoryBroker
from eventhub.cli.dead_letters import _time, drop_letters, list_letters, replay_letters, show_letters
from eventhub.dead_letters import DeadLetterTopic, Destination, ReplayOptions, Selection
from eventhub.record import ProducerRecord, Record
from eventhub.runtime.dead_letter import Reason, dead_letter
from eventhub.testing.reading import read_topic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventhub.brokers.base import Broker

ALL = Selection()


class StockBusyError(Exception):
    """An error of a service."""


def given_up(topic: str, number: int) -> ProducerRecord:
    """The letter of an order of customer a, b, a, b ..., each a second after the one before."""
    record = Record(topic, 0, number, 1_700_000_000.0, b"ab"[number % 2 :][:1], b"value-%d" % number, ())
    reason = Reason(
        group="inventory",
        handler=("reserve", "release")[number % 2],
        attempt=7,
        error=StockBusyError("busy"),
        stage="handle",
        first_failure_at=1_700_000_000.0,
        failed_at=1_700_000_000.0 + number,
    )
    return dead_letter(record, reason, topic=f"{topic}.inventory.dlt")


async def give_up(broker: Broker, topic: str, letters: int) -> None:
    """Let the inventory give up so many orders."""
    names = (topic, f"{topic}.inventory.dlt", f"{topic}.inventory.retry.replay")
    await broker.admin.create_topics([NewTopic(name, 1) for name in names])
    producer = broker.producer()
    await producer.start()
    await producer.send([given_up(topic, number) for number in range(letters)])
    await producer.stop()


@pytest.fixture
async def broker() -> MemoryBroker:
    """A broker on which the inventory gave up four orders."""
    broker = MemoryBroker()
    await give_up(broker, "orders", 4)
    return broker


@pytest.fixture
def letters(broker: MemoryBroker) -> DeadLetterTopic:
    """Their letters."""
    return DeadLetterTopic(broker, "orders", "inventory")


async def test_a_list_is_a_table_or_a_line_a_letter(
    letters: DeadLetterTopic, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that are meant are listed, and no others."""
    await list_letters(letters, Selection(handler="release"))
    table = capsys.readouterr().out
    await list_letters(letters, Selection(key=b"a"), json=True)
    lines = capsys.readouterr().out.splitlines()

    assert ["0/1", "0/3"] == [row.split()[0] for row in table.splitlines()[1:] if row.startswith("0/")]
    assert [0, 2] == [json.loads(line)["offset"] for line in lines]


async def test_a_letter_is_shown_and_its_payload_if_asked_for(
    letters: DeadLetterTopic, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the word nothing of the value is printed."""
    await show_letters(letters, Selection(place=(0, 2)))
    shown = capsys.readouterr().out
    await show_letters(letters, Selection(place=(0, 2)), payload=True)
    payload = capsys.readouterr().out

    assert shown.startswith("orders.inventory.dlt 0/2\n")
    assert "busy" in shown
    assert "value-2" not in shown
    assert "value-2" in payload


async def test_nothing_is_replayed_or_dropped_without_a_yes(
    broker: MemoryBroker, letters: DeadLetterTopic, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is only said what would be done."""
    await replay_letters(letters, ALL, ReplayOptions())
    await drop_letters(letters, Selection(handler="release"))
    said = capsys.readouterr().out

    assert [
        "4 letters would be replayed to the group; say --yes to do it",
        "2 letters would be dropped; say --yes to do it",
    ] == said.splitlines()
    assert () == tuple(broker.records("orders.inventory.retry.replay"))
    assert 4 == len([letter async for letter in letters.pending()])


async def test_a_yes_replays_where_it_is_told_to(
    broker: MemoryBroker, letters: DeadLetterTopic, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the group unless the origin is asked for."""
    await replay_letters(letters, Selection(handler="reserve"), ReplayOptions(), yes=True)
    await replay_letters(letters, ALL, ReplayOptions(Destination.ORIGIN), yes=True)
    said = capsys.readouterr().out

    assert ["2 letters replayed to the group", "2 letters replayed to the origin"] == said.splitlines()
    assert [b"value-0", b"value-2"] == [record.value for record in broker.records("orders.inventory.retry.replay")]
    assert [b"value-1", b"value-3"] == [record.value for record in broker.records("orders")]


async def test_a_yes_drops(letters: DeadLetterTopic, capsys: pytest.CaptureFixture[str]) -> None:
    """What was dropped is not listed any more."""
    await drop_letters(letters, Selection(handler="release"), yes=True)
    said = capsys.readouterr().out

    assert "2 letters dropped\n" == said
    assert [0, 2] == [letter.record.offset async for letter in letters.pending()]


@pytest.mark.slow
async def test_what_cannot_be_remembered_is_no_success(
    broker: MemoryBroker, letters: DeadLetterTopic, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where too many gaps keep the rest waiting, that is said, and the exit code is 1."""
    random = Random(1)
    letter = given_up("orders", 0)
    keys = [random.choice([b"a", b"b"]) for _ in range(22_000)]
    await broker.producer().send([letter._replace(key=key) for key in keys])
    ends = []
    for work in (
        drop_letters(letters, Selection(key=b"a"), yes=True),
        replay_letters(letters, Selection(key=b"a"), ReplayOptions(), yes=True),
    ):
        with pytest.raises(typer.Exit) as end:
            await work
        ends.append(end.value.exit_code)

    assert [1, 1] == ends
    assert 2 == capsys.readouterr().out.count("the rest has to wait")


@pytest.fixture
def tokyo() -> Iterator[None]:
    """A machine whose clock on the wall is not UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_a_time_is_a_date_or_an_age() -> None:
    """Without a zone it is UTC; an age is counted back from now."""
    now = time.time()

    assert 1_700_000_000.0 == _time("2023-11-14T22:13:20Z")
    assert 1_700_000_000.0 == _time("2023-11-14T23:13:20+01:00")
    assert 1_700_000_000.0 == _time("2023-11-14T22:13:20")
    ages = ("90s", "15m", "2h", "3d", "1w")
    assert [90, 900, 7200, 259_200, 604_800] == [round(now - _time(age)) for age in ages]


class Command:
    """The command line in a process of its own, on a Kafka."""

    def __init__(self, url: str, topic: str) -> None:
        """Ask about the inventory's letters from a topic."""
        self._url = url
        self._topic = topic

    async def __call__(self, name: str, *options: str) -> tuple[int | None, str, str]:
        """Run a command; returns its exit code, and what it says to whom."""
        path = os.pathsep.join(entry for entry in sys.path if entry)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "eventhub.cli", "dead-letters", name, self._topic, "inventory", *options),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "EVENTHUB_BROKER": self._url, "NO_COLOR": "1", "COLUMNS": "200"},
        )
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()


@pytest.mark.kafka
async def test_letters_on_kafka_are_listed_shown_replayed_and_dropped(kafka_url: str) -> None:
    """The commands do on a real cluster what they say."""
    topic = f"orders-{uuid.uuid4().hex[:8]}"
    broker = KafkaBroker(kafka_url)
    await broker.start()
    await give_up(broker, topic, 4)
    command = Command(f"{kafka_url},127.0.0.1:9", topic)  # nobody is at the second address, which is logged
    listed = await command("list", "--json", "--since", "2023-11-14T22:13:21Z", "--until", "1h")
    shown = await command("show", "--at", "0/3", "--payload")
    tried = await command("replay", "--handler", "reserve")
    replayed = await command("replay", "--handler", "reserve", "--rate", "50", "--yes")
    again = await command("replay", "--handler", "reserve", "--yes")
    dropped = await command("drop", "--key", "b", "--error-type", f"{__name__}.StockBusyError", "--yes")
    left = await command("list", "--json")
    arrived = await read_topic(broker, f"{topic}.inventory.retry.replay")
    await broker.stop()

    assert [1, 2, 3] == [json.loads(line)["offset"] for line in listed[1].splitlines()], listed
    assert "value                       value-3" in shown[1]
    assert (0, "2 letters would be replayed to the group; say --yes to do it\n") == tried[:2]
    assert (0, "2 letters replayed to the group\n") == replayed[:2]
    assert (0, "0 letters replayed to the group\n") == again[:2]
    assert [b"value-0", b"value-2"] == [record.value for record in arrived]
    assert (0, "2 letters dropped\n") == dropped[:2]
    assert (0, "") == left[:2]
    assert "eventhub.broker_address_failed" in left[2]


@pytest.mark.kafka
async def test_a_topic_without_dead_letters_is_one_message(kafka_url: str) -> None:
    """It names the topic that is missing, without a traceback, and the exit code is 1."""
    code, out, err = await Command(kafka_url, "nobodys")("list")

    assert (1, "") == (code, out)
    assert err.startswith("BrokerError: there is no topic nobodys.inventory.dlt on kafka://")
    assert 1 == len(err.splitlines())


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://", "DeclarationError: EVENTHUB_BROKER is memory://, which no two processes share"),
        ("amqp://u:hunter2@host", "DeclarationError: EVENTHUB_BROKER is host, which no two processes share"),
        ("kafka://127.0.0.1:9", "BrokerError: cannot connect to Kafka"),
    ],
)
async def test_a_broker_that_cannot_be_used_is_one_message(url: str, message: str) -> None:
    """There is no traceback, and the exit code is 1."""
    code, out, err = await Command(url, "orders")("list")

    assert (1, "") == (code, out)
    assert err.startswith(message)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("list", "--at", "17"), "'17' is no place; write PARTITION/OFFSET"),
        (("list", "--at", "x/1"), "'x/1' is no place"),
        (("list", "--since", "yesterday"), "'yesterday' is neither a time"),
        (("list", "--key", "hex:0"), "'hex:0' is no key"),
        (("replay", "--rate", "0"), "'0' is no number of letters a second above 0"),
        (("replay", "--to", "all"), "'all' is not one of 'group', 'origin'"),
    ],
)
async def test_options_that_make_no_sense_are_named(command: tuple[str, str, str], message: str) -> None:
    """The message says how they are written, and the exit code is 2."""
    code, _, err = await Command("memory://", "orders")(*command)

    assert 2 == code
    assert message in " ".join(err.replace("│", " ").split())
