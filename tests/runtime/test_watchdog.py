"""The watchdog: what a silent client looks like, and what is still sound."""

import asyncio

import pytest
from anyio.lowlevel import checkpoint

from eventhub.record import Record, TopicPartition
from eventhub.runtime.offsets import Offsets
from eventhub.runtime.partition import Lane, Partition
from eventhub.runtime.watchdog import Patience, Signs, diagnosis, report_stuck
from eventhub.subscription import Ordering

SOUND = Signs(heartbeat_age=0.2, unjoined_for=0.0, silence=0.5, commits_failed=0)


def test_a_sound_worker_has_no_diagnosis() -> None:
    """Ordinary ages are no sign of anything."""
    assert diagnosis(SOUND, Patience()) is None


@pytest.mark.parametrize(
    ("signs", "words"),
    [
        (Signs(61.0, 0.0, 0.0, 0), "the poll task has not come back for 61 s"),
        (Signs(0.0, 91.0, 0.0, 0), "the group has given no partitions for 91 s"),
        (Signs(0.0, 0.0, 31.0, 0), "the broker has not answered a fetch for 31 s"),
        (Signs(0.0, 0.0, 0.0, 6), "6 commits in a row have failed"),
    ],
)
def test_each_sign_of_a_dead_client_is_named(signs: Signs, words: str) -> None:
    """One sign is enough, and the diagnosis says which."""
    assert words == diagnosis(signs, Patience())


async def test_a_stuck_record_is_reported_with_the_place_where_its_handler_waits(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The report can be printed by the log as it is set up by default, which knows some keys of its own."""

    async def handle_slowly() -> None:
        await asyncio.Event().wait()

    place = TopicPartition("orders", 0)
    record = Record("orders", 0, 7, 0.0, b"k", b"v")
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(handle_slowly())
        await checkpoint()
        partition = Partition(place, Ordering.KEY, Offsets(0), 0)
        report_stuck(Lane(partition, b"k", record, since=0.0, task=task), "inventory", now=61.0)
        task.cancel()
    said = capsys.readouterr().out

    assert "eventhub.record_stuck" in said
    assert "handle_slowly" in said
