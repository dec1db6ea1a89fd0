"""``eventhub run``: serve services that stand in a module."""

from __future__ import annotations

from typing import Annotated

import typer

from eventhub.cli.places import service_at
from eventhub.run import run as run_services


def run(
    services: Annotated[
        list[str], typer.Argument(help="Where the services are, as module:name.", metavar="MODULE:NAME")
    ],
) -> None:
    """Serve services until SIGTERM or Ctrl-C; broker and registry come from EVENTHUB_* variables."""
    run_services(*(service_at(place) for place in services))
