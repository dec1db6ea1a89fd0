"""Which topics a service reads, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventhub.service import replay_topic
from eventhub.subscription import Ordering

if TYPE_CHECKING:
    from eventhub.service import Service


@dataclass(frozen=True, slots=True)
class Channel:
    """How one topic is read."""

    ordering: Ordering
    """Which of its records wait for each other."""
    origin: str | None = None
    """Where its records stood before they were set aside, or None for a topic of events."""


def channels(service: Service[Any]) -> dict[str, Channel]:
    """What a service reads, by topic: events, and what it has set aside itself."""
    found: dict[str, Channel] = {}
    for subscription in service.subscriptions:
        for topic in {event.__event__.topic: None for event in subscription.events}:
            found[topic] = Channel(subscription.ordering)
            found[replay_topic(topic, service.name)] = Channel(subscription.ordering, origin=topic)
    return found
