"""The verdict: it passes a run that did what it should, and each check refuses a run that did not."""

from dataclasses import replace
from typing import Any

import pytest

from examples.evidence import DeadLetter, Evidence, Fact, Survived
from examples.inventory_service.stock import Shelf
from examples.notification_service.mail import UNREACHABLE
from examples.order_service.events import OrderCreated
from examples.verdict import CLAIMS, CLAIMS_UNDER_KILLS, STOPPED, repeats, verdict

FILLED, SHORT, UNMAILED = "o-1", "o-2", "o-3"
MAGIC, TRUNCATED, UNKNOWN = b"\x7f1", b"\x002", b"\x003"


def order(order_id: str, sku: str, quantity: int, customer: str = "ada@example.com") -> OrderCreated:
    """An order that the generator is known to produce."""
    return OrderCreated(order_id=order_id, customer=customer, sku=sku, quantity=quantity, price_cents=450)


def fact(kind: str, order_id: str, *, id: str = "", value: bytes = b"") -> Fact:  # noqa: A002 - the field's name
    """An event on a topic; its id is made of its type and order unless another is given."""
    return Fact(kind, id or f"{kind}/{order_id}", order_id, value or f"{kind}/{order_id}".encode())


GOOD = Evidence(
    orders=(order(FILLED, "assam", 3), order(SHORT, "oolong", 2), order(UNMAILED, "assam", 4, UNREACHABLE)),
    facts=(
        *(fact("OrderCreated", order_id) for order_id in (FILLED, SHORT, UNMAILED)),
        *(fact("StockReserved", order_id) for order_id in (FILLED, UNMAILED)),
        *(fact("OrderConfirmed", order_id) for order_id in (FILLED, UNMAILED)),
        fact("StockShort", SHORT),
        fact("OrderRejected", SHORT),
        *(fact("CustomerNotified", order_id) for order_id in (FILLED, SHORT)),
    ),
    dead_letters=(
        DeadLetter("shop.orders.inventory.dlt", MAGIC, "decode", "unknown magic byte 0x7f"),
        DeadLetter("shop.orders.inventory.dlt", TRUNCATED, "decode", "value ends within its frame"),
        DeadLetter("shop.orders.inventory.dlt", UNKNOWN, "decode", "schema 7 is unknown to the registry"),
        DeadLetter(
            "shop.outcomes.notification.dlt",
            f"OrderConfirmed/{UNMAILED}".encode(),
            "handle",
            f"mailbox {UNREACHABLE} does not answer",
        ),
    ),
    hostile={MAGIC: "magic byte", TRUNCATED: "ends", UNKNOWN: "schema 7"},
    unreachable=UNREACHABLE,
    shelves={"assam": Shelf(opening=10, available=3), "oolong": Shelf(opening=1, available=1)},
    levels={"assam": (7, 3)},
    unread=0,
    exit_codes={"order": 0, "inventory": 0, "notification": 0},
)
"""A run of three orders in which all went well."""


def with_facts(*facts: Fact) -> Evidence:
    """The good run, and more events."""
    return replace(GOOD, facts=(*GOOD.facts, *facts))


def without_fact(kind: str, order_id: str) -> Evidence:
    """The good run, and one event less."""
    return replace(GOOD, facts=[known for known in GOOD.facts if known != fact(kind, order_id)])


def with_dead_letter(letter: DeadLetter) -> Evidence:
    """The good run, and another dead letter."""
    return replace(GOOD, dead_letters=(*GOOD.dead_letters, letter))


def without_dead_letter(value: bytes) -> Evidence:
    """The good run, and one dead letter less."""
    return replace(GOOD, dead_letters=[letter for letter in GOOD.dead_letters if letter.value != value])


def with_changed(value: bytes, **changed: Any) -> Evidence:
    """The good run, with one dead letter that differs."""
    letters = [replace(letter, **changed) if letter.value == value else letter for letter in GOOD.dead_letters]
    return replace(GOOD, dead_letters=letters)


CREATED, ANSWERED, SETTLED, STOCK, LEVELS, NOTIFIED, LETTERS, REASONS, UNREAD, STOPS = CLAIMS

