"""Every exception of eventhub: two families with two fates.

::

    EventHubError
      DeclarationError            the program is wrong; raised at import or at start, never later
      RecordError                 belongs to one record: retried, then dead-lettered
        DecodeError               its bytes are not what its schema promises
        SchemaMismatch            its schema and the event class do not fit each other
        HandlerTimeout            its handler took longer than it may
        CrashPoison               it ended the process whenever it was tried
        HandlerFault              its handler broke the contract of handlers
        BatchFailed               it failed among others, and its handler says which it was
      InfrastructureError         belongs to a connection: wait and try again; no record is blamed
        BrokerError
          PublishUncertain        the broker may or may not have the records
          PublishRefused          the broker will never take this record
          AuthorizationFailed     the broker took or never gave a right
          TopicMissing            a topic that is read does not exist, or no longer
          OffsetOutOfRange        the offset asked for is no longer, or not yet, in the log
          RecordUnreadable        the client cannot take a record apart
          CommitFailed            the group has moved on; the records will be delivered again
        RegistryError
          SchemaNotFound          the registry does not know the schema (yet)
        StoreError
      InvalidSchema               a schema that no registry may take
      IncompatibleSchema          a schema that would break readers or writers of the subject

An error of the record never stops a worker, and an error of the connection never dead-letters a record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventhub.record import Record, TopicPartition


class EventHubError(Exception):
    """The root of all errors that eventhub raises."""


class DeclarationError(EventHubError):
    """The program is declared wrongly; the message shows the right form."""


class RecordError(EventHubError):
    """One record cannot be handled.

    Attributes:
        record: The record in question, or None where it is not at hand.
    """

    stage = "handle"

    def __init__(self, message: str, *, record: Record | None = None) -> None:
        """Describe what is wrong with the record."""
        super().__init__(message)
        self.record = record


class DecodeError(RecordError):
    """The bytes of a record are not what their schema promises; the same bytes would fail again."""

    stage = "decode"


class SchemaMismatch(RecordError):
    """An event and its schema do not fit each other: a value has no place in the schema, or the reverse."""

    stage = "validate"


class HandlerTimeout(RecordError):
    """A handler took longer than its subscription allows; it was cancelled and counts as failed."""

    stage = "deadline"


class CrashPoison(RecordError):
    """A record ended the process whenever it was tried; it is given up without another try."""

    stage = "crash"


class HandlerFault(RecordError):
    """A handler broke the contract of handlers, for instance by returning what is no event."""


class BatchFailed(RecordError):
    """Raised by a batch handler that knows which event of its batch failed.

    The events before it are done, those behind it are handed over again. Raise it ``from`` the
    error itself, which decides the fate of the event.

    Attributes:
        index: The position of the event that failed, counted from 0.
    """

    def __init__(self, index: int, message: str = "an event of the batch failed") -> None:
        """Say which event failed."""
        super().__init__(message)
        self.index = index


class InfrastructureError(EventHubError):
    """A connection failed; no record is to blame.

    Attributes:
        retriable: Whether the same call may succeed later without anybody changing anything.
    """

    def __init__(self, message: str, *, retriable: bool = True) -> None:
        """Describe what failed, where, and what to try."""
        super().__init__(message)
        self.retriable = retriable


class BrokerError(InfrastructureError):
    """The broker could not be reached, or answered with an error."""


class PublishUncertain(BrokerError):
    """The broker may or may not have the records; sending them again may double them, never lose them."""


class PublishRefused(BrokerError):
    """The broker will never take this record as it is: too large, no key on a compacted topic, no such topic."""

    def __init__(self, message: str) -> None:
        """Say which record is refused and why."""
        super().__init__(message, retriable=False)


class AuthorizationFailed(BrokerError):
    """The broker denies a right that the service needs.

    Attributes:
        resource: What the right is for: ``"topic"``, ``"group"`` or ``"cluster"``.
    """

    def __init__(self, message: str, *, resource: str) -> None:
        """Name the right that is missing."""
        super().__init__(message)
        self.resource = resource


class TopicMissing(BrokerError):
    """A topic that is read does not exist: nothing heals that but making it.

    Attributes:
        topics: Their names.
    """

    def __init__(self, message: str, topics: Sequence[str]) -> None:
        """Name the topics, and what to do."""
        super().__init__(message, retriable=False)
        self.topics = tuple(topics)


class OffsetOutOfRange(BrokerError):
    """The positions asked for are not in the log: deleted by retention, or past its end.

    Attributes:
        positions: The partitions, each with the offset that was asked for.
    """

    def __init__(self, positions: Mapping[TopicPartition, int | None]) -> None:
        """Name the partitions and the offsets."""
        places = ", ".join(f"{tp.topic}[{tp.partition}]@{offset}" for tp, offset in positions.items())
        super().__init__(f"offset out of range: {places}")
        self.positions = positions


class RecordUnreadable(BrokerError):
    """The client cannot take a record of the asked partitions apart; nothing of the poll was delivered."""


class CommitFailed(BrokerError):
    """The commit was refused since the group has moved on; the records will be delivered again."""


class RegistryError(InfrastructureError):
    """The Schema Registry could not be reached, or answered with an error.

    Attributes:
        status: The HTTP status, or None when there was no answer.
        code: The registry's ``error_code``, or None.
        url: The address that was asked, without credentials.
    """

    def __init__(
        self,
        message: str,
        *,
        retriable: bool = True,
        status: int | None = None,
        code: int | None = None,
        url: str | None = None,
    ) -> None:
        """Describe what was asked and what came back."""
        super().__init__(message, retriable=retriable)
        self.status = status
        self.code = code
        self.url = url


class SchemaNotFound(RegistryError):
    """The registry does not know a schema, a version or a subject; it may still be on its way to a replica."""


class StoreError(InfrastructureError):
    """The database behind an outbox or inbox failed."""


class InvalidSchema(EventHubError):
    """A text is no valid schema of its type, or is larger or deeper than allowed."""


class IncompatibleSchema(EventHubError):
    """The registry refuses a schema, since existing readers or writers would break.

    Attributes:
        subject: The subject under which it was to be registered.
        problems: What is incompatible, one sentence each: path, kind and both sides.
    """

    def __init__(self, subject: str, problems: Sequence[str]) -> None:
        """List all problems of one subject."""
        listed = "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(f"schema is incompatible with subject {subject!r}:{listed or ' the registry gave no reason'}")
        self.subject = subject
        self.problems = tuple(problems)
