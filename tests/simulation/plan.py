"""What happens in one history, drawn from its seed before anything runs."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from random import Random

from eventhub import Limits
from eventhub.runtime.breaker import BreakerOptions
from eventhub.runtime.options import Options
from eventhub.runtime.watchdog import Patience
from eventhub.subscription import Ordering

GROUP = "shop"
"""The service, and its consumer group."""
ORDERS = "orders"
"""The topic of the orders."""
WAITS = (0.05, 0.2, 0.5, 1.0, 1.0, 1.0)
"""Seconds before the second, third ... attempt."""
LONG_WAITS = (0.05, 10.0, 0.5, 10.0, 1.0, 30.0)
"""The same where records without order spend some of them in retry topics."""
ATTEMPTS = len(WAITS) + 1
"""Attempts before a record is given up."""
MOST_FAILURES = 2
"""Failures of an order that is handled in the end, by itself. Storms add as many, and deadlines that pass while a
process stands still about as many again; all together stay short of ``ATTEMPTS``."""
LONGEST_STUBBORN = 4.0
"""Seconds that an order takes at most that goes on when it is cancelled."""
SETTLING = 240.0
"""Seconds after the last fault within which everything has to be handled; the longest back-off is 36 s."""


class Manner(StrEnum):
    """How it goes with one order."""

    PLAIN = "plain"
    """Handled without any suspension."""
    YIELDS = "yields"
    """Lets others run a few times."""
    SLOW = "slow"
    """Waits for something."""
    FLAKY = "flaky"
    """Fails a few times first."""
    HANGS = "hangs"
    """Its first attempts take longer than any grace."""
    STUBBORN = "stubborn"
    """Goes on for a while when it is cancelled."""
    SPOILED = "spoiled"
    """Raises something else when it is cancelled."""
    BUSY = "busy"
    """Meets an error that the policy knows as an outage a few times."""
    IGNORED = "ignored"
    """Raises an error that means "nothing to do"."""
    TOMBSTONE = "tombstone"
    """Has no value."""
    NEWER = "newer"
    """Written with a schema that the services have not met."""
    FAILS = "fails"
    """Poison: every attempt fails."""
    FATAL = "fatal"
    """Poison: no second attempt is worth it."""
    FAULTY = "faulty"
    """Poison: its handler returns what is no event."""
    GARBAGE = "garbage"
    """Poison: no schema explains its bytes."""
    UNKNOWN = "unknown"
    """Poison: nobody knows its schema's id."""
    KILLER = "killer"
    """Poison: whoever handles it dies."""


POISON = frozenset({Manner.FAILS, Manner.FATAL, Manner.FAULTY, Manner.GARBAGE, Manner.UNKNOWN, Manner.KILLER})
NEVER_CALLED = frozenset({Manner.TOMBSTONE, Manner.GARBAGE, Manner.UNKNOWN})
"""Manners of records that reach no handler."""

_MANNERS = {
    Manner.PLAIN: 30,
    Manner.YIELDS: 12,
    Manner.SLOW: 18,
    Manner.FLAKY: 8,
    Manner.HANGS: 2,
    Manner.STUBBORN: 3,
    Manner.SPOILED: 4,
    Manner.BUSY: 2,
    Manner.IGNORED: 2,
    Manner.TOMBSTONE: 2,
    Manner.NEWER: 2,
    Manner.FAILS: 3,
    Manner.FATAL: 1,
    Manner.FAULTY: 1,
    Manner.GARBAGE: 2,
    Manner.UNKNOWN: 1,
}


@dataclass(frozen=True, slots=True)
class OrderPlan:
    """One order, and how it goes with it."""

    number: int
    at: float
    """When it is published."""
    customer: str | None
    """Its key."""
    manner: Manner
    seconds: float
    """How long its handling takes where it takes any time."""
    failures: int
    """How many attempts fail by themselves."""
    receipts: int
    """How many events its handler returns."""
    gap: int
    """Offsets that are used up behind it, as transaction markers do."""


