"""The client, in front of servers that behave and servers that do not."""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import trustme
from structlog.testing import capture_logs

from eventhub.errors import IncompatibleSchema, InvalidSchema, RegistryError, SchemaNotFound
from eventhub.registry.auth import Basic, Bearer
from eventhub.registry.base import Compatibility, Reference, RegisteredSchema, Schema, SchemaType
from eventhub.registry.client import HttpSchemaRegistry, embedded_registry
from eventhub.registry.embedded.app import EmbeddedRegistry
from tests.registry.embedded.asking import ask, record, register
from tests.registry.scripted import Script, Step, answer, canned, drip, drop, flood, hang, scripted

pytestmark = pytest.mark.anyio

_CONFIG = answer(200, {"compatibilityLevel": "BACKWARD"})
_SCHEMA = Schema('"string"')
_NO_SUBJECT = {"error_code": 40401, "message": "Subject 's' not found."}
_NO_VERSION = {"error_code": 40402, "message": "Version 2 not found."}


@pytest.fixture
async def client_of() -> AsyncIterator[Callable[..., HttpSchemaRegistry]]:
    """Makes clients that are closed at the end of the test."""
    clients: list[HttpSchemaRegistry] = []

    def make(urls: Any, **options: Any) -> HttpSchemaRegistry:
        clients.append(HttpSchemaRegistry(urls, **options))
        return clients[-1]

    yield make
    for client in clients:
        await client.stop()


def _canned(status: int, body: Any) -> HttpSchemaRegistry:
    return HttpSchemaRegistry("http://registry", transport=httpx.ASGITransport(canned(status, body)))


async def _dead_url() -> str:
    """An address where nobody listens."""
    async with scripted(drop) as script:
        return script.url


# --- answers ----------------------------------------------------------------------------------------------------------


async def test_old_answer_to_register_is_completed_by_a_look_up(client_of: Callable[..., HttpSchemaRegistry]) -> None:
    """A server that tells only the id is asked for the version too."""
    found = answer(200, {"subject": "s", "id": 7, "version": 3, "schema": '"string"'})
    async with scripted(answer(200, {"id": 7}), found) as script:
        registered = await client_of(script.url).register("s", _SCHEMA)

    assert RegisteredSchema(_SCHEMA, 7, "s", 3) == registered
    assert ["POST /subjects/s/versions", "POST /subjects/s"] == script.paths


@pytest.mark.parametrize(
    ("status", "body", "error", "retriable"),
    [
        (404, {"error_code": 40403, "message": "Schema not found"}, SchemaNotFound, True),
        (404, None, RegistryError, True),
        (404, b"404 page not found", RegistryError, True),
        (404, {"error_code": 404, "message": "HTTP 404 Not Found"}, RegistryError, True),
        (422, {"error_code": 42201, "message": "Invalid schema"}, RegistryError, False),
        (422, None, RegistryError, False),
        (422, {"error_code": 42205, "message": "read-only"}, RegistryError, False),
        (401, {"error_code": 401, "message": "Unauthorized"}, RegistryError, False),
        (403, None, RegistryError, False),
        (500, {"error_code": 0, "message": "unknown type"}, RegistryError, False),
        (302, None, RegistryError, False),
        (200, None, RegistryError, False),
        (204, None, RegistryError, False),
        (200, b"<html>login</html>", RegistryError, False),
        (200, [], RegistryError, False),
        (200, {"schema": 3}, RegistryError, False),
        (200, {"schema": "{}", "schemaType": "THRIFT"}, RegistryError, False),
        (200, {"schema": "{}", "references": [{"name": 3}]}, RegistryError, False),
        (200, {"schema": "{}", "references": 3}, RegistryError, False),
        (200, b"[" * 100_000, RegistryError, False),
    ],
)
async def test_answer_is_judged_by_status_and_code(
    status: int, body: Any, error: type[Exception], retriable: bool | None
) -> None:
    """Whatever the body is, empty or no JSON, the error is one of ours and says whether waiting may help."""
    with pytest.raises(error) as raised:
        await _canned(status, body).schema(1)

    assert error is type(raised.value)
    assert retriable == getattr(raised.value, "retriable", None)
    assert "http://registry/schemas/ids/1" in str(raised.value)


