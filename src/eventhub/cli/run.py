"""``eventhub run``: serve services that stand in a module."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from eventhub.run import run as run_services
from eventhub.service import Service


def run(
    services: Annotated[
        list[str], typer.Argument(help="Where the services are, as module:name.", metavar="MODULE:NAME")
    ],
) -> None:
    """Serve services until SIGTERM or Ctrl-C; broker and registry come from EVENTHUB_* variables."""
    sys.path.insert(0, str(Path.cwd()))
    run_services(*(_find(place) for place in services))


def _find(place: str) -> Service[Any]:
    """The service that a place such as ``shop.inventory:service`` names."""
    module, colon, name = place.partition(":")
    if not colon:
        msg = f"{place!r} is no place of a service; write module:name, for instance shop.inventory:service"
        raise typer.BadParameter(msg)
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        msg = f"there is no module {module!r} here or on PYTHONPATH"
        raise typer.BadParameter(msg) from error
    if not isinstance(found, Service):
        msg = f"{name!r} in {module!r} is no service but {type(found).__name__}"
        raise typer.BadParameter(msg)
    return found
