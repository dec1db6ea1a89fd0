"""What can be observed apart from any one record's handling."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet

import structlog

from eventhub.record import Record, TopicPartition

log = structlog.get_logger()


class Hooks:
    """Told what the runtime does; derive from it and override what you want to see.

    Hooks are called in the runtime's own task: they must not block and have no say. What one
    raises is logged and changes nothing.
    """

    def on_committed(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Hear of positions that were stored."""

    def on_rebalanced(self, group: str, partitions: AbstractSet[TopicPartition]) -> None:
        """Hear of what is owned now, after every change."""

    def on_paused(self, group: str, reason: str) -> None:
        """Hear that no records are fetched, and why: ``parked``, since too many keys wait."""

    def on_dead_lettered(self, group: str, record: Record, error: BaseException) -> None:
        """Hear of a record that was given up, after the broker has its dead letter."""


def tell(hooks: Iterable[Hooks], what: Callable[[Hooks], None]) -> None:
    """Call one method of every hook; what it raises is logged, since observers have no say."""
    for hook in hooks:
        try:
            what(hook)
        except (Exception, CancelledError) as error:  # noqa: BLE001 - whatever an observer does wrong, records go on
            log.warning("eventhub.hook_failed", hook=type(hook).__name__, error=type(error).__name__)
