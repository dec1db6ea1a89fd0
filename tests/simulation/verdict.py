"""What can be judged only at the end: that everything is handled, as often and as well as promised."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from eventhub.brokers.memory import MemoryBroker
from eventhub.headers import ID
from eventhub.record import TopicPartition
from eventhub.runtime.dead_letter import DeadLetter, read_dead_letter
from eventhub.subscription import Ordering
from tests.simulation.laws import Laws, wait_in
from tests.simulation.ledger import Ledger, Place
from tests.simulation.orders import LETTERS, RECEIPTS
from tests.simulation.plan import ATTEMPTS, NEVER_CALLED, POISON, Manner, OrderPlan, Plan
from tests.simulation.processes import Process
from tests.simulation.watch import cause


@dataclass(frozen=True, slots=True)
class Accounts:
    """All there is to judge by."""

    plan: Plan
    ledger: Ledger
    laws: Laws
    broker: MemoryBroker


def unfinished(accounts: Accounts) -> str | None:
    """What is not handled or not committed yet, or None."""
    letters = _letters(accounts.broker)
    for order in accounts.ledger.orders:
        place = accounts.ledger.places[order.number]
        if order.manner in POISON and place not in letters:
            return f"order {order.number} ({order.manner}) is in no dead letter"
        if not _is_done(accounts, order):
            return f"order {order.number} ({order.manner}) is not handled"
    stored = accounts.laws.stored
    for partition, last in accounts.ledger.last().items():
        if partition not in stored or stored[partition].offset <= last:
            return f"partition {partition.partition} is committed to {stored.get(partition)}, its last order is {last}"
    return _waiting(accounts)


def _waiting(accounts: Accounts) -> str | None:
    """What waits in a retry topic, or None."""
    for topic in accounts.broker._cluster.topics.values():
        for log in topic.logs:
            done = accounts.laws.stored.get(log.partition)
            if wait_in(log.partition) is not None and log.end > (done.offset if done is not None else 0):
                return f"{topic.info.name}[{log.partition.partition}] ends at {log.end} and is committed to {done}"
    return None


def _is_done(accounts: Accounts, order: OrderPlan) -> bool:
    if order.manner in POISON or order.manner in NEVER_CALLED:
        return True
    if order.manner is Manner.IGNORED:
        return order.number in accounts.laws.finished
    return accounts.laws.completed[order.number] > 0


def busy(processes: Iterable[Process]) -> str | None:
    """What a process still holds although there is nothing left to handle, or None."""
    for process in processes:
        worker = process.hub.supervisors[0].worker if process.hub is not None and process.hub.supervisors else None
        if worker is None:
            return f"{process.name} does not serve"
        lanes = worker.lanes
        held = {
            "in flight": lanes.in_flight,
            "bytes": lanes.in_flight_bytes,
            "running": lanes.running,
            "parked keys": lanes.parked_keys,
            "parked records": lanes.parked_records,
            "lanes": len(lanes.lanes),
            "keys": sum(len(partition.lanes) for partition in worker.assignment.partitions.values()),
        }
        if any(held.values()):
            return f"{process.name} still holds {held}"
        if not worker.idle:
            return f"{process.name} does not settle"
    return None


def wrong(accounts: Accounts) -> str | None:
    """The first thing that did not come out as it should, or None."""
    return next(_faults(accounts), None)


def _faults(accounts: Accounts) -> Iterator[str]:
    letters = _letters(accounts.broker)
    for place in letters:
        order = accounts.ledger.order_at(place)
        if order.manner not in POISON:
            yield f"order {order.number} ({order.manner}) is no poison, but has a dead letter"
        stages = {str(letter.stage) for letter in letters[place]}
        if stages != {"crash"} if order.manner is Manner.KILLER else "crash" in stages:
            yield f"order {order.number} ({order.manner}) was given up at {sorted(stages)}"
        if order.manner is Manner.FAILS and any(letter.attempt != ATTEMPTS for letter in letters[place]):
            yield f"order {order.number} was given up after {letters[place][0].attempt} attempts, not {ATTEMPTS}"
        if accounts.plan.calm and len(letters[place]) > 1:
            yield f"order {order.number} has {len(letters[place])} dead letters although nothing went wrong"
    for order in accounts.ledger.orders:
        if accounts.plan.calm and order.manner is Manner.FAILS and accounts.laws.failed[order.number] < ATTEMPTS:
            yield f"order {order.number} was given up after {accounts.laws.failed[order.number]} attempts"
    yield from _receipt_faults(accounts)


def _receipt_faults(accounts: Accounts) -> Iterator[str]:
    """Every receipt is there, under ids that do not change when a handler runs twice, and in order of the keys."""
    ids: dict[int, set[bytes | None]] = defaultdict(set)
    front: Counter[str] = Counter()
    for record in accounts.broker.records(RECEIPTS):
        number = cause(record)
        if number is None:
            yield f"a receipt without a cause: {record}"
            continue
        order = accounts.ledger.orders[number]
        if number not in ids and accounts.plan.ordering is not Ordering.NONE and order.customer is not None:
            if number < front[order.customer]:
                yield f"the receipt of order {number} comes after that of order {front[order.customer]}"
            front[order.customer] = number
        ids[number].add(record.header(ID))
    for order in accounts.ledger.orders:
        expected = order.receipts if accounts.laws.completed[order.number] else 0
        if len(ids[order.number]) != expected:
            yield f"order {order.number} has {len(ids[order.number])} receipts, not {expected}"


def _letters(broker: MemoryBroker) -> Mapping[Place, list[DeadLetter]]:
    letters: dict[Place, list[DeadLetter]] = defaultdict(list)
    for record in broker.records(LETTERS):
        letter = read_dead_letter(record)
        if letter.origin is not None:
            letters[Place(TopicPartition(*letter.origin[:2]), letter.origin[2])].append(letter)
    return letters