BAD = {
    "an order never reached its topic": (without_fact("OrderCreated", FILLED), CREATED),
    "an order was created twice": (with_facts(fact("OrderCreated", FILLED, id="again")), CREATED),
    "an order came from nowhere": (with_facts(fact("OrderCreated", "o-9")), CREATED),
    "an order got no answer": (without_fact("StockShort", SHORT), ANSWERED),
    "an order was reserved twice": (with_facts(fact("StockReserved", FILLED, id="again")), ANSWERED),
    "an order was both reserved and short": (with_facts(fact("StockShort", FILLED)), ANSWERED),
    "an order was neither confirmed nor rejected": (without_fact("OrderRejected", SHORT), SETTLED),
    "an order was confirmed twice": (with_facts(fact("OrderConfirmed", FILLED, id="again")), SETTLED),
    "an order was confirmed and rejected": (with_facts(fact("OrderRejected", FILLED)), SETTLED),
    "an order was confirmed without stock": (
        replace(
            without_fact("OrderRejected", SHORT),
            facts=(*without_fact("OrderRejected", SHORT).facts, fact("OrderConfirmed", SHORT)),
        ),
        SETTLED,
    ),
    "goods left twice": (replace(GOOD, shelves={**GOOD.shelves, "assam": Shelf(10, 0)}), STOCK),
    "goods never left": (replace(GOOD, shelves={**GOOD.shelves, "assam": Shelf(10, 10)}), STOCK),
    "goods left a shelf that nobody asked": (replace(GOOD, shelves={**GOOD.shelves, "oolong": Shelf(1, 0)}), STOCK),
    "more was taken than there was": (replace(GOOD, shelves={**GOOD.shelves, "assam": Shelf(6, -1)}), STOCK),
    "what was reserved has no shelf": (replace(GOOD, shelves={"oolong": Shelf(1, 1)}), STOCK),
    "a level was said too late": (replace(GOOD, levels={"assam": (3, 7)}), LEVELS),
    "a level was said twice": (replace(GOOD, levels={"assam": (7, 3, 3)}), LEVELS),
    "a level was never said": (replace(GOOD, levels={"assam": (3,)}), LEVELS),
    "no level was said": (replace(GOOD, levels={}), LEVELS),
    "a level is not what stands on the shelf": (replace(GOOD, levels={"assam": (7, 2)}), LEVELS),
    "a level of what nobody ordered was said": (replace(GOOD, levels={"assam": (7, 3), "oolong": (0,)}), LEVELS),
    "a customer got no mail": (without_fact("CustomerNotified", FILLED), NOTIFIED),
    "a customer got two mails": (with_facts(fact("CustomerNotified", FILLED, id="again")), NOTIFIED),
    "the unreachable customer got mail": (with_facts(fact("CustomerNotified", UNMAILED)), NOTIFIED),
    "a hostile record vanished": (without_dead_letter(MAGIC), LETTERS),
    "a mail that nobody takes vanished": (without_dead_letter(f"OrderConfirmed/{UNMAILED}".encode()), LETTERS),
    "a sound record was given up": (
        with_dead_letter(
            DeadLetter("shop.outcomes.notification.dlt", b"OrderConfirmed/o-1", "handle", f"about {UNREACHABLE}")
        ),
        LETTERS,
    ),
    "a hostile record went to another dead-letter topic": (
        with_changed(MAGIC, topic="shop.reservations.order.dlt"),
        LETTERS,
    ),
    "a dead letter says nothing": (with_changed(TRUNCATED, reason=""), REASONS),
    "a dead letter names another cause": (with_changed(UNKNOWN, reason="something went wrong"), REASONS),
    "a dead letter's reason is no text": (with_changed(MAGIC, reason="magic byte \x00\x7f"), REASONS),
    "a dead letter failed at another stage": (with_changed(MAGIC, stage="handle"), REASONS),
    "a record was never committed": (replace(GOOD, unread=1), UNREAD),
    "a service ended with an error": (replace(GOOD, exit_codes={**GOOD.exit_codes, "order": 1}), STOPS),
    "a service had to be killed": (replace(GOOD, exit_codes={**GOOD.exit_codes, "order": -9}), STOPS),
}
"""What went wrong, and the one claim that it has to refute."""


