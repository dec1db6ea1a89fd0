"""A Kafka cluster as eventhub sees it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from eventhub.brokers.base import RebalanceListener
from eventhub.brokers.kafka.admin import KafkaAdmin
from eventhub.brokers.kafka.consumer import KafkaConsumer
from eventhub.brokers.kafka.examination import examine
from eventhub.brokers.kafka.options import client_options
from eventhub.brokers.kafka.preflight import preflight
from eventhub.brokers.kafka.producer import KafkaProducer
from eventhub.errors import BrokerError
from eventhub.settings import Security

log = structlog.get_logger()

START_TIMEOUT = 15.0
"""Seconds until an unreachable cluster is an error."""


class KafkaBroker:
    """A Kafka cluster."""

    def __init__(self, url: str, *, security: Security | None = None, client: Mapping[str, Any] | None = None) -> None:
        """Take the address and check the tuning; nothing is connected yet.

        Args:
            url: ``kafka://host:port[,host:port...]``.
            security: None is a connection without encryption and without a user.
            client: Tuning for aiokafka by its own names, for instance ``{"compression_type": "zstd"}``.

        Raises:
            DeclarationError: If the URL is malformed, or an option is unknown or would break a promise.
        """
        self._url = url
        self._options = client_options(url, security or Security(), client or {})
        self._admin = KafkaAdmin(self._options.admin)

    @property
    def url(self) -> str:
        """The address; it never holds credentials."""
        return self._url

    @property
    def admin(self) -> KafkaAdmin:
        """The cluster's administration."""
        return self._admin

    @property
    def rebalance_timeout(self) -> float:
        """Seconds that a rebalance waits for a member to give up its partitions."""
        milliseconds: int = self._options.consumer["rebalance_timeout_ms"]
        return milliseconds / 1000

    async def start(self) -> None:
        """Connect to every address by itself, then to the cluster behind them.

        An address that fails beside one that works, or is silent a second after it has answered, is only logged.

        Raises:
            BrokerError: Within 15 s, naming each address, what is wrong with it and what to try.
        """
        keep_payloads_out_of_logs()
        try:
            async with asyncio.timeout(START_TIMEOUT):
                failures = await preflight(self._options.addresses, self._options.admin)
                await self._admin.start()
        except TimeoutError as error:
            msg = f"cannot connect to {self._url}: no answer within {START_TIMEOUT:g} s"
            raise BrokerError(msg) from error
        for (host, port), cause in failures.items():
            log.warning("eventhub.broker_address_failed", host=host, port=port, cause=cause)

    async def stop(self) -> None:
        """Close the administration's connection."""
        await self._admin.stop()

    async def examine(self, group: str, topics: Sequence[str]) -> Sequence[str]:
        """What keeps a group from reading these topics, one sentence each; takes at most 15 s."""
        return await examine(self._options.addresses, self._options.admin, group, topics)

    def consumer(self, group: str, topics: Sequence[str], listener: RebalanceListener) -> KafkaConsumer:
        """A new member of a group; it joins when started."""
        return KafkaConsumer(group, topics, listener, options=self._options.consumer, admin=self._admin)

    def producer(self) -> KafkaProducer:
        """A new producer; it connects when started."""
        return KafkaProducer(self._options.producer, self._admin)


def keep_payloads_out_of_logs() -> None:
    """Let the client's loggers pass INFO and above only: at DEBUG they print payloads and the SASL password.

    A filter, since a level would be undone by whoever sets up logging afterwards.
    """
    for name in ("aiokafka", *(name for name in logging.root.manager.loggerDict if name.startswith("aiokafka."))):
        logging.getLogger(name).addFilter(_is_harmless)


def _is_harmless(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.INFO
