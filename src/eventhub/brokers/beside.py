"""Topics that a group keeps beside others, for what it has set aside of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping


def beside(group: str, topics: Collection[str]) -> Mapping[str, str]:
    """The topics that a group keeps beside another (``<topic>.<group>.…``), each with that other one.

    They are empty most of the time, and hold nothing but failures else. Counted like any other they would make
    a fair share: one member would get the events, another the silence beside them, or all the failures and
    no success. So each partition goes with the one of the same number of the other topic.
    """
    return {topic: other for topic in topics for other in topics if topic.startswith(f"{other}.{group}.")}
