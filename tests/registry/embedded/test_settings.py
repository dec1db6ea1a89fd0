"""Compatibility levels, modes and contexts, as clients see them."""

from __future__ import annotations

from typing import Any

import pytest

from eventhub.registry.embedded.app import EmbeddedRegistry
from tests.registry.embedded.asking import ask, error, record, register

pytestmark = pytest.mark.anyio

_LEVELS = "NONE, BACKWARD, BACKWARD_TRANSITIVE, FORWARD, FORWARD_TRANSITIVE, FULL, FULL_TRANSITIVE"


@pytest.fixture
def app() -> EmbeddedRegistry:
    """An empty registry."""
    return EmbeddedRegistry()


async def test_level_is_backward_unless_it_is_set(app: EmbeddedRegistry) -> None:
    """The level of the registry is set, read under another name, and taken back."""
    assert (200, {"compatibilityLevel": "BACKWARD"}) == await ask(app, "GET", "/config")
    assert (200, {"compatibility": "full"}) == await ask(app, "PUT", "/config", {"compatibility": "full"})
    assert (200, {"compatibilityLevel": "FULL"}) == await ask(app, "GET", "/config")
    assert (200, {"compatibilityLevel": "FULL"}) == await ask(app, "DELETE", "/config")
    assert (200, {"compatibilityLevel": "BACKWARD"}) == await ask(app, "GET", "/config")


async def test_subject_has_a_level_of_its_own(app: EmbeddedRegistry) -> None:
    """Without one it is told only if asked, and follows its context, then the registry."""
    await ask(app, "PUT", "/config", {"compatibility": "FULL"})
    await ask(app, "PUT", "/config/%3A.ctx%3A", {"compatibility": "FORWARD"})
    none = error(40408, "Subject 's' does not have subject-level compatibility configured")

    assert none == await ask(app, "GET", "/config/s")
    assert (200, {"compatibilityLevel": "FULL"}) == await ask(app, "GET", "/config/s?defaultToGlobal=True")
    assert (200, {"compatibilityLevel": "FORWARD"}) == await ask(app, "GET", "/config/%3A.ctx%3As?defaultToGlobal=true")
    assert 200 == (await ask(app, "PUT", "/config/s", {"compatibility": "NONE"}))[0]
    assert (200, {"compatibilityLevel": "NONE"}) == await ask(app, "GET", "/config/s")
    assert (200, {"compatibilityLevel": "NONE"}) == await ask(app, "DELETE", "/config/s")
    assert error(40401, "Subject 's' not found.") == await ask(app, "DELETE", "/config/s")


async def test_other_parts_of_a_config_are_kept(app: EmbeddedRegistry) -> None:
    """What the registry does not look into is stored and returned, and setting one part leaves the others."""
    sent = {"compatibilityGroup": "major", "defaultMetadata": {"properties": {"a": "b"}}}

    assert (200, sent) == await ask(app, "PUT", "/config/s", sent)
    assert 200 == (await ask(app, "PUT", "/config/s", {"compatibility": "FULL"}))[0]
    assert (200, {"compatibilityLevel": "FULL", **sent}) == await ask(app, "GET", "/config/s")


@pytest.mark.parametrize("body", [{"compatibility": "SOMETIMES"}, {}, {"compatibilityLevel": "FULL"}])
async def test_level_that_is_none_is_refused(app: EmbeddedRegistry, body: Any) -> None:
    """Only the seven levels are known."""
    wanted = error(42203, f"Invalid compatibility level. Valid values are {_LEVELS}")

    assert wanted == await ask(app, "PUT", "/config", body)


async def test_level_decides_what_is_taken(app: EmbeddedRegistry) -> None:
    """The same schema is taken or refused as the subject's level says."""
    await register(app, "s", record(a="int"))
    status, _ = await ask(app, "POST", "/subjects/s/versions", {"schema": record(b="int")})
    await ask(app, "PUT", "/config/s", {"compatibility": "NONE"})

    assert 409 == status
    assert 2 == await register(app, "s", record(b="int"))


