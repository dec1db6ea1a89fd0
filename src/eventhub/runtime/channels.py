"""Which topics a service reads, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventhub.service import replay_topic, retry_topic, retry_wait
from eventhub.subscription import Ordering

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from eventhub.brokers.base import TopicInfo
    from eventhub.service import Service


@dataclass(frozen=True, slots=True)
class Channel:
    """How one topic is read."""

    ordering: Ordering
    """Which of its records wait for each other."""
    origin: str | None = None
    """Where its records stood before they were set aside, or None for a topic of events."""
    wait: int = 0
    """Seconds after which its records are due; 0 for at once."""


def channels(service: Service[Any], there: Collection[str] = ()) -> dict[str, Channel]:
    """What a service reads, by topic: events, and what it has set aside itself.

    Args:
        service: The declaration.
        there: The topics of the broker. A retry topic among them is read although no handler asks for its wait
            any more: what an earlier version of the service left there would be lost.
    """
    found: dict[str, Channel] = {}
    for subscription in service.subscriptions:
        ordering = subscription.ordering
        for topic in {event.__event__.topic: None for event in subscription.events}:
            found[topic] = Channel(ordering)
            found[replay_topic(topic, service.name)] = Channel(ordering, topic)
            waits = {wait for name in there if (wait := retry_wait(name, topic, service.name)) is not None}
            for wait in sorted(waits | service.waits(topic)):
                found[retry_topic(topic, service.name, wait)] = Channel(ordering, topic, wait)
    return found


def unfit_topics(service: Service[Any], there: Mapping[str, TopicInfo]) -> list[str]:
    """Which topics of a group's own would lose what it puts there, one sentence each with the way out.

    Args:
        service: The declaration.
        there: The topics of the broker, by name.
    """
    compacted = [name for name in service.own_topics if name in there and there[name].compacted]
    found = [
        f"{name} is compacted: a key's next record deletes the last; set cleanup.policy=delete" for name in compacted
    ]
    for name, channel in channels(service, there).items():
        if channel.wait and name in there and (kept := there[name].retention) <= channel.wait:
            found.append(f"{name} keeps records for {kept:g} s, which wait for {channel.wait} s; raise retention.ms")
    return found
