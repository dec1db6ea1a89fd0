"""Dead letters: what is kept, what is added, what is left out, and what never leaks."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any, Literal, NoReturn

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from eventhub import headers as names
from eventhub.errors import DecodeError
from eventhub.record import ProducerRecord, Record
from eventhub.runtime.dead_letter import (
    Origin,
    Reason,
    dead_letter,
    error_message,
    error_name,
    error_stack,
    read_dead_letter,
)

SECRET = "4111-1111"  # noqa: S105 - what must not leak
RECORD = Record(
    topic="orders",
    partition=3,
    offset=42,
    timestamp=1_700_000_000.25,
    key=b"o-1",
    value=b"\x00\xff\xfe",
    headers=(("ce_id", b"e-1"), ("trace", None), ("trace", b"\xff"), ("eventhub-attempt", b"99")),
)


class StockBusyError(Exception):
    """An error of a service."""


def reason(error: BaseException, **changed: Any) -> Reason:
    """A reason of the inventory's handler."""
    facts: dict[str, Any] = {
        "group": "inventory",
        "handler": "reserve_stock",
        "attempt": 7,
        "stage": "handle",
        "first_failure_at": 1_700_000_001.0,
        "failed_at": 1_700_000_672.5,
    }
    return Reason(error=error, **(facts | changed))


def letter(error: BaseException, record: Record = RECORD, **options: Any) -> ProducerRecord:
    """The dead letter of a record that failed with an error."""
    return dead_letter(record, reason(error), topic="orders.inventory.dlt", **options)


def as_read(written: ProducerRecord) -> Record:
    """A letter as it is read back from its topic."""
    return Record(
        written.topic, written.partition or 0, 7, 1_700_000_673.0, written.key, written.value, written.headers
    )


def raised(error: BaseException, cause: BaseException | None = None, *, depth: int = 0) -> BaseException:
    """An error that was raised, so many calls below this one."""

    def fail(below: int) -> NoReturn:
        if below:
            fail(below - 1)
        raise error from cause

    try:
        fail(depth)
    except BaseException as caught:  # noqa: BLE001 - to be looked at
        return caught


