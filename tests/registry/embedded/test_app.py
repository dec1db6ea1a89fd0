"""The registry as an ASGI application."""

from __future__ import annotations

import base64
from collections.abc import MutableMapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.errors import DeclarationError
from eventhub.registry.embedded.app import BODY_BYTES, CONTENT_TYPE, Credentials, EmbeddedRegistry
from eventhub.registry.embedded.routes import find
from eventhub.registry.embedded.store import Store
from tests.registry.embedded.asking import ask, error, record, register

pytestmark = pytest.mark.anyio

_CREDENTIALS = Credentials(token="token", username="ada", password="secret")  # noqa: S106 - no secrets


@pytest.fixture
def app() -> EmbeddedRegistry:
    """An empty registry."""
    return EmbeddedRegistry()


@pytest.mark.parametrize("path", ["/nope", "/subjects/a/b", "/subjects/a/versions/1/tags", "/dek-registry/v1/keks"])
async def test_unknown_route_is_answered_in_confluents_shape(app: EmbeddedRegistry, path: str) -> None:
    """Clients read the body of a 404 even where there is no such route."""
    assert error(404, "HTTP 404 Not Found") == await ask(app, "GET", path)


async def test_known_route_refuses_other_methods(app: EmbeddedRegistry) -> None:
    """A method that a route has not is told apart from a route that is not there."""
    assert error(405, "HTTP 405 Method Not Allowed") == await ask(app, "PATCH", "/subjects")


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("GET", "/", {}),
        ("POST", "/", {}),
        ("GET", "/subjects/", []),
        ("GET", "/associations/resources/-/orders?resourceType=topic", []),
        ("GET", "/v1/metadata/id", {"scope": {"path": [], "clusters": {}}, "id": ""}),
        ("GET", "/v1/metadata/version", {"version": "eventhub", "commitId": ""}),
        ("HEAD", "/subjects", None),
    ],
)
async def test_what_clients_ask_before_they_begin_is_answered(
    app: EmbeddedRegistry, method: str, path: str, answer: Any
) -> None:
    """The root, the associations of a topic and the identity of the server are there, with a slash at the end too."""
    assert (200, answer) == await ask(app, method, path)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/octet-stream"}, 200),
        ({"content-type": f"{CONTENT_TYPE}; charset=utf-8"}, 200),
        ({"accept": "text/html"}, 406),
        ({"accept": "text/html, application/vnd.schemaregistry+json;q=0.9"}, 200),
        ({"accept": "application/*"}, 200),
        ({"accept": ""}, 200),
    ],
)
async def test_types_of_content_are_those_of_clients(
    app: EmbeddedRegistry, headers: dict[str, str], status: int
) -> None:
    """JSON under any of its names is read and written, nothing else."""
    got, answer = await ask(app, "POST", "/subjects/s/versions", {"schema": '"int"'}, headers)

    assert status == got
    assert got == 200 or got == answer["error_code"]


@pytest.mark.parametrize("body", [b"{", b"\xff", b"nope", b'{"schema":"\\ud800"}', b"[" * 100_000])
async def test_body_that_is_no_json_is_refused(app: EmbeddedRegistry, body: bytes) -> None:
    """The status is 400, the answer JSON."""
    status, answer = await ask(app, "POST", "/subjects/s/versions", body)

    assert (400, 400) == (status, answer["error_code"])


async def test_body_beyond_the_bound_is_not_read(app: EmbeddedRegistry) -> None:
    """A megabyte is enough for any schema."""
    status, answer = await ask(app, "POST", "/subjects/s/versions", b" " * (BODY_BYTES + 1))

    assert (413, 413) == (status, answer["error_code"])


async def test_subject_is_taken_apart_before_it_is_decoded(app: EmbeddedRegistry) -> None:
    """A slash in a subject is no separator."""
    await register(app, "a%2Fb%20%22c%22", record())

    assert (200, ['a/b "c"']) == await ask(app, "GET", "/subjects")


