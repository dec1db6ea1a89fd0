"""Each error of the client has its place among eventhub's own."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest
from aiokafka import TopicPartition as ClientPartition
from aiokafka import errors as client

from eventhub.brokers.kafka.errors import PLACES, Place, explain, place_of, translate, translated
from eventhub.errors import (
    AuthorizationFailed,
    BrokerError,
    CommitFailed,
    OffsetOutOfRange,
)
from eventhub.record import TopicPartition


def _classes() -> Iterator[type[Exception]]:
    for value in vars(client).values():
        if isinstance(value, type) and issubclass(value, Exception):
            yield value


RAISED = sorted(set(_classes()) - {client.BrokerResponseError}, key=lambda kind: kind.__name__)
"""All but the base of those with a code, which has none itself."""


def test_every_error_of_the_client_has_a_place() -> None:
    """No class of the client's errors is left to chance, and none that it no longer has is kept."""
    assert set(_classes()) == set(PLACES)


@pytest.mark.parametrize("kind", RAISED, ids=lambda kind: kind.__name__)
def test_every_error_becomes_one_of_ours_that_says_what_was_done(kind: type[Exception]) -> None:
    """Whatever the client raises becomes a broker's error with words in it; positions stand for themselves."""
    error = translate(kind(), "reading")

    assert str(error)
    assert isinstance(error, OffsetOutOfRange) or str(error).startswith("reading: ")


def test_an_error_that_the_client_would_retry_is_retriable() -> None:
    """What the client itself calls retriable is never said to be final."""
    final = [kind for kind in RAISED if getattr(kind, "retriable", False) and not translate(kind(), "").retriable]

    assert [] == final


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (client.CommitFailedError(), CommitFailed),
        (client.IllegalStateError("not assigned"), CommitFailed),
        (client.CorruptRecordException(), BrokerError),  # of a fetch: no record of ours is refused
        (client.KafkaConnectionError("closed"), BrokerError),
        (ConnectionResetError(104, "reset by peer"), BrokerError),
    ],
)
def test_an_error_becomes_its_counterpart(foreign: Exception, ours: type[BrokerError]) -> None:
    """Errors that callers act upon are told apart by their class."""
    assert ours is type(translate(foreign, "writing"))


@pytest.mark.parametrize(
    ("foreign", "resource"),
    [
        (client.TopicAuthorizationFailedError("orders"), "topic"),
        (client.GroupAuthorizationFailedError("shop"), "group"),
        (client.ClusterAuthorizationFailedError(), "cluster"),
    ],
)
def test_a_missing_right_names_what_it_is_for(foreign: Exception, resource: str) -> None:
    """The caller can tell a topic's right, after which it goes on, from a group's, which needs a new client."""
    error = translate(foreign, "reading")

    assert isinstance(error, AuthorizationFailed)
    assert resource == error.resource
    assert error.retriable


@pytest.mark.parametrize(
    ("foreign", "positions"),
    [
        (client.OffsetOutOfRangeError({ClientPartition("orders", 1): 7}), {TopicPartition("orders", 1): 7}),
        (client.NoOffsetForPartitionError(ClientPartition("orders", 1)), {TopicPartition("orders", 1): None}),
    ],
)
def test_a_position_out_of_range_is_named(foreign: Exception, positions: object) -> None:
    """Both forms in which the client tells of a missing position give the partition and the offset."""
    error = translate(foreign, "reading")

    assert isinstance(error, OffsetOutOfRange)
    assert positions == error.positions


def test_wrong_credentials_are_not_retriable() -> None:
    """Waiting does not make a password right."""
    assert not translate(client.SaslAuthenticationFailed("bad password"), "connecting").retriable


@pytest.mark.parametrize(
    ("foreign", "words"),
    [
        (client.CommitFailedError(), "the group has moved on without this member"),
        (client.MessageSizeTooLargeError(), "MESSAGE_SIZE_TOO_LARGE [10]"),
        (client.TopicAuthorizationFailedError("orders"), "TOPIC_AUTHORIZATION_FAILED [29] (orders)"),
        (client.NodeNotReadyError("node 1"), "node 1"),
        (client.NodeNotReadyError(), "NodeNotReadyError"),
        (TimeoutError(), "no answer in time"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (AssertionError(), "AssertionError"),
    ],
)
def test_an_error_is_explained_in_few_words(foreign: Exception, words: str) -> None:
    """The words are the broker's or the system's, without the client's advice and never empty."""
    assert words == explain(foreign)


def test_an_untrusted_certificate_is_explained_by_its_reason() -> None:
    """Of OpenSSL's long message the reason remains."""
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    error.verify_message = "unable to get local issuer certificate"

    assert "certificate not trusted: unable to get local issuer certificate" == explain(error)


def test_what_is_no_error_of_the_client_passes() -> None:
    """A fault of the program is not dressed up as the broker's."""
    with pytest.raises(ZeroDivisionError), translated("reading"):
        1 / 0  # noqa: B018 - raises


def test_our_own_errors_pass_unchanged() -> None:
    """An error that is translated already keeps its words."""
    with pytest.raises(BrokerError, match=r"^topics missing$"), translated("joining"):
        raise BrokerError("topics missing")  # noqa: EM101, TRY003 - the example


def test_a_broken_connection_is_transient() -> None:
    """Errors of the system have no entry of their own."""
    assert Place.TRANSIENT is place_of(BrokenPipeError())
