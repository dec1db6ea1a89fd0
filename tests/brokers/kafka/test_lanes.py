"""What is on its way to one partition keeps its order, and everybody gets an outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from eventhub.brokers.base import Outcome
from eventhub.brokers.kafka.lanes import Call, Entry, Lane
from eventhub.errors import PublishUncertain
from eventhub.record import ProducerRecord, RecordMetadata, TopicPartition

pytestmark = pytest.mark.anyio

OVERHEAD = 10
PLACE = TopicPartition("orders", 1)


class Queue:
    """A lane with records of one call in it."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.settled = (0, 0)
        self.lane = Lane(PLACE, self._count)
        self.call = Call(len(sizes), asyncio.get_running_loop().create_future())
        for number, size in enumerate(sizes):
            record = ProducerRecord("orders", None, b"%d" % number)
            self.lane.put(Entry(record, size, float(number), self.call, number))

    def _count(self, records: int, size: int) -> None:
        self.settled = (self.settled[0] + records, self.settled[1] + size)

    def take(self, limit: int) -> list[int]:
        """The numbers of the records in the next batch."""
        return _numbers(self.lane.take(limit, OVERHEAD))


async def test_batch_takes_what_fits_in_order() -> None:
    """The bytes of a batch without records count once, not for each record."""
    queue = Queue([20, 20, 20, 20])

    assert [0, 1, 2] == queue.take(40)
    assert [3] == queue.take(40)
    assert not queue.lane


async def test_batch_has_at_least_one_record() -> None:
    """A record larger than a batch goes alone, since it has been allowed."""
    queue = Queue([100, 20])

    assert [0] == queue.take(40)
    assert [1] == queue.take(40)


async def test_batch_that_comes_back_is_the_first_again() -> None:
    """What is sent again comes before everything newer."""
    queue = Queue([20, 20, 20])
    queue.lane.put_back(queue.lane.take(30, OVERHEAD))

    assert 0.0 == queue.lane.deadline
    assert [0, 1, 2] == queue.take(100)


async def test_records_go_one_by_one_after_a_refusal() -> None:
    """So many records as were refused together go alone, then batches again."""
    queue = Queue([20, 20, 20, 20])
    queue.lane.alone = 2

    assert [[0], [1], [2, 3]] == [queue.take(100) for _ in range(3)]


async def test_written_batch_gives_each_record_its_offset() -> None:
    """Offsets count up from the batch's first."""
    queue = Queue([20, 20])
    queue.lane.written(queue.lane.take(100, OVERHEAD), 7)

    assert [RecordMetadata("orders", 1, 7), RecordMetadata("orders", 1, 8)] == await queue.call.done
    assert (2, 40) == queue.settled


async def test_offset_that_the_broker_did_not_tell_is_none() -> None:
    """A batch that the broker had already is acknowledged without an offset."""
    queue = Queue([20])
    queue.lane.written(queue.lane.take(100, OVERHEAD), -1)

    assert [RecordMetadata("orders", 1, None)] == await queue.call.done


async def test_failure_gives_each_record_an_error_of_its_own() -> None:
    """Two callers never raise the same error, whose traceback would grow with each."""
    queue = Queue([20, 20])
    queue.lane.fail_all(lambda: PublishUncertain("no answer"))
    first, second = await queue.call.done

    assert isinstance(first, PublishUncertain)
    assert first is not second
    assert (2, 40) == queue.settled
    assert not queue.lane


async def test_outcomes_stand_in_the_order_of_the_call() -> None:
    """It does not matter which record is settled first."""
    call = Call(2, asyncio.get_running_loop().create_future())
    last, first = RecordMetadata("orders", 0, 9), RecordMetadata("orders", 1, 3)
    call.settle(1, last)
    pending = not call.done.done()
    call.settle(0, first)
    outcomes: Sequence[Outcome] = await call.done

    assert pending
    assert [first, last] == outcomes


async def test_cancelled_caller_is_not_told() -> None:
    """A caller that waits no longer does not disturb the others of its batch."""
    queue = Queue([20])
    queue.call.done.cancel()
    queue.lane.written(queue.lane.take(100, OVERHEAD), 0)

    assert (1, 20) == queue.settled


def _numbers(batch: Sequence[Entry]) -> list[int]:
    return [entry.place for entry in batch]
