"""The command line: ``eventhub run``, ``registry``, ``outbox`` and ``relay``; one module a command."""

import typer

from eventhub.cli.outbox import outbox
from eventhub.cli.registry import registry
from eventhub.cli.relay import relay
from eventhub.cli.run import run

app = typer.Typer(
    name="eventhub",
    help="The event backbone for Python services on Apache Kafka.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they box hundreds of lines around a service's own error, and may show locals
)
app.command()(run)
app.command()(registry)
app.command()(relay)
app.add_typer(outbox)

__all__ = ["app"]