class DeedKind(StrEnum):
    """What somebody does to the processes, the network or the broker."""

    START = "start"
    STOP = "stop"
    HURRY = "hurry"
    """Stop, and a moment later not wait for handlers any more."""
    CANCEL = "cancel"
    """Cancel what serves."""
    KILL = "kill"
    PAUSE = "pause"
    """Nothing of a process comes through for a while, then all at once."""
    CUT = "cut"
    """A process loses the broker for a while."""
    AWAY = "away"
    """All of them do."""
    BREAK = "break"
    """The connection of a process breaks, and another can be made at once."""
    DEAFEN = "deafen"
    """The client of a process is never answered again, and does not say so: it has to be replaced."""
    FENCE = "fence"
    """The broker throws a member out."""
    LOSSES = "losses"
    """For a while requests and answers get lost."""
    UNREGISTERED = "unregistered"
    """The registry is away for a while."""
    STORM = "storm"
    """For a while every handler fails."""


CALM = (DeedKind.START, DeedKind.STOP, DeedKind.STOP, DeedKind.HURRY)
"""Deeds after which nothing may be handled twice."""
DEADLY = (*CALM, DeedKind.CANCEL, DeedKind.BREAK, DeedKind.UNREGISTERED, DeedKind.STORM)
"""Deeds after which no partition is lost without being given up: where a record may kill, that is a death."""
ROUGH = (*CALM, *(kind for kind in DeedKind if kind not in CALM), DeedKind.KILL, DeedKind.LOSSES, DeedKind.FENCE)


@dataclass(frozen=True, slots=True)
class Deed:
    """One of them."""

    at: float
    kind: DeedKind
    seconds: float
    """How long it lasts where it lasts."""
    whom: float
    """Which process, as a share of those there are."""
    silent: bool
    """Whether lost requests are refused late rather than at once."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One history."""

    seed: int
    calm: bool
    """Whether no connection fails and no process dies: then nothing is handled twice."""
    deadly: bool
    """Whether processes die of what they handle, and of nothing else."""
    partitions: int
    members: int
    """Processes at the beginning."""
    ordering: Ordering
    waits: tuple[float, ...]
    """Seconds before the second, third ... attempt."""
    timeout: float | None
    """How long an attempt may take."""
    in_context: bool
    """Whether the handler asks for its context."""
    limits: Limits
    options: Options
    """All but clock and random numbers."""
    latency: float
    """Seconds that an operation takes at most."""
    cost: float
    """Seconds of work between two looks at the clock."""
    orders: tuple[OrderPlan, ...]
    deeds: tuple[Deed, ...]

    @property
    def end_of_faults(self) -> float:
        """When the last deed is over."""
        return max((deed.at + deed.seconds for deed in self.deeds), default=0.0)


def draw_plan(seed: int) -> Plan:
    """The plan of a seed."""
    draw = Random(seed)
    calm = draw.random() < 0.3
    deadly = not calm and draw.random() < 0.2
    partitions = draw.randint(1, 4)
    ordering = draw.choice((*[Ordering.KEY] * 5, Ordering.PARTITION, *[Ordering.NONE] * 2))
    return Plan(
        seed=seed,
        calm=calm,
        deadly=deadly,
        partitions=partitions,
        members=draw.randint(1, 3),
        ordering=ordering,
        waits=LONG_WAITS if ordering is Ordering.NONE and draw.random() < 0.7 else WAITS,
        timeout=draw.choice((None, 6.0)),
        in_context=draw.random() < 0.5,
        limits=Limits(concurrency=draw.choice((1, 2, 3, 8)), max_in_flight=draw.choice((8, 20, 100))),
        options=_draw_options(draw, crowded=draw.random() < 0.3 or ordering is Ordering.PARTITION, deadly=deadly),
        latency=draw.choice((0.0, 0.01, 0.1)),
        cost=draw.choice((0.0, 0.0, 0.001)),
        orders=_with_killers(draw, _draw_orders(draw)) if deadly else _draw_orders(draw),
        deeds=_draw_deeds(draw, CALM if calm else DEADLY if deadly else ROUGH),
    )


