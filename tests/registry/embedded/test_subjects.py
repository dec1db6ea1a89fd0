"""Subjects, versions and compatibility, as clients see them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from eventhub.registry.embedded.app import EmbeddedRegistry
from eventhub.registry.embedded.store import Store
from tests.registry.embedded.asking import ask, error, record, register

pytestmark = pytest.mark.anyio


@pytest.fixture
def app() -> EmbeddedRegistry:
    """An empty registry."""
    return EmbeddedRegistry()


async def test_registering_answers_with_all_that_is_known(app: EmbeddedRegistry) -> None:
    """The answer has the id that old clients read, and what newer ones do."""
    status, answer = await ask(app, "POST", "/subjects/s/versions", {"schema": ' "string" '})

    assert 200 == status
    assert {
        "id": 1,
        "version": 1,
        "guid": "095d71cf-1255-6b9d-5e33-0ad575b3df5d",
        "schema": '"string"',
    } == answer


async def test_version_is_answered_whole(app: EmbeddedRegistry) -> None:
    """Type, references, metadata and rules are left out where there are none, and verbatim where there are."""
    metadata = {"properties": {"owner": "shop"}, "more": [1, {"deep": None}]}
    rules = {"domainRules": [{"name": "n", "kind": "CONDITION", "unknown": 1}], "x": True}
    reference = {"name": "R", "subject": "r", "version": 1}
    await register(app, "r", record())
    await register(app, "s", '{"type":"array","items":"R"}', references=[reference], metadata=metadata, ruleSet=rules)
    await register(app, "j", '{"type": "object"}', schemaType="JSON")
    _, plain = await ask(app, "GET", "/subjects/r/versions/1")
    _, rich = await ask(app, "GET", "/subjects/s/versions/latest")
    _, other = await ask(app, "GET", "/subjects/j/versions/-1")

    assert {"subject", "version", "id", "guid", "schema"} == set(plain)
    assert '{"type":"array","items":"R"}' == rich["schema"]
    assert [reference] == rich["references"]
    assert metadata == rich["metadata"]
    assert rules == rich["ruleSet"]
    assert ("JSON", '{"type":"object"}') == (other["schemaType"], other["schema"])


async def test_hundred_at_once_make_one_version(app: EmbeddedRegistry) -> None:
    """Many clients that register one schema at the same time all get the same id, and there is one version."""
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(register(app, "s", record())) for _ in range(100)]

    assert {1} == {task.result() for task in asked}
    assert (200, [1]) == await ask(app, "GET", "/subjects/s/versions")


@pytest.mark.parametrize(
    ("method", "path", "body", "answer"),
    [
        ("POST", "/subjects/s/versions", {}, error(42201, "Empty schema")),
        ("POST", "/subjects/s/versions", {"schema": ""}, error(42201, "Empty schema")),
        ("POST", "/subjects/__GLOBAL/versions", {}, error(42208, "The specified subject '__GLOBAL' is not a valid.")),
        ("POST", "/subjects/a%01b", {}, error(42208, "The specified subject 'a\x01b' is not a valid.")),
        ("POST", "/subjects/a%C2%9Bb", {}, error(42208, "The specified subject 'a\x9bb' is not a valid.")),
        ("PUT", "/config/:.%1B:", {}, error(42208, "The specified subject ':.\x1b:' is not a valid.")),
        ("POST", "/subjects/none", {"schema": '"int"'}, error(40401, "Subject 'none' not found.")),
        ("POST", "/subjects/s", {"schema": '"int"'}, error(40403, "Schema not found")),
        ("GET", "/subjects/none/versions", None, error(40401, "Subject 'none' not found.")),
        ("GET", "/subjects/none/versions/1", None, error(40401, "Subject 'none' not found.")),
        ("GET", "/subjects/none/versions/latest", None, error(40401, "Subject 'none' not found.")),
        ("GET", "/subjects/s/versions/9", None, error(40402, "Version 9 not found.")),
        ("DELETE", "/subjects/none", None, error(40401, "Subject 'none' not found.")),
        ("DELETE", "/subjects/s/versions/9", None, error(40402, "Version 9 not found.")),
        (
            "DELETE",
            "/subjects/s?permanent=true",
            None,
            error(40405, "Subject 's' was not deleted first before being permanently deleted"),
        ),
        (
            "DELETE",
            "/subjects/s/versions/1?permanent=true",
            None,
            error(40407, "Subject 's' Version 1 was not deleted first before being permanently deleted"),
        ),
        (
            "POST",
            "/compatibility/subjects/none/versions/3",
            {"schema": '"int"'},
            error(40401, "Subject 'none' not found."),
        ),
        ("POST", "/compatibility/subjects/s/versions/3", {"schema": '"int"'}, error(40402, "Version 3 not found.")),
        ("GET", "/subjects/none/metadata?key=a&value=b", None, error(40401, "Subject 'none' not found.")),
        ("GET", "/subjects/s/metadata?key=a&value=b", None, error(40402, "Version latest not found.")),
    ],
)
async def test_error_has_code_and_words_of_confluent(
    app: EmbeddedRegistry, method: str, path: str, body: Any, answer: tuple[int, Any]
) -> None:
    """Clients decide by code and status, and some read the words."""
    await register(app, "s", record())

    assert answer == await ask(app, method, path, body)


@pytest.mark.parametrize("version", ["0", "-2", "x", "2147483648", "99999999999999999999", "1.5", "٣"])
async def test_version_that_is_none_is_refused(app: EmbeddedRegistry, version: str) -> None:
    """A version is a number from 1 to 2^31-1, latest or -1."""
    status, answer = await ask(app, "GET", f"/subjects/s/versions/{version}")

    assert (422, 42202) == (status, answer["error_code"])


@pytest.mark.parametrize(
    "body",
    [
        {"schema": 3},
        {"schema": '"int"', "references": [{"name": "a"}]},
        {"schema": '"int"', "references": {"name": "a"}},
        {"schema": '"int"', "references": [{"name": "a", "subject": "s", "version": True}]},
        {"schema": '"int"', "metadata": {"properties": {"a": 1}}},
        {"schema": '"int"', "metadata": []},
        {"schema": '"int"', "ruleSet": {"domainRules": [{"params": {"a": []}}]}},
        {"schema": '"int"', "id": [1]},
        {"schema": '"int"', "schemaType": ["AVRO"]},
        [],
    ],
)
async def test_body_of_another_shape_is_refused(app: EmbeddedRegistry, body: Any) -> None:
    """What is no schema by its shape is the client's fault, and the answer says where."""
    status, answer = await ask(app, "POST", "/subjects/s/versions", body)

    assert (422, 422) == (status, answer["error_code"])


