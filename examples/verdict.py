"""Whether a run did what it should: pure checks over what was read.

Delivery is at least once, so a record may stand on a topic twice. Its repeat carries the same
id, since the id of an event that a handler returned is derived from the event that caused it.
*Exactly once* therefore means here: one distinct id, however many records carry it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from examples.evidence import DeadLetter, Evidence, Fact, Survived

ANSWERS = ("StockReserved", "StockShort")
OUTCOMES = ("OrderConfirmed", "OrderRejected")
ORDERS_DEAD_LETTERS = "shop.orders.inventory.dlt"
OUTCOMES_DEAD_LETTERS = "shop.outcomes.notification.dlt"


@dataclass(frozen=True, slots=True)
class Check:
    """One claim about a run, and what speaks against it."""

    claim: str
    problems: Sequence[str]

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the claim."""
        return not self.problems


def verdict(evidence: Evidence) -> Sequence[Check]:
    """All claims about a run, each with what speaks against it."""
    claims = dict(CLAIMS) if evidence.exit_codes else {claim: CLAIMS[claim] for claim in CLAIMS if claim != STOPPED}
    checks = [Check(claim, problems(evidence)) for claim, problems in claims.items()]
    if (survived := evidence.survived) is not None:
        checks += [Check(claim, problems(evidence, survived)) for claim, problems in CLAIMS_UNDER_KILLS.items()]
    return checks


def repeats(evidence: Evidence) -> int:
    """How many records carry an event that another record carries already."""
    return len(evidence.facts) - len({(fact.type, fact.id) for fact in evidence.facts})


def created_once(evidence: Evidence) -> Sequence[str]:
    """Every order of the generator is on the topic, and no other is."""
    return _once_each([order.order_id for order in evidence.orders], evidence.of("OrderCreated"))


def answered_once(evidence: Evidence) -> Sequence[str]:
    """The inventory reserved every order or said that stock is short, and never both."""
    return _once_each([order.order_id for order in evidence.orders], evidence.of(*ANSWERS))


def settled_once(evidence: Evidence) -> Sequence[str]:
    """Every order has one outcome, and it is the one that the inventory's answer asks for."""
    contradicted = evidence.orders_with("OrderConfirmed") ^ evidence.orders_with("StockReserved")
    return [
        *_once_each([order.order_id for order in evidence.orders], evidence.of(*OUTCOMES)),
        *(f"{order_id}: the outcome contradicts the inventory" for order_id in sorted(contradicted)),
    ]


def stock_adds_up(evidence: Evidence) -> Sequence[str]:
    """What left each shelf is what reserved orders asked for, in sum."""
    reserved = evidence.orders_with("StockReserved")
    taken: defaultdict[str, int] = defaultdict(int)
    for order in evidence.orders:
        if order.order_id in reserved:
            taken[order.sku] += order.quantity
    return [
        f"{sku}: {shelf.opening} at first, {taken[sku]} reserved, {shelf.available} left"
        for sku, shelf in evidence.shelves.items()
        if shelf.opening - taken[sku] != shelf.available or shelf.available < 0
    ] + [f"{sku}: reserved, but on no shelf" for sku in sorted(taken.keys() - evidence.shelves.keys())]


def levels_in_order(evidence: Evidence) -> Sequence[str]:
    """What is left of each tea was said once a reservation, in order, down to what stands on the shelf."""
    reserved = evidence.orders_with("StockReserved")
    times = Counter(order.sku for order in evidence.orders if order.order_id in reserved)
    problems: list[str] = []
    for sku, shelf in evidence.shelves.items():
        said = (shelf.opening, *evidence.levels.get(sku, ()))
        problems += [f"{sku}: {later} left after {earlier}" for earlier, later in pairwise(said) if later >= earlier]
        if said[-1] != shelf.available:
            problems.append(f"{sku}: {said[-1]} left at last, but {shelf.available} on the shelf")
        if len(said) - 1 != times[sku]:
            problems.append(f"{sku}: {times[sku]} times reserved, and {len(said) - 1} times said what is left")
    return problems


def notified_once(evidence: Evidence) -> Sequence[str]:
    """Every customer got one mail an order, save the one who cannot get mail."""
    reachable = [order.order_id for order in evidence.orders if order.customer != evidence.unreachable]
    return _once_each(reachable, evidence.of("CustomerNotified"))


def dead_letters_expected(evidence: Evidence) -> Sequence[str]:
    """The dead-letter topics hold the hostile records and the mails nobody takes, byte for byte, and nothing else."""
    unmailed = {order.order_id for order in evidence.orders if order.customer == evidence.unreachable}
    outcomes = {fact.value for fact in evidence.of(*OUTCOMES) if fact.order_id in unmailed}
    expected = {(ORDERS_DEAD_LETTERS, value) for value in evidence.hostile}
    expected |= {(OUTCOMES_DEAD_LETTERS, value) for value in outcomes}
    found = {(letter.topic, letter.value) for letter in evidence.dead_letters}
    return [
        *(f"{topic}: {value[:24]!r} is missing" for topic, value in sorted(expected - found)),
        *(f"{topic}: {value[:24]!r} does not belong there" for topic, value in sorted(found - expected)),
    ]


