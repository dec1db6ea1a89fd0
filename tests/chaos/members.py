"""Members of one group as processes of their own, and what each of them noted."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

PROGRAM = """
import asyncio, os, signal, sys, time
from eventhub import Context, Event, Hub, Options, Service, subscribe
from eventhub.runtime.hooks import Hooks

broker, registry, topic, noted = sys.argv[1:]
notes = os.open(noted, os.O_WRONLY | os.O_APPEND | os.O_CREAT)  # written at once, so that no death takes them away


def note(what, *facts):
    os.write(notes, (" ".join(map(str, (time.monotonic(), what, *facts))) + "\\n").encode())


class Order(Event, topic=topic, key="customer", name="Order"):
    customer: str
    number: int


@subscribe(Order)
async def handle(order: Order, context: Context[None]) -> None:
    place = context.record.partition, context.record.offset, order.customer
    note("begins", *place)
    try:
        await asyncio.sleep(1.5 if order.number % 200 == 0 else 0.02)  # the slow hold the commit, not its map
    except asyncio.CancelledError:
        note("breaks", *place)
        raise
    note("ends", *place)


class Noting(Hooks):
    def on_committed(self, group, offsets):
        note("committed")

    def on_rebalanced(self, group, partitions):
        note("owns", len(partitions))


async def main():
    client = {"session_timeout_ms": 3000, "heartbeat_interval_ms": 300}
    options = Options(commit_interval=0.2, hooks=(Noting(),))
    async with Hub(broker, registry=registry, provision=True, client=client, options=options) as hub:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, hub.stop)
        await hub.serve(Service(f"{topic}-reader", [handle]))

asyncio.run(main())
"""


class Place(NamedTuple):
    """Where a record stands."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Note:
    """What a member noted."""

    time: float
    """Monotonic, and the same clock for all processes of a machine."""
    what: str
    place: Place | None
    """The record that it is about, or None."""
    key: str


@dataclass(frozen=True, slots=True)
class Member:
    """A process that serves."""

    process: Process
    notes: Path

    def read(self) -> list[Note]:
        """All that it has noted so far; a line is one once its end can be read."""
        text = self.notes.read_text() if self.notes.exists() else ""
        return [_note(line) for line in text.split("\n")[:-1]]

    def places(self, what: str) -> list[Place]:
        """The records of which it noted something, in order."""
        return [note.place for note in self.read() if note.what == what and note.place is not None]

    def count(self, what: str) -> int:
        """How often it noted something."""
        return sum(note.what == what for note in self.read())

    async def end(self, how: signal.Signals) -> int:
        """Send a signal that ends it, and return its exit code."""
        self.process.send_signal(how)
        return await self.process.wait()


def _note(line: str) -> Note:
    time, what, *facts = line.split()
    place = Place(int(facts[0]), int(facts[1])) if what in {"begins", "breaks", "ends"} else None
    return Note(float(time), what, place, facts[2] if place is not None else "")


@dataclass(frozen=True, slots=True)
class Company:
    """Where members come from."""

    url: str
    registry: str
    topic: str
    folder: Path
    members: list[Member]

    async def start(self) -> Member:
        """Another member."""
        name = f"member-{len(self.members)}"  # its program, too, is its own: nobody may read what is being written
        program, notes = self.folder / f"{name}.py", self.folder / f"{name}.notes"
        program.write_text(PROGRAM)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)}
        arguments = (str(program), self.url, self.registry, self.topic, str(notes))
        process = await asyncio.create_subprocess_exec(sys.executable, *arguments, env=environment)
        self.members.append(Member(process, notes))
        return self.members[-1]

    def ended(self) -> set[Place]:
        """The records that some member has handled to the end."""
        return {place for member in self.members for place in member.places("ends")}

    async def disband(self) -> None:
        """Leave no process behind, not even one that stands still."""
        for member in self.members:
            if member.process.returncode is None:
                await member.end(signal.SIGKILL)
