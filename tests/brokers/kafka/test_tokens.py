"""Tokens: one for all connections, in time, and whatever a provider does ends no client."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka.abc import AbstractTokenProvider
from anyio.lowlevel import checkpoint
from structlog.testing import capture_logs

from eventhub import Hub, Options, Security, Service, Token, subscribe
from eventhub.brokers.kafka import KafkaBroker
from eventhub.brokers.kafka.tokens import FAILURE_AGE, RENEW_PAUSE, Tokens, TokenUnavailable
from eventhub.clock import ManualClock
from eventhub.errors import BrokerError
from eventhub.runtime.watchdog import Patience
from eventhub.testing.kafka import ADMIN, KafkaCluster, KafkaOptions, kafka
from eventhub.testing.kafka import Security as ClusterSecurity
from eventhub.testing.waiting import until
from tests.runtime.conftest import Shop

pytestmark = pytest.mark.anyio

SECRET = "hush-this-is-secret"  # noqa: S105 - nobody's


class Issuer:
    """Issues tokens for 100 s each, numbered, unless told to do something else."""

    def __init__(self) -> None:
        """Begin well."""
        self.clock = ManualClock()
        self.asked = 0
        self.instead: Callable[[], Awaitable[Any]] | None = None
        self.tokens = Tokens(self.fetch, self.clock)

    async def fetch(self) -> Token:
        """Issue a token."""
        self.asked += 1
        await checkpoint()
        if self.instead is not None:
            answer: Token = await self.instead()
            return answer
        return Token(f"token-{self.asked}", self.clock.now() + 100)

    async def refusal(self) -> str:
        """Why there is no token."""
        with pytest.raises(TokenUnavailable) as refused:
            await self.tokens.token()
        assert refused.value.retriable
        return str(refused.value)


async def test_all_connections_share_one_token() -> None:
    """Many that ask at once, and later ones, cause one question to the issuer."""
    issuer = Issuer()
    at_once = await asyncio.gather(*(issuer.tokens.token() for _ in range(10)))
    issuer.clock.advance(79)
    later = await issuer.tokens.token()

    assert ({"token-1"}, "token-1", 1) == (set(at_once), later, issuer.asked)
    assert isinstance(issuer.tokens, AbstractTokenProvider)


async def test_a_token_is_renewed_before_it_expires() -> None:
    """After four fifths of its life the next connection gets a new one."""
    issuer = Issuer()
    first = await issuer.tokens.token()
    issuer.clock.advance(80)
    second = await issuer.tokens.token()

    assert ("token-1", "token-2") == (first, second)


async def _raise() -> Any:
    raise ZeroDivisionError(SECRET)


async def _cancel() -> Any:
    raise asyncio.CancelledError(SECRET)


async def _none() -> Any:
    return None


async def _expired() -> Any:
    return Token(SECRET, 1_700_000_000.0 - 5)


async def _injected() -> Any:
    return Token(f"{SECRET}\x01auth=other", 1_800_000_000.0)


@pytest.mark.parametrize(
    ("instead", "words"),
    [
        (_raise, "the token provider raised builtins.ZeroDivisionError"),
        (_cancel, "the token provider was cancelled"),
        (_none, "the token provider returned NoneType, not an eventhub.Token"),
        (_expired, "the token provider returned a token that had expired 5 s before"),
        (_injected, "the token provider returned a token that is empty or no printable ASCII"),
    ],
)
async def test_whatever_a_provider_does_is_a_retriable_error(instead: Callable[[], Awaitable[Any]], words: str) -> None:
    """It is named, without a word of what may be secret; the next try may succeed."""
    issuer = Issuer()
    issuer.instead = instead
    with capture_logs() as logs:
        refused = await issuer.refusal()
    issuer.instead = None
    issuer.clock.advance(FAILURE_AGE)
    healed = await issuer.tokens.token()

    assert words in refused
    assert [("eventhub.token_unavailable", words)] == [(entry["event"], entry["reason"]) for entry in logs]
    assert SECRET not in refused + str(logs)
    assert "token-2" == healed


async def test_a_failure_stands_for_a_moment() -> None:
    """Clients that ask again and again do not overrun an issuer that is down."""
    issuer = Issuer()
    issuer.instead = _raise
    refused = [await issuer.refusal() for _ in range(10)]

    assert (1, 1) == (issuer.asked, len(set(refused)))


async def test_a_token_that_lives_serves_while_no_other_can_be_had() -> None:
    """A failure to renew is no failure to connect, until the end of the old token."""
    issuer = Issuer()
    await issuer.tokens.token()
    issuer.instead = _raise
    issuer.clock.advance(85)
    old = [await issuer.tokens.token() for _ in range(10)]
    asked = issuer.asked
    issuer.clock.advance(RENEW_PAUSE)
    old.append(await issuer.tokens.token())
    issuer.clock.advance(RENEW_PAUSE)
    refused = await issuer.refusal()

    assert {"token-1"} == set(old)
    assert (2, 4) == (asked, issuer.asked)
    assert "raised" in refused


async def test_a_token_that_the_broker_refused_is_fetched_anew() -> None:
    """It may live by its date and be worth nothing, since it was revoked."""
    issuer = Issuer()
    first = await issuer.tokens.token()
    issuer.tokens.forget()

    assert ("token-1", "token-2") == (first, await issuer.tokens.token())


async def test_who_is_cancelled_stays_cancelled() -> None:
    """A client that closes meanwhile gets neither a token nor an error of it."""
    issuer = Issuer()
    issuer.instead = asyncio.Event().wait
    asking = asyncio.ensure_future(issuer.tokens.token())
    await until(lambda: issuer.asked)
    asking.cancel()
    await asyncio.wait([asking])
    issuer.instead = None

    assert asking.cancelled()
    assert "token-2" == await issuer.tokens.token()


@pytest.mark.slow
async def test_a_provider_that_hangs_is_given_up() -> None:
    """All who wait for it hear so at the same time, and it can do better the next time."""
    issuer = Issuer()
    issuer.instead = asyncio.Event().wait
    refused = await asyncio.gather(*(issuer.refusal() for _ in range(3)))

    assert [True] * 3 == ["takes more than" in said for said in refused]


WITH_TOKENS = KafkaOptions(
    security=ClusterSecurity.SCRAM,
    settings={
        # Kafka's own check of tokens without a signature, for tests; whom a token names is who comes in.
        "listener.name.client.sasl.enabled.mechanisms": "OAUTHBEARER",
        "listener.name.client.oauthbearer.sasl.jaas.config": (
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required"
            ' unsecuredLoginStringClaim_sub="broker";'
        ),
        # Nobody stays for longer without showing a token again (KIP-368), which the client never does.
        "listener.name.client.oauthbearer.connections.max.reauth.ms": "4000",
    },
)


class Realm:
    """Issues tokens that Kafka takes, for six seconds each, unless told to do something else."""

    def __init__(self) -> None:
        """Begin well."""
        self.issued = 0
        self.instead: Callable[[], Awaitable[Any]] | None = None

    async def fetch(self) -> Token:
        """Issue a token for the administrator."""
        if self.instead is not None:
            answer: Token = await self.instead()
            return answer
        self.issued += 1
        return unsecured(time.time() + 6)

    def broker(self, cluster: KafkaCluster) -> KafkaBroker:
        """A cluster as seen by who shows this realm's tokens; who is gone is not waited for for long."""
        security = Security(tokens=self.fetch, allow_plaintext_credentials=True)
        client = {"session_timeout_ms": 6000}
        return KafkaBroker(f"kafka://{cluster.bootstrap}", security=security, client=client)


