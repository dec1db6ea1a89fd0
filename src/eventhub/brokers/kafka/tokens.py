"""Tokens for SASL OAUTHBEARER: fetched once for all clients, in time, and never the end of a client.

The client asks for a token whenever it opens a connection, in the middle of its own tasks. Whatever
but a ``KafkaError`` comes out of that ends the task, and the member goes on in silence.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import structlog
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError

from eventhub.clock import SystemClock
from eventhub.settings import Token

if TYPE_CHECKING:
    from eventhub.clock import Clock
    from eventhub.settings import TokenProvider

log = structlog.get_logger()

LIMIT = 5.0
"""Seconds that a provider has; with room to try an address within the time that a start or an examination may take."""
RENEW_AFTER = 0.8
"""The part of a token's life after which it is fetched anew; until its end the old one serves if that fails."""
RENEW_PAUSE = 10.0
"""Seconds after a failure in which no connection waits for another try, as long as the old token lives."""
FAILURE_AGE = 1.0
"""Seconds for which a failure stands: all clients ask at once, and each of them again and again."""

_BEARER = re.compile(r"[\x21-\x7e]+")  # what separates the fields of the exchange can be no part of it


class TokenUnavailable(KafkaConnectionError):  # type: ignore[misc] # the client has no types
    """There is no token: retriable, and like a connection that could not be opened."""


@AbstractTokenProvider.register
class Tokens:
    """The one token of all connections to a cluster."""

    def __init__(self, fetch: TokenProvider, clock: Clock | None = None) -> None:
        """Fetch with this; nothing is fetched before the first connection."""
        self._fetch = fetch
        self._clock = clock or SystemClock()
        # Changed by whoever holds the lock, and by ``forget``.
        self._fetching = asyncio.Lock()
        self._token: Token | None = None
        self._renew_at = 0.0
        self._failed: tuple[float, TokenUnavailable] | None = None

    async def token(self) -> str:
        """The token for a new connection.

        Raises:
            TokenUnavailable: Within 5 s, if the provider fails, takes too long or gives what cannot be used.
        """
        if self._is_fresh():
            return self._current()
        try:
            async with asyncio.timeout(LIMIT), self._fetching:
                if not self._is_fresh():
                    await self._renew()
        except TimeoutError:
            self._fail(f"the token provider takes more than {LIMIT:g} s")
        return self._current()

    def forget(self) -> None:
        """Fetch anew for the next connection, since the broker does not take the token."""
        self._token = None

    def _is_fresh(self) -> bool:
        return self._token is not None and self._clock.now() < min(self._renew_at, self._token.expires_at)

    def _current(self) -> str:
        """The token as long as it lives, be it to be renewed or not."""
        if self._token is not None and self._clock.now() < self._token.expires_at:
            return self._token.value
        raise self._failed[1] if self._failed is not None else TokenUnavailable("the token has expired")

    async def _renew(self) -> None:
        """Fetch a token, unless that has just failed."""
        if self._failed is not None and self._clock.monotonic() - self._failed[0] < FAILURE_AGE:
            return
        try:
            token = await self._fetch()
        except asyncio.CancelledError:
            if _is_ours():
                raise
            self._fail("the token provider was cancelled")
        except Exception as error:  # noqa: BLE001 - whatever it is, it would end a task of the client
            self._fail(f"the token provider raised {type(error).__module__}.{type(error).__qualname__}")
        else:
            self._take(token)

    def _take(self, token: object) -> None:
        """Keep a token that can be used."""
        now = self._clock.now()
        if not isinstance(token, Token):
            self._fail(f"the token provider returned {type(token).__name__}, not an eventhub.Token")
        elif not _BEARER.fullmatch(token.value):
            self._fail("the token provider returned a token that is empty or no printable ASCII")
        elif token.expires_at <= now:
            self._fail(f"the token provider returned a token that had expired {now - token.expires_at:.0f} s before")
        else:
            self._token, self._failed = token, None
            self._renew_at = now + (token.expires_at - now) * RENEW_AFTER

    def _fail(self, reason: str) -> None:
        """Note why there is no new token, without a word of what it or an error of its author holds."""
        self._failed = self._clock.monotonic(), TokenUnavailable(reason)
        self._renew_at = self._clock.now() + RENEW_PAUSE
        log.warning("eventhub.token_unavailable", reason=reason)


def _is_ours() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
