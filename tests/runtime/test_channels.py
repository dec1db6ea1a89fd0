"""What a service reads besides its events."""

from eventhub import Event, Ordering, Service, SubjectName, subscribe
from eventhub.runtime.channels import Channel, channels


class Opened(Event, topic="accounts", key="account", subject=SubjectName.TOPIC_RECORD):
    """An account was opened."""

    account: str


class Closed(Event, topic="accounts", key="account", subject=SubjectName.TOPIC_RECORD):
    """An account was closed."""

    account: str


class Rated(Event, topic="ratings"):
    """Somebody has given a rating."""

    stars: int


@subscribe(Opened)
async def welcome(opened: Opened) -> None:
    """Greet."""


@subscribe(Closed)
async def part(closed: Closed) -> None:
    """Say goodbye."""


@subscribe(Rated, ordering=Ordering.NONE)
async def count(rated: Rated) -> None:
    """Count."""


def test_what_was_set_aside_is_read_in_the_order_of_its_topic() -> None:
    """Beside each topic of events stands the one through which its dead letters come back, and those that wait."""
    assert {
        "accounts": Channel(Ordering.KEY),
        "accounts.bank.retry.replay": Channel(Ordering.KEY, origin="accounts"),
        "ratings": Channel(Ordering.NONE),
        "ratings.bank.retry.replay": Channel(Ordering.NONE, origin="ratings"),
        "ratings.bank.retry.10s": Channel(Ordering.NONE, origin="ratings", wait=10),
        "ratings.bank.retry.1m": Channel(Ordering.NONE, origin="ratings", wait=60),
        "ratings.bank.retry.10m": Channel(Ordering.NONE, origin="ratings", wait=600),
    } == channels(Service("bank", [welcome, part, count]))


def test_what_an_earlier_version_set_aside_is_read_as_well() -> None:
    """Whatever its wait was and its ordering is now; other groups' topics and dead letters are not."""
    there = [f"accounts.{end}" for end in ("bank.retry.90s", "bank.dlt", "till.retry.10s", "bank.retry.replay")]
    found = channels(Service("bank", [welcome, part]), there)

    assert Channel(Ordering.KEY, origin="accounts", wait=90) == found["accounts.bank.retry.90s"]
    assert ["accounts", "accounts.bank.retry.replay", "accounts.bank.retry.90s"] == list(found)
