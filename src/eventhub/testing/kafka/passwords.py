"""A user's password on a running cluster, changed as an operator would."""

from __future__ import annotations

import hashlib
import secrets
import struct

from eventhub.testing.kafka.options import User
from eventhub.testing.kafka.wire import ask

_ALTER_USER_SCRAM_CREDENTIALS = (51, 0)
"""A flexible version: strings and arrays carry their length plus one, structures end with their tags (KIP-482)."""

_SCRAM_SHA_512 = 2
_ITERATIONS = 4096
"""The fewest that Kafka takes."""

_NO_TAGS = b"\0"


async def change_password(host: str, port: int, user: User) -> None:
    """Give a user this password.

    Raises:
        ValueError: If Kafka refuses.
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha512", user.password.encode(), salt, _ITERATIONS)
    change = (
        _compact(user.name.encode())
        + struct.pack(">bi", _SCRAM_SHA_512, _ITERATIONS)
        + _compact(salt)
        + _compact(salted)
        + _NO_TAGS
    )
    deletions, changes = bytes([1]), bytes([2]) + change  # lengths plus one
    answer = await ask(host, port, _ALTER_USER_SCRAM_CREDENTIALS, deletions + changes + _NO_TAGS, flexible=True)
    answer.int32()  # throttle time
    answer.int8()  # how many users, which is one
    answer.take(answer.int8() - 1)  # whose answer it is
    if code := answer.int16():
        message = f"Kafka refuses the password of {user.name} with code {code}"
        raise ValueError(message)


def _compact(data: bytes) -> bytes:
    """Bytes with their length in front: up to 126 of them, so that one byte holds it."""
    return bytes([len(data) + 1]) + data
