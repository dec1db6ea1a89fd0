"""Virtual time for every test of this folder."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.regressions.shop import Shop
from tests.simulation.virtual import VirtualLoop


@pytest.fixture(scope="package")
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Run async tests on a loop whose time passes when nobody has anything to do."""
    return "asyncio", {"loop_factory": VirtualLoop}


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """A shop of the test's own."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with Shop(loop) as shop:
        yield shop
