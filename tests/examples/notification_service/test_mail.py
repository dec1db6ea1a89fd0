"""The mail gateway."""

import pytest

from examples.notification_service.mail import UNREACHABLE, GatewayDown, Mail, MailboxClosed, MailGateway

MAIL = Mail("ada@example.com", "Order o-1 is confirmed", "Your tea is on its way.")


async def failures(gateway: MailGateway, key: str, mail: Mail = MAIL, limit: int = 10) -> int:
    """How often the gateway refuses a mail before it takes it."""
    for failed in range(limit):
        try:
            await gateway.send(mail, key=key)
        except GatewayDown:
            continue
        return failed
    return limit


async def test_a_mail_fails_at_most_twice() -> None:
    """Three attempts are always enough for a customer who can be reached, and some mails need all of them."""
    gateway = MailGateway(seed=1, latency=0)

    assert {0, 1, 2} == {await failures(gateway, f"o-{number}") for number in range(500)}


async def test_a_seed_decides_which_mails_fail() -> None:
    """The same mails fail under the same seed, whatever the order in which they are sent."""
    keys = [f"o-{number}" for number in range(100)]
    forwards, backwards = MailGateway(seed=5, latency=0), MailGateway(seed=5, latency=0)

    first = {key: await failures(forwards, key) for key in keys}
    second = {key: await failures(backwards, key) for key in reversed(keys)}

    assert first == second


async def test_the_unreachable_customer_never_gets_mail() -> None:
    """One mailbox refuses every attempt, and the refusal names it."""
    gateway = MailGateway(seed=1, latency=0)

    for _ in range(4):
        with pytest.raises(MailboxClosed, match=UNREACHABLE):
            await gateway.send(Mail(UNREACHABLE, "", ""), key="o-1")

    assert {} == gateway.sent


async def test_a_key_sends_one_mail() -> None:
    """Sending again under the same key changes nothing."""
    gateway = MailGateway(seed=1, latency=0)
    await failures(gateway, "o-1")

    await gateway.send(Mail("ada@example.com", "another", "another"), key="o-1")

    assert {"o-1": MAIL} == gateway.sent
