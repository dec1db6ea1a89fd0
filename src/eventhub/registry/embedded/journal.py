"""Keep what the embedded registry knows in a file: JSON lines, one for each change that was answered.

The first line names the format. Each further line is a list of changes that were made together; it counts once its
end of line is written, so that a line cut off by a crash never happened, and no client was told that it did.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import structlog

from eventhub.errors import RegistryError
from eventhub.registry.base import LAST_NUMBER, Reference, Schema, SchemaType
from eventhub.registry.embedded.state import (
    Change,
    Definition,
    Hidden,
    Removed,
    Setting,
    State,
    Version,
    parse_subject,
)
from eventhub.registry.embedded.store import Store

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no advisory locks; there nobody watches for a second process
    fcntl = None  # type: ignore[assignment]

log = structlog.get_logger(__name__)

_NAME = "registry.jsonl"
_FORMAT = b'{"eventhub-registry":1}'
_UNKNOWN = "it has another form than this version of eventhub writes"
_LONGEST_REASON = 200  # characters that are shown


@contextmanager
def open_store(directory: Path, *, fsync: bool = True, incompatible_code: int = 409) -> Iterator[Store]:
    """A store that is what it was when it was last open, and keeps every change before it is answered.

    Args:
        directory: Where the journal stands; it is made if it is not there.
        fsync: Whether each change reaches the disk before it is answered, so that it survives a loss of power too.
            Without, it survives any end of the process.
        incompatible_code: The ``error_code`` of an incompatible schema, as for ``Store``.

    Raises:
        RegistryError: If another process has it open, or a line other than the last is damaged.
        OSError: If the directory cannot be written.
    """
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / _NAME
    with path.open("a+b", buffering=0) as file:
        _lock(file, path)
        journal = _Journal(file, fsync=fsync)
        store = Store(journal.keep, incompatible_code=incompatible_code)
        journal.replay(path, store.state)
        if fsync:
            _sync_names(directory, *(each.parent for each in missing))
        yield store


def _sync_names(*directories: Path) -> None:
    """Make the names in directories last: a file that reached the disk is lost all the same if its name did not."""
    if fcntl is None:  # pragma: no cover - Windows opens no directories, and keeps names by itself
        return
    for directory in directories:
        opened = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _lock(file: BinaryIO, path: Path) -> None:
    """Make sure that nobody else writes; the lock ends with the process, however it ends."""
    if fcntl is None:  # pragma: no cover - see the import
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        msg = f"another process serves a registry out of {path}; stop it, or give this one a directory of its own"
        raise RegistryError(msg, retriable=False) from error


class _Journal:
    """The open file and where its last whole line ends."""

    def __init__(self, file: BinaryIO, *, fsync: bool) -> None:
        self._file = file
        self._fsync = fsync
        self._end = 0

    def replay(self, path: Path, state: State) -> None:
        """Make every change in the file; what a crash cut off at its end is removed.

        Raises:
            RegistryError: If a line holds no changes of this state; the file stays as it is.
        """
        self._file.seek(0)
        *lines, rest = self._file.read().split(b"\n")
        for number, line in enumerate(lines, 1):
            if number > 1 or line != _FORMAT:
                try:
                    state.apply(_read(line))
                except (ValueError, LookupError, TypeError, RecursionError) as error:
                    raise _damaged(path, number, str(error)) from error
            self._end += len(line) + 1
        if rest and not lines and not _FORMAT.startswith(rest):
            raise _damaged(path, 1, "no journal begins so")
        if rest:
            log.warning("eventhub.registry_journal_cut", path=str(path), line=len(lines) + 1, dropped_bytes=len(rest))
        self._file.truncate(self._end)
        if not self._end:
            self._append(_FORMAT + b"\n")

    def keep(self, changes: Sequence[Change]) -> None:
        """Write changes that are about to be made; if they cannot be written, nothing of them stays.

        The event loop waits for the disk here: a registry changes seldom, and no two changes may overlap.
        """
        self._append(json.dumps([_written(change) for change in changes], separators=(",", ":")).encode() + b"\n")

    def _append(self, line: bytes) -> None:
        try:
            written = 0
            while written < len(line):
                written += self._file.write(line[written:])
            if self._fsync:
                os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(self._end)
            raise
        self._end += len(line)


def _written(change: Change) -> dict[str, Any]:
    """A change as JSON."""
    match change:
        case Version(subject, version, schema_id, definition):
            return {
                "register": str(subject),
                "version": version,
                "id": schema_id,
                "guid": definition.guid,
                "type": definition.schema.type.value,
                "schema": definition.schema.text,
                "references": [[each.name, each.subject, each.version] for each in definition.schema.references],
                "metadata": definition.metadata,
                "ruleSet": definition.rule_set,
            }
        case Hidden(subject, version):
            return {"hide": str(subject), "version": version}
        case Removed(subject, version):
            return {"remove": str(subject), "version": version}
        case _:
            return {"set": change.table, "subject": str(change.subject), "value": change.value}


def _damaged(path: Path, number: int, reason: str) -> RegistryError:
    msg = (
        f"line {number} of {path} is no change of a registry: {reason[:_LONGEST_REASON]}; restore the file, or cut it "
        "before that line; if a later version of eventhub wrote it, use that one"
    )
    return RegistryError(msg, retriable=False)


def _read(line: bytes) -> list[Change]:
    """The changes in a line."""
    return [_change(written) for written in json.loads(line)]


def _change(written: Mapping[str, Any]) -> Change:
    match written:
        case {"register": str(subject), "version": int(version), "id": int(schema_id), "references": list(references)}:
            if not (0 < version <= LAST_NUMBER and 0 < schema_id <= LAST_NUMBER):
                msg = f"version {version} with id {schema_id} cannot be"
                raise ValueError(msg)
            definition = _definition(written, tuple(map(_reference, references)))
            return Version(parse_subject(subject), version, schema_id, definition)
        case {"hide": str(subject), "version": int(version)}:
            return Hidden(parse_subject(subject), version)
        case {"remove": str(subject), "version": int(version)}:
            return Removed(parse_subject(subject), version)
        case {"set": "config" | "mode" as table, "subject": str(subject), "value": dict() | None as value}:
            return Setting(table, parse_subject(subject), value)
        case _:
            raise ValueError(_UNKNOWN)


def _definition(written: Mapping[str, Any], references: tuple[Reference, ...]) -> Definition:
    match written:
        case {
            "schema": str(text),
            "type": str(type_),
            "guid": str(guid),
            "metadata": dict() | None as metadata,
            "ruleSet": dict() | None as rule_set,
        }:
            return Definition(Schema(text, SchemaType(type_), references), guid, metadata, rule_set)
        case _:
            raise ValueError(_UNKNOWN)


def _reference(written: Sequence[Any]) -> Reference:
    match written:
        case [str(name), str(subject), int(version)]:
            return Reference(name, subject, version)
        case _:
            raise ValueError(_UNKNOWN)