@pytest.mark.parametrize("code", [42201, None])
async def test_only_a_schema_that_is_sent_can_be_invalid(code: int | None) -> None:
    """One that is asked for is on topics already: whatever a server says of it, no record is to blame."""
    registry = _canned(422, None if code is None else {"error_code": code, "message": "Invalid schema"})
    with pytest.raises(InvalidSchema):
        await registry.register("s", _SCHEMA)
    with pytest.raises(RegistryError):
        await registry.schema(1)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"error_code": 40403, "message": "Schema not found"}, SchemaNotFound),
        (None, SchemaNotFound),
        ({"error_code": 404, "message": "HTTP 404 Not Found"}, SchemaNotFound),
        (b"default backend - 404", RegistryError),
    ],
)
async def test_registry_without_guids_knows_no_guid(body: Any, error: type[Exception]) -> None:
    """It has no such path, which it says in its own way; a page of a proxy is no answer."""
    with pytest.raises(RegistryError) as raised:
        await _canned(404, body).schema_by_guid("e3cfa3e5-8c08-aa5b-2333-8f7a452ad1d5")

    assert error is type(raised.value)


async def test_proxy_without_its_registry_is_not_taken_for_an_empty_one() -> None:
    """Nothing would be checked against versions that are only out of sight."""
    for call in ("versions", "version_numbers", "version", "lookup"):
        with pytest.raises(RegistryError, match="what stands in front") as raised:
            await getattr(_canned(404, b"<html>"), call)(*("s", _SCHEMA)[: 2 if call == "lookup" else 1])

        assert RegistryError is type(raised.value)


async def test_error_tells_what_the_server_said() -> None:
    """Status, code and address are facts of the error, and the words of the server are shortened."""
    with pytest.raises(RegistryError) as raised:
        await _canned(422, {"error_code": 42205, "message": "Subject s\nis " + "x" * 10_000}).schema(1)

    error = raised.value
    assert (422, 42205, "http://registry/schemas/ids/1") == (error.status, error.code, error.url)
    assert "Subject s is xxx" in str(error)
    assert len(str(error)) < 3_000


@pytest.mark.parametrize(
    ("status", "hint"), [(401, "check user and password"), (403, "lacks the right"), (301, "give the final address")]
)
async def test_error_tells_what_to_try(status: int, hint: str) -> None:
    """Where the status says what is wrong, the message says what to do."""
    with pytest.raises(RegistryError, match=hint):
        await _canned(status, None).schema(1)


@pytest.mark.parametrize("call", ["lookup", "versions", "check", "register"])
async def test_refusal_of_every_call_is_an_error(call: str) -> None:
    """A server that forbids a call is not taken for one that has nothing to say."""
    registry = _canned(403, None)
    with pytest.raises(RegistryError, match="lacks the right to do this"):
        await getattr(registry, call)(*("s", _SCHEMA)[: 1 if call == "versions" else 2])


@pytest.mark.parametrize("call", ["lookup", "versions", "check", "register"])
@pytest.mark.parametrize(
    "body", [None, b"<html>", {"a": 1}, *({"id": odd, "version": 1} for odd in ("x", 0, -1, 1 << 31, 10**30, True))]
)
async def test_answer_of_another_kind_is_an_error(call: str, body: Any) -> None:
    """A server that is no Schema Registry is found out by every call."""
    registry = _canned(200, body)
    with pytest.raises(RegistryError, match="with what no Schema Registry says"):
        await getattr(registry, call)(*("s", _SCHEMA)[: 1 if call == "versions" else 2])


