"""What a producer knows of topics, and when it asks again."""

from __future__ import annotations

import asyncio

import pytest

from eventhub.brokers.base import TopicInfo
from eventhub.brokers.kafka import KafkaBroker
from eventhub.brokers.kafka.admin import KafkaAdmin
from eventhub.brokers.kafka.options import client_options
from eventhub.brokers.kafka.topics import MAX_AGE, TopicCache
from eventhub.errors import BrokerError, PublishRefused
from eventhub.settings import Security
from eventhub.testing.conformance.brokers.reader import unique

pytestmark = pytest.mark.anyio


@pytest.mark.kafka
async def test_topic_is_known_once_it_was_read(broker: KafkaBroker, topic: str) -> None:
    """The broker is asked once."""
    topics = TopicCache(broker.admin)
    unread = topics.known(topic)
    read = await topics.read(topic)

    assert unread is None
    assert isinstance(read, TopicInfo)
    assert read is topics.known(topic)


@pytest.mark.kafka
async def test_topic_goes_stale_for_one_reader(broker: KafkaBroker, topic: str) -> None:
    """When it is time to read again, one is told to, not all."""
    topics = TopicCache(broker.admin)
    await topics.read(topic)
    now = asyncio.get_running_loop().time()

    assert not topics.claim_stale(topic, now + MAX_AGE - 1)
    assert topics.claim_stale(topic, now + MAX_AGE + 1)
    assert not topics.claim_stale(topic, now + MAX_AGE + 1)


@pytest.mark.kafka
async def test_missing_topic_is_refused_and_forgotten(broker: KafkaBroker) -> None:
    """A topic that is not there is named."""
    missing = unique("missing")
    topics = TopicCache(broker.admin)
    refused = await topics.read(missing)

    assert isinstance(refused, PublishRefused)
    assert missing in str(refused)
    assert topics.known(missing) is None


async def test_failure_stands_for_a_moment() -> None:
    """Whoever waited behind a question without an answer does not wait as long once more."""
    admin = KafkaAdmin(client_options("kafka://127.0.0.1:1", Security(), {}).admin)
    topics = TopicCache(admin)
    first, second = await topics.read("orders"), await topics.read("orders")

    assert isinstance(first, BrokerError)
    assert first is second
