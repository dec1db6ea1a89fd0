"""What all tests share."""

import pytest

pytest_plugins = ["eventhub.testing.plugin"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The runtime stands on asyncio, since its Kafka client does."""
    return "asyncio"
