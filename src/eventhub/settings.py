"""Where the broker and the registry are: from arguments, or from ``EVENTHUB_*`` variables."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from pydantic import Field, ImportString, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from eventhub.errors import DeclarationError

_PREFIX = "EVENTHUB_"
_ALIKE = 0.8  # of 1: BROKR is BROKER; REGISTRY_PORT, which Kubernetes makes of a service's name, is not REGISTRY

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@dataclass(frozen=True, slots=True)
class Token:
    """A token of SASL OAUTHBEARER, as its issuer gives it."""

    value: str = field(repr=False)
    """What is shown to the broker; it is in no representation."""
    expires_at: float
    """When it is worth nothing any more, in seconds since the epoch."""


TokenProvider = Callable[[], Awaitable[Token]]
"""Fetches a token from whoever issues them; called again well before that expires."""


@dataclass(frozen=True, slots=True)
class Security:
    """How to prove who we are, and whom to trust."""

    username: str | None = None
    """The SASL user, or None for no SASL."""
    password: SecretStr = field(default=SecretStr(""))
    """The SASL password."""
    mechanism: Mechanism = "SCRAM-SHA-512"
    """The SASL mechanism of the user."""
    tokens: TokenProvider | None = None
    """Where tokens for SASL OAUTHBEARER come from, instead of a user with a password; None for no tokens."""
    tls: bool = False
    """Whether the connection is encrypted; implied by any of the files."""
    ca_file: Path | None = None
    """The certificate authorities to trust, as PEM; None for the system's."""
    cert_file: Path | None = None
    """The client's certificate as PEM, or None."""
    key_file: Path | None = None
    """The key of the client's certificate as PEM, or None if it stands in the same file."""
    allow_plaintext_credentials: bool = False
    """Whether a password (PLAIN) or a token may be sent over a connection that is not encrypted."""

    def __post_init__(self) -> None:
        """Refuse to send a readable password over a readable connection."""
        if self.username and self.mechanism == "PLAIN" and not self.encrypted and not self.allow_plaintext_credentials:
            msg = (
                "SASL PLAIN without TLS would send the password in the clear; "
                "set tls=True, use SCRAM, or say allow_plaintext_credentials=True"
            )
            raise DeclarationError(msg)
        if self.tokens is not None and not self.encrypted and not self.allow_plaintext_credentials:
            msg = (
                "SASL OAUTHBEARER without TLS would send tokens in the clear; "
                "set tls=True, or say allow_plaintext_credentials=True"
            )
            raise DeclarationError(msg)
        if self.tokens is not None and self.username:
            msg = "a connection has a user with a password or a provider of tokens, not both"
            raise DeclarationError(msg)

    @property
    def encrypted(self) -> bool:
        """Whether the connection uses TLS."""
        return self.tls or self.ca_file is not None or self.cert_file is not None


class Settings(BaseSettings):
    """The settings of a process, read from ``EVENTHUB_*`` environment variables."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True)

    broker: str = Field(default="memory://", repr=False)
    """``memory://`` or ``kafka://host:port[,host:port...]``; in no representation, since URLs may hold passwords."""
    registry: str = Field(default="embedded", repr=False)
    """``embedded`` or the registry's URL; in no representation either."""
    registry_token: SecretStr = SecretStr("")
    """The token that the registry at a URL asks for; empty for none. User and password stand in the URL."""
    auto_register: bool | None = None
    """Whether schemas of written events are registered at start; None for: only in the embedded registry."""
    provision: bool | None = None
    """Whether missing topics are created at start; None for: only on ``memory://``."""
    schema_grace: float = 60.0
    """Seconds in which an unknown schema id may still reach the registry's replica before it is poison."""
    session_timeout: float = Field(default=30.0, ge=3.0, le=35.0)
    """Seconds without a heartbeat after which a process counts as dead, and its partitions go to another."""
    health_port: int | None = Field(default=None, ge=0, le=65535)
    """The port that answers an orchestrator's probes while services run, 0 for any that is free; None for none."""
    health_host: str = "127.0.0.1"
    """The address that answers them; nothing that it says is secret."""
    username: str | None = None
    password: SecretStr = SecretStr("")
    mechanism: Mechanism = "SCRAM-SHA-512"
    tokens: ImportString[TokenProvider] | None = None
    """The function that fetches tokens, as ``module:function``."""
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    allow_plaintext_credentials: bool = False

    @property
    def security(self) -> Security:
        """The part of the settings that a connection to Kafka needs."""
        return Security(
            username=self.username,
            password=self.password,
            mechanism=self.mechanism,
            tokens=self.tokens,
            tls=self.tls,
            ca_file=self.ca_file,
            cert_file=self.cert_file,
            key_file=self.key_file,
            allow_plaintext_credentials=self.allow_plaintext_credentials,
        )


def read_settings() -> Settings:
    """The settings in the environment.

    Raises:
        DeclarationError: Naming each variable that makes no sense, never its value.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = [f"EVENTHUB_{problem['loc'][0]}".upper() + f": {problem['msg']}" for problem in error.errors()]
        raise DeclarationError("; ".join(wrong)) from None


def misspelt(variables: Iterable[str]) -> Mapping[str, str]:
    """Those names of environment variables that look like a setting and are none, each with the setting meant."""
    known = {f"{_PREFIX}{name}".upper() for name in Settings.model_fields}
    names = {name.removeprefix(_PREFIX): name for name in known}
    unknown = sorted(name for name in variables if name.upper().startswith(_PREFIX) and name.upper() not in known)
    close = {name: get_close_matches(name.upper().removeprefix(_PREFIX), names, 1, _ALIKE) for name in unknown}
    return {name: names[found[0]] for name, found in close.items() if found}