@pytest.mark.parametrize("version", [0, -1, True, "1", 1 << 31])
async def test_version_that_is_none_is_an_error(version: Any) -> None:
    """Nothing could be asked of it."""
    for body in ({"id": 1, "version": version, "schema": _SCHEMA.text}, [version]):
        with pytest.raises(RegistryError, match="with what no Schema Registry says"):
            await (
                _canned(200, body).version_numbers("s") if isinstance(body, list) else _canned(200, body).version("s")
            )


async def test_more_versions_than_can_be_looked_at_are_an_error() -> None:
    """Each would cost a request."""
    most = list(range(1, 10_001))

    assert most == list(await _canned(200, most).version_numbers("s"))
    with pytest.raises(RegistryError, match="with what no Schema Registry says"):
        await _canned(200, [*most, 10_001]).version_numbers("s")


@pytest.mark.parametrize("body", [b"<html>", None, [], {"compatibilityLevel": "SIDEWAYS"}, {"compatibilityLevel": 7}])
async def test_nonsense_is_no_level(body: Any) -> None:
    """What would be allowed must not be guessed."""
    with pytest.raises(RegistryError, match="with what no Schema Registry says"):
        await _canned(200, body).level("s")


@pytest.mark.parametrize("body", [b"<html>", None, []])
async def test_nonsense_is_no_mode(body: Any) -> None:
    """It is not taken for a server without modes."""
    with pytest.raises(RegistryError, match="with what no Schema Registry says"):
        await _canned(200, body).mode("s")


async def test_config_without_a_level_has_that_of_the_registry(client_of: Callable[..., HttpSchemaRegistry]) -> None:
    """A subject may set other things alone."""
    async with scripted(answer(200, {"normalize": True}), answer(200, {"compatibilityLevel": "FULL"})) as script:
        assert Compatibility.FULL is await client_of(script.url).level("s")


@pytest.mark.parametrize("guid", ["no guid", 7, "e3cfa3e5-8c08-aa5b-2333", ""])
async def test_guid_that_is_none_counts_as_none(guid: Any) -> None:
    """A header could not hold it, so records are told by their ids."""
    registry = _canned(200, {"id": 1, "version": 1, "schema": _SCHEMA.text, "guid": guid})

    assert (1, None) == ((version := await registry.lookup("s", _SCHEMA)).id, version.guid)


async def test_subject_that_is_no_text_is_not_found(app: EmbeddedRegistry) -> None:
    """Half of a surrogate pair, from a shell or from another registry, is a name that nobody has."""
    registry = embedded_registry(app)

    assert () == await registry.version_numbers("\ud800")


@pytest.mark.parametrize("subject", [".", "..", "../a", "a/..", "%2E"])
async def test_path_goes_nowhere_but_to_its_subject(app: EmbeddedRegistry, subject: str) -> None:
    """Dots and slashes are letters of a name, and one subject of such a name is no reason to list none."""
    registry = embedded_registry(app)
    await registry.register(subject, _SCHEMA)

    assert subject in await registry.subjects()
    assert [1] == await registry.version_numbers(subject)


async def test_host_that_is_none_is_told_as_others_are(client_of: Callable[..., HttpSchemaRegistry]) -> None:
    """What the library below makes of its name is the reason."""
    registry = client_of("http://xn--:80", timeout=0.2)
    with pytest.raises(RegistryError, match=r"http://xn--:80: \w+"):
        await registry.start()


# --- incompatibility --------------------------------------------------------------------------------------------------


@pytest.fixture
async def app() -> EmbeddedRegistry:
    """A registry with a subject of one version."""
    app = EmbeddedRegistry()
    await register(app, "s", record())
    return app


class _Silent:
    """A registry that gives no reasons, as Apicurio's does; or, like others, cannot check against all versions."""

    def __init__(self, app: EmbeddedRegistry, *, check: int = 200) -> None:
        self._app = app
        self._check = check

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].startswith("/compatibility"):
            body = {"is_compatible": False} if self._check == 200 else None
            await canned(self._check, body)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


