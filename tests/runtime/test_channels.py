"""What a service reads besides its events."""

from eventhub import Event, Ordering, Service, SubjectName, subscribe
from eventhub.brokers.base import TopicInfo
from eventhub.runtime.channels import Channel, channels, unfit_topics


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


def test_topics_that_would_lose_records_are_told_with_the_way_out() -> None:
    """Those of the group that are compacted, and those that keep a record no longer than it has to wait there."""
    there = [
        TopicInfo("ratings", 1, compacted=True, retention=1.0),
        TopicInfo("ratings.bank.dlt", 1, compacted=True),
        TopicInfo("ratings.bank.retry.10s", 1, retention=11.0),
        TopicInfo("ratings.bank.retry.1m", 1, retention=60.0),
        TopicInfo("ratings.bank.retry.2h", 1, retention=3600.0),
    ]
    compacted, short, left_behind = unfit_topics(Service("bank", [count]), {info.name: info for info in there})

    assert "ratings.bank.dlt is compacted: a key's next record deletes the last; set cleanup.policy=delete" == compacted
    assert "ratings.bank.retry.1m keeps records for 60 s, which wait for 60 s; raise retention.ms" == short
    assert left_behind.startswith("ratings.bank.retry.2h keeps records for 3600 s")


def test_what_an_earlier_version_set_aside_is_read_as_well() -> None:
    """Whatever its wait was and its ordering is now; other groups' topics and dead letters are not."""
    there = [f"accounts.{end}" for end in ("bank.retry.90s", "bank.dlt", "till.retry.10s", "bank.retry.replay")]
    found = channels(Service("bank", [welcome, part]), there)

    assert Channel(Ordering.KEY, origin="accounts", wait=90) == found["accounts.bank.retry.90s"]
    assert ["accounts", "accounts.bank.retry.replay", "accounts.bank.retry.90s"] == list(found)
