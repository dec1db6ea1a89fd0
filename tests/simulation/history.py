"""What has happened, in order, for whoever has to understand a failing seed."""

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, NoReturn

import structlog

UNTOLD = frozenset({"event", "suspended_at", "stack"})
"""What is left out of log lines: it differs from machine to machine."""


class History:
    """The notes of one run."""

    def __init__(self, time: Callable[[], float]) -> None:
        """Begin empty, with notes that bear this time."""
        self._time = time
        self._notes: list[tuple[float, str, str, tuple[object, ...]]] = []

    def note(self, who: str, what: str, *facts: object) -> None:
        """Add what somebody did or met."""
        self._notes.append((self._time(), who, what, facts))

    def lines(self) -> list[str]:
        """All notes as text."""
        return [
            f"{time:9.3f}  {who:<5} {what} {' '.join(str(fact) for fact in facts)}".rstrip()
            for time, who, what, facts in self._notes
        ]

    @contextmanager
    def with_logs(self, who: Callable[[], str]) -> Iterator[None]:
        """Note what is logged within the block, by whoever it is then, and let nobody else see it."""

        def note(_: object, __: str, line: MutableMapping[str, Any]) -> NoReturn:
            self.note(who(), line["event"], *(f"{name}={line[name]}" for name in line if name not in UNTOLD))
            raise structlog.DropEvent

        before = structlog.get_config()
        structlog.configure(processors=[note])
        try:
            yield
        finally:
            structlog.configure(**before)
