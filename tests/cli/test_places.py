"""Services and event classes, found by name."""

from __future__ import annotations

import pytest
import typer

from eventhub import Event, Service
from eventhub.cli.places import declared_at, service_at


class Tick(Event, topic="ticks"):
    """A second has passed."""


SERVICE = Service("idle", [])
HERE = __name__


def test_what_a_place_names_is_found() -> None:
    """A service, or an event class where one is as good."""
    assert SERVICE is service_at(f"{HERE}:SERVICE")
    assert (SERVICE, Tick) == (declared_at(f"{HERE}:SERVICE"), declared_at(f"{HERE}:Tick"))


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("shop", "write module:name, for instance shop.inventory:service or shop.events:OrderCreated"),
        ("no.such.module:service", "there is no module 'no.such.module'"),
        (f"{HERE}:HERE", "is no service and no event class but str"),
        (f"{HERE}:nothing", f"there is no 'nothing' in {HERE!r}"),
        (f"{HERE}:pytest", "is no service and no event class but module"),
    ],
)
def test_a_place_of_something_else_is_named(place: str, message: str) -> None:
    """The message says what was looked for."""
    with pytest.raises(typer.BadParameter) as refused:
        declared_at(place)

    assert message in str(refused.value)


def test_a_service_is_not_looked_for_in_a_class() -> None:
    """Nobody can run an event."""
    with pytest.raises(typer.BadParameter, match="is no service but ModelMetaclass"):
        service_at(f"{HERE}:Tick")
