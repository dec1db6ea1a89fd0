"""One history from beginning to end: processes serve, deeds befall them, and the laws look on."""

import asyncio
import itertools
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, replace
from random import Random

from eventhub import Hub
from eventhub.brokers.base import NewTopic
from eventhub.brokers.memory import MemoryBroker
from eventhub.brokers.memory.group import Group
from eventhub.record import RecordMetadata, TopicPartition
from tests.simulation.history import History
from tests.simulation.laws import Laws
from tests.simulation.ledger import Ledger, Place
from tests.simulation.orders import LETTERS, MOST_STUBBORN, RECEIPTS, Shop, Till
from tests.simulation.plan import (
    GROUP,
    ORDERS,
    SETTLING,
    Deed,
    DeedKind,
    OrderPlan,
    Plan,
    describe,
    draw_plan,
    late_order,
)
from tests.simulation.processes import PROCESS, Network, Process
from tests.simulation.registry import Registry
from tests.simulation.verdict import Accounts, busy, unfinished, wrong
from tests.simulation.virtual import VirtualClock, VirtualLoop, run_virtually
from tests.simulation.watch import WatchedBroker

MOST_PROCESSES = 4
STOP_LIMIT = 45.0
"""Seconds within which a process that is told to stop has ended, whatever the network does meanwhile."""
LONGEST = 3600.0
"""Seconds after which a history stands still; they are over at once when nothing moves any more."""
LOOK = 0.2
"""Seconds between two looks at whether all is handled."""
LATE_ORDERS = 10
"""Looks from one late order to the next."""
RESTART = 0.5
"""Seconds after which an orchestrator replaces a process that died."""
IDLE = 3.0
"""Seconds for which a last process has to find nothing to do."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one seed."""

    seed: int
    breach: str | None
    """The law that was broken, or None."""
    seconds: float
    """Virtual time."""
    history: History
    """All that happened."""


def simulate(seed: int) -> Outcome:
    """Run the history of a seed."""
    return run_virtually(lambda loop: Simulation(draw_plan(seed), loop).run())


