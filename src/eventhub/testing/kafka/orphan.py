"""What is left of a shared broker whose keeper was killed, and only that, is removed.

On Linux the kernel ends a node with its keeper; elsewhere the node may still run, and everywhere
its directory is still there.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path


def end_orphan(description: Path) -> None:
    """End the node that an orphaned description names, and remove its directory.

    The pid may be somebody else's by now: only a process whose command line names the cluster's
    directory, which nobody else's can, is killed.
    """
    with suppress(FileNotFoundError):
        described = json.loads(description.read_text())
        pid, directory = int(described["pid"]), described["directory"]
        if f"{directory}/" in _command_line(pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if Path(directory).name.startswith("eventhub-kafka-"):
            shutil.rmtree(directory, ignore_errors=True)
        description.unlink()


def _command_line(pid: int) -> str:
    command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    with suppress(FileNotFoundError):  # no ps, as in a slim container: then it is a Linux
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return ""
