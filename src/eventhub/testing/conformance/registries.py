"""The laws of a Schema Registry, one test each.

A registry's own test module derives a class and gives it a started client::

    class TestEmbeddedRegistry(RegistryConformance):
        @pytest.fixture
        async def registry(self) -> AsyncIterator[SchemaRegistry]:
            registry = embedded_registry()
            await registry.start()
            yield registry
            await registry.stop()

The tests make subjects of their own, so they can share one registry with others. Where a server is known to differ,
the class says so in ``differences``: the law is then expected to fail, and it is an error if it does not.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import ClassVar

import pytest

from eventhub.errors import IncompatibleSchema, InvalidSchema, SchemaNotFound
from eventhub.registry.base import Reference, Schema, SchemaRegistry, SchemaType

_UNKNOWN_ID = 2_000_000_000


class RegistryConformance:
    """Every law of a registry; derive from it and define the fixture ``registry``."""

    pytestmark = pytest.mark.anyio
    differences: ClassVar[Mapping[str, str]] = {}
    """Laws that the server is known to break, by the test's name, and how."""

    @pytest.fixture(scope="session")
    @classmethod
    def anyio_backend(cls) -> str:
        """The port is asyncio's."""
        return "asyncio"

    @pytest.fixture
    def subject(self) -> str:
        """The name of a new subject."""
        return f"{uuid.uuid4()}-value"

    @pytest.fixture(autouse=True)
    def _expect_differences(self, request: pytest.FixtureRequest) -> None:
        """Expect the known differences of the server, and only those."""
        known = self.differences.get(request.function.__name__)
        if known is not None:
            request.applymarker(pytest.mark.xfail(reason=known, strict=True))

    def test_differences_are_laws(self) -> None:
        """Whoever says that a server differs names a law."""
        assert [] == [name for name in self.differences if not hasattr(self, name)]

    async def test_registered_schema_is_found_by_its_id(self, registry: SchemaRegistry, subject: str) -> None:
        """A schema that was registered is what its id stands for."""
        registered = await registry.register(subject, order())

        assert subject == registered.subject
        assert 1 == registered.version
        assert _same(order(), await registry.schema(registered.id))

    async def test_registered_schema_is_found_by_its_guid(self, registry: SchemaRegistry, subject: str) -> None:
        """A guid stands for the same schema as the id; an unknown one for none."""
        registered = await registry.register(subject, order())

        assert registered.guid is not None
        assert _same(order(), await registry.schema_by_guid(registered.guid))
        with pytest.raises(SchemaNotFound):
            await registry.schema_by_guid(str(uuid.uuid4()))

    async def test_registering_again_changes_nothing(self, registry: SchemaRegistry, subject: str) -> None:
        """A schema that is registered already keeps its id and its version."""
        first = await registry.register(subject, order())
        again = await registry.register(subject, order())

        assert (first.id, first.version) == (again.id, again.version)
        assert 1 == len(await registry.versions(subject))

    async def test_way_of_writing_does_not_matter(self, registry: SchemaRegistry, subject: str) -> None:
        """Spaces and the order of attributes do not make another schema."""
        first = await registry.register(subject, order())
        spaced = Schema(json.dumps(dict(reversed(json.loads(order().text).items())), indent=2))

        assert first.id == (await registry.register(subject, spaced)).id

    async def test_schema_has_one_id_in_all_subjects(self, registry: SchemaRegistry, subject: str) -> None:
        """The same schema under two subjects has one id."""
        first = await registry.register(subject, order())
        second = await registry.register(f"{subject}-too", order())

        assert first.id == second.id

    async def test_compatible_schema_is_the_next_version(self, registry: SchemaRegistry, subject: str) -> None:
        """A schema with another field that has a default is taken as version 2."""
        await registry.register(subject, order())
        second = await registry.register(subject, order(note="string", default=""))

        assert 2 == second.version
        assert [1, 2] == [version.version for version in await registry.versions(subject)]

    async def test_alias_makes_another_schema(self, registry: SchemaRegistry, subject: str) -> None:
        """A schema that differs only in an alias is the next version: a rename has to reach the readers."""
        await registry.register(subject, order())
        renamed = json.loads(order().text)
        renamed["fields"][0]["aliases"] = ["number"]
        registered = await registry.register(subject, Schema(json.dumps(renamed)))

        assert 2 == registered.version
        assert "number" in (await registry.schema(registered.id)).text

    async def test_incompatible_schema_is_refused_with_its_reason(self, registry: SchemaRegistry, subject: str) -> None:
        """A field without a default breaks BACKWARD; the error names the subject and the field, and nothing is kept."""
        await registry.register(subject, order())
        with pytest.raises(IncompatibleSchema, match="note") as refused:
            await registry.register(subject, order(note="string"))

        assert subject == refused.value.subject
        assert refused.value.problems
        assert 1 == len(await registry.versions(subject))

    async def test_check_says_what_register_would(self, registry: SchemaRegistry, subject: str) -> None:
        """A check finds the field that would be refused, nothing in a compatible schema, and registers neither."""
        await registry.register(subject, order())
        refused = await registry.check(subject, order(note="string"))
        taken = await registry.check(subject, order(note="string", default=""))

        assert any("note" in problem for problem in refused)
        assert not taken
        assert 1 == len(await registry.versions(subject))

    async def test_anything_goes_into_a_new_subject(self, registry: SchemaRegistry, subject: str) -> None:
        """A subject without versions takes every valid schema."""
        assert not await registry.check(subject, order())

    async def test_lookup_finds_the_version_of_a_schema(self, registry: SchemaRegistry, subject: str) -> None:
        """Each registered schema is found as the version that it is."""
        first = await registry.register(subject, order())
        second = await registry.register(subject, order(note="string", default=""))
        found = await registry.lookup(subject, order())

        assert (first.id, 1) == (found.id, found.version)
        assert second.id != found.id

    async def test_lookup_of_what_is_not_there_fails(self, registry: SchemaRegistry, subject: str) -> None:
        """Neither an unknown subject nor an unknown schema of a known one is found."""
        with pytest.raises(SchemaNotFound):
            await registry.lookup(subject, order())
        await registry.register(subject, order())
        with pytest.raises(SchemaNotFound):
            await registry.lookup(subject, order(note="string", default=""))

    async def test_unknown_id_is_not_found(self, registry: SchemaRegistry) -> None:
        """An id that no schema has is not found."""
        with pytest.raises(SchemaNotFound):
            await registry.schema(_UNKNOWN_ID)

    async def test_unknown_subject_has_no_versions(self, registry: SchemaRegistry, subject: str) -> None:
        """A subject that was never registered has no versions."""
        assert not await registry.versions(subject)

    async def test_invalid_schema_is_refused(self, registry: SchemaRegistry, subject: str) -> None:
        """A text that is no schema is refused as such, and the subject stays unknown."""
        with pytest.raises(InvalidSchema):
            await registry.register(subject, Schema('{"type": "record", "name": "Order"}'))

        assert not await registry.versions(subject)

    async def test_subject_may_hold_any_character(self, registry: SchemaRegistry, subject: str) -> None:
        """Slashes, spaces, signs of a URL and letters beyond ASCII are part of a subject's name."""
        odd = f"{subject}/a b?c=%2F&d#é+"
        registered = await registry.register(odd, order())

        assert odd == registered.subject
        assert [registered.id] == [version.id for version in await registry.versions(odd)]
        assert not await registry.versions(subject)

    async def test_schema_may_refer_to_another(self, registry: SchemaRegistry, subject: str) -> None:
        """A schema that speaks of a type of another subject keeps the reference."""
        await registry.register(subject, order())
        reference = Reference("Order", subject, 1)
        text = '{"type":"record","name":"Basket","fields":[{"name":"order","type":"Order"}]}'
        registered = await registry.register(f"{subject}-basket", Schema(text, references=(reference,)))

        assert (reference,) == (await registry.schema(registered.id)).references
        assert (reference,) == (await registry.versions(f"{subject}-basket"))[0].schema.references

    async def test_type_of_a_schema_is_kept(self, registry: SchemaRegistry, subject: str) -> None:
        """A JSON schema comes back as one."""
        registered = await registry.register(subject, line())

        assert SchemaType.JSON is registered.schema.type
        assert SchemaType.JSON is (await registry.schema(registered.id)).type
        assert SchemaType.JSON is (await registry.versions(subject))[0].schema.type

    async def test_narrower_json_schema_is_refused_with_its_reason(
        self, registry: SchemaRegistry, subject: str
    ) -> None:
        """A JSON schema that takes less than the one before is refused, and the place is named."""
        await registry.register(subject, line())
        with pytest.raises(IncompatibleSchema, match="sku"):
            await registry.register(subject, line(longest=3))

    async def test_type_of_a_subject_stays(self, registry: SchemaRegistry, subject: str) -> None:
        """A subject of Avro schemas takes no JSON schema."""
        await registry.register(subject, order())
        with pytest.raises(IncompatibleSchema):
            await registry.register(subject, line())


def order(*, note: str | None = None, default: str | None = None) -> Schema:
    """The schema of an order, with a note or without."""
    fields = [{"name": "id", "type": "string"}, {"name": "quantity", "type": "int"}]
    if note is not None:
        fields.append({"name": "note", "type": note, **({} if default is None else {"default": default})})
    return Schema(json.dumps({"type": "record", "name": "Order", "fields": fields}))


def line(*, longest: int | None = None) -> Schema:
    """The JSON schema of an order line, with a bound on its article or without."""
    sku = {"type": "string", **({} if longest is None else {"maxLength": longest})}
    properties = {"sku": sku}
    text = json.dumps({"type": "object", "properties": properties, "additionalProperties": False})
    return Schema(text, SchemaType.JSON)


def _same(one: Schema, other: Schema) -> bool:
    """Whether two schemas say the same."""
    return bool(one.type is other.type and json.loads(one.text) == json.loads(other.text))
