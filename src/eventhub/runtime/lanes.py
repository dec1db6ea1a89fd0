"""Key-ordered concurrency that costs almost nothing while handlers do not suspend.

A *lead* is the task that takes records one by one. It awaits ``process(record)`` inline. A
*tripwire*, one ``call_soon`` a burst, can only run if that await suspended: it makes the lead
the *lane* of its record (later records of the key queue behind it) and starts a new lead for
the rest of the burst. So a handler that never suspends costs no task, and one that does always
runs in a real task, where timeouts, task groups and cancellation mean what they should.

After the first suspension the rest of the burst is started task by task, since whoever suspends
once mostly does so again; the next burst begins inline.

Everything runs on one event loop; leads and lanes change the state below between two awaits only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from contextvars import Context, copy_context
from typing import TYPE_CHECKING

from eventhub.runtime.burst import items, size
from eventhub.runtime.carrier import carrier, spawn
from eventhub.runtime.grace import cancel, pause, still_running
from eventhub.runtime.partition import Lane, Partition, outlived
from eventhub.runtime.places import Places

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Hashable, Iterator
    from typing import Any

    from eventhub.clock import Clock
    from eventhub.record import Record
    from eventhub.runtime.burst import Batch, Item

    Process = Callable[[Record, Partition], Awaitable[None]]

BUDGET = 0.005  # seconds between two yields to the loop: the client's heartbeat and every timer run on it too


class Lanes:
    """Runs ``process`` for every record that is fed, in order within each lane."""

    def __init__(self, process: Process, *, concurrency: int, clock: Clock, stubborn: Collection[Lane] = ()) -> None:
        """Make lanes of which at most ``concurrency`` run at the same time; ``stubborn`` ones are another worker's."""
        self._process = process
        self._clock = clock
        self._inherited = stubborn
        self._context: Context = copy_context()
        # The burst: what was fed and not taken up, and who takes it up.
        self._items: Iterator[Item] = iter(())
        self._fed: deque[list[Batch]] = deque()
        self._turn = 0  # a lead whose number this no longer is has become a lane
        self._lead_task: asyncio.Task[None] | None = None
        self._current: Item | None = None
        self._inline = True
        self._hungry: asyncio.Future[None] | None = None
        # The lanes: every task that carries a record, and who waits for a place to run.
        self._tasks: dict[asyncio.Task[None], Lane | None] = {}
        self._latest: Lane | None = None  # who took up a queued record last
        self._places = Places(concurrency)
        self._room = asyncio.Event()
        self._wanted: int | None = None  # the number of records in flight at which somebody wants to be woken
        self._stopped = False
        self._hurried = asyncio.Event()
        self.failure: BaseException | None = None
        """Why the lanes broke down, or None; a bug, ours or a handler's, since ``process`` answers for its errors."""
        self.in_flight = 0
        """Records that are begun and unfinished, those that wait behind their key included."""
        self.in_flight_bytes = 0
        """Bytes of their keys and values."""
        self.parked_keys = 0
        """Keys whose record in hand rests until its next attempt."""
        self.parked_records = 0
        """Those records, and the ones that wait behind them."""
        self.stale = 0
        """Completions that came after their partition had gone."""

    # -- what the worker does ---------------------------------------------------------------------

    def start(self) -> None:
        """Start the first lead."""
        self._spawn_lead()

    def feed(self, batches: list[Batch]) -> None:
        """Hand over records, in the order in which they are to be taken up."""
        self._fed.append(batches)
        if self._hungry is not None and not self._hungry.done():
            self._hungry.set_result(None)

    @property
    def hungry(self) -> bool:
        """Whether all that was fed has been taken up."""
        return self._hungry is not None and not self._fed

    @property
    def running(self) -> int:
        """Handlers that are suspended in a place to run."""
        return self._places.taken

    @property
    def lanes(self) -> list[Lane]:
        """The keys that are under way in tasks of their own."""
        return [lane for lane in self._tasks.values() if lane is not None]

    @property
    def stubborn(self) -> list[Lane]:
        """Lanes whose handlers swallowed their cancellation and outlive their partitions, inherited ones included."""
        outliving = (lane for lane in (*self._inherited, *self.lanes) if lane.partition.closed)
        return [lane for lane in outliving if lane.task is not None and not lane.task.done()]

    async def room(self, in_flight: int, timeout: float) -> None:
        """Return when more may be fed and at most so many records are in flight, parked ones apart, or in time."""
        self._wanted = in_flight
        self._room.clear()  # only a change counts: who asks may have a reason not to feed what there is room for
        try:
            await pause(self._room, timeout)
        finally:
            self._wanted = None

    def _tell_room(self) -> None:
        if self._wanted is not None and self.hungry and self.in_flight - self.parked_records <= self._wanted:
            self._room.set()

    async def rest(self, seconds: float) -> None:
        """Let the record in hand wait without occupying a place; its key stays in order."""
        await asyncio.sleep(0)  # the tripwire, armed before, sees the suspension and makes this task a lane
        lane = self._own_lane()
        if lane.partition.draining and lane.task is not None:  # it comes too late to be among those that drain cancels
            lane.task.cancel()
        self._park(lane)
        try:
            await self._clock.sleep(seconds)
        finally:
            self._unpark(lane)
        await self._take_place(lane)

    @asynccontextmanager
    async def aside(self, begun: asyncio.Event | None = None) -> AsyncIterator[None]:
        """Let the record in hand wait within the block without occupying a place; its key stays in order.

        Once ``begun`` is set, another lane handles the record along with its own, and may do so to the end.
        """
        await asyncio.sleep(0)  # as in rest
        lane = self._own_lane()
        self._give_place(lane)
        lane.begun = begun
        try:
            yield
            await self._take_place(lane)
        finally:
            lane.begun = None

    async def drain(self, partitions: Collection[Partition], grace: float) -> None:
        """Start nothing new of these partitions, wait for what runs, then cancel it; afterwards they are closed.

        Args:
            partitions: Those that are being given up.
            grace: Seconds that running handlers have; records that wait are cancelled at once.
        """
        for partition in partitions:
            partition.draining = True
        await asyncio.sleep(0)  # a handler that suspended just now becomes a lane before the lanes are counted
        mine = [lane for partition in partitions for lane in partition.lanes.values()]
        for lane in mine:
            self._forget_queue(lane)
            if not lane.is_handled and lane.task is not None:
                lane.task.cancel()
        await cancel(await still_running([lane.task for lane in mine if lane.task is not None], grace, self._hurried))
        for partition in partitions:
            partition.closed = True

    def hurry(self) -> None:
        """Grant no grace any more, neither to what is being drained nor to what will be."""
        self._hurried.set()

    def adopt(self, partition: Partition) -> None:
        """Let keys of a new partition wait for handlers of its predecessor that swallowed their cancellation."""
        for key, stubborn in outlived(partition, self.stubborn).items():
            heir = partition.lanes[key] = Lane(partition, key, None, self._clock.monotonic())
            heir.task = self._spawn(self._succeed(heir, stubborn), heir)

    async def stop(self) -> None:
        """End the leads and cancel whatever is left; every partition should be drained before."""
        self._stopped = True
        await cancel(list(self._tasks))

    # -- the lead ---------------------------------------------------------------------------------

    async def _lead(self, turn: int) -> None:
        """Take up records until another lead has to, then be a lane."""
        while not self._stopped:
            if self._inline:
                if await self._take_inline(turn):
                    return
            else:
                await self._take_as_tasks()
            await self._next_burst()

    async def _take_inline(self, turn: int) -> bool:
        """Process records in this task; True once another lead has taken over."""
        process, monotonic, base = self._process, self._clock.monotonic, copy_context()
        loop, places = asyncio.get_running_loop(), self._places
        loop.call_soon(self._trip, turn)
        deadline = monotonic() + BUDGET
        for item in self._items:
            partition, record, key = item
            if key in partition.lanes or places.taken >= places.limit:
                if not await self._admit(partition, record, key):
                    continue
                loop.call_soon(self._trip, turn)
            self._current = item
            await process(record, partition)
            if self._turn != turn:  # it suspended: this task is only a lane now
                await self._go_on(self._own_lane())
                return True
            self._current = None
            partition.offsets.next = record.offset + 1  # passed(), without the call
            if copy_context() != base:  # the handler left something behind that the next must not see
                self._spawn_lead()
                return True
            if monotonic() > deadline:
                await asyncio.sleep(0)
                loop.call_soon(self._trip, turn)
                deadline = monotonic() + BUDGET
        return False

    async def _admit(self, partition: Partition, record: Record, key: Hashable) -> bool:
        """Queue a record behind its busy key, or wait for a place to run; True if it may be started now."""
        if key in partition.lanes:
            self._queue_behind(partition.lanes[key], record)
            return False
        await self._places.free()
        return not partition.draining

    def _trip(self, turn: int) -> None:
        """Make the lead of that turn the lane of its record, since it suspended."""
        if self._turn != turn or self._current is None or self._lead_task is None:
            return
        (partition, record, key), self._current = self._current, None
        lane = self._open(partition, record, key)
        lane.task = self._lead_task
        self._tasks[lane.task] = lane
        self._inline = False
        self._spawn_lead()

    async def _take_as_tasks(self) -> None:
        """Start a task for each record whose key is free."""
        deadline = self._clock.monotonic() + BUDGET
        for partition, record, key in self._items:
            busy = key in partition.lanes or self._places.taken >= self._places.limit
            if busy and not await self._admit(partition, record, key):
                continue
            lane = self._open(partition, record, key)
            lane.task = self._spawn(self._carry(lane, record), lane)
            if self._clock.monotonic() > deadline:
                await asyncio.sleep(0)
                deadline = self._clock.monotonic() + BUDGET

    async def _next_burst(self) -> None:
        """Wait until something is fed; every burst begins inline."""
        if self._fed:  # the budget is one burst's; others have their turn before the next
            await asyncio.sleep(0)
        while not self._fed:
            self._hungry = asyncio.get_running_loop().create_future()
            self._tell_room()
            await self._hungry
            self._hungry = None
        self._items, self._inline = items(self._fed.popleft()), True

    # -- the lanes --------------------------------------------------------------------------------

    async def _carry(self, lane: Lane, record: Record) -> None:
        """Process a record, then those that wait behind it."""
        await self._process(record, lane.partition)
        await self._go_on(lane)

    async def _succeed(self, lane: Lane, stubborn: Collection[asyncio.Task[None]]) -> None:
        """Wait for handlers of the same key that outlived their partition, then take up what queued meanwhile."""
        await asyncio.wait(stubborn)
        await self._take_place(lane)
        await self._go_on(lane)

    async def _go_on(self, lane: Lane) -> None:
        """Finish the record in hand, then take up those that wait behind it."""
        self._finish(lane)
        deadline = (now := self._clock.monotonic()) + BUDGET
        while lane.queue and not lane.partition.draining:
            lane.record, lane.since, self._latest = lane.queue.popleft(), now, lane
            await self._process(lane.record, lane.partition)
            self._finish(lane)
            now = self._clock.monotonic()
            if self._latest is lane and now < deadline:
                continue
            if self._latest is lane:  # else it was suspended, and others had their turn
                await asyncio.sleep(0)
            deadline = self._clock.monotonic() + BUDGET
        self._close(lane)  # at once, so that the key's next record does not queue behind a lane that has ended

    def _open(self, partition: Partition, record: Record, key: Hashable) -> Lane:
        lane = partition.lanes[key] = Lane(partition, key, record, self._clock.monotonic(), placed=True)
        self._begin(partition, record)
        self._places.take()
        return lane

    def _queue_behind(self, lane: Lane, record: Record) -> None:
        lane.queue.append(record)
        self._begin(lane.partition, record)
        self.parked_records += lane.parked

    def _begin(self, partition: Partition, record: Record) -> None:
        partition.offsets.begin(record.offset)
        self.in_flight += 1
        self.in_flight_bytes += size(record)

    def _finish(self, lane: Lane) -> None:
        """Complete the record in hand, unless its partition has gone meanwhile."""
        if lane.record is None:
            return
        if lane.partition.closed:
            self.stale += 1
        else:
            lane.partition.offsets.finish(lane.record.offset)
        self._leave(lane.record)
        lane.record = None

    def _leave(self, record: Record) -> None:
        self.in_flight -= 1
        self.in_flight_bytes -= size(record)
        self._tell_room()

    def _close(self, lane: Lane) -> None:
        """Give the key and the place free; what is not finished will be delivered again. Harmless when repeated."""
        self._forget_queue(lane)
        if lane.record is not None:
            self._leave(lane.record)
            lane.record = None
        if lane.partition.lanes.get(lane.key) is lane:
            del lane.partition.lanes[lane.key]
        self._give_place(lane)

    def _forget_queue(self, lane: Lane) -> None:
        self.parked_records -= lane.parked * len(lane.queue)
        for record in lane.queue:
            self._leave(record)
        lane.queue.clear()

    def _park(self, lane: Lane) -> None:
        lane.parked = True
        self.parked_keys += 1
        self.parked_records += 1 + len(lane.queue)
        self._give_place(lane)
        self._tell_room()

    def _unpark(self, lane: Lane) -> None:
        lane.parked = False
        self.parked_keys -= 1
        self.parked_records -= 1 + len(lane.queue)
        self._tell_room()

    # -- places to run, and tasks -----------------------------------------------------------------

    async def _take_place(self, lane: Lane) -> None:
        await self._places.free()
        if not lane.placed and lane.task in self._tasks:  # else a task that outlived its attempt asks for it
            self._places.take()
            lane.placed = True

    def _give_place(self, lane: Lane) -> None:
        if lane.placed:
            lane.placed = False
            self._places.give()

    def _spawn_lead(self) -> None:
        self._turn += 1
        self._lead_task = self._spawn(self._lead(self._turn), None)

    def _spawn(self, coroutine: Coroutine[Any, Any, None], lane: Lane | None) -> asyncio.Task[None]:
        task = spawn(coroutine, self._context)
        self._tasks[task] = lane
        task.add_done_callback(self._ended)
        return task

    def _own_lane(self) -> Lane:
        """The lane of the record in hand, also in a task that its handler or a middleware started."""
        if (task := carrier()) is None or (lane := self._tasks.get(task)) is None:
            msg = "no record is in hand here; has a middleware left a task behind that outlives its attempt?"
            raise RuntimeError(msg)
        return lane

    def _ended(self, task: asyncio.Task[None]) -> None:
        if (lane := self._tasks.pop(task)) is not None:
            self._close(lane)
        if not task.cancelled():
            self.failure = task.exception() or self.failure
        elif lane is None and not self._stopped:  # by a handler that cancelled the task it ran in, and did not suspend
            self.failure = RuntimeError("the task that takes up records was cancelled; does a handler cancel its own?")
        self._tell_room()
