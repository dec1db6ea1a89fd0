"""Settings: environment in, values out, secrets nowhere."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from eventhub.errors import DeclarationError
from eventhub.settings import Security, Settings, Token, misspelt, read_settings


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every setting is a variable with the prefix."""
    variables = {"BROKER": "kafka://k:9092", "SCHEMA_GRACE": "2", "USERNAME": "u", "PASSWORD": "p", "CA_FILE": "ca.pem"}
    for name, value in variables.items():
        monkeypatch.setenv(f"EVENTHUB_{name}", value)
    settings = Settings()

    assert "kafka://k:9092" == settings.broker
    assert 2.0 == settings.schema_grace
    assert Security(username="u", password=SecretStr("p"), ca_file=Path("ca.pem")) == settings.security
    assert settings.security.encrypted


def test_a_password_shows_in_no_representation() -> None:
    """Neither settings nor security print it, wherever it stands."""
    url = "http://u:hunter2@registry:8081"
    settings = Settings(username="u", password=SecretStr("hunter2"), registry=url, broker="kafka://u:hunter2@broker")

    assert "hunter2" not in f"{settings!r} {settings} {settings.security!r}"


def test_plain_credentials_over_an_open_connection_are_refused_unless_said_aloud() -> None:
    """The error names the three ways out."""
    with pytest.raises(DeclarationError, match="allow_plaintext_credentials"):
        Security(username="u", mechanism="PLAIN")

    assert not Security(username="u", mechanism="PLAIN", allow_plaintext_credentials=True).encrypted


async def fetch_token() -> Token:
    """What ``EVENTHUB_TOKENS`` names below."""
    return Token("hush", 0.0)


def test_tokens_over_an_open_connection_are_refused_unless_said_aloud() -> None:
    """As for a readable password; and nobody has both a user and tokens."""
    with pytest.raises(DeclarationError, match="allow_plaintext_credentials"):
        Security(tokens=fetch_token)
    with pytest.raises(DeclarationError, match="not both"):
        Security(tokens=fetch_token, tls=True, username="u")

    assert not Security(tokens=fetch_token, allow_plaintext_credentials=True).encrypted


def test_a_function_that_fetches_tokens_is_named_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its module and its name; a name without anything behind it is refused."""
    monkeypatch.setenv("EVENTHUB_TLS", "true")
    monkeypatch.setenv("EVENTHUB_TOKENS", "tests.test_settings:fetch_token")
    found = read_settings().security.tokens
    monkeypatch.setenv("EVENTHUB_TOKENS", "tests.test_settings:nothing")
    with pytest.raises(DeclarationError, match="EVENTHUB_TOKENS"):
        read_settings()

    assert found is not None
    assert fetch_token.__qualname__ == getattr(found, "__qualname__", None)
    assert "hush" not in repr(Token("hush", 0.0))


@pytest.mark.parametrize("seconds", ["2.9", "36"])
def test_a_session_that_no_member_could_keep_is_refused(seconds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three heartbeats fit into it, and the client waits longer than it for a rebalance."""
    monkeypatch.setenv("EVENTHUB_SESSION_TIMEOUT", seconds)
    with pytest.raises(DeclarationError, match="EVENTHUB_SESSION_TIMEOUT: Input should"):
        read_settings()


def test_variables_that_make_no_sense_are_named_without_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them are in one error."""
    monkeypatch.setenv("EVENTHUB_TLS", "perhaps")
    monkeypatch.setenv("EVENTHUB_SCHEMA_GRACE", "soon")
    with pytest.raises(DeclarationError, match=r"EVENTHUB_SCHEMA_GRACE: .+; EVENTHUB_TLS: Input should") as refused:
        read_settings()

    assert "perhaps" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("EVENTHUB_BROKR", "EVENTHUB_BROKER"),
        ("EVENTHUB_REGISTRY_URL", "EVENTHUB_REGISTRY"),
        ("EVENTHUB_AUTOREGISTER", "EVENTHUB_AUTO_REGISTER"),
        ("eventhub_brokers", "EVENTHUB_BROKER"),
    ],
)
def test_a_variable_that_is_almost_a_setting_is_misspelt(name: str, meant: str) -> None:
    """Without a word about it a service would run in memory, and look well."""
    assert {name: meant} == misspelt([name, "PATH", "EVENTHUB_BROKER", "eventhub_registry"])


@pytest.mark.parametrize(
    "name", ["EVENTHUB_PORT", "EVENTHUB_REGISTRY_PORT", "EVENTHUB_REGISTRY_PASSWORD", "EVENTHUB_TEST_KAFKA", "BROKR"]
)
def test_a_variable_of_another_meaning_is_not_misspelt(name: str) -> None:
    """Commands, tests and Kubernetes have variables of their own under the same prefix."""
    assert {} == misspelt([name])
