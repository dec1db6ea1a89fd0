"""The embedded registry as one ASGI application."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from eventhub.errors import DeclarationError
from eventhub.registry.embedded.answers import Nothing, Raw
from eventhub.registry.embedded.refused import Refused
from eventhub.registry.embedded.request import Request
from eventhub.registry.embedded.routes import find
from eventhub.registry.embedded.store import Store
from eventhub.serving import Receive, Scope, Send, live

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
BODY_BYTES = 1 << 20
"""The longest body that is read."""
_SPOKEN = frozenset({CONTENT_TYPE, "application/vnd.schemaregistry+json", "application/json"})
_TAKEN = _SPOKEN | {"application/octet-stream"}
_WANTED = _SPOKEN | {"*/*", "application/*"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who may ask: a token, a user, or both; neither lets everybody in."""

    token: str | None = field(default=None, repr=False)
    """The bearer token, or None."""
    username: str | None = None
    """The user of HTTP's basic authentication, or None."""
    password: str = field(default="", repr=False)
    """The user's password."""

    def __post_init__(self) -> None:
        """Refuse what is empty, since a variable that is not set would let everybody in."""
        if self.token == "" or (self.username is not None and not (self.username and self.password)):
            msg = "a token, and a user and a password, may not be empty; see that the variables they come from are set"
            raise DeclarationError(msg)

    @property
    def open(self) -> bool:
        """Whether everybody may ask."""
        return self.token is None and self.username is None

    def admit(self, authorization: str) -> bool:
        """Whether an ``Authorization`` header is one of ours."""
        if self.open:
            return True
        basic = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        allowed = [f"Bearer {self.token}"] if self.token is not None else []
        allowed += [f"Basic {basic}"] if self.username is not None else []
        given = authorization.encode()
        return any([hmac.compare_digest(each.encode(), given) for each in allowed])  # noqa: C419 - same time for each


class EmbeddedRegistry:
    """A Schema Registry of Confluent's kind, to be called by any ASGI server or by ``httpx.ASGITransport``."""

    def __init__(self, store: Store | None = None, *, credentials: Credentials | None = None) -> None:
        """Answer out of a store; None makes an empty one in memory."""
        self.store = store or Store()
        self._credentials = credentials or Credentials()

    @property
    def guarded(self) -> bool:
        """Whether a token or a user is asked for."""
        return not self._credentials.open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await live(receive, send)
        elif scope["type"] == "http":
            status, body = await self._answer(scope, receive)
            headers = [(b"content-type", CONTENT_TYPE.encode()), (b"content-length", str(len(body)).encode())]
            if status == 204:  # noqa: PLR2004 - RFC 9110 allows it no length
                headers = []
            if status == 401:  # noqa: PLR2004 - RFC 9110 asks for the challenge
                headers.append((b"www-authenticate", b'Basic realm="schema registry"'))
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        """The status and the body for a request."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            self._admit(headers)
            route, captured, context = find(scope["method"], _raw_path(scope))
            _check_types(headers)
            query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
            body = await _read(receive) if scope["method"] in {"POST", "PUT"} else b""
            answer = route(self.store, Request(captured, query, body, context))
        except OSError as error:  # the journal could not be written, so nothing was changed
            return 500, error_body(50001, f"Error in the backend data store: {error}")
        except Refused as refused:
            return refused.status, error_body(refused.code, refused.message)
        if isinstance(answer, Nothing):
            return 204, b""
        return 200, answer.text.encode() if isinstance(answer, Raw) else _json(answer)

    def _admit(self, headers: Mapping[str, str]) -> None:
        """Refuse whoever does not prove who they are."""
        if not self._credentials.admit(headers.get("authorization", "")):
            raise Refused(401, "Unauthorized")


def error_body(code: int, message: str) -> bytes:
    """An error in Confluent's shape."""
    return _json({"error_code": code, "message": message})


def _json(answer: object) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode()


def _raw_path(scope: Scope) -> str:
    """The path as it came, below the place where the application is mounted."""
    raw: bytes | None = scope.get("raw_path")
    path = raw.decode("latin-1").partition("?")[0] if raw else scope["path"]
    return str(path).removeprefix(scope.get("root_path") or "")


def _check_types(headers: Mapping[str, str]) -> None:
    """Refuse what the client cannot read, and what we cannot."""
    wanted = [each.partition(";")[0].strip().lower() for each in headers.get("accept", "*/*").split(",")]
    if not _WANTED.intersection(wanted) and any(wanted):
        raise Refused(406, "HTTP 406 Not Acceptable")
    sent = headers.get("content-type", CONTENT_TYPE).partition(";")[0].strip().lower()
    if sent not in _TAKEN:
        raise Refused(415, "HTTP 415 Unsupported Media Type")


async def _read(receive: Receive) -> bytes:
    """The whole body, within bounds."""
    body = bytearray()
    while True:
        event = await receive()
        body += event.get("body", b"")
        if len(body) > BODY_BYTES:
            raise Refused(413, f"request is larger than {BODY_BYTES} bytes")
        if event["type"] == "http.disconnect" or not event.get("more_body", False):
            return bytes(body)
