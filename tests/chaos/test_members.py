"""Members of a group as real processes on a real Kafka: killed, standing still, joining and leaving."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from eventhub import Event, Hub
from eventhub.brokers.kafka import KafkaBroker
from eventhub.registry.embedded.server import serve
from eventhub.runtime.offset_map import decode_map
from tests.chaos.members import Company, Member, Note, Place

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

CUSTOMERS = 24
LIMIT = 90.0  # seconds; only a hang takes so long


@pytest.fixture
async def company(kafka_url: str, tmp_path: Path) -> AsyncIterator[Company]:
    """A group without members yet."""
    async with serve() as registry:
        made = Company(kafka_url, registry.url, f"orders-{uuid.uuid4().hex[:8]}", tmp_path, [])
        yield made
        await made.disband()


async def publish(company: Company, numbers: Iterable[int]) -> set[Place]:
    """Publish orders, and return where they stand."""

    class Order(Event, topic=company.topic, key="customer", name="Order"):
        customer: str
        number: int

    async with Hub(company.url, registry=company.registry, auto_register=True, provision=True) as hub:
        orders = (Order(customer=f"c{number % CUSTOMERS}", number=number) for number in numbers)
        return {Place(at.partition, at.offset or 0) for at in await hub.publish_many(orders)}


async def eventually(condition: Callable[[], bool]) -> None:
    """Return once it holds; it costs files, so it is not looked at all the time."""
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110 - what other processes do sets no event here
            await asyncio.sleep(0.05)


async def test_a_crash_repeats_no_more_than_was_in_flight_and_finished_since_the_last_commit(company: Company) -> None:
    """The next process handles exactly what the commit and its map do not call done; nothing is left out."""
    published = await publish(company, range(3000))
    first = await company.start()
    await eventually(lambda: first.count("ends") > 600 and first.count("committed") > 4)
    await first.end(signal.SIGKILL)
    stored = await done(company)
    second = await company.start()
    await eventually(lambda: company.ended() == published)
    code = await second.end(signal.SIGTERM)

    begun, finished, again = set(first.places("begins")), set(first.places("ends")), second.places("begins")
    in_flight, since = begun - finished, finished_since(first.read())

    assert 0 == code
    assert published - stored == set(again)
    assert len(again) == len(set(again))
    assert stored <= finished
    assert finished & set(again) <= since
    assert len(begun & set(again)) <= len(in_flight) + len(since)
    assert len(since) < len(finished)


async def done(company: Company) -> set[Place]:
    """The orders that the group's commits call done."""
    broker = KafkaBroker(company.url)
    await broker.start()
    committed = await broker.admin.committed(f"{company.topic}-reader")
    await broker.stop()
    found: set[Place] = set()
    for partition, position in committed.items():
        if partition.topic == company.topic:
            found |= {Place(partition.partition, offset) for offset in range(position.offset)}
            if (known := decode_map(position.metadata, position.offset)) is not None:
                beyond = range(position.offset, known.end)
                found |= {Place(partition.partition, offset) for offset in beyond if known.done(offset)}
    return found


def finished_since(notes: list[Note]) -> set[Place]:
    """What was finished since the last commit was made up.

    It was made up after the commit before had been noted, and noted itself when its answer came; what was finished
    in between may be in it or not.
    """
    commits = [index for index, note in enumerate(notes) if note.what == "committed"]
    return {note.place for note in notes[commits[-2] :] if note.what == "ends" and note.place is not None}


async def test_members_join_leave_die_and_stand_still_and_every_key_stays_in_order(company: Company) -> None:
    """Nothing is lost; in one process a key is handled one at a time; nothing overtakes, whoever handles it."""
    published = await publish(company, range(2000))
    first = await company.start()
    await eventually(lambda: first.count("ends") > 50)
    members = [first, *[await company.start() for _ in range(3)]]
    await eventually(lambda: all(member.count("owns") for member in members))
    published |= await publish(company, range(2000, 4000))
    stands, dies, leaves, stays = await by_diligence(members)

    async with rebalancing(dies, leaves, stays):
        stands.process.send_signal(signal.SIGSTOP)
    async with rebalancing(leaves, stays):
        await dies.end(signal.SIGKILL)
    async with rebalancing(stands, leaves, stays):
        stands.process.send_signal(signal.SIGCONT)
    published |= await publish(company, range(4000, 5000))
    async with rebalancing(stands, stays):
        left = await leaves.end(signal.SIGTERM)
    await eventually(lambda: company.ended() == published)
    codes = [left, await stays.end(signal.SIGTERM), await stands.end(signal.SIGTERM)]

    assert [0, 0, 0] == codes
    assert [] == [place for member in company.members for place in overlapping(member.read())]
    assert [] == overtaking(note for member in company.members for note in member.read())


async def by_diligence(members: list[Member]) -> list[Member]:
    """The members, those first that are handling orders: somebody's share may be nothing but topics of replays."""
    before = {member.notes: member.count("ends") for member in members}

    def handled(member: Member) -> int:
        return member.count("ends") - before[member.notes]

    await eventually(lambda: sum(handled(member) > 0 for member in members) > 1)
    return sorted(members, key=handled, reverse=True)


@asynccontextmanager
async def rebalancing(*members: Member) -> AsyncIterator[None]:
    """What makes the group give each of these members a share again, which is waited for."""
    before = [member.count("owns") for member in members]
    yield
    await eventually(lambda: all(member.count("owns") > had for member, had in zip(members, before, strict=True)))


def overlapping(notes: Iterable[Note]) -> list[Place]:
    """Orders whose handling began while another one of their key was being handled."""
    running: dict[str, Place] = {}
    found = []
    for note in notes:
        if note.place is None:
            continue
        if note.what == "begins":
            if note.key in running:
                found.append(note.place)
            running[note.key] = note.place
        else:
            running.pop(note.key, None)
    return found


def overtaking(notes: Iterable[Note]) -> list[Any]:
    """Orders that were handled to the end for the first time after a later one of their key."""
    seen: dict[str, set[int]] = defaultdict(set)
    found = []
    for note in sorted(notes, key=lambda note: note.time):
        if note.what == "ends" and note.place is not None and note.place.offset not in seen[note.key]:
            if seen[note.key] and note.place.offset < max(seen[note.key]):
                found.append(note)
            seen[note.key].add(note.place.offset)
    return found


@pytest.mark.parametrize(
    ("text", "overlaps", "overtakes"), [("b0 e0 b1 e1", 0, 0), ("b0 b1 e1 e0", 1, 1), ("b0 x0 b1 e1 b0 e0", 0, 1)]
)
def test_the_verdict_sees_what_it_is_for(text: str, overlaps: int, overtakes: int) -> None:
    """Notes of orders of one key, in order and not; a handler that was broken off runs no longer."""
    whats = {"b": "begins", "x": "breaks", "e": "ends"}
    notes = [Note(time, whats[word[0]], Place(0, int(word[1:])), "c") for time, word in enumerate(text.split())]

    assert (overlaps, overtakes) == (len(overlapping(notes)), len(overtaking(notes)))
