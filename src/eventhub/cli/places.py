"""What a place such as ``shop.inventory:service`` on a command line names."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import typer

from eventhub.event import Event
from eventhub.service import Service


def service_at(place: str) -> Service[Any]:
    """The service at a place."""
    found = _found(place, "a service", "shop.inventory:service")
    if isinstance(found, Service):
        return found
    raise typer.BadParameter(_no("service", place, found))


def declared_at(place: str) -> Service[Any] | type[Event]:
    """The service or the event class at a place."""
    found = _found(place, "a service or an event class", "shop.inventory:service or shop.events:OrderCreated")
    if isinstance(found, Service) or (isinstance(found, type) and issubclass(found, Event)):
        return found
    raise typer.BadParameter(_no("service and no event class", place, found))


def _no(kind: str, place: str, found: object) -> str:
    module, _, name = place.partition(":")
    return f"{name!r} in {module!r} is no {kind} but {type(found).__name__}"


def _found(place: str, what: str, example: str) -> object:
    """Whatever stands at a place, in a module of the working directory or of ``PYTHONPATH``."""
    module, colon, name = place.partition(":")
    if not colon:
        msg = f"{place!r} is no place of {what}; write module:name, for instance {example}"
        raise typer.BadParameter(msg)
    here = str(Path.cwd())
    if sys.path[0] != here:
        sys.path.insert(0, here)
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        msg = f"there is no module {module!r} here or on PYTHONPATH"
        raise typer.BadParameter(msg) from error
    if not hasattr(found, name):
        msg = f"there is no {name!r} in {module!r}"
        raise typer.BadParameter(msg)
    return getattr(found, name)
