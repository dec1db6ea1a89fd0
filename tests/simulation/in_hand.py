"""Which record the running task handles, asked of the worker itself: handlers are told where it stood at first."""

from eventhub.runtime.carrier import carrier
from tests.simulation.ledger import Place
from tests.simulation.processes import Process


def in_hand(process: Process) -> Place | None:
    """Where the record that is being handled was read, or None where no worker knows it any more."""
    worker = process.hub.supervisors[0].worker if process.hub is not None and process.hub.supervisors else None
    if worker is None:
        return None
    task, lanes = carrier(), worker.lanes
    lane = next((lane for lane in (*lanes.lanes, *lanes.stubborn) if lane.task is task), None)
    if lane is not None:
        record = lane.record
    else:
        record = lanes._current[1] if lanes._current is not None and task is lanes._lead_task else None
    return Place(record.topic_partition, record.offset) if record is not None else None
