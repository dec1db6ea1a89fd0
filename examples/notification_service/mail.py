"""A mail gateway that behaves as they do: slow, now and then down, and for one mailbox always."""

import random
from collections import Counter
from dataclasses import dataclass

import anyio

FAILURES = (90, 8, 2)
"""Of a hundred mails: how many are taken at once, fail once, fail twice."""
UNREACHABLE = "radia@example.com"
"""The customer whose mailbox never answers."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail."""

    to: str
    subject: str
    text: str


class GatewayDown(Exception):
    """The gateway did not take a mail; it may the next time."""


class MailboxClosed(Exception):
    """The gateway will never take a mail for this customer."""


class MailGateway:
    """Takes mails, each under a key, and sends one mail a key: sending again under the same key does nothing."""

    def __init__(self, seed: int, *, latency: float = 0.001, failures: tuple[int, int, int] = FAILURES) -> None:
        """Choose by seed which mails fail at first; ``latency`` is in seconds a mail."""
        self._seed = seed
        self._latency = latency
        self._failures = failures
        self._refused: Counter[str] = Counter()
        self.sent: dict[str, Mail] = {}

    async def send(self, mail: Mail, *, key: str) -> None:
        """Send a mail unless one was sent under this key.

        Raises:
            GatewayDown: Now and then, at most twice a mail.
            MailboxClosed: For the unreachable customer, always.
        """
        await anyio.sleep(self._latency)
        if mail.to == UNREACHABLE:
            msg = f"mailbox {mail.to} does not answer"
            raise MailboxClosed(msg)
        if self._refused[key] < self._failures_before(key):
            self._refused[key] += 1
            msg = "mail gateway is down, try again"
            raise GatewayDown(msg)
        self.sent.setdefault(key, mail)

    def _failures_before(self, key: str) -> int:
        """How often a mail fails before it is taken: drawn for each by itself, whatever the order of sending."""
        return random.Random(f"{self._seed}/{key}").choices((0, 1, 2), weights=self._failures)[0]
