"""Retry: every error has one fate, and waits are never shorter than declared."""

import math
from asyncio import CancelledError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.errors import BrokerError, DeclarationError, DecodeError, HandlerFault, HandlerTimeout, RegistryError
from eventhub.retry import Fate, Retry, backoff


@pytest.mark.parametrize(
    ("error", "attempt", "fate"),
    [
        (ValueError("x"), 1, Fate.RETRY),
        (ValueError("x"), 7, Fate.EXHAUSTED),
        (HandlerTimeout("x"), 1, Fate.RETRY),
        (DecodeError("x"), 1, Fate.FATAL),
        (HandlerFault("x"), 1, Fate.FATAL),
        (BrokerError("x"), 99, Fate.PAUSE),
        (RegistryError("x"), 99, Fate.PAUSE),
        (KeyError("x"), 1, Fate.FATAL),
        (LookupError("x"), 99, Fate.IGNORE),
        (ConnectionError("x"), 99, Fate.PAUSE),
        (CancelledError(), 1, Fate.RETRY),
        (GeneratorExit(), 1, Fate.FATAL),
    ],
)
def test_an_errors_fate_follows_from_its_class_and_the_attempt(error: BaseException, attempt: int, fate: Fate) -> None:
    """What is said by name comes first, then what eventhub knows of its own errors, then the number of attempts."""
    policy = Retry(fatal=KeyError, ignore=(LookupError,), pause=ConnectionError)
    policy = Retry(fatal=KeyError, ignore=() if isinstance(error, KeyError) else policy.ignore, pause=policy.pause)

    assert fate is policy.fate(error, attempt)


def test_an_error_that_is_not_worth_another_attempt_is_given_up_at_once() -> None:
    """on= narrows what is retried."""
    assert Fate.FATAL is Retry(on=OSError).fate(ValueError("x"), 1)


@pytest.mark.parametrize(("waits", "attempts", "expected"), [((1.0, 2.0), None, 3), ((1.0,), 10, 10), ((), None, 1)])
def test_the_number_of_attempts_is_one_more_than_the_waits_unless_said(
    waits: tuple[float, ...], attempts: int | None, expected: int
) -> None:
    """An explicit number wins."""
    assert expected == Retry(waits=waits, attempts=attempts).max_attempts


@given(attempt=st.integers(2, 50), jitter=st.floats(0, 1))
def test_a_wait_is_never_shorter_than_declared_and_at_most_a_fifth_longer(attempt: int, jitter: float) -> None:
    """Beyond the declared waits the last one repeats."""
    waits = (0.1, 0.4, 1.6)
    declared = waits[min(attempt - 2, 2)]

    assert declared <= Retry(waits=waits).wait_before(attempt, jitter) <= declared * 1.2


@pytest.mark.parametrize(
    ("waits", "attempts", "long"),
    [
        ((0.1, 0.4, 1.6, 10.0, 60.0, 600.0), None, {10, 60, 600}),
        ((9.9, 12.3, 12.9, 20.0), None, {13, 20}),
        ((0.1, 10.0, 60.0), 2, set[int]()),
        ((30.0,), 10, {30}),
        ((float("inf"),), None, set[int]()),
        ((), None, set[int]()),
    ],
)
def test_long_waits_are_those_of_ten_seconds_and_more_that_are_ever_spent(
    waits: tuple[float, ...], attempts: int | None, long: set[int]
) -> None:
    """In whole seconds, never less than declared and no more than a wait may be longer by chance."""
    policy = Retry(waits=waits, attempts=attempts)
    before = {policy.long_wait_before(attempt) for attempt in range(2, policy.max_attempts + 1)}

    assert long == policy.long_waits == before - {None}


@pytest.mark.parametrize(
    "arguments", [{"attempts": 0}, {"waits": (-1.0,)}, {"waits": (math.nan,)}, {"waits": (), "attempts": 2}]
)
def test_a_policy_that_cannot_be_meant_is_refused(arguments: dict[str, object]) -> None:
    """The error is raised where the policy is written."""
    with pytest.raises(DeclarationError):
        Retry(**arguments)  # type: ignore[arg-type]


@given(failures=st.integers(1, 10_000))
def test_back_off_doubles_up_to_its_limit(failures: int) -> None:
    """However long an outage lasts, the wait stays bounded."""
    assert min(30.0, 2.0 ** min(failures - 1, 10)) == backoff(failures)
