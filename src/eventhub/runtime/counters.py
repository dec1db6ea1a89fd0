"""What a worker has counted since it started, as plain numbers for whoever exports them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Numbers that only rise; changed by the worker alone."""

    handled: int = 0
    """Records whose handler succeeded."""
    unknown: int = 0
    """Records of event types that the service does not handle."""
    tombstones: int = 0
    """Records without a value."""
    retried: int = 0
    """Attempts after the first."""
    set_aside: int = 0
    """Records that wait, or waited, in a retry topic for another attempt."""
    ignored: int = 0
    """Records whose error the retry policy ignores."""
    dead_lettered: int = 0
    """Records that were given up."""
    published: int = 0
    """Events that handlers returned and sources yielded, acknowledged by the broker."""
    rebuilt: int = 0
    """Consumers that were replaced."""
