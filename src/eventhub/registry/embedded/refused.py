"""What the registry answers when it does not do what was asked: Confluent's error codes."""

from __future__ import annotations


class Refused(Exception):
    """A request that is answered with an error.

    Attributes:
        code: Confluent's ``error_code``; the first three digits are the HTTP status.
        message: What is wrong, in Confluent's words where clients read them.
    """

    def __init__(self, code: int, message: str) -> None:
        """Keep code and message for the answer."""
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(str(self.code)[:3])


def subject_not_found(subject: str) -> Refused:
    """No version of the subject was ever registered, or all were deleted for good."""
    return Refused(40401, f"Subject '{subject}' not found.")


def version_not_found(version: object = "latest") -> Refused:
    """The subject exists, this version of it does not."""
    return Refused(40402, f"Version {version} not found.")


def schema_not_found(schema_id: object = None) -> Refused:
    """No schema has this id, or the subject has no such schema."""
    return Refused(40403, "Schema not found" if schema_id is None else f"Schema {schema_id} not found")


def invalid_schema(reason: str) -> Refused:
    """A text is no valid schema."""
    return Refused(42201, f"Invalid schema: {reason}")


def invalid_subject(text: str) -> Refused:
    """A text names no subject, and no context."""
    return Refused(42208, f"The specified subject '{text}' is not a valid.")


def not_permitted(reason: str) -> Refused:
    """The mode of the subject forbids it."""
    return Refused(42205, reason)


def read_only(subject: str) -> Refused:
    """Nothing in the subject may change."""
    return not_permitted(f"Subject {subject} is in read-only mode")