@pytest.mark.parametrize("check", [200, 404, 405])
async def test_silent_server_is_explained_by_our_own_checker(app: EmbeddedRegistry, check: int) -> None:
    """Where the server gives no reason, the registered versions and the level do."""
    registry = HttpSchemaRegistry("http://registry", transport=httpx.ASGITransport(_Silent(app, check=check)))
    problems = await registry.check("s", Schema(record(a="int")))
    with pytest.raises(IncompatibleSchema, match="field 'a' has no default") as refused:
        await registry.register("s", Schema(record(a="int")))

    assert 1 == len(problems)
    assert tuple(problems) == refused.value.problems


async def test_references_are_fetched_for_the_explanation(app: EmbeddedRegistry) -> None:
    """What a schema leans on is read from the registry, whatever depth it has."""
    reference = Reference("R", "s", 1)
    text = '{"type":"record","name":"%s","fields":[{"name":"r","type":"%s"}%s]}'
    await register(app, "mid", text % ("M", "R", ""), references=[{"name": "R", "subject": "s", "version": 1}])
    leaning = (Reference("M", "mid", 1),)
    registry = HttpSchemaRegistry("http://registry", transport=httpx.ASGITransport(_Silent(app)))
    await registry.register("top", Schema(text % ("T", "M", ""), references=leaning))
    problems = await registry.check("top", Schema(text % ("T", "M", ',{"name":"x","type":"int"}'), references=leaning))

    assert reference == (await registry.versions("mid"))[0].schema.references[0]
    assert ["/fields/1: READER_FIELD_MISSING_DEFAULT_VALUE"] == [each.partition(": field")[0] for each in problems]


async def test_refusal_that_nobody_can_explain_is_still_one(app: EmbeddedRegistry) -> None:
    """A server may know better than we; then the problem is that it says so."""
    registry = HttpSchemaRegistry("http://registry", transport=httpx.ASGITransport(_Silent(app)))
    problems = await registry.check("s", Schema(record(a=("int", 0))))

    assert ["the registry at http://registry/compatibility/subjects/s/versions calls the schema incompatible and"] == [
        each.rpartition(" gives")[0] for each in problems
    ]


async def test_level_of_the_subject_decides_the_explanation(app: EmbeddedRegistry) -> None:
    """Our checker asks for the level in force: the subject's own, or the registry's."""
    registry = HttpSchemaRegistry("http://registry", transport=httpx.ASGITransport(_Silent(app, check=404)))
    backward = await registry.check("s", Schema(record(a="int")))
    await ask(app, "PUT", "/config", {"compatibility": "FORWARD"})
    forward = await registry.check("s", Schema(record(a="int")))
    await ask(app, "PUT", "/config/s", {"compatibility": "NONE"})
    none = await registry.check("s", Schema(record("Other", b="int")))

    assert 1 == len(backward)
    assert not forward
    assert not none


async def test_subjects_are_listed_by_prefix() -> None:
    """Whether the server filters or not, only those that were asked for are listed."""
    app = EmbeddedRegistry()
    for subject in ("b", "a2", "a1"):
        await register(app, subject, record())

    assert ["a1", "a2", "b"] == await embedded_registry(app).subjects()
    assert ["a1", "a2"] == await embedded_registry(app).subjects("a")
    assert ["a1"] == await _canned(200, ["b", "a1"]).subjects("a")
    for status, body in ((200, {}), (200, [1]), (403, None)):
        with pytest.raises(RegistryError, match="http://registry/subjects"):
            await _canned(status, body).subjects()


async def test_versions_are_had_one_by_one_and_deleted_ones_if_asked_for(app: EmbeddedRegistry) -> None:
    """What is soft-deleted is not there, unless somebody wants to see it."""
    registry = embedded_registry(app)
    for fields in ({}, {"a": "string"}):
        await registry.register("s", Schema(record(**fields)))
        await ask(app, "PUT", "/config/s", {"compatibility": "NONE"})
    await ask(app, "DELETE", "/subjects/s/versions/2")
    with pytest.raises(SchemaNotFound):
        await registry.version("s", 2)

    assert ([1], [1, 2]) == (await registry.version_numbers("s"), await registry.version_numbers("s", deleted=True))
    assert (1, 2) == ((await registry.version("s")).version, (await registry.version("s", 2, deleted=True)).version)
    assert [] == list(await registry.version_numbers("nowhere"))
    with pytest.raises(RegistryError, match="no Schema Registry says"):
        await _canned(200, ["1"]).version_numbers("s")


