"""What a relay sends and what it makes of the answers."""

from __future__ import annotations

from eventhub.brokers.base import Outcome
from eventhub.errors import AuthorizationFailed, BrokerError, PublishRefused, PublishUncertain
from eventhub.outbox.base import OutboxRow
from eventhub.outbox.deciding import HEAVY_BYTES, settle, to_send
from eventhub.record import RecordMetadata

TAKEN = RecordMetadata("t", 0, 0)
REFUSED = PublishRefused("too large")
DENIED = AuthorizationFailed("no", resource="topic")
UNCERTAIN = PublishUncertain("deadline")


def rows(keys: str, value: bytes = b"v") -> list[OutboxRow]:
    """A row a letter; the letter is its key, and '-' none."""
    return [
        OutboxRow(number, "t", None if key == "-" else key.encode(), value, (), f"e-{number}", 0.0)
        for number, key in enumerate(keys)
    ]


def settled(keys: str, *outcomes: Outcome) -> tuple[list[int], list[int], BrokerError | None]:
    """What becomes of rows with these outcomes: ids to delete, ids refused, failure."""
    result = settle(rows(keys), outcomes)
    return list(result.acknowledged), [row.id for row, _ in result.refused], result.failure


def test_acknowledged_rows_are_deleted() -> None:
    """What the broker has is let go."""
    assert ([0, 1, 2], [], None) == settled("aba", TAKEN, TAKEN, TAKEN)


def test_only_the_prefix_of_a_key_is_deleted() -> None:
    """What was acknowledged behind a failure of its key is sent again, behind that failure; other keys go."""
    assert ([0, 2], [], UNCERTAIN) == settled("aabaa", TAKEN, UNCERTAIN, TAKEN, TAKEN, UNCERTAIN)


def test_the_first_refused_row_of_a_key_is_to_blame() -> None:
    """Of each key one row is counted; a failure that is no row's fault blames nobody."""
    assert ([], [0, 2], UNCERTAIN) == settled("aabc", REFUSED, REFUSED, DENIED, UNCERTAIN)


def test_a_row_behind_an_uncertain_one_is_not_to_blame() -> None:
    """A refusal behind a row that may be sent again says nothing yet."""
    assert ([], [], UNCERTAIN) == settled("aa", UNCERTAIN, REFUSED)


def test_rows_without_a_key_do_not_wait_for_each_other() -> None:
    """What was acknowledged goes, whatever became of those before, and each refused row is counted."""
    assert ([1], [0, 2], None) == settled("---", REFUSED, TAKEN, REFUSED)


def test_a_heavy_row_ends_its_key_for_this_round() -> None:
    """Rows behind one that may be refused for its size wait; other keys and rows without a key do not."""
    heavy = rows("a-", b"x" * HEAVY_BYTES)
    light = [row._replace(id=row.id + 10) for row in rows("ab-a")]

    assert [0, 1, 11, 12] == [row.id for row in to_send([*heavy, *light])]


def test_light_rows_all_go_together() -> None:
    """Nothing is held back without need."""
    assert rows("aab-a") == to_send(rows("aab-a"))