def unsecured(expires_at: float, user: str = ADMIN.name) -> Token:
    """A token without a signature. Source: RFC 7519, section 6."""
    claims = {"sub": user, "iat": expires_at - 60, "exp": expires_at}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "none"}, claims)]
    return Token(b".".join([*parts, b""]).decode(), expires_at)


async def _refused_by_kafka() -> Token:
    """A token that lives by what its provider says, and not by what the broker sees."""
    return Token(unsecured(time.time() - 3600).value, time.time() + 3600)


@pytest.mark.kafka
async def test_without_a_token_nobody_connects_and_hears_why() -> None:
    """What the provider did is told by a start, and so is a token that the broker does not take."""
    realm, refused = Realm(), []
    async with kafka(WITH_TOKENS) as cluster:
        for realm.instead in (_raise, _expired, _refused_by_kafka):
            with pytest.raises(BrokerError) as caught:
                await realm.broker(cluster).start()
            refused.append(str(caught.value))

    assert "the token provider raised builtins.ZeroDivisionError; look into the function" in refused[0]
    assert "had expired" in refused[1]
    assert "check the user name and the password, or the token" in refused[2]
    assert SECRET not in str(refused)


@pytest.mark.kafka
@pytest.mark.slow
async def test_a_provider_that_fails_is_named_and_the_service_heals() -> None:
    """Connections are cut when their token is old; while no other can be had the service says why, then it goes on."""
    realm, seen, told = Realm(), set[int](), []
    async with kafka(WITH_TOKENS) as cluster:
        shop = Shop(lambda: realm.broker(cluster))

        @subscribe(shop.order)
        async def listen(order: Any) -> None:
            seen.add(order.number)

        orders = shop.orders("abcde")
        options = Options(patience=Patience(silence=3.0, commits_failed=2))
        with capture_logs() as logs:
            async with shop.serving(Service(shop.name("listener"), [listen]), options=options) as hub:
                await hub.publish(orders[0])
                await until(lambda: seen == {0} and realm.issued > 2, timeout=60)  # over some cuts
                await hub.publish(orders[1])
                await until(lambda: 1 in seen, timeout=60)
                for number, instead in enumerate((_raise, asyncio.Event().wait, _refused_by_kafka), 2):
                    realm.instead = instead
                    await until(lambda: "token" in problems(hub), timeout=60)
                    told.append(problems(hub))
                    realm.instead = None
                    await until(lambda: not problems(hub), timeout=60)
                    await hub.publish(orders[number])
                    await until(lambda: number in seen, timeout=60)  # noqa: B023 - waited for within the turn

    assert ["raised builtins.ZeroDivisionError" in told[0], "takes more than" in told[1]] == [True, True]
    assert "or the token" in told[2]
    assert SECRET not in str(logs)
    assert "auth=Bearer" not in str(logs)


def problems(hub: Hub) -> str:
    """What is wrong with the one service of a hub."""
    [found] = hub.health().values()
    return " ".join(found.problems)
