"""The laws of eventhub's ports as tests, to be run on any adapter: ``brokers`` and ``registries``.

An adapter is real when it passes the suite of its port.
"""

import pytest

# Only test modules are rewritten by themselves; without this a broken law says "AssertionError" and nothing else.
pytest.register_assert_rewrite("eventhub.testing.conformance.brokers", "eventhub.testing.conformance.registries")
