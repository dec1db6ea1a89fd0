"""The breaker, rule by rule."""

from __future__ import annotations

import tracemalloc

import pytest

from eventhub.errors import DeclarationError
from eventhub.runtime.breaker import Breaker, BreakerOptions, BreakerState

KEYS = ("a", "b", "c")


def fail(breaker: Breaker, times: int, now: float = 0.0, keys: tuple[str, ...] = KEYS) -> None:
    """Tell the breaker of failures, the keys in turn."""
    for attempt in range(times):
        breaker.failed(keys[attempt % len(keys)], now)


def opened(now: float = 0.0) -> Breaker:
    """A breaker that has just opened."""
    breaker = Breaker()
    fail(breaker, 10, now)
    return breaker


def test_ten_failures_in_a_row_over_three_keys_open_it() -> None:
    """Nine are not enough, the tenth opens, and the first probe is due five seconds later."""
    breaker = Breaker()
    fail(breaker, 9, now=100.0)
    nine = breaker.state
    breaker.failed("a", 100.0)

    assert nine is BreakerState.CLOSED
    assert breaker.state is BreakerState.OPEN
    assert breaker.probe_at == 105.0


def test_failures_in_a_row_may_be_far_apart() -> None:
    """A quiet service whose database is down is seen, however seldom it tries."""
    breaker = Breaker()
    for attempt in range(10):
        breaker.failed(KEYS[attempt % 3], now=attempt * 3600.0)

    assert breaker.state is BreakerState.OPEN


@pytest.mark.parametrize("keys", [("a",), ("a", "b")])
def test_two_keys_that_fail_for_ever_are_poison(keys: tuple[str, ...]) -> None:
    """However often and however fast fewer than three keys fail, the breaker stays closed."""
    breaker = Breaker()
    for second in range(120):
        fail(breaker, 50, float(second), keys)

    assert breaker.state is BreakerState.CLOSED


def test_a_success_ends_a_row_of_failures() -> None:
    """Nine failures, a success and nine more are no outage."""
    breaker = Breaker()
    fail(breaker, 9)
    breaker.succeeded(0.0)
    fail(breaker, 9)

    assert breaker.state is BreakerState.CLOSED


def test_keys_that_failed_before_a_success_do_not_count() -> None:
    """Three keys that recovered do not make poison of one key an outage."""
    breaker = Breaker()
    fail(breaker, 3)
    breaker.succeeded(0.0)
    fail(breaker, 50, keys=("a",))

    assert breaker.state is BreakerState.CLOSED


def test_half_of_what_happens_failing_opens_it() -> None:
    """Every second record failing is an outage once a whole window shows it."""
    breaker = Breaker()
    states = []
    for second in range(32):
        breaker.succeeded(float(second))
        breaker.failed(KEYS[second % 3], float(second))
        states.append(breaker.state)

    assert states[29] is BreakerState.CLOSED
    assert states[30] is BreakerState.OPEN


def test_less_than_half_failing_is_no_outage() -> None:
    """Nine failures and ten successes a second, for an hour, leave it closed."""
    breaker = Breaker()
    for second in range(3600):
        for attempt in range(10):
            breaker.succeeded(float(second))
            if attempt:
                breaker.failed(KEYS[attempt % 3], float(second))

    assert breaker.state is BreakerState.CLOSED


def test_few_outcomes_have_no_share() -> None:
    """Nineteen outcomes in a window say nothing, even if most failed."""
    breaker = Breaker()
    for turn in range(200):
        fail(breaker, 2, turn * 5.0, keys=KEYS[turn % 3 :])  # 12 failures and 6 successes in any 30 s
        breaker.succeeded(turn * 5.0)

    assert breaker.state is BreakerState.CLOSED


def test_a_burst_after_uncounted_successes_is_no_outage() -> None:
    """What succeeded before the first failure was not counted, so a burst alone is not judged by its share."""
    breaker = Breaker()
    for turn in range(100):
        breaker.failed(KEYS[turn % 3], 1.0 + turn / 100)
        breaker.succeeded(1.0 + turn / 100)

    assert breaker.state is BreakerState.CLOSED


def test_successes_need_not_be_told_while_nothing_is_suspicious() -> None:
    """It is suspicious from a failure until the window holds none and something succeeded."""
    breaker = Breaker()
    before = breaker.suspicious
    breaker.failed("a", 10.0)
    after = breaker.suspicious
    breaker.succeeded(38.0)
    still = breaker.suspicious
    breaker.succeeded(40.0)

    assert [False, True, True, False] == [before, after, still, breaker.suspicious]


def test_a_probe_is_tried_alone_and_closes_it() -> None:
    """Nothing is tried before its time, one record at its time, and its success closes the breaker."""
    breaker = opened()
    answers = [breaker.probe(4.9), breaker.probe(5.0), breaker.probe(99.0)]
    state = breaker.state
    breaker.succeeded(6.0)

    assert [False, True, False] == answers
    assert state is BreakerState.PROBING
    assert breaker.state is BreakerState.CLOSED
    assert not breaker.suspicious


def test_failed_probes_double_the_wait_up_to_a_minute() -> None:
    """5, 10, 20, 40, 60 and 60 seconds; after closing it starts at 5 again."""
    breaker = opened()
    waits, now = [], 0.0
    for _ in range(6):
        waits.append(breaker.probe_at - now)
        now = breaker.probe_at
        breaker.probe(now)
        breaker.failed("a", now)
    breaker.probe(breaker.probe_at)
    breaker.succeeded(now)
    fail(breaker, 10, now=1000.0)

    assert [5.0, 10.0, 20.0, 40.0, 60.0, 60.0] == waits
    assert breaker.probe_at == 1005.0


def test_what_began_before_it_opened_changes_nothing() -> None:
    """Late failures do not postpone the probe, and a late success does not close it."""
    breaker = opened()
    fail(breaker, 20, now=4.0)
    breaker.succeeded(4.0)

    assert breaker.state is BreakerState.OPEN
    assert breaker.probe_at == 5.0


def test_an_abandoned_probe_is_followed_by_another() -> None:
    """A probe whose partition went away does not leave the breaker waiting for ever."""
    breaker = opened()
    breaker.probe(5.0)
    breaker.abandoned()
    state = breaker.state

    assert state is BreakerState.OPEN
    assert breaker.probe(5.0)


@pytest.mark.parametrize("state", ["closed", "open"])
def test_only_a_probe_can_be_abandoned(state: str) -> None:
    """Without a probe under way nothing happens."""
    breaker = Breaker() if state == "closed" else opened()
    breaker.abandoned()

    assert state == breaker.state.value


def test_its_memory_does_not_grow() -> None:
    """Thousands of failures of different, long keys among successes take a few kilobytes."""
    breaker = Breaker()
    tracemalloc.start()
    for turn in range(4_000):
        breaker.failed(b"%04d" % turn * 1000, turn / 40)
        breaker.succeeded(turn / 40)
        breaker.succeeded(turn / 40)
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert breaker.state is BreakerState.CLOSED
    assert kept_bytes < 32 * 1024


@pytest.mark.parametrize(
    "options",
    [
        {"keys": 1},
        {"failures": 0},
        {"outcomes": 0},
        {"share": 0.0},
        {"share": 1.1},
        {"window": 0.0},
        {"probe_wait": 0.0},
        {"probe_wait": 9.0, "probe_wait_limit": 8.0},
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, float]) -> None:
    """One key can never be enough, and every number has its range."""
    with pytest.raises(DeclarationError, match="a breaker"):
        BreakerOptions(**options)  # type: ignore[arg-type]