def _draw_options(draw: Random, *, crowded: bool, deadly: bool) -> Options:
    """Every wait is shortened alike, so that a history tells in a minute what a service meets in many.

    Little room for what waits and a breaker do not go together, nor do lanes as long as a partition and a breaker, as
    those of careful partitions are: once poison has taken all of it, no record that could close the breaker comes in.
    """
    breaks = not crowded and not deadly
    return Options(
        commit_interval=draw.choice((0.2, 0.5, 1.0)),
        commit_timeout=1.0,
        poll_timeout=0.25,
        max_poll_records=draw.choice((1, 3, 10, 50)),
        drain_grace=2.0,
        stop_grace=3.0,
        schema_grace=4.0,
        max_parked_keys=draw.choice((2, 5)) if crowded else 1000,
        max_parked_records=draw.choice((5, 20)) if crowded else 10_000,
        max_span=draw.choice((5, 30)) if crowded else 10_000,
        breaker=BreakerOptions(
            failures=draw.choice((4, 10)) if breaks else 1000,
            outcomes=20 if breaks else 1000,
            probe_wait=1.0,
            probe_wait_limit=8.0,
        ),
        patience=Patience(silence=10.0, joining=25.0, commits_failed=6, heartbeat=20.0, stuck=15.0),
    )


def late_order(number: int, at: float) -> OrderPlan:
    """An order with which nothing goes wrong, from a customer who has not ordered before.

    They come as long as anything is left to do, since a service whose every key is poison cannot tell that from an
    outage, and rightly waits.
    """
    return OrderPlan(number, at, f"late-{number}", Manner.PLAIN, seconds=0.0, failures=0, receipts=0, gap=0)


def _draw_orders(draw: Random) -> tuple[OrderPlan, ...]:
    customers = [f"c{number}" for number in range(draw.randint(1, 8))]
    if draw.random() < 0.3:
        customers.append("")
    count = draw.randint(20, 70)
    haste = draw.choice((0.0, 0.05, 0.3))  # seconds between two orders, on the average
    orders: list[OrderPlan] = []
    at = 0.0
    for number in range(count):
        at += draw.random() * 2 * haste
        orders.append(_draw_order(draw, number, at, draw.choice(customers) or None))
    return tuple(orders)


def _draw_order(draw: Random, number: int, at: float, customer: str | None) -> OrderPlan:
    manner = draw.choices(list(_MANNERS), list(_MANNERS.values()))[0]
    seconds = {Manner.STUBBORN: draw.uniform(0.5, LONGEST_STUBBORN), Manner.HANGS: 7.0}.get(
        manner, draw.choice((0.01, 0.1, 0.8))
    )
    return OrderPlan(
        number=number,
        at=at,
        customer=customer,
        manner=manner,
        seconds=seconds,
        failures=draw.randint(1, MOST_FAILURES),
        receipts=draw.choice((0, 0, 1, 2)),
        gap=draw.randint(1, 3) if draw.random() < 0.1 else 0,
    )


def _with_killers(draw: Random, orders: tuple[OrderPlan, ...]) -> tuple[OrderPlan, ...]:
    """The orders, of which one or two kill whoever handles them."""
    killers = draw.sample(range(len(orders)), draw.choice((1, 1, 2)))
    return tuple(
        replace(order, manner=Manner.KILLER, seconds=0.1) if order.number in killers else order for order in orders
    )


def _draw_deeds(draw: Random, kinds: Sequence[DeedKind]) -> tuple[Deed, ...]:
    at = 0.0
    deeds: list[Deed] = []
    for _ in range(draw.randint(2, 8)):
        at += draw.choice((0.1, 0.6, 2.0, 4.0)) * draw.random()
        deeds.append(
            Deed(
                at=at,
                kind=draw.choice(kinds),
                seconds=draw.uniform(0.2, 5.0),
                whom=draw.random(),
                silent=draw.random() < 0.3,
            )
        )
    return tuple(deeds)


def describe(plan: Plan) -> str:
    """A plan without orders and deeds, which the history tells one by one, and without what is no value."""
    facts = {name.name: getattr(plan, name.name) for name in fields(plan) if name.name not in {"orders", "deeds"}}
    facts["options"] = {
        name.name: getattr(plan.options, name.name) for name in fields(plan.options) if name.name not in _NO_VALUES
    }
    return " ".join(f"{name}={value}" for name, value in facts.items())


_NO_VALUES = frozenset({"clock", "random", "hooks"})
