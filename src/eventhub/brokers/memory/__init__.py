"""A broker in this process: for the demo, for tests, and for services that need no more.

Read ``log`` (partitions, pure), ``group`` (the coordinator), ``cluster`` (the state they make up), then the
clients ``producer``, ``consumer`` and ``broker``. ``faults`` is the one place where tests make things go wrong.
"""

from eventhub.brokers.memory.broker import MemoryBroker
from eventhub.brokers.memory.faults import Faults, Operation

__all__ = ["Faults", "MemoryBroker", "Operation"]
