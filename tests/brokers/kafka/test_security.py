"""How ``Security`` is said to the client."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from aiokafka.abc import AbstractTokenProvider
from pydantic import SecretStr

from eventhub.brokers.kafka.security import connection_security
from eventhub.errors import DeclarationError
from eventhub.settings import Security, Token
from eventhub.testing.kafka.certificates import make_certificates

PASSWORD = SecretStr("tea-and-biscuits")


async def fetch_token() -> Token:
    """Issue a token."""
    return Token("tea", 0.0)


@pytest.mark.parametrize(
    ("security", "protocol"),
    [
        (Security(), "PLAINTEXT"),
        (Security(tls=True), "SSL"),
        (Security(username="clerk", password=PASSWORD), "SASL_PLAINTEXT"),
        (Security(username="clerk", password=PASSWORD, tls=True), "SASL_SSL"),
        (Security(tokens=fetch_token, tls=True), "SASL_SSL"),
        (Security(tokens=fetch_token, allow_plaintext_credentials=True), "SASL_PLAINTEXT"),
    ],
)
def test_protocol_follows_from_user_and_encryption(security: Security, protocol: str) -> None:
    """A user makes it SASL, encryption makes it TLS."""
    assert protocol == connection_security(security)["security_protocol"]


def test_a_user_is_handed_over_with_mechanism_and_password() -> None:
    """The client gets the password itself, not the mask over it."""
    arguments = connection_security(Security(username="clerk", password=PASSWORD, mechanism="SCRAM-SHA-256"))

    assert {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "clerk",
        "sasl_plain_password": "tea-and-biscuits",
    } == arguments


def test_tokens_are_handed_over_as_a_provider() -> None:
    """The client takes no other mechanism with it."""
    arguments = connection_security(Security(tokens=fetch_token, tls=True))

    assert "OAUTHBEARER" == arguments["sasl_mechanism"]
    assert isinstance(arguments["sasl_oauth_token_provider"], AbstractTokenProvider)


def test_encryption_checks_certificate_and_name() -> None:
    """A broker that cannot prove its name is not spoken to."""
    context = connection_security(Security(tls=True))["ssl_context"]

    assert ssl.CERT_REQUIRED is context.verify_mode
    assert context.check_hostname


def test_only_the_given_authority_is_trusted(tmp_path: Path) -> None:
    """With a file of authorities the system's are not asked."""
    certificates = make_certificates(tmp_path / "certificates")
    context = connection_security(Security(ca_file=certificates.ca))["ssl_context"]

    assert 1 == len(context.get_ca_certs())


@pytest.mark.parametrize("which", ["ca_file", "cert_file"])
def test_a_missing_certificate_is_named(which: str, tmp_path: Path) -> None:
    """A file that is not there is an error of the declaration that names it."""
    missing = tmp_path / "missing.pem"
    security = Security(ca_file=missing) if which == "ca_file" else Security(cert_file=missing)
    with pytest.raises(DeclarationError, match=r"missing\.pem"):
        connection_security(security)


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    """A file with something else in it is an error of the declaration, too."""
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    with pytest.raises(DeclarationError, match=r"nonsense\.pem"):
        connection_security(Security(ca_file=nonsense))
