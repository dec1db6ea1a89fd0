"""How long the inbox has to remember an event."""

from __future__ import annotations

import pytest

from eventhub import DeclarationError, Event, Retry, Service, subscribe
from eventhub.outbox.window import check_window, retry_horizon


class Order(Event, topic="orders"):
    """An order."""


@subscribe(Order, retry=Retry(waits=(86_400.0,), attempts=3))
async def pack(order: Order) -> None:
    """Try for two days and more."""


def test_the_horizon_is_the_sum_of_the_longest_waits() -> None:
    """Every wait counts with its largest jitter; one attempt has none."""
    assert pytest.approx(1.2 * (0.1 + 0.4 + 0.4)) == retry_horizon(Retry(waits=(0.1, 0.4), attempts=4))
    assert 0 == retry_horizon(Retry(waits=(), attempts=1))


def test_a_window_that_covers_the_retries_is_taken() -> None:
    """Three days cover two attempts that come after a day each."""
    check_window(3, Service("s", [pack]))


def test_a_shorter_window_is_refused() -> None:
    """The message names the service, the handler and the window that suffices."""
    with pytest.raises(DeclarationError, match=r"'s': handler 'pack' .* 2.4 days, .* remembers 2; use window_days=3"):
        check_window(2, Service("s", [pack]))
