"""A password that was changed: connections that open later are refused, and those who read do not hear of it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from eventhub import Options, Service, subscribe
from eventhub.brokers.base import Broker
from eventhub.brokers.kafka import KafkaBroker
from eventhub.runtime.watchdog import Patience
from eventhub.settings import Security as LoginAs
from eventhub.testing.kafka import ADMIN, KafkaCluster, KafkaOptions, Security, User, kafka
from eventhub.testing.waiting import until
from tests.runtime.conftest import Shop

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


async def test_a_password_that_was_changed_is_named_and_healed() -> None:
    """The client is silent about it; the service says what is wrong, and goes on once it is let in again."""
    seen: list[int] = []
    async with kafka(KafkaOptions(security=Security.SCRAM)) as cluster:
        shop = Shop(lambda: as_admin(cluster))

        @subscribe(shop.order)
        async def listen(order: Any) -> None:
            seen.append(order.number)

        patience = Patience(silence=3.0, commits_failed=2)
        with capture_logs() as logs:
            async with shop.serving(
                Service(shop.name("listener"), [listen]), options=Options(patience=patience)
            ) as hub:
                await hub.publish_many(shop.orders("a"))
                await until(lambda: seen == [0])
                await cluster.change_password(User(ADMIN.name, "another-password"))
                await cluster.nodes[0].kill()
                await cluster.nodes[0].start()
                await until(lambda: any("user name and the password" in said for said in problems(hub)), timeout=60)
                [broken] = hub.health().values()
                await cluster.change_password(ADMIN)
                await until(lambda: not problems(hub), timeout=60)
                await hub.publish_many(shop.orders("ab")[1:])
                await until(lambda: 1 in seen, timeout=30)
    causes = [entry["cause"] for entry in logs if entry["event"] == "eventhub.worker_rebuilt"]

    assert (True, False) == (broken.live, broken.ready)
    assert any(
        f"{cluster.bootstrap}: " in cause and "check the user name and the password" in cause for cause in causes
    )
    assert ADMIN.password not in str(logs)


def as_admin(cluster: KafkaCluster) -> Broker:
    """The cluster as its administrator sees it, with the password of the beginning.

    A member that cannot even leave is waited for until its session is over, so that is short.
    """
    security = LoginAs(username=ADMIN.name, password=SecretStr(ADMIN.password))
    return KafkaBroker(f"kafka://{cluster.bootstrap}", security=security, client={"session_timeout_ms": 6000})


def problems(hub: Any) -> tuple[str, ...]:
    """What is wrong with the one service of a hub."""
    [found] = hub.health().values()
    told: tuple[str, ...] = found.problems
    return told
