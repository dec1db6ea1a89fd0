"""The settings by which a node lets clients in, or does not."""

from __future__ import annotations

from eventhub.testing.kafka.certificates import Certificates
from eventhub.testing.kafka.options import ADMIN, KafkaOptions, Security

_ANONYMOUS = "ANONYMOUS"
"""Whom brokers take one another for: only the clients' listener asks for a name."""


def security_settings(security: Security, certificates: Certificates | None) -> dict[str, str]:
    """The settings of the listener ``CLIENT`` and of what its clients may do.

    Args:
        security: How clients come in.
        certificates: None where there is no TLS.
    """
    settings: dict[str, str] = {}
    if security.with_users:
        settings |= _users()
    if certificates:
        settings |= _tls(certificates)
    return settings


def _users() -> dict[str, str]:
    return {
        "listener.name.client.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.client.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{ADMIN.name};User:{_ANONYMOUS}",
        "allow.everyone.if.no.acl.found": "false",
    }


def _tls(certificates: Certificates) -> dict[str, str]:
    return {
        # PEM needs no Java key store, hence no keytool.
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificates.broker),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(certificates.ca),
        "ssl.client.auth": "requested",
    }


def scram_credentials(options: KafkaOptions) -> list[str]:
    """The first users, as ``kafka-storage format --add-scram`` takes them."""
    return [f"SCRAM-SHA-512=[name={user.name},password={user.password}]" for user in options.logins]
