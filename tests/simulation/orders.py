"""The events of a simulation, how they are written, and the service that handles them in all manners."""

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from eventhub import Context, Event, Retry, Service, subscribe
from eventhub.codecs import wire
from eventhub.codecs.serde import Serde
from eventhub.event import Stamp
from eventhub.headers import stamp_headers
from eventhub.record import ProducerRecord
from eventhub.service import dead_letter_topic
from tests.simulation.in_hand import in_hand
from tests.simulation.laws import Attempt, Laws
from tests.simulation.ledger import Ledger
from tests.simulation.plan import (
    GROUP,
    LONGEST_STUBBORN,
    MOST_FAILURES,
    NEVER_CALLED,
    ORDERS,
    Manner,
    OrderPlan,
    Plan,
)
from tests.simulation.processes import Process
from tests.simulation.registry import Registry
from tests.simulation.virtual import EPOCH

STUBBORNNESS = 3.0
"""How many times as long as planned an order goes on once it is cancelled."""
MOST_STUBBORN = LONGEST_STUBBORN * STUBBORNNESS
"""Seconds that it goes on at most."""


class Order(Event, topic=ORDERS, key="customer", name="Order"):
    """An order."""

    customer: str | None
    number: int


class NewerOrder(Event, topic=ORDERS, key="customer", name="Order"):
    """An order as a newer producer writes it."""

    customer: str | None
    number: int
    note: str = ""


class Receipt(Event, topic="receipts", key="customer"):
    """The receipt for an order."""

    customer: str | None
    number: int


RECEIPTS = Receipt.__event__.topic
LETTERS = dead_letter_topic(ORDERS, GROUP)


class Busy(Exception):
    """An outage of something that handlers need."""


class Hopeless(Exception):
    """No attempt heals it."""


class Nothing(Exception):
    """There is nothing to do."""


class Till:
    """Writes orders as bytes, as producers outside would."""

    def __init__(self, registry: Registry) -> None:
        """Write with schemas of this registry."""
        self._old = Serde(registry, auto_register=True)
        self._new = Serde(registry, auto_register=True)

    async def open(self) -> None:
        """Register the schema that everybody knows."""
        await self._old.prepare(writes=[Order])

    async def record(self, order: OrderPlan) -> ProducerRecord:
        """An order as it is published; its id is its number."""
        key = order.customer.encode() if order.customer is not None else None
        identity = str(order.number)
        stamp = Stamp(identity, EPOCH + order.at, "till", "Order", correlation=identity)
        return ProducerRecord(ORDERS, key, await self._value(order), stamp_headers(stamp, Order.__event__.format))

    async def _value(self, order: OrderPlan) -> bytes | None:
        event = Order(customer=order.customer, number=order.number)
        match order.manner:
            case Manner.TOMBSTONE:
                return None
            case Manner.GARBAGE:
                return b"\x01 is no magic byte"
            case Manner.UNKNOWN:
                return wire.prefix(9999) + self._old.encode(event)[wire.PREFIX_BYTES :]
            case Manner.NEWER:
                await self._new.prepare(writes=[NewerOrder])
                return self._new.encode(NewerOrder(customer=order.customer, number=order.number))
            case _:
                return self._old.encode(event)