async def test_unknown_type_of_schema_is_refused(app: EmbeddedRegistry) -> None:
    """Only Avro, JSON Schema and Protobuf are known."""
    status, answer = await ask(app, "POST", "/subjects/s/versions", {"schema": '"int"', "schemaType": "THRIFT"})

    assert (422, 42201) == (status, answer["error_code"])
    assert "THRIFT" in answer["message"]


async def test_reference_to_nothing_is_refused(app: EmbeddedRegistry) -> None:
    """A schema may only lean on what is registered."""
    reference = {"name": "R", "subject": "r", "version": 1}
    body = {"schema": '{"type":"array","items":"R"}', "references": [reference]}
    status, answer = await ask(app, "POST", "/subjects/s/versions", body)

    assert (422, 42201) == (status, answer["error_code"])
    assert "subject 'r' version 1" in answer["message"]


@pytest.mark.parametrize("code", [409, 40901])
async def test_incompatible_schema_is_a_conflict(code: int) -> None:
    """The status is 409, the code that of the servers in use or, if asked for, of the newest; the words are matched."""
    app = EmbeddedRegistry(Store(incompatible_code=code))
    await register(app, "s", record())
    status, answer = await ask(app, "POST", "/subjects/s/versions", {"schema": record(a="int")})

    assert (409, code) == (status, answer["error_code"])
    assert answer["message"].startswith(
        'Schema being registered is incompatible with an earlier schema for subject "s", details: [/fields/0: '
    )


