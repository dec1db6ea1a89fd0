"""The client keeps the laws of registries in front of Apicurio Registry, but for what that registry does otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from eventhub.registry.base import SchemaRegistry
from eventhub.registry.client import HttpSchemaRegistry
from eventhub.testing.conformance.registries import RegistryConformance
from tests.conformance.apicurio import apicurio

DIFFERENCES = {
    "test_registered_schema_is_found_by_its_guid": "has no guids",
    "test_alias_makes_another_schema": "takes a schema with another alias for the same one; the client warns",
    "test_type_of_a_subject_stays": "answers 422 to a change of type, where Confluent's answers 409",
}
"""What Apicurio Registry 3.3.3 does otherwise than Confluent's, by law; each of them must fail."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A registry for all tests of this module."""
    with apicurio() as address:
        yield address


@pytest.mark.java
class TestV7(RegistryConformance):
    """Confluent's API of version 7."""

    differences = DIFFERENCES
    api = "v7"

    @pytest.fixture
    async def registry(self, address: str) -> AsyncIterator[SchemaRegistry]:
        """The client of the registry."""
        registry = HttpSchemaRegistry(f"{address}/apis/ccompat/{self.api}")
        await registry.start()
        yield registry
        await registry.stop()


class TestV8(TestV7):
    """Confluent's API of version 8."""

    api = "v8"
