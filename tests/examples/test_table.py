"""The table, and the line in its place."""

from io import StringIO

import pytest
from rich.console import Console

from examples.evidence import DeadLetter, Fact
from examples.table import count, line, screen, table

FACTS = (
    *(Fact("OrderCreated", str(number), f"o-{number}", b"") for number in range(1200)),
    Fact("OrderConfirmed", "c", "o-1", b""),
    Fact("StockReserved", "r", "o-1", b""),
    Fact("StockShort", "s", "o-2", b""),
    Fact("CustomerNotified", "n", "o-1", b""),
)
LETTERS = (DeadLetter("shop.orders.inventory.dlt", b"", "decode", "unknown magic byte"),)


def test_counts_are_kept_by_service() -> None:
    """Each event counts for the service that writes it, each dead letter for the one that gave it up."""
    assert {
        "order": {"created": 1200, "confirmed": 1, "rejected": 0, "dead letters": 0},
        "inventory": {"reserved": 1, "short": 1, "dead letters": 1},
        "notification": {"mailed": 1, "dead letters": 0},
    } == count(FACTS, LETTERS)


def test_the_line_shows_all_counts() -> None:
    """One line has every service in it."""
    expected = (
        "  2.0 s  order 1,200 created, 1 confirmed, 0 rejected, 0 dead letters"
        " | inventory 1 reserved, 1 short, 1 dead letters | notification 1 mailed, 0 dead letters"
    )

    assert expected == line(2.0, count(FACTS, LETTERS))


def test_the_table_has_a_row_for_each_service() -> None:
    """The table says the same as the line."""
    console = Console(file=StringIO(), width=100)
    with console.capture() as drawn:
        console.print(table(2.0, count(FACTS, LETTERS)))

    assert "1,200 created, 1 confirmed, 0 rejected" in drawn.get()
    assert ["order", "inventory", "notification"] == [
        row.split()[1] for row in drawn.get().splitlines() if row.startswith("│")
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_the_screen_does_not_draw_faster_than_anybody_reads(terminal: bool) -> None:
    """A second look at once draws nothing, unless it has to be now."""
    out = StringIO()
    with screen(Console(file=out, force_terminal=terminal, width=120)) as shown:
        shown.show(FACTS[:1], ())
        shown.show(FACTS[:2], ())
        shown.show(FACTS[:3], (), now=True)

    assert "1 created" in out.getvalue()
    assert "2 created" not in out.getvalue()
    assert "3 created" in out.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_what_happens_stays_on_the_screen(terminal: bool) -> None:
    """It is said once, with the time."""
    out = StringIO()
    with screen(Console(file=out, force_terminal=terminal, width=120)) as shown:
        shown.tell("inventory is killed")

    assert 1 == out.getvalue().count("0.0 s  inventory is killed")
