"""Each test of this folder can fail: a runtime with the defect that it is about fails it, and fails no other."""

from collections.abc import Awaitable, Callable, Mapping

import pytest

from tests.regressions import (
    test_clocks,
    test_commits,
    test_letters,
    test_outbox,
    test_pauses,
    test_rebalances,
    test_retries,
)
from tests.regressions.defects import DEFECTS
from tests.regressions.shop import Shop
from tests.simulation.virtual import VirtualLoop, run_virtually

Test = Callable[[Shop], Awaitable[None]]

MODULES = (test_clocks, test_commits, test_letters, test_outbox, test_pauses, test_rebalances, test_retries)
TESTS: Mapping[str, Test] = {
    name: test for module in MODULES for name, test in vars(module).items() if name.startswith("test_")
}


@pytest.fixture
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The runtime with a defect for the length of a test; returns the name of the test that is about it."""
    name: str = request.param
    for module, attribute, mutant in DEFECTS[name].swaps:
        monkeypatch.setattr(module, attribute, mutant)
    return name


def fails(test: Test) -> bool:
    """Whether a test fails, in a shop of its own."""

    async def run(loop: VirtualLoop) -> None:
        async with Shop(loop) as shop:
            await test(shop)

    try:
        run_virtually(run)
    except AssertionError:
        return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("broken", DEFECTS, indirect=True)
def test_a_defect_fails_the_test_that_is_about_it_and_no_other(broken: str) -> None:
    """Whatever else breaks a test says so by an error, which is no failed assertion."""
    assert [broken] == [name for name, test in TESTS.items() if fails(test)]


def test_every_test_is_about_a_defect() -> None:
    """None was added without a mutant that shows that it can fail."""
    assert set(DEFECTS) == set(TESTS)