def invalid(model: Any, value: object) -> ValidationError:
    """The error of a value that does not fit a model."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(model).validate_python(value)
    return caught.value


def test_the_original_bytes_are_kept() -> None:
    """Key, value, partition and headers are as they were, repeated and null headers included."""
    written = letter(StockBusyError("busy"))

    assert "orders.inventory.dlt" == written.topic
    assert (RECORD.key, RECORD.value, RECORD.partition) == (written.key, written.value, written.partition)
    assert RECORD.headers[:3] == written.headers[:3]


def test_headers_say_what_happened() -> None:
    """Where it came from, who failed, how often, when, where and why, as UTF-8 text."""
    ours = dict(letter(StockBusyError("busy")).headers[3:])
    ours.pop(names.ERROR_STACK)

    assert {
        "eventhub-origin-topic": b"orders",
        "eventhub-origin-partition": b"3",
        "eventhub-origin-offset": b"42",
        "eventhub-origin-timestamp": b"2023-11-14T22:13:20.250000Z",
        "eventhub-origin-group": b"inventory",
        "eventhub-handler": b"reserve_stock",
        "eventhub-attempt": b"7",
        "eventhub-first-failure-at": b"2023-11-14T22:13:21.000000Z",
        "eventhub-failed-at": b"2023-11-14T22:24:32.500000Z",
        "eventhub-error-stage": b"handle",
        "eventhub-error-type": f"{__name__}.StockBusyError".encode(),
        "eventhub-error-message": b"busy",
    } == ours


def test_what_is_written_can_be_read() -> None:
    """The reader finds the facts again, and the record itself."""
    record = as_read(letter(StockBusyError("busy")))
    read = read_dead_letter(record)

    assert record is read.record
    assert Origin("orders", 3, 42, 1_700_000_000.25) == read.origin
    assert ("inventory", "reserve_stock", 7, "handle") == (read.group, read.handler, read.attempt, read.stage)
    assert (1_700_000_001.0, 1_700_000_672.5) == (read.first_failure_at, read.failed_at)
    assert (f"{__name__}.StockBusyError", "busy") == (read.error_type, read.error_message)
    assert (None, 0, False) == (read.replay_id, read.replay_count, read.is_reference)


def test_a_record_without_a_handler_has_no_handler_header() -> None:
    """A record that cannot be decoded never reached one."""
    written = dead_letter(RECORD, reason(DecodeError("no magic byte"), handler=None), topic="dlt")

    assert names.HANDLER not in dict(written.headers)


def test_control_headers_of_strangers_are_dropped() -> None:
    """A producer cannot make a letter lie about its origin or its replays."""
    lie = RECORD._replace(headers=((names.ORIGIN_TOPIC, b"payments"), (names.REPLAY_ID, b"x"), ("eventhub-x", b"")))
    read = read_dead_letter(as_read(letter(StockBusyError(), lie)))

    assert Origin("orders", 3, 42, 1_700_000_000.25) == read.origin
    assert read.replay_id is None


def test_a_letter_that_fails_again_keeps_its_origin_and_its_replay() -> None:
    """From a topic of the group itself, headers tell where the record really came from; the rest is new."""
    first = as_read(letter(StockBusyError("busy")))
    replayed = first._replace(headers=(*first.headers, (names.REPLAY_ID, b"r-1"), (names.REPLAY_COUNT, b"2")))
    again = letter(ValueError("worse"), replayed, trusted=True)
    read = read_dead_letter(as_read(again))

    assert Origin("orders", 3, 42, 1_700_000_000.25) == read.origin
    assert ("r-1", 2) == (read.replay_id, read.replay_count)
    assert ("ValueError", "worse") == (read.error_type, read.error_message)
    assert len(again.headers) == len({name for name, _ in again.headers if name != "trace"}) + 2


def test_trusted_headers_that_make_no_sense_are_replaced() -> None:
    """A record on a topic of the group without an origin is its own origin."""
    broken = RECORD._replace(headers=((names.ORIGIN_TOPIC, b"payments"), (names.ORIGIN_OFFSET, b"-1")))
    read = read_dead_letter(as_read(letter(StockBusyError(), broken, trusted=True)))

    assert Origin("orders", 3, 42, 1_700_000_000.25) == read.origin


def test_long_texts_are_cut_between_characters() -> None:
    """A message has at most 1 KiB of valid UTF-8, however long its characters are."""
    written = dict(letter(StockBusyError("xy" + "€" * 1000)).headers)[names.ERROR_MESSAGE] or b""

    assert written.decode() == "xy" + "€" * 340


def deep() -> BaseException:
    """An error with more causes, and more frames in each, than anybody reads."""
    error = raised(StockBusyError(), depth=100)
    for _ in range(30):
        error = raised(StockBusyError("m" * 1000), error, depth=100)
    return error


def test_a_stack_has_bounds() -> None:
    """16 errors with the 32 innermost frames of each, and 8 KiB in the header, cut at the outer end."""
    error = deep()
    stack = error_stack(error)
    header = dict(letter(error).headers)[names.ERROR_STACK]

    assert 16 * (1 + 32) == len(stack.splitlines())
    assert len(stack) > 8 * 1024
    assert stack.encode()[: 8 * 1024] == header


def test_ours_have_at_most_16_kib_in_all() -> None:
    """Even if every text is as long as it can be."""
    long = "n" * 10_000
    written = dead_letter(
        RECORD._replace(topic="t" * 249, offset=2**63 - 1, headers=()),
        reason(raised(type(long, (Exception,), {})(long)), group=long, handler=long, stage=long),
        topic="dlt",
    )

    assert sum(len(name) + len(value or b"") for name, value in written.headers) <= 16 * 1024


def test_text_that_is_no_utf8_is_still_written() -> None:
    """Surrogates, as in file names, are escaped."""
    written = dict(letter(StockBusyError("no file \udcff")).headers)

    assert b"no file \\udcff" == written[names.ERROR_MESSAGE]


def test_an_error_that_cannot_be_printed_has_its_name_only() -> None:
    """A broken __str__ does not keep the record from its topic."""

    class BrokenError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert error_message(BrokenError()) == f"<{error_name(BrokenError())} has no text>"


@pytest.mark.parametrize("timestamp", [float("nan"), float("inf"), 1e18, -1e18])
def test_a_timestamp_that_is_no_date_is_left_out(timestamp: float) -> None:
    """Producers choose timestamps; one from the year 30 billion is no reason to stop."""
    read = read_dead_letter(as_read(letter(StockBusyError(), RECORD._replace(timestamp=timestamp))))

    assert Origin("orders", 3, 42, None) == read.origin


def shrunk(max_bytes: int, record: Record) -> ProducerRecord:
    """The letter of an error with a long message and a longer stack, in so many bytes."""
    return letter(deep(), record, max_bytes=max_bytes)


def test_a_large_letter_loses_its_stack_then_its_message_then_its_value() -> None:
    """The original bytes stay as long as anything of ours can go."""
    record = RECORD._replace(value=b"v" * 100_000)
    lost = []
    for max_bytes in range(112_000, 100_000, -500):
        written = shrunk(max_bytes, record)
        found = dict(written.headers)
        lost.append((names.ERROR_STACK not in found, names.ERROR_MESSAGE not in found, written.value != record.value))

    assert [
        (False, False, False),
        (True, False, False),
        (True, True, False),
        (True, True, True),
    ] == list(dict.fromkeys(lost))


def test_a_value_that_does_not_fit_is_replaced_by_a_reference() -> None:
    """The reference tells where the value is and how to know it again; a header says that it is one."""
    record = RECORD._replace(value=b"v" * 100_000)
    written = shrunk(100_000, record)

    assert {
        "topic": "orders",
        "partition": 3,
        "offset": 42,
        "size": 100_000,
        "sha256": sha256(b"v" * 100_000).hexdigest(),
    } == json.loads(written.value or b"")
    assert read_dead_letter(as_read(written)).is_reference
    assert (b"o-1", RECORD.headers[:3]) == (written.key, written.headers[:3])


@pytest.mark.parametrize("value", [None, b"v" * 100])
def test_headers_and_keys_that_do_not_fit_are_left_at_the_origin(value: bytes | None) -> None:
    """A record whose headers or key fill its topic's limit can still be given up."""
    record = RECORD._replace(key=b"k" * 60_000, value=value, headers=(("h", b"h" * 60_000),))
    written = shrunk(100_000, record)

    assert written.key is None
    assert "h" not in dict(written.headers)
    assert json.loads(written.value or b"")["size"] == (None if value is None else 100)


