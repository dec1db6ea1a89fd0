"""The command line: ``eventhub run`` and the rest; one module a command."""

import typer

from eventhub.cli.dead_letters import dead_letters
from eventhub.cli.outbox import outbox
from eventhub.cli.registry import registry
from eventhub.cli.relay import relay
from eventhub.cli.run import run
from eventhub.cli.schemas import schemas

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
app.add_typer(dead_letters)
app.add_typer(schemas)

__all__ = ["app"]
