"""Time that passes only when nobody has anything to do: hours of waiting take milliseconds.

The loop is asyncio's own. Its selector never waits for sockets; it moves the clock to the next
timer instead. Nothing here knows of eventhub.
"""

import asyncio
import itertools
import selectors
from collections.abc import Callable, Coroutine, Mapping
from contextvars import Context, ContextVar
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = 1_700_000_000.0  # the time of day, in seconds since 1970, at which every history begins

TURN = 1e-9
"""Seconds that a turn of the loop takes, so that no wait is so short that rounding makes it none."""

TASKS: ContextVar[list[asyncio.Task[Any]] | None] = ContextVar("TASKS", default=None)
"""Where new tasks are noted: those of one process, so that it can be killed."""


class _NoSockets(selectors.BaseSelector):
    """Asked how long it may wait, it lets that time pass at once."""

    def __init__(self, clock: "_Time") -> None:
        self._clock = clock
        self._keys: dict[int, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Keep what asyncio watches to be woken by threads, of which there are none."""
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        self._keys[number] = selectors.SelectorKey(fileobj, number, events, data)
        return self._keys[number]

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Forget it."""
        return self._keys.pop(fileobj if isinstance(fileobj, int) else fileobj.fileno())

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """What is registered."""
        return self._keys

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Let time pass until the next timer."""
        if timeout is None:
            msg = "deadlock: nothing can run and nobody waits for a time"
            raise RuntimeError(msg)
        self._clock.seconds += max(timeout, 0.0) + TURN
        return []


class _Time:
    """The seconds that have passed."""

    seconds = 0.0


class _Task(asyncio.Task[Any]):
    """A task whose place in a set does not depend on its address, so that every run is the same."""

    _numbers = itertools.count()

    def __init__(self, *args: Any, **keywords: Any) -> None:
        self._number = next(_Task._numbers)
        super().__init__(*args, **keywords)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time."""

    def __init__(self) -> None:
        """Begin at 0."""
        self._virtual = _Time()
        super().__init__(_NoSockets(self._virtual))
        _Task._numbers = itertools.count()
        self.set_task_factory(_make_task)

    def time(self) -> float:
        """The seconds that have passed since the loop was made."""
        return self._virtual.seconds

    def work(self, seconds: float) -> None:
        """Let time pass while something runs, as computing takes it."""
        self._virtual.seconds += seconds


def _make_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **keywords: Any) -> _Task:
    """A task that is noted with the process that it belongs to."""
    task = _Task(coroutine, loop=loop, **keywords)
    context: Context | None = keywords.get("context")
    tasks = TASKS.get() if context is None else context.get(TASKS)
    if tasks is not None:
        tasks.append(task)
    return task


class VirtualClock:
    """The clock of eventhub on the loop's time."""

    def __init__(self, loop: VirtualLoop, cost: float = 0.0) -> None:
        """Tell the loop's time.

        Args:
            loop: Whose time it is.
            cost: Seconds that pass with every look at the clock; they stand for the work between two of them.
        """
        self._loop = loop
        self._cost = cost

    def now(self) -> float:
        """The time of day."""
        return EPOCH + self._loop.time()

    def monotonic(self) -> float:
        """The loop's time, after the work since the last look."""
        self._loop.work(self._cost)
        return self._loop.time()

    async def sleep(self, seconds: float, /) -> None:
        """Return when that much time has passed."""
        await asyncio.sleep(seconds)


def run_virtually(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run a program on a loop of its own and clear up after it, whatever it leaves behind."""
    loop = VirtualLoop()
    loop.set_exception_handler(lambda _, __: None)  # tasks that are killed leave errors that nobody asks for
    try:
        return loop.run_until_complete(main(loop))
    finally:
        for _ in range(_ROUNDS):
            left = asyncio.all_tasks(loop)
            if not left:
                break
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
        loop.close()


_ROUNDS = 100  # in which a task may go on although it is cancelled
