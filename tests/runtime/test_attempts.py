"""Attempts at a record: what counts, how long is waited, and when it is given up."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from eventhub import Context, Service, subscribe
from eventhub.clock import ManualClock
from eventhub.errors import PublishRefused, RegistryError, SchemaNotFound
from eventhub.retry import Fate, Retry
from eventhub.runtime.attempts import Attempts
from tests.regressions.shop import GROUP, Order, Shop
from tests.simulation.virtual import VirtualLoop


@pytest.mark.parametrize(("waited", "fate"), [(0.0, Fate.PAUSE), (59.9, Fate.PAUSE), (60.0, Fate.FATAL)])
def test_a_schema_that_is_not_there_is_waited_for_as_long_as_it_may_be_on_its_way(waited: float, fate: Fate) -> None:
    """A replica of the registry may lag; after a minute the id is poison."""
    clock = ManualClock()
    attempts = Attempts(1, clock)
    attempts.error = SchemaNotFound("99")
    clock.advance(waited)

    assert fate is attempts.fate(Retry(attempts=1), schema_grace=60.0)


def test_a_registry_that_is_away_is_waited_for_without_end() -> None:
    """After a day no attempt has been counted, and the waits have their longest."""
    clock = ManualClock()
    attempts = Attempts(1, clock)
    attempts.error = RegistryError("away")
    waits = [attempts.pause(0.0) for _ in range(7)]
    clock.advance(86_400.0)

    assert [1, 2, 4, 8, 16, 30, 30] == waits
    assert (Fate.PAUSE, 1) == (attempts.fate(Retry(attempts=1), schema_grace=60.0), attempts.attempt)


def test_a_clock_that_is_corrected_neither_ends_nor_prolongs_the_wait_for_a_schema() -> None:
    """It is measured in time that passes, not in the time of day."""
    clock = ManualClock()
    attempts = Attempts(1, clock)
    attempts.error = SchemaNotFound("99")
    clock.step(86_400.0)
    ahead = attempts.fate(Retry(), schema_grace=60.0)
    clock.step(-2 * 86_400.0)
    clock.advance(60.0)

    assert (Fate.PAUSE, Fate.FATAL) == (ahead, attempts.fate(Retry(), schema_grace=60.0))


def test_attempts_are_counted_and_pauses_are_not() -> None:
    """The third failure of three attempts is the last, however often something was waited for in between."""
    attempts, policy = Attempts(1, ManualClock()), Retry(waits=(1.0, 5.0))
    attempts.error = OSError()
    waits = [attempts.retry(policy, 0.0), attempts.pause(0.0), attempts.pause(0.0), attempts.retry(policy, 0.5)]

    assert [1.0, 1.0, 2.0, 5.5] == waits
    assert (3, Fate.EXHAUSTED) == (attempts.attempt, attempts.fate(policy, 60.0))


def test_what_the_broker_will_never_take_is_given_up_whatever_the_policy_says() -> None:
    """The same events would be refused again."""
    attempts = Attempts(1, ManualClock())
    attempts.error = PublishRefused("too large")

    assert (Fate.FATAL, "publish") == (attempts.fate(Retry(), 60.0), attempts.stage)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Run async tests on a loop whose time passes when nobody has anything to do."""
    return "asyncio", {"loop_factory": VirtualLoop}


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """A shop of the test's own on virtual time."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with Shop(loop) as shop:
        yield shop


async def test_attempts_count_on_in_the_next_process_though_each_outlasts_many_commits(shop: Shop) -> None:
    """Also in one that is stopped before its own attempt has failed; the handler is told the number."""
    told: list[tuple[int, int]] = []

    @subscribe(Order, retry=Retry(waits=(5.0, 5.0)))
    async def handle(order: Order, context: Context[None]) -> None:
        told.append((shop.note(order), context.attempt))
        await shop.pass_time(5.0 if len(told) != 2 else 3600.0)
        raise OSError

    for name in ("one", "two"):
        process = await shop.start(Service(GROUP, [handle]), name)
        if not told:
            await shop.publish(Order(customer="a", number=0))
        await shop.pass_time(8.0)
        await process.kill()
    await shop.start(Service(GROUP, [handle]), "three")
    await shop.until(lambda: shop.letters)

    assert [(1, 1), (2, 2), (3, 2), (4, 3)] == told
    assert [3] == [letter.attempt for letter in shop.letters]