def test_a_limit_that_nothing_fits_gives_the_smallest_letter() -> None:
    """The broker then says so; there is nothing left to leave out."""
    assert shrunk(1, RECORD) == shrunk(500, RECORD)


class Card(BaseModel):
    """A model that holds secrets."""

    number: str = Field(max_length=3)
    limits: dict[str, int] = {}
    choice: Literal["a", "b"] = "a"


class StrictCard(BaseModel):
    """A model that names what it does not know."""

    model_config = ConfigDict(extra="forbid")


class CheckedCard(BaseModel):
    """A model whose author puts the value into the error."""

    number: str

    @field_validator("number")
    @classmethod
    def check(cls, number: str) -> str:
        """Refuse everything."""
        msg = f"{number} is no card"
        raise ValueError(msg)


@pytest.mark.parametrize(
    ("model", "value", "message"),
    [
        (Card, {"number": SECRET}, "no valid Card: number [string_too_long]"),
        (Card, {"number": "1", "choice": SECRET}, "no valid Card: choice [literal_error]"),
        (Card, {"number": "1", "limits": {SECRET: "x"}}, "no valid Card: limits.* [int_parsing]"),
        (StrictCard, {SECRET: 1}, "no valid StrictCard: (input) [extra_forbidden]"),
        (CheckedCard, {"number": SECRET}, "no valid CheckedCard: number [value_error]"),
        (Card, SECRET, "no valid Card: (input) [model_type]"),
        (list[Card], [{"number": "1"}, {"number": SECRET}], "no valid list[Card]: 1.* [string_too_long]"),
    ],
)
def test_validation_errors_are_shown_without_their_inputs(model: Any, value: object, message: str) -> None:
    """Fields and kinds of errors are named; values, keys of mappings and texts of validators are not."""
    error = invalid(model, value)

    assert message == error_message(error)