async def test_deleted_subjects_are_listed_if_asked_for(app: EmbeddedRegistry) -> None:
    """Their names are still taken."""
    registry = embedded_registry(app)
    await register(app, "s", record())
    await ask(app, "DELETE", "/subjects/s")

    assert ([], ["s"]) == (await registry.subjects(), await registry.subjects(deleted=True))


async def test_mode_is_told_where_there_are_modes(app: EmbeddedRegistry) -> None:
    """A server without modes is no error, one that fails is."""
    before = await embedded_registry(app).mode("s")
    await ask(app, "PUT", "/mode", {"mode": "READONLY"})

    assert ("READWRITE", "READONLY") == (before, await embedded_registry(app).mode("s"))
    assert None is await _canned(404, None).mode("s")
    with pytest.raises(RegistryError, match="check user"):
        await _canned(401, None).mode("s")


# --- warnings ---------------------------------------------------------------------------------------------------------


async def test_registry_that_checks_nothing_is_warned_of(app: EmbeddedRegistry) -> None:
    """A level of NONE lets every schema pass; a start says so once."""
    await ask(app, "PUT", "/config", {"compatibility": "NONE"})
    with capture_logs() as logs:
        await embedded_registry(app).start()

    assert [("eventhub.registry_checks_nothing", "warning")] == [(log["event"], log["log_level"]) for log in logs]


async def test_schema_that_comes_back_changed_is_warned_of(client_of: Callable[..., HttpSchemaRegistry]) -> None:
    """Some registries take a schema for another one that differs in aliases or docs; whoever renames has to know."""
    changed = answer(200, {"id": 1, "version": 1, "schema": '"bytes"'})
    written = answer(200, {"id": 2, "version": 1, "schema": ' { "type" : "string" } '})
    async with scripted(changed, written) as script:
        registry = client_of(script.url)
        with capture_logs() as logs:
            await registry.register("s", _SCHEMA)
            await registry.register("other", _SCHEMA)

    assert [("eventhub.registry_schema_differs", "s", 1)] == [
        (log["event"], log["subject"], log["schema_id"]) for log in logs
    ]


# --- what is remembered -----------------------------------------------------------------------------------------------


class _Counting:
    """A registry that counts its requests."""

    def __init__(self) -> None:
        self.app = EmbeddedRegistry()
        self.requests: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.requests.append(f"{scope['method']} {scope['path']}")
        await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=0)
        await self.app(scope, receive, send)


@pytest.fixture
def counting() -> _Counting:
    """A registry that counts its requests."""
    return _Counting()


@pytest.fixture
def counted(counting: _Counting) -> HttpSchemaRegistry:
    """A client of it."""
    return HttpSchemaRegistry("http://registry", transport=httpx.ASGITransport(counting))


async def test_hundred_look_ups_of_an_unknown_id_are_one_request(
    counting: _Counting, counted: HttpSchemaRegistry
) -> None:
    """Many who ask at once share the answer, and those who ask again at once get it too."""
    asked = [counted.schema(9) for _ in range(100)]
    errors = await asyncio.gather(*asked, counted.schema(9), return_exceptions=True)
    with pytest.raises(SchemaNotFound):
        await counted.schema(9)

    assert all(isinstance(error, SchemaNotFound) for error in errors)
    assert ["GET /schemas/ids/9"] == counting.requests


async def test_warm_client_asks_nothing(counting: _Counting, counted: HttpSchemaRegistry) -> None:
    """What was registered, looked up or read once costs no request."""
    registered = await counted.register("s", _SCHEMA)
    await counted.lookup("s", _SCHEMA)
    assert registered.guid is not None
    await counted.schema_by_guid(registered.guid)
    cold = len(counting.requests)
    for _ in range(3):
        await counted.register("s", _SCHEMA)
        await counted.lookup("s", _SCHEMA)
        await counted.schema(registered.id)
        await counted.schema_by_guid(registered.guid)

    assert 2 == cold
    assert cold == len(counting.requests)


