"""The relay: from the outbox to the broker, in order per key, any number of relays at once.

Each round reads the first rows of the buckets it owns, sends them, waits for every answer and
deletes what was acknowledged. A crash between the two sends rows again with the same event ids.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from eventhub.clock import Clock, SystemClock
from eventhub.errors import StoreError
from eventhub.outbox.deciding import settle, to_send
from eventhub.retry import backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from eventhub.brokers.base import Outcome, Producer
    from eventhub.errors import BrokerError
    from eventhub.outbox.base import Backlog, Lane, OutboxRow, Store
    from eventhub.outbox.deciding import Refused

log = structlog.get_logger()

_FORGET_EVERY = 3600.0  # seconds between two looks for claims that are older than the window


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """How a relay goes about its work; times in seconds."""

    batch: int = 1000
    """Rows of one round."""
    tick: float = 0.5
    """Between two looks at the shares; also the sign of life."""
    busy_poll: float = 0.005
    """How soon to look again after a round that found rows; doubles up to ``idle_poll``."""
    beat: float = 5.0
    """Between two signs of life while the broker takes its time."""
    idle_poll: float = 0.25
    """How often to look at most when nothing rings."""
    attempts: int = 5
    """How often the broker may refuse a row before it is buried."""
    refused_wait: float = 0.2
    """How long a refused row's key rests before the second attempt; doubles from one to the next."""
    clock: Clock = field(default_factory=SystemClock)
    random: Callable[[], float] = random.random
    """Numbers in 0..1 for jitter; a test brings its own."""