async def test_path_below_a_mount_is_found(app: EmbeddedRegistry) -> None:
    """Mounted in another application, the registry sees only what is below its place."""

    async def mounted(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        await app({**scope, "root_path": "/registry"}, receive, send)

    assert (200, []) == await ask(mounted, "GET", "/registry/subjects")  # type: ignore[arg-type]


async def test_server_without_raw_paths_is_served_too(app: EmbeddedRegistry) -> None:
    """The raw path is optional in ASGI."""

    async def plain(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        await app({key: value for key, value in scope.items() if key != "raw_path"}, receive, send)

    assert (200, []) == await ask(plain, "GET", "/subjects")  # type: ignore[arg-type]


def _basic(user: str) -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(user.encode()).decode()}"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        (_basic("ada:wrong"), 401),
        ({"authorization": "Bearer token"}, 200),
        (_basic("ada:secret"), 200),
    ],
)
async def test_only_who_proves_it_is_let_in(headers: dict[str, str], status: int) -> None:
    """A token and a user may both be right; everything else is 401, whatever the path."""
    app = EmbeddedRegistry(credentials=_CREDENTIALS)
    got, answer = await ask(app, "GET", "/subjects", headers=headers)

    assert status == got
    assert got == 200 or error(401, "Unauthorized")[1] == answer


def test_credentials_beyond_ascii_are_compared() -> None:
    """A header of any letters is right or wrong, never an error."""
    credentials = Credentials(token="tökén")  # noqa: S106 - no secret

    assert credentials.admit("Bearer tökén")
    assert not credentials.admit("Bearer tokén")


@pytest.mark.parametrize(("token", "username", "password"), [("", None, ""), (None, "", "x"), (None, "ada", "")])
def test_credentials_that_are_empty_are_refused(token: str | None, username: str | None, password: str) -> None:
    """A variable that is not set would otherwise let everybody in, beyond this machine too."""
    with pytest.raises(DeclarationError, match="may not be empty"):
        Credentials(token, username, password)


def test_credentials_do_not_show() -> None:
    """A secret is not in what a debugger or a log shows."""
    shown = repr(_CREDENTIALS)

    assert "ada" in shown
    assert "token=" not in shown
    assert "secret" not in shown


async def test_change_that_cannot_be_kept_is_an_error_of_the_store() -> None:
    """If the journal cannot be written the client is told so, and nothing was changed."""

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    app = EmbeddedRegistry(Store(full))
    status, answer = await ask(app, "POST", "/subjects/s/versions", {"schema": '"int"'})

    assert (500, 50001) == (status, answer["error_code"])
    assert (200, []) == await ask(app, "GET", "/subjects")


async def test_lifespan_is_taken_part_in(app: EmbeddedRegistry) -> None:
    """A server that announces start and stop gets its answers."""
    events = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[str] = []

    async def receive() -> MutableMapping[str, Any]:
        return next(events)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)

    assert ["lifespan.startup.complete", "lifespan.shutdown.complete"] == sent


async def test_what_is_no_http_is_left_alone(app: EmbeddedRegistry) -> None:
    """A server that offers web sockets gets no answer on them."""
    sent: list[object] = []

    async def send(message: object) -> None:
        sent.append(message)

    await app({"type": "websocket"}, None, send)  # type: ignore[arg-type]

    assert [] == sent


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
_KEYS = st.sampled_from(
    ["schema", "schemaType", "references", "metadata", "ruleSet", "id", "version", "mode", "compatibility", "normalize"]
)
_PATHS = st.sampled_from(
    [
        ("POST", "/subjects/s"),
        ("POST", "/subjects/s/versions"),
        ("POST", "/compatibility/subjects/s/versions/latest?verbose=true"),
        ("PUT", "/config"),
        ("PUT", "/mode/s"),
    ]
)


@given(_PATHS, st.dictionaries(_KEYS, _JSON | st.just('"int"') | st.just([{}])))
async def test_no_body_is_a_surprise(place: tuple[str, str], body: Any) -> None:
    """Whatever a client sends, the answer is a success or tells the client what is wrong."""
    status, answer = await ask(EmbeddedRegistry(), *place, body)

    assert status < 500
    assert status == 200 or answer["error_code"]


def test_every_route_is_found_by_its_own_path() -> None:
    """The part that a route leaves open is handed over decoded."""
    _, captured, context = find("GET", "/subjects/a%2Fb/versions/latest")

    assert ("a/b", "latest") == captured
    assert "." == context