async def test_what_was_looked_for_in_vain_is_found_once_registered(counted: HttpSchemaRegistry) -> None:
    """Registering ends the memory of an absence."""
    with pytest.raises(SchemaNotFound):
        await counted.lookup("s", _SCHEMA)
    registered = await counted.register("s", _SCHEMA)

    assert registered == await counted.lookup("s", _SCHEMA)


async def test_fifty_registrations_at_once_are_one_request(counting: _Counting, counted: HttpSchemaRegistry) -> None:
    """The same schema under the same subject is sent once."""
    registered = await asyncio.gather(*[counted.register("s", _SCHEMA) for _ in range(50)])

    assert 1 == len(set(registered))
    assert ["POST /subjects/s/versions"] == counting.requests


# --- faults of the network --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [hang, drip, drop, answer(503), answer(429), answer(500, None), answer(408)])
async def test_server_that_never_answers_properly_is_given_up_in_time(
    step: Step, client_of: Callable[..., HttpSchemaRegistry]
) -> None:
    """Silent, dripping, dropping or always busy: one error by the deadline, which says that it may be retried."""
    async with scripted(step) as script:
        began = time.monotonic()
        with pytest.raises(RegistryError, match=r"no proper answer within 0\.3 s") as raised:
            await client_of(script.url, timeout=0.3).schema(1)
        took = time.monotonic() - began

    assert took < 1
    assert raised.value.retriable
    assert type(raised.value) is RegistryError
    assert script.url in str(raised.value)


async def test_flood_is_cut_off(client_of: Callable[..., HttpSchemaRegistry]) -> None:
    """An answer of 10 GiB is read up to the bound, not retried, and refused."""
    async with scripted(flood) as script:
        with pytest.raises(RegistryError, match="more than 4194304 bytes") as raised:
            await client_of(script.url).schema(1)

    assert not raised.value.retriable
    assert 1 == len(script.requests)


async def test_redirect_is_not_followed(client_of: Callable[..., HttpSchemaRegistry]) -> None:
    """A redirect would carry the credentials elsewhere."""
    async with scripted(_CONFIG) as elsewhere, scripted(answer(302, None, f"location: {elsewhere.url}")) as script:
        with pytest.raises(RegistryError, match="redirects are not followed"):
            await client_of(script.url).schema(1)

    assert [] == elsewhere.requests