class Shop:
    """Handles the orders of one history, whichever process asks it to."""

    def __init__(self, plan: Plan, ledger: Ledger, laws: Laws, draw: Random, dies: Callable[[Process], None]) -> None:
        """Begin without orders.

        Args:
            plan: How the service is declared.
            ledger: How it goes with each order.
            laws: Who is told what handlers do.
            draw: Where chance comes from.
            dies: Called when a process dies of what it handles.
        """
        self._plan = plan
        self._ledger = ledger
        self._laws = laws
        self._draw = draw
        self._dies = dies
        self._failures: Counter[int] = Counter()
        self._storms: Counter[int] = Counter()
        self.storm = False
        """Whether every handler fails at the moment."""

    def service(self, process: Process) -> Service[None]:
        """The service as one process declares it."""
        retry = Retry(waits=self._plan.waits, pause=Busy, fatal=Hopeless, ignore=Nothing)

        async def handle(order: Order) -> list[Receipt]:
            return await self._handle(process, order, None)

        async def handle_in_context(order: Order, context: Context[None]) -> list[Receipt]:
            return await self._handle(process, order, context.attempt)

        declare: Any = subscribe(Order, retry=retry, ordering=self._plan.ordering, timeout=self._plan.timeout)
        handler = declare(handle_in_context if self._plan.in_context else handle)
        return Service(GROUP, [handler], limits=self._plan.limits)

    async def _handle(self, process: Process, order: Order, told: int | None) -> list[Receipt]:
        plan = self._ledger.orders[order.number]
        attempt = self._laws.begins(process, plan.number, in_hand(process), told)
        try:
            await self._go_through(plan, attempt)
        except BaseException as error:
            self._laws.breaks_off(attempt, error, done=isinstance(error, Nothing))
            raise
        if plan.manner is Manner.FAULTY:
            self._laws.breaks_off(attempt, TypeError("no event"))
            return ["no event"]  # type: ignore[list-item]
        self._laws.completes(attempt, plan.receipts)
        return [Receipt(customer=order.customer, number=order.number) for _ in range(plan.receipts)]

    async def _go_through(self, plan: OrderPlan, attempt: Attempt) -> None:
        if self.storm and self._storms[plan.number] < MOST_FAILURES:
            self._storms[plan.number] += 1
            msg = "storm"
            raise OSError(msg)
        if plan.manner is Manner.KILLER:
            await self._kill(plan.seconds, attempt.process)
        elif plan.manner in _FAILURES:
            await self._fail(plan, attempt.process, _FAILURES[plan.manner])
        else:
            await self._take_time(plan, attempt)

    async def _fail(self, plan: OrderPlan, process: Process, error: type[Exception]) -> None:
        """Fail as often as planned, with and without a suspension before."""
        if self._has_failed_enough(plan):
            return
        if self._draw.random() < 0.5:
            await process.sleep(plan.seconds)
        raise error

    async def _take_time(self, plan: OrderPlan, attempt: Attempt) -> None:
        process = attempt.process
        match plan.manner:
            case Manner.YIELDS:
                for _ in range(3):
                    await process.sleep(0)
            case Manner.SLOW:
                await process.sleep(plan.seconds)
            case Manner.HANGS if not self._has_failed_enough(plan):
                await process.sleep(plan.seconds)
            case Manner.STUBBORN:
                await _persist(plan.seconds, attempt)
            case Manner.SPOILED:
                await _spoil(plan.seconds, process)
            case manner:
                if manner in NEVER_CALLED:
                    self._laws.break_(f"order {plan.number}, which is {manner}, has reached a handler")

    async def _kill(self, seconds: float, process: Process) -> None:
        """Let the process die, with and without a suspension before."""
        if self._draw.random() < 0.5:
            await process.sleep(seconds)
        self._dies(process)
        await asyncio.Event().wait()  # nothing of a dead process goes on

    def _has_failed_enough(self, plan: OrderPlan) -> bool:
        self._failures[plan.number] += 1
        return plan.manner not in _ALWAYS and self._failures[plan.number] > plan.failures


_FAILURES = {
    Manner.FLAKY: OSError,
    Manner.FAILS: OSError,
    Manner.BUSY: Busy,
    Manner.IGNORED: Nothing,
    Manner.FATAL: Hopeless,
}
"""What goes wrong with an order."""

_ALWAYS = frozenset({Manner.FAILS, Manner.IGNORED, Manner.FATAL})
"""Where it goes wrong every time."""


async def _persist(seconds: float, attempt: Attempt) -> None:
    """Go on for so many seconds, and when cancelled for longer than it takes to build another worker."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        try:
            await attempt.process.sleep(end - loop.time())
        except asyncio.CancelledError:
            if attempt.process.dead:
                raise
            end = end if attempt.cancelled else loop.time() + seconds * STUBBORNNESS
            attempt.cancelled = True


async def _spoil(seconds: float, process: Process) -> None:
    """Wait, and raise what cleaning up raised when cancelled, as database clients do."""
    try:
        await process.sleep(seconds)
    except asyncio.CancelledError:
        msg = "connection was closed in the middle of an operation"
        raise RuntimeError(msg) from None