async def test_mode_is_readwrite_unless_it_is_set(app: EmbeddedRegistry) -> None:
    """A subject's mode comes before that of the registry, and is told only where it is set or asked for."""
    assert (200, {"mode": "READWRITE"}) == await ask(app, "GET", "/mode")
    assert error(40409, "Subject 's' does not have subject-level mode configured") == await ask(app, "GET", "/mode/s")
    assert (200, {"mode": "READONLY"}) == await ask(app, "PUT", "/mode", {"mode": "READONLY"})
    assert (200, {"mode": "READONLY"}) == await ask(app, "GET", "/mode/s?defaultToGlobal=true")
    assert (200, {"mode": "READWRITE"}) == await ask(app, "PUT", "/mode/s", {"mode": "READWRITE"})
    assert (200, {"mode": "READWRITE"}) == await ask(app, "GET", "/mode/s")
    assert (200, {"mode": "READWRITE"}) == await ask(app, "DELETE", "/mode/s")
    assert error(40401, "Subject 's' not found.") == await ask(app, "DELETE", "/mode/s")
    assert (200, {"mode": "READONLY"}) == await ask(app, "DELETE", "/mode")
    assert (200, {"mode": "READWRITE"}) == await ask(app, "GET", "/mode")


@pytest.mark.parametrize("body", [{"mode": "SOMETIMES"}, {}])
async def test_mode_that_is_none_is_refused(app: EmbeddedRegistry, body: Any) -> None:
    """Only the five modes are known."""
    assert 42204 == (await ask(app, "PUT", "/mode", body))[1]["error_code"]


@pytest.mark.parametrize("mode", ["READONLY", "READONLY_OVERRIDE"])
async def test_nothing_changes_in_read_only_mode(app: EmbeddedRegistry, mode: str) -> None:
    """Registering and deleting are refused, reading and looking up are not."""
    await register(app, "s", record())
    await ask(app, "PUT", "/mode", {"mode": mode})
    refused = error(42205, "Subject s is in read-only mode")

    assert refused == await ask(app, "POST", "/subjects/s/versions", {"schema": record(a=("int", 0))})
    assert refused == await ask(app, "DELETE", "/subjects/s")
    assert refused == await ask(app, "DELETE", "/subjects/s/versions/1")
    assert 200 == (await ask(app, "POST", "/subjects/s", {"schema": record()}))[0]


async def test_override_comes_before_the_mode_of_a_subject(app: EmbeddedRegistry) -> None:
    """READONLY leaves a subject its own mode, READONLY_OVERRIDE does not."""
    await ask(app, "PUT", "/mode/s", {"mode": "READWRITE"})
    await ask(app, "PUT", "/mode", {"mode": "READONLY"})
    await register(app, "s", record())
    await ask(app, "PUT", "/mode", {"mode": "READONLY_OVERRIDE"})
    status, _ = await ask(app, "POST", "/subjects/s/versions", {"schema": record(a=("int", 0))})

    assert 422 == status


async def test_import_keeps_ids_and_versions(app: EmbeddedRegistry) -> None:
    """What is imported has the id and the version it had, is not checked, and the next id follows the highest."""
    refused = await ask(app, "POST", "/subjects/s/versions", {"schema": record(), "id": 7})
    await ask(app, "PUT", "/mode/s", {"mode": "IMPORT"})

    assert error(42205, "Subject s is not in import mode") == refused
    assert 7 == await register(app, "s", record(), id=7, version=3)
    assert 7 == await register(app, "s", record(), id=7, version=3)
    assert 9 == await register(app, "s", record(a="int"), id=9, version=5)
    assert (200, [3, 5]) == await ask(app, "GET", "/subjects/s/versions")
    status, answer = await ask(app, "POST", "/subjects/s/versions", {"schema": record(b="int"), "id": 9})
    assert (422, 42207) == (status, answer["error_code"])
    assert 10 == await register(app, "t", record(c="int"))


async def test_import_needs_an_empty_subject_or_force(app: EmbeddedRegistry) -> None:
    """Where schemas are, importing could give an id twice."""
    await register(app, "s", record())

    for path in ("/mode/s", "/mode"):
        assert 42205 == (await ask(app, "PUT", path, {"mode": "IMPORT"}))[1]["error_code"]
        assert 200 == (await ask(app, "PUT", f"{path}?force=true", {"mode": "IMPORT"}))[0]
    assert 200 == (await ask(app, "PUT", "/mode/empty", {"mode": "IMPORT"}))[0]
    assert 200 == (await ask(app, "PUT", "/mode/%3A.empty%3A", {"mode": "IMPORT"}))[0]