def reasons_readable(evidence: Evidence) -> Sequence[str]:
    """Each dead letter says at which stage and why it was given up, in words that name the cause."""
    return [
        f"{letter.topic}: stage {letter.stage!r}, reason {letter.reason!r}; it should mention {word!r}"
        for letter in evidence.dead_letters
        for stage, word in [_expected_reason(evidence, letter)]
        if letter.stage != stage or word not in letter.reason or not letter.reason.isprintable()
    ]


def nothing_unread(evidence: Evidence) -> Sequence[str]:
    """The services committed everything up to the end of every topic before they stopped."""
    return [f"{evidence.unread} records are not committed"] if evidence.unread else []


def stopped_cleanly(evidence: Evidence) -> Sequence[str]:
    """Every process that was told to stop did so and said that all was well."""
    return [f"{name}: exit code {code}" for name, code in evidence.exit_codes.items() if code != 0]


def placed_once(evidence: Evidence, survived: Survived) -> Sequence[str]:
    """The order service's table has every order that came in, and no other; what is there was said."""
    return _differences([order.order_id for order in evidence.orders], survived.placed)


def mailed_once(evidence: Evidence, survived: Survived) -> Sequence[str]:
    """The notification service's table has one mail for each customer who was said to be notified."""
    return _differences(sorted(evidence.orders_with("CustomerNotified")), survived.mailed)


def nothing_unsent(_: Evidence, survived: Survived) -> Sequence[str]:
    """What was committed was published, all of it."""
    return [f"{service}: {rows} rows are left" for service, rows in survived.unsent.items() if rows]


def killed_as_planned(_: Evidence, survived: Survived) -> Sequence[str]:
    """The harm was done; else a run would show nothing."""
    return [
        f"{name}: {survived.killed.get(name, 0)} times instead of {times}"
        for name, times in survived.planned.items()
        if survived.killed.get(name, 0) != times
    ]


STOPPED = "every service stopped cleanly when it was told to"
CLAIMS: Mapping[str, Callable[[Evidence], Sequence[str]]] = {
    "every order is on its topic exactly once": created_once,
    "every order got exactly one answer from the inventory": answered_once,
    "every order was confirmed or rejected exactly once, as the inventory answered": settled_once,
    "stock adds up": stock_adds_up,
    "what is left of each tea was said in order, after every reservation": levels_in_order,
    "one notification an order, save for the customer whose mailbox never answers": notified_once,
    "the dead-letter topics hold exactly the expected records, byte for byte": dead_letters_expected,
    "every dead letter says why in readable words": reasons_readable,
    "every record was handled and committed before the services stopped": nothing_unread,
    STOPPED: stopped_cleanly,
}
"""What a run has to show, in the order in which it is printed."""
CLAIMS_UNDER_KILLS: Mapping[str, Callable[[Evidence, Survived], Sequence[str]]] = {
    "every order stands once in the order service's database": placed_once,
    "every mail stands once in the notification service's database": mailed_once,
    "nothing is left in an outbox": nothing_unsent,
    "every process was killed as often as planned": killed_as_planned,
}
"""What a run has to show besides, whose processes were killed."""


def _differences(expected: Sequence[str], found: Sequence[str]) -> Sequence[str]:
    """Which order ids are missing, which are there without reason, and which more than once."""
    times = Counter(found)
    return [
        *(f"{order_id}: none" for order_id in expected if order_id not in times),
        *(f"{order_id}: {number} times" for order_id, number in times.items() if number > 1),
        *(f"{order_id}: not expected" for order_id in sorted(times.keys() - set(expected))),
    ]


def _once_each(order_ids: Collection[str], facts: Sequence[Fact]) -> Sequence[str]:
    """What speaks against one distinct event for each of these orders, and none for any other."""
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for fact in facts:
        ids[fact.order_id].add(fact.id)
    return [
        *(f"{order_id}: none" for order_id in order_ids if order_id not in ids),
        *(f"{order_id}: {len(found)} different ones" for order_id, found in ids.items() if len(found) > 1),
        *(f"{order_id}: not expected" for order_id in sorted(ids.keys() - set(order_ids))),
    ]


def _expected_reason(evidence: Evidence, letter: DeadLetter) -> tuple[str, str]:
    """The stage at which a dead letter must have failed, and a word that its reason has to contain."""
    if letter.value in evidence.hostile:
        return "decode", evidence.hostile[letter.value]
    return "handle", evidence.unreachable
