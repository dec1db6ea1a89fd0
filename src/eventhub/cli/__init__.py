"""The command line: ``eventhub run`` and ``eventhub registry``; one module a command."""

import typer

from eventhub.cli.registry import registry
from eventhub.cli.run import run

app = typer.Typer(name="eventhub", help="The event backbone for Python services on Apache Kafka.", no_args_is_help=True)
app.command()(run)
app.command()(registry)

__all__ = ["app"]
