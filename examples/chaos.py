"""The run under kills: every process is killed with -9 and started again at random, and the result has to be exact.

What is done to whom is drawn from the seed, by the events that a process has written: so every harm meets a
process at work, however fast the machine is.
"""

import asyncio
import random
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from eventhub import Hub
from eventhub.integrations.postgres import connected
from examples.evidence import Evidence, Survived
from examples.postgres import new_schema
from examples.processes import STOP_TIMEOUT, Child, addresses, children, ended, start, stop
from examples.scenario import TOPICS, Setup, follow, gather, prepare
from examples.table import Screen
from examples.watch import Watch, watching

MODULES = {
    "checkout": "examples.order_service.checkout",
    "order": "examples.order_service.postgres",
    "inventory": "examples.inventory_service",
    "notification": "examples.notification_service.postgres",
}
WRITES = {
    "checkout": ("OrderCreated",),
    "order": ("OrderConfirmed", "OrderRejected"),
    "inventory": ("StockReserved", "StockShort"),
    "notification": ("CustomerNotified",),
}
"""The events by which a process is seen to work; each order leads to one of each row."""
SESSION_TIMEOUT = 3.0  # seconds that a group waits for a member that was killed; the default of 30 is for longer runs
LONGEST_PAUSE = 5.0  # seconds; longer than a session, so that some wake up as nobody's member
PATIENCE = 120.0  # seconds without any new record; on a loaded machine four programs take long to start
LOOK = 0.05  # seconds between two looks at what a process has written
LAST = 0.8  # of all orders: after so many, nothing more is done, so that the last harm still meets work


@dataclass(frozen=True, slots=True)
class Harm:
    """One thing that is done to one process."""

    after: int
    """How many events the process has written by then."""
    pause: float | None
    """For how many seconds it is stopped; None if it is killed, and started again."""


@dataclass(frozen=True, slots=True)
class Chaos:
    """How much harm is done."""

    kills: int = 4
    """How often each process is killed."""
    pauses: int = 1
    """How often each is stopped for a while."""
    order_pause: float = 0.01
    """Seconds between two orders, so that harm meets a flow."""


def plan(chaos: Chaos, seed: int, orders: int) -> Mapping[str, Sequence[Harm]]:
    """What is done to each process, in order: one harm in each of as many stretches of its work."""
    draw = random.Random(seed)
    harms: dict[str, Sequence[Harm]] = {}
    for victim in MODULES:
        kinds = ["kill"] * chaos.kills + ["pause"] * chaos.pauses
        draw.shuffle(kinds)
        stretch = orders * LAST / len(kinds)
        harms[victim] = [
            Harm(
                after=int((place + draw.random()) * stretch) + 1,
                pause=draw.uniform(1.0, LONGEST_PAUSE) if kind == "pause" else None,
            )
            for place, kind in enumerate(kinds)
        ]
    return harms


async def run_chaos(setup: Setup, chaos: Chaos, dsn: str, broker: str, registry: str, screen: Screen) -> Evidence:
    """Let orders come in while harm is done, and wait until every order has come to its end.

    Raises:
        ServiceEnded: If a service ends by itself.
    """
    databases = {name: await new_schema(dsn) for name in ("order", "inventory", "notification")}
    setup = replace(setup, postgres=databases["inventory"])
    environment = {
        **setup.environment,
        **addresses(broker, registry),
        "EVENTHUB_SESSION_TIMEOUT": str(SESSION_TIMEOUT),
        "SHOP_DATABASE": databases["order"],
        "SHOP_PAUSE": str(chaos.order_pause),
        "MAIL_DATABASE": databases["notification"],
    }
    harms = plan(chaos, setup.seed, setup.orders)
    screen.tell(f"{chaos.kills} kills and {chaos.pauses} pauses of each process; --seed {setup.seed} draws them again")
    over = asyncio.Event()
    async with Hub(broker, registry=registry) as hub:
        await prepare(hub.broker)
        async with watching(hub.broker, TOPICS) as watch:
            async with children(MODULES, environment, setup.folder) as running:
                async with asyncio.TaskGroup() as tasks:
                    enduring = {
                        name: tasks.create_task(
                            Endurance(name, running, watch, over, screen).meet(planned, environment)
                        )
                        for name, planned in harms.items()
                    }
                    hostile = await follow(hub.broker, watch, screen, setup.orders, patience=PATIENCE)
                    over.set()
                await _come_to_its_end(running["checkout"])
                exit_codes = await stop(running)
            evidence = await gather(setup, hub, watch, hostile, exit_codes)
    killed = {name: task.result() for name, task in enduring.items()}
    return replace(evidence, survived=await _survived(chaos, killed, databases))


async def _come_to_its_end(child: Child) -> None:
    """Let a program that ends by itself do so, and wait no longer than for one that is told to."""
    with suppress(TimeoutError):
        async with asyncio.timeout(STOP_TIMEOUT):
            await child.process.wait()


@dataclass(frozen=True, slots=True)
class Endurance:
    """One process under harm."""

    name: str
    running: dict[str, Child]
    watch: Watch
    over: asyncio.Event
    """Set once nothing more flows."""
    screen: Screen

    async def meet(self, harms: Sequence[Harm], environment: Mapping[str, str]) -> int:
        """Do what is planned; returns how often the process was killed at work.

        Raises:
            ServiceEnded: If it ends by itself, and not in order.
        """
        killed = started_with = 0
        for harm in harms:
            child = self.running[self.name]
            if not await self._has_written(child, max(harm.after, started_with + 1)):
                break
            if harm.pause is not None:
                self.screen.tell(f"{self.name} stands still for {harm.pause:.1f} s")
                child.process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(harm.pause)
                child.process.send_signal(signal.SIGCONT)
                continue
            self.screen.tell(f"{self.name} is killed")
            child.process.kill()
            await child.process.wait()
            killed += 1
            self.running[self.name] = await start(self.name, MODULES[self.name], environment, child.log.parent)
            started_with = self._written()
        return killed

    async def _has_written(self, child: Child, number: int) -> bool:
        """Wait for a process to write so many events in all; False if it, or the run, came to its end before."""
        while self._written() < number:
            if child.process.returncode:
                raise ended(child, child.process.returncode)
            if child.process.returncode == 0 or self.over.is_set():
                return False
            await asyncio.sleep(LOOK)
        return child.process.returncode is None

    def _written(self) -> int:
        return sum(fact.type in WRITES[self.name] for fact in self.watch.facts)


async def _survived(chaos: Chaos, killed: Mapping[str, int], databases: Mapping[str, str]) -> Survived:
    """What the databases hold in the end."""
    unsent: dict[str, int] = {}
    for name, dsn in databases.items():
        async with connected(dsn) as store:
            status = await store.status()
        unsent[name] = status.depth + status.dead
    return Survived(
        planned=dict.fromkeys(MODULES, chaos.kills),
        killed=killed,
        placed=await _first_column("SELECT order_id FROM orders", databases["order"]),
        mailed=await _first_column("SELECT order_id FROM mails", databases["notification"]),
        unsent=unsent,
    )


async def _first_column(query: str, dsn: str) -> Sequence[str]:
    async with connected(dsn) as store:
        return [row[0] for row in await store.pool.fetch(query)]
