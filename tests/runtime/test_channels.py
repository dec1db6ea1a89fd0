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
    """Beside each topic of events stands the one through which its dead letters come back."""
    assert {
        "accounts": Channel(Ordering.KEY),
        "accounts.bank.retry.replay": Channel(Ordering.KEY, origin="accounts"),
        "ratings": Channel(Ordering.NONE),
        "ratings.bank.retry.replay": Channel(Ordering.NONE, origin="ratings"),
    } == channels(Service("bank", [welcome, part, count]))