async def test_forwarded_schema_keeps_its_id(app: EmbeddedRegistry) -> None:
    """In mode FORWARD an explicit id is taken, and a schema without one is registered as ever."""
    await ask(app, "PUT", "/mode", {"mode": "FORWARD"})

    assert 5 == await register(app, "s", record(), id=5)
    assert 6 == await register(app, "s", record(a=("int", 0)))


async def test_client_of_one_context_sees_no_other(app: EmbeddedRegistry) -> None:
    """With a context in its URL a client has ids, subjects and settings of its own."""
    await register(app, "s", record())
    await register(app, "t", record(a="int"))
    status, answer = await ask(app, "POST", "/contexts/.ctx/subjects/s/versions", {"schema": record(b="int")})
    await ask(app, "PUT", "/contexts/.ctx/config", {"compatibility": "NONE"})
    await ask(app, "PUT", "/contexts/.ctx/mode/s", {"mode": "READONLY"})

    assert (200, 1) == (status, answer["id"])
    assert (200, [":.ctx:s"]) == await ask(app, "GET", "/contexts/%3A.ctx%3A/subjects")
    assert (200, []) == await ask(app, "GET", "/contexts/.ctx/subjects?subjectPrefix=x")
    assert (200, ["s", "t"]) == await ask(app, "GET", "/contexts/.ctx/subjects?subjectPrefix=:.:")
    assert record(b="int") == (await ask(app, "GET", "/contexts/.ctx/schemas/ids/1"))[1]["schema"]
    assert 404 == (await ask(app, "GET", "/contexts/.ctx/schemas/ids/2"))[0]
    assert (200, {"compatibilityLevel": "NONE"}) == await ask(app, "GET", "/config/%3A.ctx%3A")
    assert (200, {"compatibilityLevel": "BACKWARD"}) == await ask(app, "GET", "/config")
    assert 422 == (await ask(app, "POST", "/subjects/%3A.ctx%3As/versions", {"schema": record(c="int")}))[0]


@pytest.mark.parametrize("context", ["foo", "%3A", ".a%3Ab", ".%1B[31m"])
async def test_context_that_no_name_of_a_subject_could_hold_is_refused(app: EmbeddedRegistry, context: str) -> None:
    """A journal, and every client without the context in its URL, would take its subjects for others."""
    answer = await ask(app, "POST", f"/contexts/{context}/subjects/s/versions", {"schema": record()})

    assert (422, 42208) == (answer[0], answer[1]["error_code"])
    assert (200, []) == await ask(app, "GET", "/subjects")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
async def test_what_is_kept_verbatim_is_json(app: EmbeddedRegistry, number: str) -> None:
    """What no JSON can say is refused, since no client could read the answer that hands it back."""
    answer = await ask(app, "PUT", "/config/s", f'{{"compatibility": "FULL", "more": [{number}]}}'.encode())

    assert error(400, "request is not as it should be: NaN and Infinity are no JSON") == answer
    assert 404 == (await ask(app, "GET", "/config/s"))[0]


async def test_contexts_are_listed_and_deleted_when_empty(app: EmbeddedRegistry) -> None:
    """A context is there as long as it has subjects; an empty one loses its settings."""
    await register(app, "%3A.ctx%3As", record())
    await ask(app, "PUT", "/config/%3A.ctx%3A", {"compatibility": "NONE"})

    assert (200, [".", ".ctx"]) == await ask(app, "GET", "/contexts")
    assert error(42211, "The specified context '.ctx' is not empty.") == await ask(app, "DELETE", "/contexts/.ctx")
    for path in ("/subjects/%3A.ctx%3As", "/subjects/%3A.ctx%3As?permanent=true"):
        await ask(app, "DELETE", path)
    assert (204, None) == await ask(app, "DELETE", "/contexts/.ctx")
    assert (200, ["."]) == await ask(app, "GET", "/contexts")
    assert 404 == (await ask(app, "GET", "/config/%3A.ctx%3A"))[0]
