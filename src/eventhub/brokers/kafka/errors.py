"""Where each error of the client belongs among eventhub's own.

Every class of ``aiokafka.errors`` has its place by name; a test walks them all, so that one that
a new version adds is seen.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum, auto

from aiokafka import errors as client

from eventhub.errors import (
    AuthorizationFailed,
    BrokerError,
    CommitFailed,
    OffsetOutOfRange,
)
from eventhub.record import TopicPartition


class Place(Enum):
    """What an error of the client means."""

    TRANSIENT = auto()
    """The same call may succeed later."""
    PERMANENT = auto()
    """Nobody but a person can change it."""
    TOPIC_RIGHT = auto()
    """A right on a topic is missing."""
    GROUP_RIGHT = auto()
    """A right on a consumer group is missing."""
    CLUSTER_RIGHT = auto()
    """A right on the cluster, or on anything else, is missing."""
    OFFSET = auto()
    """A position is not in the log."""
    COMMIT = auto()
    """The group has moved on without this member."""
    REFUSED = auto()
    """The broker will never take this record."""
    SEQUENCE = auto()
    """The producer's sequence of batches is broken; only a new producer can go on."""
    UNKNOWN = auto()
    """The broker failed without saying how: it may have the record or not."""


PLACES: Mapping[type[Exception], Place] = {
    client.KafkaError: Place.TRANSIENT,  # what the client's background tasks fail with
    client.BrokerResponseError: Place.TRANSIENT,
    client.NoError: Place.TRANSIENT,
    # the connection, the cluster's state
    client.NoBrokersAvailable: Place.TRANSIENT,
    client.NodeNotReadyError: Place.TRANSIENT,
    client.KafkaProtocolError: Place.TRANSIENT,
    client.CorrelationIdError: Place.TRANSIENT,
    client.Cancelled: Place.TRANSIENT,
    client.TooManyInFlightRequests: Place.TRANSIENT,
    client.StaleMetadata: Place.TRANSIENT,
    client.MetadataEmptyBrokerList: Place.TRANSIENT,
    client.KafkaUnavailableError: Place.TRANSIENT,
    client.KafkaTimeoutError: Place.TRANSIENT,
    client.KafkaConnectionError: Place.TRANSIENT,
    client.QuotaViolationError: Place.TRANSIENT,
    client.ConsumerStoppedError: Place.TRANSIENT,
    client.ProducerClosed: Place.TRANSIENT,
    client.UnknownTopicOrPartitionError: Place.TRANSIENT,  # just created, or being deleted
    client.LeaderNotAvailableError: Place.TRANSIENT,
    client.NotLeaderForPartitionError: Place.TRANSIENT,
    client.RequestTimedOutError: Place.TRANSIENT,
    client.BrokerNotAvailableError: Place.TRANSIENT,
    client.ReplicaNotAvailableError: Place.TRANSIENT,
    client.StaleControllerEpochError: Place.TRANSIENT,
    client.StaleLeaderEpochCodeError: Place.TRANSIENT,
    client.GroupLoadInProgressError: Place.TRANSIENT,
    client.GroupCoordinatorNotAvailableError: Place.TRANSIENT,
    client.NotCoordinatorForGroupError: Place.TRANSIENT,
    client.NotEnoughReplicasError: Place.TRANSIENT,
    client.NotEnoughReplicasAfterAppendError: Place.TRANSIENT,
    client.NotControllerError: Place.TRANSIENT,
    client.ConcurrentTransactions: Place.TRANSIENT,
    client.TransactionCoordinatorFenced: Place.TRANSIENT,
    client.OperationNotAttempted: Place.TRANSIENT,
    client.KafkaStorageError: Place.TRANSIENT,
    client.ReassignmentInProgress: Place.TRANSIENT,
    client.FetchSessionIdNotFound: Place.TRANSIENT,
    client.InvalidFetchSessionEpoch: Place.TRANSIENT,
    client.MemberIdRequired: Place.TRANSIENT,
    # what only a person can put right: configuration, versions, credentials
    client.IllegalArgumentError: Place.PERMANENT,
    client.IllegalOperation: Place.PERMANENT,
    client.UnrecognizedBrokerVersion: Place.PERMANENT,
    client.IncompatibleBrokerVersion: Place.PERMANENT,
    client.AuthenticationMethodNotSupported: Place.PERMANENT,
    client.AuthenticationFailedError: Place.PERMANENT,
    client.KafkaConfigurationError: Place.PERMANENT,
    client.UnsupportedCodecError: Place.PERMANENT,
    client.RecordTooLargeError: Place.PERMANENT,  # a fetch that cannot hold one record
    client.InvalidFetchRequestError: Place.PERMANENT,
    client.OffsetMetadataTooLargeError: Place.PERMANENT,
    client.InvalidRequiredAcksError: Place.PERMANENT,
    client.InconsistentGroupProtocolError: Place.PERMANENT,
    client.InvalidGroupIdError: Place.PERMANENT,
    client.InvalidSessionTimeoutError: Place.PERMANENT,
    client.InvalidCommitOffsetSizeError: Place.PERMANENT,
    client.UnsupportedSaslMechanismError: Place.PERMANENT,
    client.IllegalSaslStateError: Place.PERMANENT,
    client.SaslAuthenticationFailed: Place.PERMANENT,
    client.UnsupportedVersionError: Place.PERMANENT,
    client.TopicAlreadyExistsError: Place.PERMANENT,
    client.InvalidPartitionsError: Place.PERMANENT,
    client.InvalidReplicationFactorError: Place.PERMANENT,
    client.InvalidReplicationAssignmentError: Place.PERMANENT,
    client.InvalidConfigurationError: Place.PERMANENT,
    client.InvalidRequestError: Place.PERMANENT,
    client.PolicyViolationError: Place.PERMANENT,
    client.InvalidTransactionTimeout: Place.PERMANENT,
    client.SecurityDisabled: Place.PERMANENT,
    client.LogDirNotFound: Place.PERMANENT,
    client.DelegationTokenAuthDisabled: Place.PERMANENT,
    client.DelegationTokenNotFound: Place.PERMANENT,
    client.DelegationTokenOwnerMismatch: Place.PERMANENT,
    client.DelegationTokenRequestNotAllowed: Place.PERMANENT,
    client.DelegationTokenExpired: Place.PERMANENT,
    client.InvalidPrincipalType: Place.PERMANENT,
    client.NonEmptyGroup: Place.PERMANENT,
    client.GroupIdNotFound: Place.PERMANENT,
    client.ListenerNotFound: Place.PERMANENT,
    # rights
    client.TopicAuthorizationFailedError: Place.TOPIC_RIGHT,
    client.GroupAuthorizationFailedError: Place.GROUP_RIGHT,
    client.ClusterAuthorizationFailedError: Place.CLUSTER_RIGHT,
    client.TransactionalIdAuthorizationFailed: Place.CLUSTER_RIGHT,
    client.DelegationTokenAuthorizationFailed: Place.CLUSTER_RIGHT,
    # positions and the group
    client.OffsetOutOfRangeError: Place.OFFSET,
    client.NoOffsetForPartitionError: Place.OFFSET,
    client.CommitFailedError: Place.COMMIT,
    client.IllegalStateError: Place.COMMIT,  # the client's own check: the partition is not assigned
    client.IllegalGenerationError: Place.COMMIT,
    client.UnknownMemberIdError: Place.COMMIT,
    client.RebalanceInProgressError: Place.COMMIT,
    # records
    client.CorruptRecordException: Place.REFUSED,
    client.MessageSizeTooLargeError: Place.REFUSED,
    client.RecordListTooLargeError: Place.REFUSED,
    client.InvalidTopicError: Place.REFUSED,
    client.InvalidTimestampError: Place.REFUSED,
    client.UnsupportedForMessageFormatError: Place.REFUSED,
    client.UnknownError: Place.UNKNOWN,
    client.OutOfOrderSequenceNumber: Place.SEQUENCE,
    client.DuplicateSequenceNumber: Place.SEQUENCE,
    client.InvalidProducerEpoch: Place.SEQUENCE,
    client.InvalidTxnState: Place.SEQUENCE,
    client.InvalidProducerIdMapping: Place.SEQUENCE,
    client.UnknownProducerId: Place.SEQUENCE,
    client.ProducerFenced: Place.SEQUENCE,
}

