"""How ``Security`` is said to aiokafka."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from eventhub.brokers.kafka.tokens import Tokens
from eventhub.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventhub.settings import Security


def connection_security(security: Security) -> Mapping[str, Any]:
    """The keyword arguments of aiokafka that prove who we are and check who they are.

    Raises:
        DeclarationError: If a certificate or key cannot be read.
    """
    arguments: dict[str, Any] = {"security_protocol": _protocol(security)}
    if security.encrypted:
        arguments["ssl_context"] = _context(security)
    if security.username:
        arguments["sasl_mechanism"] = security.mechanism
        arguments["sasl_plain_username"] = security.username
        arguments["sasl_plain_password"] = security.password.get_secret_value()
    if security.tokens is not None:
        arguments["sasl_mechanism"] = "OAUTHBEARER"
        arguments["sasl_oauth_token_provider"] = Tokens(security.tokens)
    return arguments


def _protocol(security: Security) -> str:
    match bool(security.username) or security.tokens is not None, security.encrypted:
        case True, True:
            return "SASL_SSL"
        case True, False:
            return "SASL_PLAINTEXT"
        case False, True:
            return "SSL"
        case _:
            return "PLAINTEXT"


def _context(security: Security) -> ssl.SSLContext:
    """A context that checks the broker's certificate and its name."""
    try:
        context = ssl.create_default_context(cafile=security.ca_file)
        if security.cert_file is not None:
            context.load_cert_chain(security.cert_file, security.key_file)
    except OSError as error:  # ssl.SSLError is one too
        files = ", ".join(str(file) for file in (security.ca_file, security.cert_file, security.key_file) if file)
        msg = f"cannot read the certificates of the connection to Kafka ({files}): {error}"
        raise DeclarationError(msg) from error
    return context
