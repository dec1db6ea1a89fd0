"""What is left of a killed keeper, and what only looks so."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from eventhub.testing.kafka.orphan import end_orphan

READS = "input()"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with the name of a cluster's."""
    directory = tmp_path / "eventhub-kafka-1"
    directory.mkdir()
    return directory


def _describe(tmp_path: Path, pid: int, directory: Path) -> Path:
    description = tmp_path / "broker.json"
    description.write_text(json.dumps({"pid": pid, "directory": str(directory)}))
    return description


def _process(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", READS, *arguments], stdin=subprocess.PIPE)


def test_an_orphan_is_ended_and_cleared_up(tmp_path: Path, directory: Path) -> None:
    """A process that was started for the directory ends; the directory and the description go."""
    with _process(f"{directory}/node-1/server.properties") as orphan:
        description = _describe(tmp_path, orphan.pid, directory)
        end_orphan(description)
        code = orphan.wait(10)

    assert -9 == code
    assert not directory.exists()
    assert not description.exists()


def test_a_stranger_with_the_pid_is_let_alone(tmp_path: Path, directory: Path) -> None:
    """A process that got the orphan's pid since then, or one of a cluster of a longer name, goes on."""
    with _process(f"{directory}0/node-1/server.properties") as stranger:
        end_orphan(_describe(tmp_path, stranger.pid, directory))
        stranger.communicate(b"\n")

    assert 0 == stranger.returncode
    assert not directory.exists()


def test_only_a_clusters_directory_is_removed(tmp_path: Path) -> None:
    """A description that names another directory removes nothing but itself."""
    description = _describe(tmp_path, 2**22 + 1, tmp_path)
    end_orphan(description)

    assert tmp_path.exists()
    assert not description.exists()


def test_without_description_there_is_no_orphan(tmp_path: Path) -> None:
    """Nothing was left behind."""
    end_orphan(tmp_path / "broker.json")

    assert [] == list(tmp_path.iterdir())