UNDER_KILLS = replace(
    GOOD,
    survived=Survived(
        planned={"order": 2, "inventory": 2},
        killed={"order": 2, "inventory": 2},
        placed=(FILLED, SHORT, UNMAILED),
        mailed=(FILLED, SHORT),
        unsent={"order": 0, "inventory": 0},
    ),
)
"""The good run, in spite of kills."""


def survived(**changed: Any) -> Evidence:
    """The good run under kills, in which something differs."""
    assert UNDER_KILLS.survived is not None
    return replace(UNDER_KILLS, survived=replace(UNDER_KILLS.survived, **changed))


PLACED, MAILED, SENT, KILLED = CLAIMS_UNDER_KILLS

BAD_UNDER_KILLS = {
    "an order was lost by the database": (survived(placed=(FILLED, SHORT)), PLACED),
    "an order was placed twice": (survived(placed=(FILLED, SHORT, UNMAILED, SHORT)), PLACED),
    "an order came from nowhere": (survived(placed=(FILLED, SHORT, UNMAILED, "o-9")), PLACED),
    "a mail was said and not kept": (survived(mailed=(FILLED,)), MAILED),
    "a mail was kept twice": (survived(mailed=(FILLED, SHORT, SHORT)), MAILED),
    "a mail was kept and not said": (survived(mailed=(FILLED, SHORT, UNMAILED)), MAILED),
    "a row was never published": (survived(unsent={"order": 0, "inventory": 1}), SENT),
    "a process was spared": (survived(killed={"order": 2, "inventory": 1}), KILLED),
    "a process was spared altogether": (survived(killed={"order": 2}), KILLED),
}
"""What went wrong under kills, and the one claim that it has to refute."""


def refuted(evidence: Evidence) -> list[str]:
    """The claims that do not hold."""
    return [check.claim for check in verdict(evidence) if not check.passed]


def test_a_good_run_passes() -> None:
    """Nothing speaks against a run that did what it should."""
    assert [] == refuted(GOOD)


@pytest.mark.parametrize("story", BAD)
def test_a_bad_run_fails(story: str) -> None:
    """What went wrong refutes its claim."""
    evidence, claim = BAD[story]

    assert claim in refuted(evidence)


@pytest.mark.parametrize("story", BAD_UNDER_KILLS)
def test_a_bad_run_under_kills_fails(story: str) -> None:
    """What went wrong refutes its claim, and no other."""
    evidence, claim = BAD_UNDER_KILLS[story]

    assert [claim] == refuted(evidence)


def test_a_good_run_under_kills_passes() -> None:
    """It has to show more than another run."""
    assert [] == refuted(UNDER_KILLS)
    assert [*CLAIMS, *CLAIMS_UNDER_KILLS] == [check.claim for check in verdict(UNDER_KILLS)]


def test_every_claim_can_fail() -> None:
    """There is no claim that no run refutes."""
    assert set(CLAIMS) == {claim for _, claim in BAD.values()}
    assert set(CLAIMS_UNDER_KILLS) == {claim for _, claim in BAD_UNDER_KILLS.values()}


def test_a_repeated_delivery_is_no_second_event() -> None:
    """A record that repeats another, id and all, is counted as a repeat and refutes nothing."""
    evidence = with_facts(fact("OrderConfirmed", FILLED), fact("CustomerNotified", FILLED))

    assert [] == refuted(evidence)
    assert 2 == repeats(evidence)


def test_an_empty_run_fails() -> None:
    """A run that did nothing does not pass for one without faults."""
    assert {CREATED, ANSWERED, SETTLED, NOTIFIED, LETTERS} <= set(refuted(replace(GOOD, facts=(), dead_letters=())))


def test_exit_codes_are_judged_only_where_there_are_processes() -> None:
    """A run in one process makes no claim about how its services ended."""
    claims = [check.claim for check in verdict(replace(GOOD, exit_codes={}))]

    assert STOPPED not in claims
    assert len(CLAIMS) - 1 == len(claims)
