"""Places to run: nobody waits while one is free."""

import asyncio

from anyio.lowlevel import checkpoint

from eventhub.runtime.places import Places


async def test_who_is_offered_a_place_and_does_not_take_it_leaves_it_to_the_next() -> None:
    """A handler that does not suspend never occupies its place, so it does not give it back either."""
    places, came = Places(1), list[str]()
    places.take()

    async def come(name: str) -> None:
        await places.free()
        came.append(name)

    async with asyncio.TaskGroup() as tasks:
        for name in ("passes by", "runs"):
            tasks.create_task(come(name))
        await checkpoint()
        places.give()

    assert ["passes by", "runs"] == came


async def test_places_are_given_in_the_order_in_which_they_were_asked_for() -> None:
    """Whoever is woken and finds the place taken stays the first in line."""
    places, came = Places(1), list[str]()
    places.take()

    async def come(name: str) -> None:
        await places.free()
        places.take()
        came.append(name)
        await checkpoint()
        places.give()

    async with asyncio.TaskGroup() as tasks:
        for name in "abcd":
            tasks.create_task(come(name))
        await checkpoint()
        places.give()

    assert list("abcd") == came
    assert 0 == places.taken