async def test_change_of_type_is_a_conflict(app: EmbeddedRegistry) -> None:
    """A subject stays with the type of its first schema."""
    await register(app, "s", record())
    status, _ = await ask(app, "POST", "/subjects/s/versions", {"schema": "{}", "schemaType": "JSON"})

    assert 409 == status


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("JSON", '{"type":"string"}', '{"type":"string","maxLength":3}'),
        ("PROTOBUF", "message A { optional int32 a = 1; }", "message A { optional string a = 1; }"),
    ],
)
async def test_every_type_is_checked(app: EmbeddedRegistry, kind: str, first: str, second: str) -> None:
    """JSON Schema and Protobuf are refused where they break readers, as Avro is."""
    await register(app, "s", first, schemaType=kind)
    status, answer = await ask(app, "POST", "/subjects/s/versions", {"schema": second, "schemaType": kind})

    assert 409 == status
    assert "reading version 1" in answer["message"]


async def test_soft_delete_hides_and_keeps(app: EmbeddedRegistry) -> None:
    """A deleted subject is not listed or found, its ids can still be read, and it comes back as a new version."""
    first = await register(app, "s", record())
    await register(app, "s", record(a=("int", 0)))

    assert (200, [1, 2]) == await ask(app, "DELETE", "/subjects/s")
    assert (200, []) == await ask(app, "GET", "/subjects")
    assert (200, ["s"]) == await ask(app, "GET", "/subjects?deleted=True")
    assert (200, ["s"]) == await ask(app, "GET", "/subjects?deletedOnly=true")
    assert 404 == (await ask(app, "GET", "/subjects/s/versions"))[0]
    assert (200, [1, 2]) == await ask(app, "GET", "/subjects/s/versions?deleted=true")
    assert 404 == (await ask(app, "GET", "/subjects/s/versions/1"))[0]
    assert 200 == (await ask(app, "GET", "/subjects/s/versions/1?deleted=true"))[0]
    assert 404 == (await ask(app, "POST", "/subjects/s", {"schema": record()}))[0]
    assert 200 == (await ask(app, "POST", "/subjects/s?deleted=true", {"schema": record()}))[0]
    assert 200 == (await ask(app, "GET", f"/schemas/ids/{first}"))[0]
    assert first == await register(app, "s", record())
    assert (200, [3]) == await ask(app, "GET", "/subjects/s/versions")
    assert (200, [1, 2]) == await ask(app, "GET", "/subjects/s/versions?deletedOnly=true")


async def test_compatibility_forgets_what_was_deleted(app: EmbeddedRegistry) -> None:
    """A deleted version binds nobody."""
    await register(app, "s", record())
    await ask(app, "DELETE", "/subjects/s/versions/1")

    await register(app, "s", record(a="int"))


async def test_permanent_delete_needs_the_soft_one(app: EmbeddedRegistry) -> None:
    """Deleting twice is refused, deleting for good removes the id, and the numbers begin anew."""
    await register(app, "s", record())
    await ask(app, "DELETE", "/subjects/s")

    assert 40404 == (await ask(app, "DELETE", "/subjects/s"))[1]["error_code"]
    assert (200, [1]) == await ask(app, "DELETE", "/subjects/s?permanent=TRUE")
    assert 40401 == (await ask(app, "DELETE", "/subjects/s?permanent=true"))[1]["error_code"]
    assert 404 == (await ask(app, "GET", "/schemas/ids/1"))[0]
    assert 2 == await register(app, "s", record())
    assert (200, [1]) == await ask(app, "GET", "/subjects/s/versions")


