"""Health over HTTP: what an orchestrator asks of a process."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from enum import Enum
from typing import Any

from eventhub.runtime.health import Health
from eventhub.serving import Receive, Scope, Send, live


class Probes:
    """An ASGI application that answers ``/live``, ``/ready`` and ``/health``; nothing that it says is secret.

    ``run`` serves it where ``EVENTHUB_HEALTH_PORT`` is set. Who serves a hub beside a web server of their own
    mounts it there: ``app.mount("/eventhub", Probes(hub.health))``.
    """

    def __init__(self, health: Callable[[], Mapping[str, Health]]) -> None:
        """Answer with what a function says at the time: ``hub.health``."""
        self._health = health

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await live(receive, send)
        elif scope["type"] == "http":
            path = scope["path"].removeprefix(scope.get("root_path") or "")
            status, told = answer(scope["method"], path, self._health())
            body = json.dumps(told, default=_word).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def answer(method: str, path: str, services: Mapping[str, Health]) -> tuple[int, Mapping[str, Any]]:
    """The status and the content of an answer.

    A process that serves nothing is live, since it starts or ends, but not ready. 503 says no:
    RFC 9110 has it for what is "currently unable to handle the request".
    """
    match path if method in {"GET", "HEAD"} else None:
        case "/live":
            is_live = all(health.live for health in services.values())
            return (200 if is_live else 503), {"live": is_live}
        case "/ready":
            is_ready = bool(services) and all(health.ready for health in services.values())
            return (200 if is_ready else 503), {"ready": is_ready}
        case "/health":
            return 200, {name: asdict(health) for name, health in services.items()}
        case _:
            return 404, {"error": "there are GET /live, /ready and /health"}


def _word(state: Enum) -> object:
    """The word for a state of the breaker, all that JSON has no type for."""
    return state.value