def test_causes_do_not_leak_either() -> None:
    """A stack names the classes of causes and their frames, never their texts or source lines."""
    cause = raised(KeyError(SECRET), invalid(Card, {"number": SECRET}))
    written = letter(raised(DecodeError("cannot be decoded"), cause))

    assert SECRET.encode() not in b"".join(value or b"" for _, value in written.headers)
    assert "raise error" not in error_stack(cause)


def test_a_stack_reads_from_the_inside_out() -> None:
    """The frame that raised comes first, then the causes, each once."""
    cause = raised(KeyError("k"))
    error = raised(StockBusyError(), cause)
    cause.__cause__ = error  # a circle
    lines = error_stack(error).splitlines()

    assert error_name(error) == lines[0]
    assert lines[1].startswith(f"  at raised.<locals>.fail ({__file__}:")
    assert lines[2].startswith("  at raised (")
    assert "caused by KeyError" == lines[3]
    assert len(lines) == 6


def test_what_was_being_handled_belongs_to_the_stack() -> None:
    """An error in an except block names the error before it, unless that was suppressed."""
    error = StockBusyError()
    error.__context__ = KeyError()
    shown = error_stack(error)
    error.__suppress_context__ = True

    assert "while handling KeyError" in shown
    assert "KeyError" not in error_stack(error)


def test_a_group_of_errors_shows_its_members() -> None:
    """A handler with a task group fails with what its tasks raised."""
    error = ExceptionGroup("tasks", [StockBusyError(), ValueError("x")])

    assert [
        "ExceptionGroup",
        f"together with {__name__}.StockBusyError",
        "together with ValueError",
    ] == error_stack(error).splitlines()


def test_a_foreign_record_has_little_to_say() -> None:
    """Without headers everything is unknown, and the record's own time is the failure's."""
    read = read_dead_letter(RECORD._replace(headers=()))

    assert read.origin is None
    assert [None] * 6 == [read.group, read.handler, read.attempt, read.stage, read.error_type, read.error_stack]
    assert (RECORD.timestamp, None) == (read.failed_at, read.first_failure_at)


def test_hostile_headers_are_harmless() -> None:
    """Numbers beyond reason, times that are none, escapes for terminals and bytes that are no text."""
    read = read_dead_letter(
        RECORD._replace(
            headers=(
                (names.ORIGIN_TOPIC, b"orders"),
                (names.ORIGIN_PARTITION, b"1"),
                (names.ORIGIN_OFFSET, b"9" * 5000),
                (names.ATTEMPT, "٣".encode()),
                (names.FAILED_AT, b"yesterday"),
                (names.FIRST_FAILURE_AT, b"2023-11-14T22:13:20"),
                (names.HANDLER, b"\x1b[2Jreserve\xff\xe2\x80\xae"),
                (names.ERROR_STACK, b"a\n\tb" + b"x" * 10**6),
                (names.REPLAY_COUNT, None),
            )
        )
    )

    assert (None, None, None) == (read.origin, read.attempt, read.first_failure_at)
    assert RECORD.timestamp == read.failed_at
    assert "\ufffd[2Jreserve\ufffd\ufffd" == read.handler
    assert "a\n\tb" == (read.error_stack or "")[:4]
    assert len(read.error_stack or "") == 8 * 1024
    assert read.replay_count == 0


def test_a_letter_prints_without_its_payload() -> None:
    """A logged letter shows no key, value or header of the record."""
    read = read_dead_letter(as_read(letter(StockBusyError(), RECORD._replace(value=SECRET.encode()))))

    assert SECRET not in repr(read)
