"""Kafka in a container of the official image: the way of machines with Docker and without Java.

Run as a program, this module is the container's stand-in: a process that a keeper can own, since
the container lives as long as it does. When it is killed with -9, testcontainers' own reaper ends
the container.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Mapping
from urllib.parse import urlsplit

from eventhub.testing.kafka.configuration import HOST, for_tests

_ANSWER_TIMEOUT = 3
"""Seconds for a daemon on this machine; the command line may well be there without one."""

_CLIENT_PORT, _INTERNAL_PORT, _CONTROLLER_PORT = 9092, 9094, 9093
"""Inside the container."""


def why_no_docker(environ: Mapping[str, str] = os.environ) -> str | None:
    """Look for a Docker daemon on this machine, and for what starts containers there.

    Returns:
        What is missing, or None when containers can be run.
    """
    if importlib.util.find_spec("testcontainers") is None:
        return "the package testcontainers is not installed"
    host = urlsplit(environ.get("DOCKER_HOST", "")).hostname
    if host not in {None, HOST, "localhost"}:
        return f"DOCKER_HOST is another machine, {host}"
    command = shutil.which("docker", path=environ.get("PATH"))
    answers = _command_answers(command) if command else _socket_answers()
    return None if answers else "no Docker daemon answers"


def _command_answers(command: str) -> bool:
    """Whether the command line reaches a daemon; it knows the user's contexts."""
    version = [command, "version", "--format", "{{.Server.Version}}"]
    try:
        return subprocess.run(version, capture_output=True, timeout=_ANSWER_TIMEOUT, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _socket_answers() -> bool:
    """Whether a daemon listens where it usually does, as in a container that is lent its socket."""
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(_ANSWER_TIMEOUT)
        try:
            one.connect("/var/run/docker.sock")
        except OSError:
            return False
    return True


def container_settings(port: int, cluster_id: str) -> dict[str, str]:
    """The environment of a container whose clients come in by this port of the host.

    Source: the image's own rule, ``KAFKA_`` and the setting's name, "." written as "_".
    """
    brokers = f"INTERNAL://{HOST}:{_INTERNAL_PORT}"
    settings = {
        **for_tests(nodes=1),
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{_CONTROLLER_PORT}",
        "listeners": f"CLIENT://0.0.0.0:{_CLIENT_PORT},{brokers},CONTROLLER://{HOST}:{_CONTROLLER_PORT}",
        "advertised.listeners": f"CLIENT://{HOST}:{port},{brokers}",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "INTERNAL",
        "controller.listener.names": "CONTROLLER",
    }
    environment = {f"KAFKA_{name.replace('.', '_').upper()}": value for name, value in settings.items()}
    return environment | {"CLUSTER_ID": cluster_id}


def container_command(version: str, port: int, cluster_id: str) -> list[str]:
    """The command that runs this module as a program."""
    return [sys.executable, "-m", __name__, version, str(port), cluster_id]


def main(version: str, port: int, cluster_id: str) -> None:
    """Run a container until this process is asked to end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415 (an extra)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    container = DockerContainer(f"apache/kafka:{version}").with_bind_ports(_CLIENT_PORT, port)
    with container.with_envs(**container_settings(port, cluster_id)):
        signal.pause()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