class Relay:
    """Publishes the rows of one store until it is stopped."""

    def __init__(self, store: Store[Any], producer: Producer, options: RelayOptions | None = None) -> None:
        """Prepare to relay through a started producer."""
        self._store = store
        self._producer = producer
        self._options = options if options is not None else RelayOptions()
        self._clock = self._options.clock
        self._stopping = asyncio.Event()
        # Changed by the rounds of this relay alone.
        self._refusals: dict[int, int] = {}  # how often each row was refused that is still there, by id
        self._resting: dict[Lane, float] = {}  # until when lanes rest that were refused when they were sent last
        self._fresh_only = False  # whether this round is for lanes that were never refused
        self._owed: Sequence[int] = ()  # acknowledged, and not deleted since the database failed just then
        self._broker_failures = 0
        self._store_failures = 0
        self._next_forget = self._clock.monotonic()
        self._quiet = False  # whether the last round found nothing to send, now or after a rest
        self._oldest: float | None = None  # when the first row was enqueued that the last round read
        self.owned: Collection[int] = ()
        """The buckets that belong to this relay at present."""
        self.failure: StoreError | None = None
        """What the database failed with at last, or None while it works."""

    def age(self) -> float:
        """Seconds since the oldest row of the last look was enqueued, or 0 if that found none to send."""
        return 0.0 if self._oldest is None else max(0.0, self._clock.now() - self._oldest)

    def stop(self) -> None:
        """Stop after the round in hand."""
        self._stopping.set()

    async def idle(self) -> bool:
        """Whether no row waits that could be sent.

        Raises:
            StoreError: If the database failed.
        """
        status = await self._store.status()
        return not status.depth or (bool(status.dead) and self._quiet)

    async def run(self) -> None:
        """Relay until ``stop``; a database or a broker that is away is waited for.

        Raises:
            StoreError: If the database can be reached, but never in the way that a relay needs.
        """
        while not self._stopping.is_set():
            try:
                async with self._store.backlog() as backlog:
                    try:
                        await self._serve(backlog)
                    finally:
                        self.owned = ()
            except StoreError as error:
                if not error.retriable:
                    raise
                self.failure = error
                self._store_failures += 1
                wait = backoff(self._store_failures, initial=0.1, limit=5.0, jitter=self._options.random())
                log.warning("eventhub.relay_waits", error=str(error), wait=round(wait, 2))
                await self._rest(wait)

    async def _serve(self, backlog: Backlog) -> None:
        """Round after round on one connection."""
        await self._pay(backlog)
        next_tick, pause = 0.0, self._options.busy_poll
        while not self._stopping.is_set():
            if self._clock.monotonic() >= next_tick:
                self.owned = await backlog.share()
                await self._forget()
                next_tick = self._clock.monotonic() + self._options.tick
            moved = await self._round(backlog)
            self.failure, self._store_failures = None, 0
            if moved:
                pause = self._options.busy_poll
            else:
                await backlog.wait(min(pause, self._options.tick))
                pause = min(pause * 2, self._options.idle_poll)

    async def _round(self, backlog: Backlog) -> bool:
        """Read, send, delete; whether there may be more to do at once."""
        resting = self._resting_lanes()
        read = await backlog.read(self.owned, self._options.batch, resting) if self.owned else ()
        self._oldest = read[0].created_at if read else None
        self._quiet = not read and not resting
        if not self._fresh_only and len(read) < self._options.batch:  # then this is all there is, save what rests
            self._forget_all_but(read, resting)
        rows = to_send(read)
        if not rows:
            return False
        settled = settle(rows, await self._send(backlog, rows))
        self._owed = settled.acknowledged
        await self._pay(backlog)
        self._forget_refusals(rows, settled.acknowledged)
        await self._blame(backlog, settled.refused)
        await self._note(settled.failure)
        return bool(settled.acknowledged or settled.refused)

    async def _pay(self, backlog: Backlog) -> None:
        """Delete what was acknowledged, before anything more is sent.

        Else a disk that takes no deletes would have the same rows published over and over.
        """
        if self._owed:
            await backlog.delete(self._owed)
            self._store.counters.relayed += len(self._owed)
            self._owed = ()

    async def _send(self, backlog: Backlog, rows: Sequence[OutboxRow]) -> Sequence[Outcome]:
        """Send rows and wait for every answer, however long; meanwhile give signs of life."""
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self._producer.send([row.record for row in rows]))
                while not (await asyncio.wait({sending}, timeout=self._options.beat))[0]:
                    await backlog.beat()
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return sending.result()

    async def _note(self, failure: BrokerError | None) -> None:
        """Rest after a failure of the broker, longer each time."""
        if failure is None:
            self._broker_failures = 0
            return
        self._broker_failures += 1
        wait = backoff(self._broker_failures, initial=0.1, limit=5.0, jitter=self._options.random())
        log.warning("eventhub.relay_waits", error=str(failure), wait=round(wait, 2))
        await self._rest(wait)

    # -- rows that the broker refuses -------------------------------------------------------------

    def _resting_lanes(self) -> Collection[Lane]:
        """Lanes to leave out: every other round also those that have rested, so that what is behind gets its turn."""
        self._fresh_only = not self._fresh_only
        if self._fresh_only:
            return self._resting
        now = self._clock.monotonic()
        return [lane for lane, until in self._resting.items() if until > now]

    def _forget_all_but(self, read: Sequence[OutboxRow], resting: Collection[Lane]) -> None:
        """Forget rows and lanes that another relay has settled, whose buckets they are in by now."""
        self._resting = {lane: self._resting[lane] for lane in resting}
        if not resting:
            self._refusals = {row.id: self._refusals[row.id] for row in read if row.id in self._refusals}

    def _forget_refusals(self, sent: Sequence[OutboxRow], acknowledged: Sequence[int]) -> None:
        """Forget what earlier rounds said of these rows and lanes."""
        if self._refusals:
            for row in sent:
                self._resting.pop(row.lane, None)
            for number in acknowledged:
                self._refusals.pop(number, None)

    async def _blame(self, backlog: Backlog, refused: Sequence[Refused]) -> None:
        """Let the keys of refused rows rest, and bury together those that were refused too often."""
        now, resting, buried = self._clock.monotonic(), [], []
        for row, error in refused:
            attempts = self._refusals[row.id] = self._refusals.get(row.id, 0) + 1
            if attempts < self._options.attempts:
                until = now + backoff(attempts, initial=self._options.refused_wait)
                self._resting[row.lane] = max(until, self._resting.get(row.lane, now))
                resting.append((row, error))
            else:
                buried.append((row, error))
        for facts in self._alike(resting):
            log.warning("eventhub.outbox_row_refused", **facts)
        if buried:
            await backlog.bury({row.id: str(error) for row, error in buried})
            self._store.counters.buried += len(buried)
            for facts in self._alike(buried):
                log.error("eventhub.outbox_row_buried", **facts)
            self._forget_refusals((), [row.id for row, _ in buried])

    def _alike(self, refused: Sequence[Refused]) -> Iterable[Mapping[str, object]]:
        """What to say of rows that were refused, once for those alike: a missing topic may refuse thousands a round."""
        alike: defaultdict[tuple[str, int, str], list[str]] = defaultdict(list)
        for row, error in refused:
            alike[row.topic, self._refusals[row.id], type(error).__name__].append(row.event_id)
        for (topic, attempt, kind), ids in alike.items():
            yield {"topic": topic, "event_id": ids[0], "rows": len(ids), "attempt": attempt, "error": kind}

    # -- time -------------------------------------------------------------------------------------

    async def _forget(self) -> None:
        """Drop old claims now and then."""
        if self._clock.monotonic() < self._next_forget:
            return
        self._next_forget = self._clock.monotonic() + _FORGET_EVERY
        await self._store.forget(datetime.fromtimestamp(self._clock.now(), UTC).date())

    async def _rest(self, seconds: float) -> None:
        """Wait, unless stopped."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
