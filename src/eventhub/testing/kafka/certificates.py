"""Certificates of a cluster with TLS, made for it and trusted by nobody else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eventhub.testing.kafka.errors import KafkaUnavailable


@dataclass(frozen=True, slots=True)
class Certificates:
    """The files of a cluster with TLS.

    Attributes:
        ca: The authority that signed both sides, to be trusted by clients.
        client: A client's key and certificate in one file, for clients that show one.
        broker: The nodes' key and certificate in one file, for 127.0.0.1 and localhost.
    """

    ca: Path
    client: Path
    broker: Path


def make_certificates(directory: Path) -> Certificates:
    """Make an authority and the certificates of both sides.

    Raises:
        KafkaUnavailable: If the packages that make certificates are not installed.
    """
    try:
        import trustme  # noqa: PLC0415 (an extra)
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 (an extra)
    except ImportError as error:
        message = "a cluster with TLS needs the package trustme: pip install 'eventhub[testing]'"
        raise KafkaUnavailable(message) from error
    authority = trustme.CA()
    broker = authority.issue_cert("127.0.0.1", "localhost")
    client = authority.issue_cert("client", common_name="client")  # Java takes no certificate without any name

    directory.mkdir()
    files = Certificates(directory / "ca.pem", directory / "client.pem", directory / "broker.pem")
    authority.cert_pem.write_to_path(str(files.ca))
    client.private_key_and_cert_chain_pem.write_to_path(str(files.client))
    key = serialization.load_pem_private_key(broker.private_key_pem.bytes(), None).private_bytes(
        # Kafka reads no other form of a key. Source: KIP-651.
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    chain = b"".join(certificate.bytes() for certificate in broker.cert_chain_pems)
    files.broker.write_bytes(key + chain)
    return files
