"""Dead letters in words."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from eventhub.cli.letters import as_json, as_sentences, as_table, as_text, printable
from eventhub.dead_letters import DeadLetter, Settled, read_dead_letter
from eventhub.record import Record

HEADERS = (
    ("x-secret", b"header-secret"),
    ("eventhub-origin-topic", b"orders"),
    ("eventhub-origin-partition", b"1"),
    ("eventhub-origin-offset", b"42"),
    ("eventhub-origin-timestamp", b"2023-11-14T22:13:20.000000Z"),
    ("eventhub-origin-group", b"inventory"),
    ("eventhub-handler", b"reserve"),
    ("eventhub-attempt", b"7"),
    ("eventhub-first-failure-at", b"2023-11-14T22:13:21.000000Z"),
    ("eventhub-failed-at", b"2023-11-14T22:23:20.000000Z"),
    ("eventhub-error-stage", b"handle"),
    ("eventhub-error-type", b"shop.StockBusy"),
    ("eventhub-error-message", b"message-secret"),
    ("eventhub-error-stack", b"shop.StockBusy\n  at reserve (shop.py:7)"),
    ("eventhub-replay-count", b"1"),
)
PAYLOADS = ("header-secret", "message-secret", "key-secret", "value-secret")


def letter(**changed: Any) -> DeadLetter:
    """A letter as a service writes it."""
    facts: dict[str, Any] = {
        "topic": "orders.inventory.dlt",
        "partition": 1,
        "offset": 17,
        "timestamp": 1_700_000_600.0,
        "key": b"key-secret",
        "value": b"value-secret",
        "headers": HEADERS,
    }
    return read_dead_letter(Record(**(facts | changed)))


def drawn(*letters: DeadLetter) -> str:
    """The table as it is printed."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(as_table(letters))
    return capture.get()


def test_a_line_for_programs_says_why_a_letter_is_here() -> None:
    """Everything that can be filtered by is there, and the place, under names that do not change."""
    assert {
        "partition": 1,
        "offset": 17,
        "origin_topic": "orders",
        "origin_partition": 1,
        "origin_offset": 42,
        "origin_timestamp": "2023-11-14T22:13:20.000000Z",
        "group": "inventory",
        "handler": "reserve",
        "attempt": 7,
        "first_failure_at": "2023-11-14T22:13:21.000000Z",
        "failed_at": "2023-11-14T22:23:20.000000Z",
        "stage": "handle",
        "error_type": "shop.StockBusy",
        "replay_count": 1,
        "is_reference": False,
    } == json.loads(as_json(letter()))


def test_a_table_says_the_same_to_a_person() -> None:
    """One row a letter, below its headings."""
    heading, row = drawn(letter()).splitlines()

    assert ["at", "origin", "failed", "at", "handler", "attempt", "stage", "error", "replays"] == heading.split()
    assert [
        "1/17",
        "1/42",
        "2023-11-14T22:23:20.000000Z",
        "reserve",
        "7",
        "handle",
        "shop.StockBusy",
        "1",
    ] == row.split()


def test_lists_show_nothing_of_a_payload() -> None:
    """Neither key nor value, nor a header of its author, nor what an error says about them."""
    listed = as_json(letter()) + drawn(letter())

    assert [] == [payload for payload in PAYLOADS if payload in listed]


def test_what_is_unknown_of_a_strangers_record_is_left_out() -> None:
    """A record without our headers, and even without a date, is listed by its place."""
    stranger = letter(headers=(), timestamp=1e15)

    assert ["1/17", "0"] == drawn(stranger).splitlines()[1].split()
    assert {"partition": 1, "offset": 17, "replay_count": 0, "is_reference": False} == {
        name: value for name, value in json.loads(as_json(stranger)).items() if value is not None
    }


def test_markup_in_a_header_stays_text() -> None:
    """What a header says cannot colour or hide a row."""
    assert "[red]reserve[/]" in drawn(replace(letter(), handler="[red]reserve[/]"))


def test_a_letter_is_shown_with_all_its_headers() -> None:
    """Those of several lines are indented, so that none can pass for another."""
    shown = as_text(letter(), payload=False).splitlines()

    assert "orders.inventory.dlt 1/17" == shown[0]
    assert "  eventhub-error-message      message-secret" in shown
    assert "  eventhub-error-stack        shop.StockBusy" in shown
    assert "                                at reserve (shop.py:7)" in shown


def test_a_payload_is_shown_only_if_asked_for() -> None:
    """Otherwise key and value are told by their sizes."""
    shown, payload = as_text(letter(), payload=False), as_text(letter(), payload=True)

    assert "  key                         (10 bytes)\n  value                       (12 bytes)" in shown
    assert "  key                         key-secret\n  value                       value-secret" in payload
    assert "value                       (none)" in as_text(letter(value=None), payload=False)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "(none)"),
        (b"", ""),
        ("tée\n\t".encode(), "tée\n\t"),
        (b"\x00\x00\x00\x00\x07", "hex:0000000007"),
        (b"\xff", "hex:ff"),
        (b"\x1b[2J", "hex:1b5b324a"),
        ("\u202e".encode(), "hex:e280ae"),
    ],
)
def test_bytes_are_text_only_where_a_terminal_may_show_them(content: bytes | None, text: str) -> None:
    """Whatever would move a cursor or turn the writing round is hexadecimal."""
    assert text == printable(content)


def test_a_header_may_have_any_name() -> None:
    """Not even its name reaches the terminal."""
    assert "  hex:1b5b324a" in as_text(letter(headers=(("\x1b[2J", b"x"),)), payload=False)


def test_an_outcome_says_what_was_done_and_what_was_not() -> None:
    """Every number has its reason; what is nothing is not said."""
    settled = Settled(done=1, known=2, left={"the broker refuses it": 3}, complete=False)

    assert [
        "1 letter replayed to the group",
        "2 letters had been replayed by a run that broke off",
        "3 letters left alone: the broker refuses it",
        "the rest has to wait until older letters are settled: no more gaps can be remembered",
    ] == as_sentences(settled, what="replayed to the group", dry_run=False).splitlines()
    assert "0 letters would be dropped; say --yes to do it" == as_sentences(
        Settled(0, 0, {}, complete=True), what="dropped", dry_run=True
    )