FOREIGN = (client.KafkaError, client.ConsumerStoppedError, client.IllegalOperation, OSError, EOFError, AssertionError)
"""Everything that the client was seen to raise. Timeouts and TLS errors are ``OSError``; assertions are its way of
saying that a partition is gone."""


def place_of(error: BaseException) -> Place:
    """What an error means; what is not the client's own is a broken connection."""
    return PLACES.get(type(error), Place.TRANSIENT)  # type: ignore[arg-type]


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what the client raises into a ``BrokerError`` that says what was being done."""
    try:
        yield
    except FOREIGN as error:
        raise translate(error, doing) from error


def translate(error: BaseException, doing: str) -> BrokerError:
    """The error of eventhub for one of the client's; what it means for a record that was sent, the producer decides."""
    return _FAMILY[place_of(error)](error, f"{doing}: {explain(error)}")


_FAMILY: Mapping[Place, Callable[[BaseException, str], BrokerError]] = {
    Place.TRANSIENT: lambda _, text: BrokerError(text),
    Place.UNKNOWN: lambda _, text: BrokerError(text),
    Place.PERMANENT: lambda _, text: BrokerError(text, retriable=False),
    Place.TOPIC_RIGHT: lambda _, text: AuthorizationFailed(f"{text}; grant the right on the topic", resource="topic"),
    Place.GROUP_RIGHT: lambda _, text: AuthorizationFailed(f"{text}; grant READ on the group", resource="group"),
    Place.CLUSTER_RIGHT: lambda _, text: AuthorizationFailed(f"{text}; grant the right", resource="cluster"),
    Place.OFFSET: lambda error, _: OffsetOutOfRange(_positions(error)),
    Place.COMMIT: lambda _, text: CommitFailed(text),
    Place.REFUSED: lambda _, text: BrokerError(text, retriable=False),
    Place.SEQUENCE: lambda _, text: BrokerError(text),
}


def explain(error: BaseException) -> str:
    """An error in words: never empty, never the client's advice on settings that eventhub owns."""
    if isinstance(error, client.CommitFailedError):
        return "the group has moved on without this member"
    if isinstance(error, client.BrokerResponseError):
        about = f" ({', '.join(str(argument) for argument in error.args)})" if error.args else ""
        return f"{error.message} [{error.errno}]{about}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        # asyncio puts the address into the words of a refused connection
        return os.strerror(error.errno or 0) if isinstance(error, ConnectionError) else error.strerror
    return ", ".join(str(argument) for argument in error.args) or type(error).__name__


def _positions(error: BaseException) -> Mapping[TopicPartition, int | None]:
    """The partitions in question: the client gives one without an offset, or a mapping."""
    place = error.args[0] if error.args else {}
    if isinstance(place, Mapping):
        return {TopicPartition(*partition): offset for partition, offset in place.items()}
    return {TopicPartition(*place): None}
