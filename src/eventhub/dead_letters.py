"""Dead letters from the outside: what a service gave up, to look at, replay or drop.

The same as ``eventhub dead-letters``, for a program of one's own::

    letters = DeadLetterTopic(hub.broker, "orders", "inventory")
    print(await letters.replay(Selection(error_type="TimeoutError"), dry_run=False))
"""

from eventhub.runtime.dead_letter import DeadLetter, Origin, read_dead_letter
from eventhub.runtime.replay import DeadLetterTopic, Destination, ReplayOptions, Selection, Settled

__all__ = [
    "DeadLetter",
    "DeadLetterTopic",
    "Destination",
    "Origin",
    "ReplayOptions",
    "Selection",
    "Settled",
    "read_dead_letter",
]
