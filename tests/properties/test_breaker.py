"""The breaker under any sequence of outcomes."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from eventhub.runtime.breaker import Breaker, BreakerState

Outcomes = list[tuple[float, str | None]]
"""Seconds since the outcome before, and the key that failed, or None for a success."""


def outcomes(keys: str) -> st.SearchStrategy[Outcomes]:
    """Outcomes in a row, with failures of these keys."""
    gaps = st.sampled_from([0.0, 0.01, 0.5, 1.0, 7.0, 31.0])
    return st.lists(st.tuples(gaps, st.sampled_from([None, *keys])), max_size=150)


def tell(breaker: Breaker, key: str | None, now: float) -> None:
    """Tell one outcome, with successes left out as the hot path leaves them out."""
    if key is not None:
        breaker.failed(key, now)
    elif breaker.suspicious:
        breaker.succeeded(now)


@given(outcomes("ab"))
@example([(0.01, "a")] * 150)
def test_fewer_than_three_keys_never_open_it(history: Outcomes) -> None:
    """Poison of one or two keys stays poison, whatever succeeds around it."""
    breaker = Breaker()
    now = 0.0
    for gap, key in history:
        now += gap
        tell(breaker, key, now)

    assert breaker.state is BreakerState.CLOSED


@given(outcomes("abc"), st.lists(st.sampled_from("abcdef"), min_size=7, max_size=30))
def test_an_outage_is_seen_within_ten_failures(history: Outcomes, failures: list[str]) -> None:
    """Whatever came before, ten failures in a row with three keys among them find it open."""
    breaker = Breaker()
    now = 0.0
    for gap, key in history:
        now += gap
        tell(breaker, key, now)
    for key in ("x", "y", "z", *failures):
        breaker.failed(key, now)

    assert breaker.state is BreakerState.OPEN


@given(outcomes("abcd"))
@example([(0.5, key) for turn in range(80) for key in (None, "abcd"[turn % 4])])
def test_it_opens_only_where_the_whole_history_says_so(history: Outcomes) -> None:
    """Although successes go uncounted, it never opens where counting them all would not."""
    breaker = Breaker()
    now = 0.0
    told: Outcomes = []
    for gap, key in history:
        now += gap
        told.append((now, key))
        tell(breaker, key, now)
        if breaker.state is not BreakerState.CLOSED:
            break

    assert breaker.state is BreakerState.CLOSED or in_a_row(told) or too_many(told, now)


@given(outcomes("abcd"), st.lists(st.booleans(), max_size=20))
def test_it_always_closes_when_a_probe_succeeds(history: Outcomes, probes: list[bool]) -> None:
    """Whatever happened, there is a next probe within a minute, and its success closes the breaker."""
    breaker = Breaker()
    now = 0.0
    for gap, key in history:
        now += gap
        tell(breaker, key, now)
    for success in (*probes, True):
        wait = breaker.probe_at - now
        now = max(now, breaker.probe_at)
        if breaker.probe(now):
            assert wait <= 60.0
            tell(breaker, None if success else "a", now)

    assert breaker.state is BreakerState.CLOSED


def in_a_row(told: Outcomes) -> bool:
    """Whether the history ends with ten failures over three keys."""
    successes = [place for place, (_, key) in enumerate(told) if key is None]
    run = [key for _, key in told[successes[-1] + 1 if successes else 0 :]]
    return len(run) >= 10 and len(set(run)) >= 3


def too_many(told: Outcomes, now: float) -> bool:
    """Whether half of twenty outcomes over three keys failed in the last 30 s, whole seconds."""
    recent = [key for time, key in told if int(time) > int(now) - 30]
    failed = [key for key in recent if key is not None]
    return len(recent) >= 20 and 2 * len(failed) >= len(recent) and len(set(failed)) >= 3
