"""The suite of brokers works in a project that knows nothing of this one."""

from __future__ import annotations

import pytest

_MODULE = """
from dataclasses import dataclass, field
import pytest
from eventhub.brokers.memory import MemoryBroker
from eventhub.testing.conformance.brokers import BrokerConformance, Features

class Forgetful(MemoryBroker):
    def producer(self):
        return ForgetfulProducer(super().producer())

@dataclass
class ForgetfulProducer:
    producer: object

    async def start(self): pass
    async def stop(self): pass
    async def send(self, records):
        return await self.producer.send([record._replace(headers=()) for record in records])

class TestPoor(BrokerConformance):
    features = Features(record_limit=False, compaction=False)

    @pytest.fixture
    async def broker(self):
        yield MemoryBroker()

class TestForgetful(BrokerConformance):
    @pytest.fixture
    async def broker(self):
        yield Forgetful()
"""


def test_law_that_cannot_be_tried_is_skipped(pytester: pytest.Pytester) -> None:
    """What a broker does not have, or a test cannot provoke, is skipped with a reason."""
    pytester.makepyfile(_MODULE)
    laws = "gaps or deleted or before_the_beginning or thrown_out or above_the_limit or compacted"
    result = pytester.runpytest_inprocess("-rs", "-k", f"TestPoor and ({laws})")

    assert {"skipped", "deselected"} == result.parseoutcomes().keys()
    assert 7 == result.parseoutcomes()["skipped"]
    result.stdout.fnmatch_lines(["*a rebalance waits too long for a test"])


def test_broken_law_is_shown(pytester: pytest.Pytester) -> None:
    """A broker that loses headers fails the law of headers, and the report shows what came instead."""
    pytester.makepyfile(_MODULE)
    result = pytester.runpytest_inprocess("-k", "TestForgetful and headers")

    assert {"failed", "deselected"} == result.parseoutcomes().keys()
    result.stdout.fnmatch_lines(["*assert (*) == ()"])
