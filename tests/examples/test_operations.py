"""The tables of the operations page: they name what there is, and nothing else."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from eventhub import Settings
from eventhub.cli import app
from eventhub.runtime.counters import Counters
from eventhub.runtime.health import Health, Snapshot

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
FIRST_CELL = re.compile(r"^\| `(?P<name>[\w.]+)` \| (?P<second>[^|]*) \|", re.MULTILINE)
LOGGED = re.compile(r'\b(?:log\.\w+|report)\(\s*"(?P<name>eventhub\.[a-z_]+)"')


def table(heading: str) -> dict[str, str]:
    """The first cells of a section's tables, each with its second."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return {row["name"]: row["second"] for row in FIRST_CELL.finditer(section)}


def test_every_setting_is_there_with_its_default() -> None:
    """No variable is missing, none is invented, and what a default says is the default."""
    told = table("Settings")
    fields = {f"EVENTHUB_{name}".upper(): field.default for name, field in Settings.model_fields.items()}
    plain = {name: default for name, default in told.items() if default.startswith("`")}

    assert fields.keys() == told.keys()
    assert plain == {name: f"`{shown(fields[name])}`" for name in plain}


def shown(default: object) -> str:
    """A default as one would write it into the environment."""
    return f"{default:g}" if isinstance(default, float) else str(default).lower() if default is False else str(default)


def test_every_command_is_there() -> None:
    """The commands of the command line and those of the page are the same."""
    told = re.findall(
        r"^\| `eventhub ([a-z-]+)", PAGE.partition("\n## Commands\n")[2].partition("\n## ")[0], re.MULTILINE
    )
    commands = [command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands]
    groups = [group.typer_instance.info.name for group in app.registered_groups if group.typer_instance]

    assert sorted([*commands, *map(str, groups)]) == sorted(told)


def test_every_number_of_health_is_there() -> None:
    """Health, its snapshot and its counters are told field by field."""
    fields = [field.name for kind in (Health, Snapshot, Counters) for field in dataclasses.fields(kind)]

    assert sorted(fields) == sorted(table("Health"))


def test_every_log_event_is_there() -> None:
    """What the code logs is what the page lists."""
    sources = (file.read_text(encoding="utf-8") for file in (ROOT / "src" / "eventhub").rglob("*.py"))
    logged = {found["name"] for source in sources for found in LOGGED.finditer(source)}

    assert sorted(logged) == sorted(table("Logs"))
