"""The command line, as ``python -m eventhub.cli``."""

from eventhub.cli import app

app()
