"""The report."""

from dataclasses import replace

from examples.evidence import DeadLetter, Evidence, Fact, Survived
from examples.report import report
from examples.verdict import Check

EVIDENCE = Evidence(
    orders=(),
    facts=[Fact("OrderCreated", "1", "o-1", b""), Fact("OrderCreated", "1", "o-1", b"")],
    dead_letters=[DeadLetter("shop.orders.inventory.dlt", b"", "decode", "unknown magic byte")] * 2,
    hostile={},
    unreachable="",
    shelves={},
    levels={},
    unread=0,
    exit_codes={},
)


def test_kills_are_counted() -> None:
    """A run under kills says how many there were, and of whom."""
    survived = Survived(planned={}, killed={"order": 2, "inventory": 1}, placed=(), mailed=(), unsent={})

    assert "3 times kill -9: order 2, inventory 1" == list(report(replace(EVIDENCE, survived=survived), []))[1]


def test_dead_letters_are_shown_with_their_reason() -> None:
    """Reasons stand in the report, once each, with how often they were met."""
    lines = list(report(EVIDENCE, []))

    assert "2 events on the topics, 1 of them repeated deliveries" == lines[0]
    assert "2 in shop.orders.inventory.dlt: decode: unknown magic byte" == lines[1]


def test_a_passed_check_is_one_line() -> None:
    """What went well is said in a word."""
    lines = list(report(EVIDENCE, [Check("stock adds up", [])]))

    assert ["  ok      stock adds up", "", "1 of 1 checks passed"] == lines[-3:]


def test_a_failed_check_shows_its_first_problems() -> None:
    """What went wrong is shown, but not a thousand times."""
    lines = list(report(EVIDENCE, [Check("stock adds up", ["a", "b", "c", "d", "e"]), Check("fine", [])]))

    assert [
        "  FAILED  stock adds up",
        "            a",
        "            b",
        "            c",
        "            and 2 more",
        "  ok      fine",
        "",
        "1 of 2 checks passed",
    ] == lines[-8:]