async def test_proxy_of_the_environment_is_not_used(
    client_of: Callable[..., HttpSchemaRegistry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands in HTTP_PROXY sees no schema and no password."""
    async with scripted(_CONFIG) as script:
        monkeypatch.setenv("HTTP_PROXY", await _dead_url())
        monkeypatch.setenv("ALL_PROXY", await _dead_url())
        await client_of(script.url, timeout=1).start()

    assert ["GET /config"] == script.paths


async def test_busy_server_is_asked_again_when_it_says(client_of: Callable[..., HttpSchemaRegistry]) -> None:
    """A retriable answer is retried after a wait, at least as long as the server asks for."""
    async with scripted(answer(503, None, "retry-after: 1"), answer(200, {"schema": '"int"'})) as script:
        began = time.monotonic()
        schema = await client_of(script.url).schema(1)
        took = time.monotonic() - began

    assert Schema('"int"') == schema
    assert took >= 1


@pytest.mark.parametrize("first", [None, hang, drop, answer(503)])
async def test_second_address_answers_and_is_kept(
    first: Step | None, client_of: Callable[..., HttpSchemaRegistry]
) -> None:
    """If the first address is dead or silent the second answers within 1.5 s, and the next call goes to it at once."""
    good = answer(200, {"schema": '"int"'})
    async with scripted(first or drop) as bad, scripted(good) as script:
        registry = client_of([bad.url if first else await _dead_url(), script.url])
        began = time.monotonic()
        await registry.schema(1)
        switched = time.monotonic() - began
        await registry.schema(2)
        kept = time.monotonic() - began - switched

    assert switched < 1.5
    assert kept < 0.5
    assert len(bad.requests) == (1 if first else 0)


async def test_start_names_every_address_and_what_to_try(client_of: Callable[..., HttpSchemaRegistry]) -> None:
    """A registry that cannot be reached is one error, without the password."""
    dead = [await _dead_url(), await _dead_url()]
    registry = client_of([url.replace("//", "//ada:secret@") for url in dead], timeout=0.2)
    with pytest.raises(RegistryError, match="check that it runs, that the address is right") as raised:
        await registry.start()

    assert ",".join(dead) == registry.url
    assert all(f"{url}: ConnectError" in str(raised.value) for url in dead)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(("status", "body"), [(200, {"a": 1}), (200, b"<html>"), (404, None), (401, None)])
async def test_start_finds_out_what_is_no_registry(status: int, body: Any) -> None:
    """An answer alone is not enough; it has to be a registry's."""
    with pytest.raises(RegistryError, match="http://registry/config"):
        await _canned(status, body).start()


async def test_start_does_not_need_the_right_to_read_the_config() -> None:
    """A registry that forbids the question is there."""
    await _canned(403, None).start()


# --- who we are -------------------------------------------------------------------------------------------------------


def _authorization(script: Script) -> list[str]:
    lines = [line for request in script.requests for line in request.splitlines()]
    return [line.partition(": ")[2] for line in lines if line.lower().startswith("authorization:")]


def _basic(user: str) -> str:
    return f"Basic {base64.b64encode(user.encode()).decode()}"


async def test_user_stands_in_the_address_or_in_arguments(client_of: Callable[..., HttpSchemaRegistry]) -> None:
    """The user in an address is decoded and used for it alone; elsewhere that of the arguments is."""
    async with scripted(answer(503)) as one, scripted(_CONFIG) as other:
        urls = [one.url.replace("//", "//ada%40x:p%2Fw@"), other.url]
        await client_of(urls, auth=Basic("bob", "pw")).start()

    assert [_basic("ada@x:p/w")] == _authorization(one)
    assert [_basic("bob:pw")] == _authorization(other)


async def test_token_is_refreshed_once(client_of: Callable[..., HttpSchemaRegistry]) -> None:
    """A token that is no longer taken is replaced and the request repeated; a second 401 is an error."""
    tokens = iter(["first", "second", "third"])

    async def token() -> str:
        return next(tokens)

    async with scripted(_CONFIG, answer(401), _CONFIG, answer(401)) as script:
        registry = client_of(script.url, auth=Bearer(token))
        await registry.start()
        await registry.start()
        with pytest.raises(RegistryError, match="check user and password, or the token") as refused:
            await registry.start()

    assert ["first", "first", "second", "second", "third"] == [
        each.removeprefix("Bearer ") for each in _authorization(script)
    ]
    assert 401 == refused.value.status


async def test_token_that_cannot_be_had_is_the_registrys_fault(client_of: Callable[..., HttpSchemaRegistry]) -> None:
    """Whatever goes wrong, the error is one that may be retried, blames no record, and keeps the text to itself."""

    async def token() -> str:
        msg = "down, asked with client_secret=hush"
        raise ValueError(msg)

    with pytest.raises(RegistryError, match="no token for the schema registry: ValueError;") as raised:
        await client_of("http://127.0.0.1:1", auth=Bearer(token)).start()

    assert raised.value.retriable
    assert "hush" not in str(raised.value)


async def test_token_that_no_header_can_hold_is_not_shown(client_of: Callable[..., HttpSchemaRegistry]) -> None:
    """A token with the end of its line is refused without telling it."""
    with pytest.raises(RegistryError, match="letters that no header can") as raised:
        await client_of("http://127.0.0.1:1", auth=Bearer("secret\n")).start()

    assert "secret" not in str(raised.value)


async def test_fixed_token_is_sent_and_not_retried(client_of: Callable[..., HttpSchemaRegistry]) -> None:
    """Where there is no way to get another token, 401 is an error at once."""
    async with scripted(answer(401)) as script:
        with pytest.raises(RegistryError):
            await client_of(script.url, auth=Bearer("fixed")).start()

    assert ["Bearer fixed"] == _authorization(script)


async def test_headers_of_the_user_are_sent(client_of: Callable[..., HttpSchemaRegistry]) -> None:
    """What a hosted registry asks for can be given."""
    async with scripted(_CONFIG) as script:
        await client_of(script.url, headers={"target-sr-cluster": "lsrc-1"}).start()

    assert "target-sr-cluster: lsrc-1" in script.requests[0]


async def test_server_and_client_prove_themselves_by_certificates(
    client_of: Callable[..., HttpSchemaRegistry],
) -> None:
    """With a context of one's own both sides are checked; without, an unknown authority is refused."""
    authority = trustme.CA()
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.verify_mode = ssl.CERT_REQUIRED
    authority.issue_cert("localhost").configure_cert(serving)
    authority.configure_trust(serving)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    authority.issue_cert("client").configure_cert(trusting)
    async with scripted(_CONFIG, tls=serving) as script:
        await client_of(script.url, tls=trusting).start()
        with pytest.raises(RegistryError, match="CERTIFICATE_VERIFY_FAILED"):
            await client_of(script.url, timeout=0.3).schema(1)

    assert ["GET /config"] == script.paths


# --- what is sent -----------------------------------------------------------------------------------------------------


async def test_canonical_text_is_sent(app: EmbeddedRegistry) -> None:
    """A schema has one text whoever wrote it, so that it has one id; what we cannot read goes as it is."""
    registry = embedded_registry(app)
    spaced = await registry.register("a", Schema(' {"name":"X", "type":"record", "fields":[]} '))
    leaning = Schema('{ "type":"array", "items":"R"}', references=(Reference("R", "s", 1),))
    registered = await registry.register("b", leaning)
    other = await registry.register("c", Schema('{ "type": "object" }', SchemaType.JSON))

    assert '{"type":"record","name":"X","fields":[]}' == spaced.schema.text
    assert '{"type":"array","items":"R"}' == registered.schema.text
    assert ('{"type":"object"}', SchemaType.JSON) == (other.schema.text, other.schema.type)


async def test_version_that_may_not_be_read_is_an_error(client_of: Callable[..., HttpSchemaRegistry]) -> None:
    """What is forbidden is not gone."""
    async with scripted(answer(200, [1]), answer(403)) as script:
        with pytest.raises(RegistryError, match="lacks the right"):
            await client_of(script.url).versions("s")


@pytest.mark.parametrize(("config", "problems"), [(404, 1), (403, None)])
async def test_level_that_is_not_told(
    client_of: Callable[..., HttpSchemaRegistry], config: int, problems: int | None
) -> None:
    """Where no level is set it is BACKWARD; where it may not be read the explanation is an error."""
    version = answer(200, {"id": 1, "version": 1, "schema": '"int"'})
    async with scripted(answer(404, _NO_SUBJECT), answer(200, [1]), version, answer(config)) as script:
        registry = client_of(script.url)
        if problems is None:
            with pytest.raises(RegistryError, match="lacks the right"):
                await registry.check("s", _SCHEMA)
        else:
            assert problems == len(await registry.check("s", _SCHEMA))


async def test_version_that_goes_meanwhile_is_left_out(client_of: Callable[..., HttpSchemaRegistry]) -> None:
    """Between listing versions and reading them one may be deleted."""
    first = answer(200, {"id": 1, "version": 1, "schema": '"int"'})
    async with scripted(answer(200, [1, 2]), first, answer(404, _NO_VERSION)) as script:
        versions = await client_of(script.url).versions("s")

    assert [1] == [version.version for version in versions]
