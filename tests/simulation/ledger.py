"""What is known of the records of one history: where each order stands, and who is before it in its lane."""

from bisect import insort
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from eventhub.record import TopicPartition
from eventhub.subscription import Ordering
from tests.simulation.plan import OrderPlan, Plan


class Place(NamedTuple):
    """Where an order stands."""

    partition: TopicPartition
    offset: int


class Lane(NamedTuple):
    """What orders share that have to be handled one after the other."""

    partition: TopicPartition
    key: Hashable


class Ledger:
    """The orders that were published, by place and by lane."""

    def __init__(self, plan: Plan) -> None:
        """Begin without any."""
        self._ordering = plan.ordering
        self.orders: list[OrderPlan] = []
        """The orders so far, by number."""
        self.places: dict[int, Place] = {}
        """Where each order stood at first, by number."""
        self.due: dict[Place, float] = {}
        """When the records of retry topics that were read so far are due, in seconds since the epoch."""
        self._numbers: dict[Place, int] = {}
        self._partitions: dict[TopicPartition, list[int]] = defaultdict(list)
        self._lanes: dict[Lane, list[int]] = defaultdict(list)

    def write(self, order: OrderPlan, place: Place) -> None:
        """Note where an order stands; they are written in the order of their numbers."""
        number = order.number
        self.orders.append(order)
        self.places[number] = place
        self._note(number, place)

    def stands_again(self, number: int, place: Place, due: float) -> None:
        """Note where an order stands that was set aside, when it is read there."""
        if place not in self.due:
            self.due[place] = due
            self._note(number, place)

    def _note(self, number: int, place: Place) -> None:
        self._numbers[place] = number
        insort(self._partitions[place.partition], place.offset)
        insort(self._lanes[self.lane(place)], place.offset)

    def lane(self, place: Place) -> Lane:
        """The lane of an order at a place; one of its own where nothing is ordered."""
        match self._ordering:
            case Ordering.KEY:
                return Lane(place.partition, self.order_at(place).customer)
            case Ordering.PARTITION:
                return Lane(place.partition, None)
            case Ordering.NONE:
                return Lane(place.partition, place.offset)

    def order_at(self, place: Place) -> OrderPlan:
        """The order at a place."""
        return self.orders[self._numbers[place]]

    def offsets(self, partition: TopicPartition) -> Sequence[int]:
        """The offsets of a partition that hold a record, in order."""
        return self._partitions[partition]

    def offsets_in(self, lane: Lane) -> Sequence[int]:
        """The offsets of a lane, in order."""
        return self._lanes[lane]

    def last(self) -> dict[TopicPartition, int]:
        """The last offset of each partition that holds a record, as far as is known."""
        return {partition: offsets[-1] for partition, offsets in self._partitions.items() if offsets}
