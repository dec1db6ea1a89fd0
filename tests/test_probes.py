"""Health over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from eventhub import Service, subscribe
from eventhub.probes import Probes, answer
from eventhub.runtime.breaker import BreakerState
from eventhub.runtime.counters import Counters
from eventhub.runtime.health import Health, Snapshot
from eventhub.testing import running
from tests.events import OrderCreated

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

WELL = Health(
    live=True, ready=True, problems=(), detail=Snapshot("inventory", joined=True, counted=Counters(handled=3))
)
STARTING = replace(WELL, ready=False)
DEAD = replace(WELL, live=False, ready=False)


@subscribe(OrderCreated)
async def reserve(order: OrderCreated) -> None:
    """Reserve it."""


async def asked(probes: Probes, path: str, method: str = "GET", root_path: str = "") -> httpx.Response:
    """What a server that calls the application answers."""
    transport = httpx.ASGITransport(probes, root_path=root_path)
    async with httpx.AsyncClient(transport=transport, base_url="http://inventory") as client:
        return await client.request(method, path)


@pytest.mark.parametrize(
    ("services", "live", "ready"),
    [
        ({"inventory": WELL, "shipping": WELL}, 200, 200),
        ({"inventory": WELL, "shipping": STARTING}, 200, 503),
        ({"inventory": DEAD, "shipping": WELL}, 503, 503),
        ({}, 200, 503),
    ],
)
def test_a_process_is_as_well_as_its_worst_service(services: Mapping[str, Health], live: int, ready: int) -> None:
    """One that serves nothing is starting or ending: live, but not ready."""
    assert (live, {"live": live == 200}) == answer("GET", "/live", services)
    assert (ready, {"ready": ready == 200}) == answer("GET", "/ready", services)


async def test_health_is_told_in_full() -> None:
    """Every number of every service is there, as JSON."""
    ill = replace(WELL, problems=("it is ill",), detail=replace(WELL.detail, breaker=BreakerState.OPEN))
    response = await asked(Probes(lambda: {"inventory": ill}), "/health")
    told: dict[str, Any] = response.json()["inventory"]

    assert 200 == response.status_code
    assert "application/json" == response.headers["content-type"]
    assert (True, ["it is ill"]) == (told["ready"], told["problems"])
    assert ("open", 3) == (told["detail"]["breaker"], told["detail"]["counted"]["handled"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("HEAD", "/ready", 503), ("POST", "/live", 404), ("GET", "/", 404), ("GET", "/health/x", 404)],
)
async def test_only_what_is_asked_for_is_answered(method: str, path: str, status: int) -> None:
    """HEAD has no body; whatever else there is not says what there is."""
    response = await asked(Probes(dict), path, method)

    assert status == response.status_code
    assert (method != "HEAD") == (b"/ready" in response.content)


async def said(kind: str, *events: str) -> list[str]:
    """What the application says in a conversation of this kind, in which it hears these events."""
    heard = iter(events)
    sent: list[str] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": next(heard)}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message["type"])

    await Probes(dict)({"type": kind}, receive, send)
    return sent


async def test_the_life_of_a_server_is_taken_part_in() -> None:
    """A server that announces start and stop gets its answers."""
    answers = await said("lifespan", "lifespan.startup", "lifespan.shutdown")

    assert ["lifespan.startup.complete", "lifespan.shutdown.complete"] == answers


async def test_a_web_socket_is_left_to_its_server() -> None:
    """Only requests are answered."""
    assert [] == await said("websocket", "websocket.connect")


async def test_it_may_be_mounted_below_a_path() -> None:
    """A framework tells where it is mounted."""
    assert 200 == (await asked(Probes(dict), "/eventhub/live", root_path="/eventhub")).status_code


async def test_a_hub_that_serves_is_ready_until_it_is_told_to_stop() -> None:
    """Not ready comes first of all that a stop does, while the service is still there."""
    async with running(Service("inventory", [reserve])) as test:
        before = await asked(Probes(test.hub.health), "/ready")
        test.hub.stop()
        after = test.hub.health()  # nothing else has run since

    assert 200 == before.status_code
    assert 503 == answer("GET", "/ready", after)[0]
    assert ("it is stopping",) == after["inventory"].problems
