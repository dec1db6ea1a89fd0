"""Hooks: told what happens, without a say."""

from asyncio import CancelledError

import pytest
from structlog.testing import capture_logs

from eventhub.runtime.hooks import Hooks, tell


class Failing(Hooks):
    """Raises whenever it is told something."""

    def __init__(self, error: BaseException) -> None:
        """Raise this."""
        self._error = error

    def on_paused(self, group: str, reason: str) -> None:
        """Fail."""
        del group, reason
        raise self._error


@pytest.mark.parametrize("error", [LookupError(), CancelledError()])
def test_what_a_hook_raises_is_logged_and_changes_nothing(error: BaseException) -> None:
    """A cancellation, too, as comes out of a future that was cancelled; it would end the service without a word."""
    with capture_logs() as logs:
        tell([Failing(error)], lambda hook: hook.on_paused("listener", "parked"))

    assert [type(error).__name__] == [log["error"] for log in logs]
