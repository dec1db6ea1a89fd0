"""How long the inbox has to remember an event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventhub.errors import DeclarationError

if TYPE_CHECKING:
    from eventhub.retry import Retry
    from eventhub.service import Service

_DAY = 86_400.0


def retry_horizon(retry: Retry) -> float:
    """The most seconds between the first and the last attempt, outages apart."""
    return sum(retry.wait_before(attempt, jitter=1.0) for attempt in range(2, retry.max_attempts + 1))


def check_window(window_days: int, service: Service[Any]) -> None:
    """Refuse an inbox that forgets an event while it may still be tried again.

    Raises:
        DeclarationError: Naming the handler and the window that it needs.
    """
    for subscription in service.subscriptions:
        horizon = retry_horizon(subscription.retry)
        if horizon > window_days * _DAY:
            needed = int(horizon // _DAY) + 1
            msg = (
                f"service {service.name!r}: handler {subscription.name!r} may try a record again after "
                f"{horizon / _DAY:.1f} days, but the inbox remembers {window_days}; use window_days={needed}"
            )
            raise DeclarationError(msg)
