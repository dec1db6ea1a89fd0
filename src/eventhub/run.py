"""Run services as a process: settings, signals, an orderly stop and an exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import structlog

from eventhub.errors import DeclarationError, EventHubError
from eventhub.hub import Hub
from eventhub.probes import Probes
from eventhub.registry.auth import Bearer
from eventhub.registry.client import HttpSchemaRegistry
from eventhub.runtime.grace import CANCEL_GRACE
from eventhub.runtime.options import Options
from eventhub.runtime.watchdog import suspended_at
from eventhub.service import Service
from eventhub.serving import serve
from eventhub.settings import Settings, misspelt, read_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = structlog.get_logger()


def run(*services: Service[Any], settings: Settings | None = None) -> NoReturn:
    """Serve until SIGTERM or SIGINT, then stop in order, and exit the process.

    The first signal lets running handlers finish, the second cancels them; either way what is
    finished is committed. The exit code is 0 after a stop, and 1 after an error, which is printed
    as one message without a traceback when it is eventhub's own.

    Args:
        services: What to serve.
        settings: Broker, registry and security; None to read ``EVENTHUB_*`` variables.
    """
    runner = asyncio.Runner()
    try:
        runner.run(_serve(services, settings if settings is not None else read_settings()))
    except EventHubError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201 - the last word of a process
        sys.exit(1)
    except KeyboardInterrupt:  # before the signals had their meaning
        sys.exit(130)
    finally:
        if runner.run(_all_tasks_end()):
            runner.close()  # it would wait for ever for a task that ignores its cancellation
    sys.exit(0)


async def _all_tasks_end() -> bool:
    """Cancel the tasks that are left, those of handlers and of what they began; whether all of them end."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    stay = (await asyncio.wait(left, timeout=CANCEL_GRACE))[1] if left else set()
    for task in stay:
        log.error("eventhub.task_ignores_cancellation", suspended_at=suspended_at(task))
    return not stay


async def _serve(services: tuple[Service[Any], ...], settings: Settings) -> None:
    """Serve with the signals' meaning in place."""
    if not services:
        msg = "there is no service to run; name at least one, as in run(service)"
        raise DeclarationError(msg)
    if other := [service for service in services if not isinstance(service, Service)]:
        msg = f"run takes services, as in run(service) or run(service, other), not {type(other[0]).__name__}"
        raise DeclarationError(msg)
    for name, meant in misspelt(os.environ).items():
        log.warning("eventhub.setting_unknown", name=name, did_you_mean=meant)
    hub, names = _hub(services[0].name, settings), [service.name for service in services]
    log.info("eventhub.starting", services=names, broker=hub.broker.url, registry=hub.registry.url)
    asked = 0

    def stop() -> None:
        nonlocal asked
        asked += 1
        log.info("eventhub.stopping", services=names, asked=asked)
        if asked == 1:
            hub.stop()
        else:
            hub.hurry()

    loop = asyncio.get_running_loop()
    async with _probes(hub, settings), hub:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        try:
            await hub.serve(*services)
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
    log.info("eventhub.stopped", services=names)


def _hub(source: str, settings: Settings) -> Hub:
    """The hub that the settings describe."""
    return Hub(
        settings.broker,
        registry=_registry(settings),
        source=source,
        security=settings.security,
        client={"session_timeout_ms": round(settings.session_timeout * 1000)},
        auto_register=settings.auto_register,
        provision=settings.provision,
        options=Options(schema_grace=settings.schema_grace),
    )


def _registry(settings: Settings) -> HttpSchemaRegistry | str:
    """The registry that the settings name; its token is for one behind HTTP."""
    token = settings.registry_token.get_secret_value()
    is_served = settings.registry.startswith(("http://", "https://"))
    return HttpSchemaRegistry(settings.registry, auth=Bearer(token)) if token and is_served else settings.registry


@asynccontextmanager
async def _probes(hub: Hub, settings: Settings) -> AsyncIterator[None]:
    """Answer probes, if a port is set: from before the hub connects until it has disconnected.

    Raises:
        DeclarationError: If the address cannot be listened on.
    """
    host, port = settings.health_host, settings.health_port
    async with AsyncExitStack() as stack:
        if port is not None:
            try:
                server = await stack.enter_async_context(serve(Probes(hub.health), host, port))
            except OSError as error:
                msg = (
                    f"cannot answer probes on {host}:{port}: {error}; see EVENTHUB_HEALTH_HOST and EVENTHUB_HEALTH_PORT"
                )
                raise DeclarationError(msg) from error
            log.info("eventhub.probes_answered", url=server.url)
        yield
