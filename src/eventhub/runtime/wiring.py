"""What the rooms of the runtime are given to work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eventhub.brokers.base import Broker
from eventhub.codecs.serde import Reader
from eventhub.runtime.companion import Companion
from eventhub.runtime.options import Options
from eventhub.runtime.publisher import Publisher
from eventhub.service import Service


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a worker works with; chosen by the hub."""

    broker: Broker
    publisher: Publisher
    reader: Reader
    record_bytes: Mapping[str, int]
    """The largest record that each topic takes; what is missing takes the default."""
    options: Options
    companions: Callable[[Service[Any], object], Sequence[Companion]]
    """What else runs while a service does, chosen by its state; a relay, for instance."""