class Simulation:
    """The world of one history."""

    def __init__(self, plan: Plan, loop: VirtualLoop) -> None:
        """Set the stage."""
        self._plan = plan
        self._loop = loop
        draw = Random(f"{plan.seed}")  # not the plan's own, which has been drawn from already
        self._history = History(loop.time)
        self._ledger = Ledger(plan)
        self._clock = VirtualClock(loop, plan.cost)
        self._laws = Laws(plan, self._ledger, self._history, self._clock.now)
        self._network = Network(plan.latency, draw, self._note_stored)
        self._broker = MemoryBroker(self._clock, faults=self._network, session_timeout=3.0, rebalance_timeout=8.0)
        self._producer = self._broker.producer()
        self._registry = Registry()
        self._till = Till(self._registry)
        self._shop = Shop(plan, self._ledger, self._laws, draw, self._die)
        self._options = replace(plan.options, clock=self._clock, random=draw.random)
        self._accounts = Accounts(plan, self._ledger, self._laws, self._broker)
        self._processes: list[Process] = []
        self._ended = False  # nobody starts any more
        self._tasks = asyncio.TaskGroup()
        self._context = copy_context()  # no process's

    async def run(self) -> Outcome:
        """Let it all happen, until it is over or a law is broken."""
        self._history.note("plan", "", describe(self._plan))
        with self._history.with_logs(_who):
            async with self._tasks:
                story = self._tasks.create_task(self._story())
                broken = self._tasks.create_task(self._laws.broken.wait())
                await asyncio.wait([story, broken], timeout=LONGEST, return_when=asyncio.FIRST_COMPLETED)
                if not story.done():
                    self._laws.break_(f"the history has not come to its end after {LONGEST:.0f} s")
                seconds, self._ended = self._loop.time(), True
                for process in self._processes:
                    await process.kill()
                story.cancel()
                broken.cancel()
        return Outcome(self._plan.seed, self._laws.breach, seconds, self._history)

    async def _story(self) -> None:
        partitions = self._plan.partitions
        await self._broker.admin.create_topics([NewTopic(topic, partitions) for topic in (ORDERS, RECEIPTS, LETTERS)])
        await self._till.open()
        for _ in range(self._plan.members):
            self._start()
        async with asyncio.TaskGroup() as acts:
            acts.create_task(self._publish())
            acts.create_task(self._befall())
        if not self._alive():
            self._start()
        await self._settle()
        await self._end()

    async def _publish(self) -> None:
        for order in self._plan.orders:
            await asyncio.sleep(max(order.at - self._loop.time(), 0.0))
            await self._write(order)

    async def _write(self, order: OrderPlan) -> None:
        [written] = await self._producer.send([await self._till.record(order)])
        if not isinstance(written, RecordMetadata) or written.offset is None:
            msg = f"the simulation cannot publish: {written}"
            raise RuntimeError(msg)
        place = Place(TopicPartition(ORDERS, written.partition), written.offset)
        self._ledger.write(order, place)
        self._history.note("till", "publishes", order.number, order.customer, order.manner, *place)
        if order.gap:
            self._broker.skip_offsets(place.partition, order.gap)

    def _note_stored(self) -> None:
        self._laws.note_stored(self._group().committed)

    def _throw_out(self, member: str) -> None:
        """Let a member's session expire; one that waits for a generation has none that could."""
        known = self._group()._members.get(member)
        if known is not None and not known.joining:
            self._group().leave(member)

    def _group(self) -> Group:
        """The coordinator's own view of the group."""
        return self._broker._cluster.group(GROUP)

    # -- what befalls the processes ---------------------------------------------------------------

    async def _befall(self) -> None:
        async with asyncio.TaskGroup() as deeds:
            for deed in self._plan.deeds:
                await asyncio.sleep(max(deed.at - self._loop.time(), 0.0))
                deeds.create_task(self._do(deed))

    async def _do(self, deed: Deed) -> None:
        alive = self._alive()
        if deed.kind is DeedKind.START or not alive:
            if len(alive) < MOST_PROCESSES:
                self._start()
            return
        process = alive[int(deed.whom * len(alive))]
        self._history.note("deed", deed.kind, process.name, f"for {deed.seconds:.3f} s", "silently" * deed.silent)
        if deed.kind in _ENDS:
            await self._finish_off(process, deed)
        elif deed.kind in _NETWORK:
            await self._disturb(process, deed)
        else:
            await self._hinder(process, deed)
        self._history.note("deed", deed.kind, process.name, "is over")

    async def _finish_off(self, process: Process, deed: Deed) -> None:
        """End a process in one of the ways in which processes end."""
        match deed.kind:
            case DeedKind.STOP:
                await self._ends(process, process.stop)
            case DeedKind.HURRY:
                self._loop.call_later(deed.seconds / 5, process.hurry)  # a callback, as a signal is
                await self._ends(process, process.stop)
            case DeedKind.CANCEL:
                await self._ends(process, process.cancel)
            case _:
                await process.kill()

    async def _disturb(self, process: Process, deed: Deed) -> None:
        """Let the network fail for a while."""
        match deed.kind:
            case DeedKind.CUT:
                process.cut, process.silent = True, deed.silent
                await asyncio.sleep(deed.seconds)
                process.cut = False
            case DeedKind.AWAY:
                self._network.away, self._network.silent = True, deed.silent
                await asyncio.sleep(deed.seconds)
                self._network.away = False
            case _:
                self._network.losing = True
                await asyncio.sleep(deed.seconds)
                self._network.losing = False

    async def _hinder(self, process: Process, deed: Deed) -> None:
        """Let something else than the network fail for a while."""
        match deed.kind:
            case DeedKind.PAUSE:
                process.pause()
                await asyncio.sleep(deed.seconds)
                process.resume()
            case DeedKind.BREAK:
                self._network.broken.add(process.member)
            case DeedKind.DEAFEN:
                self._network.deaf.add(process.member)
            case DeedKind.FENCE:
                self._throw_out(process.member)
            case DeedKind.UNREGISTERED:
                self._registry.away = True
                await asyncio.sleep(deed.seconds)
                self._registry.away = False
            case _:
                self._shop.storm = True
                await asyncio.sleep(deed.seconds)
                self._shop.storm = False

    def _start(self) -> None:
        process = Process(f"p{len(self._processes) + 1}")
        self._processes.append(process)
        self._history.note(process.name, "starts")
        process.start(self._tasks, lambda: self._hub(process), self._shop.service(process))
        self._tasks.create_task(self._judge_end(process))

    def _hub(self, process: Process) -> Hub:
        broker = WatchedBroker(self._broker, process, self._laws)
        return Hub(broker, registry=self._registry, auto_register=True, provision=True, options=self._options)

    def _die(self, process: Process) -> None:
        """Let a process die of what it handles."""
        self._history.note(process.name, "dies")
        process.dead = process.leaving = True
        self._tasks.create_task(self._replace(process), context=self._context)

    async def _replace(self, process: Process) -> None:
        """Start another in the place of one that died, as an orchestrator does."""
        await process.kill()
        await asyncio.sleep(RESTART)
        if not self._ended:
            self._start()

    def _alive(self) -> list[Process]:
        return [process for process in self._processes if not process.leaving]

    async def _ends(self, process: Process, how: Callable[[], None]) -> None:
        """End a process that has time to do so in order."""
        how()
        try:
            async with asyncio.timeout(STOP_LIMIT):
                await process.ended.wait()
        except TimeoutError:
            self._laws.break_(f"{process.name} does not stop; it still runs {process.left_behind()}")

    async def _judge_end(self, process: Process) -> None:
        """A process ends only when it is told to, and leaves nothing behind."""
        await process.ended.wait()
        self._history.note(process.name, "has ended", repr(process.failure))
        if process.dead:
            return
        told = process.leaving and isinstance(process.failure, asyncio.CancelledError | None)
        if not told:
            self._laws.break_(f"{process.name} ended by itself: {process.failure!r}")

    # -- the end ----------------------------------------------------------------------------------

    async def _settle(self) -> None:
        """Wait until all is handled, and see that it is handled well."""
        deadline = self._loop.time() + SETTLING
        for turn in itertools.count(1):
            await asyncio.sleep(LOOK)
            if (left := self._left()) is None:
                break
            if self._loop.time() > deadline:
                self._laws.break_(f"{left}, {SETTLING:.0f} s after the last fault")
                return
            if turn % LATE_ORDERS == 0:
                await self._write(late_order(len(self._ledger.orders), self._loop.time()))
        if (found := wrong(self._accounts)) is not None:
            self._laws.break_(found)

    def _left(self) -> str | None:
        """What is still to be done, or None."""
        return unfinished(self._accounts) or busy(self._alive())

    async def _end(self) -> None:
        """Stop all processes; one that comes after them has nothing to do."""
        async with asyncio.TaskGroup() as ends:
            for process in self._alive():
                ends.create_task(self._ends(process, process.stop))
        self._laws.over = True
        self._start()
        await asyncio.sleep(IDLE)
        await self._ends(self._processes[-1], self._processes[-1].stop)
        await asyncio.sleep(MOST_STUBBORN)
        for process in self._processes:
            if not process.dead and (left := process.left_behind()):
                self._laws.break_(f"{process.name} has ended, but leaves {left}")


def _who() -> str:
    """Who does something at the moment."""
    process = PROCESS.get()
    return process.name if process is not None else "-"


_ENDS = frozenset({DeedKind.STOP, DeedKind.HURRY, DeedKind.CANCEL, DeedKind.KILL})
_NETWORK = frozenset({DeedKind.CUT, DeedKind.AWAY, DeedKind.LOSSES})