async def test_latest_of_a_deleted_subject_is_not_found(app: EmbeddedRegistry) -> None:
    """A subject whose versions are all hidden has no latest one, and they are found only by who asks for them."""
    await register(app, "s", record())
    await ask(app, "DELETE", "/subjects/s")

    assert error(40401, "Subject 's' not found.") == await ask(app, "GET", "/subjects/s/versions/latest")
    assert 200 == (await ask(app, "GET", "/subjects/s/versions/latest?deleted=true"))[0]


async def test_reference_means_the_context_of_its_schema(app: EmbeddedRegistry) -> None:
    """The same text with the same reference is another schema in another context, and is compared as such."""
    body = {"references": [{"name": "R", "subject": "r", "version": 1}]}
    await register(app, "r", record(a="int"))
    await register(app, "%3A.ctx%3Ar", record(a="string"))
    for subject in ("s", "%3A.ctx%3As"):
        await register(app, subject, '{"type":"array","items":"R"}', **body)
    narrower = '{"type":"array","items":{"type":"record","name":"R","fields":[{"name":"a","type":"string"}]}}'

    assert 409 == (await ask(app, "POST", "/subjects/s/versions", {"schema": narrower}))[0]
    assert 200 == (await ask(app, "POST", "/subjects/%3A.ctx%3As/versions", {"schema": narrower}))[0]


async def test_version_is_deleted_in_two_steps(app: EmbeddedRegistry) -> None:
    """One version is hidden, then removed; its number is not used again while others are there."""
    await register(app, "s", record())
    await register(app, "s", record(a=("int", 0)))

    assert (200, 2) == await ask(app, "DELETE", "/subjects/s/versions/latest")
    assert 40406 == (await ask(app, "DELETE", "/subjects/s/versions/2"))[1]["error_code"]
    assert (200, 1) == await ask(app, "DELETE", "/subjects/s/versions/-1")
    assert (200, 1) == await ask(app, "DELETE", "/subjects/s/versions/1?permanent=true")
    assert 40402 == (await ask(app, "DELETE", "/subjects/s/versions/1"))[1]["error_code"]
    await register(app, "s", record())
    assert (200, [3]) == await ask(app, "GET", "/subjects/s/versions")


@pytest.mark.parametrize("version", [1, -1])
async def test_what_others_refer_to_stays(app: EmbeddedRegistry, version: int) -> None:
    """A version that a schema refers to is found by that, and cannot be deleted before it."""
    await register(app, "r", record())
    reference = {"name": "R", "subject": "r", "version": version}
    referring = await register(app, "s", '{"type":"array","items":"R"}', references=[reference])

    assert (200, [referring]) == await ask(app, "GET", "/subjects/r/versions/1/referencedby")
    assert (200, []) == await ask(app, "GET", "/subjects/s/versions/1/referencedby")
    for path in ("/subjects/r", "/subjects/r/versions/1"):
        assert 42206 == (await ask(app, "DELETE", path))[1]["error_code"]
    for path in ("/subjects/s", "/subjects/s?permanent=true", "/subjects/r"):
        assert 200 == (await ask(app, "DELETE", path))[0]


async def test_check_names_each_problem(app: EmbeddedRegistry) -> None:
    """Against one version, the latest or all; with words if asked for, and none for a compatible schema."""
    await register(app, "s", record())
    await register(app, "s", record(a=("int", 0)))
    path = "/compatibility/subjects/s/versions"
    _, silent = await ask(app, "POST", f"{path}/1", {"schema": record(b="int")})
    _, told = await ask(app, "POST", f"{path}/1?verbose=true", {"schema": record(b="int")})
    _, latest = await ask(app, "POST", f"{path}/latest?verbose=true", {"schema": record(a="int")})
    _, everything = await ask(app, "POST", f"{path}?verbose=true", {"schema": record(a="int")})

    assert {"is_compatible": False} == silent
    assert ["/fields/0: READER_FIELD_MISSING_DEFAULT_VALUE"] == [each.rpartition(": ")[0] for each in told["messages"]]
    assert told["messages"][0].endswith("(new schema reading version 1)")
    assert {"is_compatible": True, "messages": []} == latest == everything


async def test_check_of_an_unknown_subject_is_no_conflict(app: EmbeddedRegistry) -> None:
    """Whatever is first is compatible."""
    for path in ("/compatibility/subjects/none/versions/latest", "/compatibility/subjects/none/versions"):
        assert (200, {"is_compatible": True}) == await ask(app, "POST", path, {"schema": '"int"'})


async def test_check_of_no_schema_is_told_in_words_or_refused(app: EmbeddedRegistry) -> None:
    """With words wanted, a text that is no schema is a problem like others; without, an error."""
    path = "/compatibility/subjects/s/versions/latest"
    _, told = await ask(app, "POST", f"{path}?verbose=true", {"schema": "{"})
    status, refused = await ask(app, "POST", path, {"schema": "{"})

    assert not told["is_compatible"]
    assert "no JSON" in told["messages"][0]
    assert (422, 42201) == (status, refused["error_code"])


async def test_subjects_are_listed_by_prefix_and_page(app: EmbeddedRegistry) -> None:
    """A prefix may name a context or all of them; pages follow the names."""
    for subject in ("a1", "b", "a2", "a3", "%3A.ctx%3Aa4"):
        await register(app, subject, record())

    assert ["a1", "a2", "a3", "b", ":.ctx:a4"] == (await ask(app, "GET", "/subjects"))[1]
    assert ["a2", "a3"] == (await ask(app, "GET", "/subjects?subjectPrefix=a&offset=1&limit=5"))[1]
    assert [":.ctx:a4"] == (await ask(app, "GET", "/subjects?subjectPrefix=:.ctx:"))[1]
    assert ["a1", "a2"] == (await ask(app, "GET", "/subjects?subjectPrefix=:*:a&limit=2"))[1]
    assert 404 == (await ask(app, "GET", "/subjects?limit=x"))[0]


async def test_normalizing_makes_one_schema_of_two(app: EmbeddedRegistry) -> None:
    """With normalize, the order of unknown properties and of references makes no other schema."""
    one = '{"type":"string","b":{"y":1,"x":2},"a":1}'
    other = '{"a":1,"type":"string","b":{"x":2,"y":1}}'
    await ask(app, "PUT", "/config", {"compatibility": "NONE"})
    plain = [await register(app, "plain", text) for text in (one, other)]
    normal = [
        (await ask(app, "POST", "/subjects/n/versions?normalize=True", {"schema": s}))[1]["id"] for s in (one, other)
    ]
    await ask(app, "PUT", "/config/c", {"normalize": True})
    configured = [await register(app, "c", text) for text in (one, other)]

    assert plain[0] != plain[1]
    assert {normal[0]} == {*normal, *configured}
    assert 200 == (await ask(app, "POST", "/subjects/n?normalize=true", {"schema": other}))[0]


async def test_latest_with_metadata_is_found(app: EmbeddedRegistry) -> None:
    """The newest version that has all the properties is answered; quotes around them do not count."""
    for owner in ("a", "b", "a"):
        text = record(**{f"f{owner}{len(owner)}": ("int", 0)})
        await register(app, "s", text, metadata={"properties": {"owner": owner, "tier": "1"}})
    _, found = await ask(app, "GET", '/subjects/s/metadata?key="owner"&value="a"&key=tier&value=1')

    assert 1 == found["version"]


async def test_schema_of_a_version_is_answered_alone(app: EmbeddedRegistry) -> None:
    """The text of the schema is the whole answer."""
    await register(app, "s", '{"type": "string", "p": 1}')

    assert (200, {"type": "string", "p": 1}) == await ask(app, "GET", "/subjects/s/versions/latest/schema")
