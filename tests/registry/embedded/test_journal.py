"""The journal of the embedded registry."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from eventhub.errors import RegistryError
from eventhub.registry.base import Reference, Schema, SchemaType
from eventhub.registry.embedded.journal import open_store
from eventhub.registry.embedded.state import GLOBAL, Subject, parse_subject
from eventhub.registry.embedded.store import Proposal, Store

_SUBJECT = parse_subject("orders-value")


def _record(number: int) -> Proposal:
    return Proposal(Schema(f'{{"type":"record","name":"R{number}","fields":[]}}'))


def _change_everything(store: Store) -> None:
    """Make one of every change."""
    store.set("config", GLOBAL, {"compatibilityLevel": "NONE", "normalize": True})
    store.set("config", Subject(".ctx", ""), {"compatibilityLevel": "FULL"})
    store.set("mode", _SUBJECT, {"mode": "READWRITE"})
    store.set("mode", _SUBJECT, None)
    for number in range(4):
        store.register(_SUBJECT, _record(number))
    referring = Schema('{"type":"array","items":"R0"}', references=(Reference("R0", str(_SUBJECT), 1),))
    store.register(parse_subject("é/ x"), Proposal(referring, {"properties": {"owner": "a"}}, {"domainRules": []}))
    store.register(parse_subject(":.ctx:orders"), Proposal(Schema('{"type":"object"}', SchemaType.JSON)))
    store.delete(store.state.versions(_SUBJECT)[1:3], permanent=False)
    store.delete(store.state.versions(_SUBJECT, deleted=True)[1:2], permanent=True)


def _told(store: Store) -> list[object]:
    """All that a store can be asked."""
    subjects = list(store.state.subjects())
    settings = [store.state.setting(table, place) for table in ("config", "mode") for place in (GLOBAL, _SUBJECT)]
    return [
        subjects,
        [store.state.versions(subject, deleted=True) for subject in subjects],
        [store.state.last_id(context) for context in store.state.contexts()],
        settings,
        store.level(parse_subject(":.ctx:orders")),
    ]


def test_store_is_what_it_was(tmp_path: Path) -> None:
    """Every kind of change is there when the store is opened again, and the next id follows the last."""
    with open_store(tmp_path) as store:
        _change_everything(store)
        before = _told(store)
    with open_store(tmp_path) as store:
        after = _told(store)
        added = store.register(_SUBJECT, _record(9))

    assert before == after
    assert (5, 6) == (added.version, added.id)


def test_journal_without_fsync_is_kept_too(tmp_path: Path) -> None:
    """Without waiting for the disk the file is the same."""
    with open_store(tmp_path, fsync=False) as store:
        _change_everything(store)
        before = _told(store)
    with open_store(tmp_path, fsync=False) as store:
        after = _told(store)

    assert before == after


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_line_that_was_cut_off_never_happened(tmp_path: Path, cut: int) -> None:
    """A crash in the middle of a write loses only what was not answered yet, and writing goes on after it."""
    with open_store(tmp_path) as store:
        store.set("config", GLOBAL, {"compatibilityLevel": "NONE"})
        store.register(_SUBJECT, _record(1))
        before = _told(store)
        store.register(_SUBJECT, _record(2))
    file = tmp_path / "registry.jsonl"
    file.write_bytes(file.read_bytes()[:-cut])
    with open_store(tmp_path) as store:
        after = _told(store)
        store.register(_SUBJECT, _record(3))
    with open_store(tmp_path) as store:
        versions = store.state.versions(_SUBJECT)

    assert before == after
    assert [1, 2] == [version.version for version in versions]


def test_damaged_line_is_named(tmp_path: Path) -> None:
    """A line in the middle that is no change stops the start: nothing that was answered is dropped silently."""
    with open_store(tmp_path) as store:
        store.register(_SUBJECT, _record(1))
    file = tmp_path / "registry.jsonl"
    first, second = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first + b"#\n" + second)

    with pytest.raises(RegistryError, match="line 2 of") as refused, open_store(tmp_path):
        pass
    assert not refused.value.retriable


def _registered(**other: object) -> str:
    """A line of a schema that is registered, with something else in it."""
    whole = {"register": "a", "version": 1, "id": 2, "guid": "g", "type": "AVRO", "schema": '"int"', "references": []}
    return json.dumps([{**whole, "metadata": None, "ruleSet": None, **other}])


def test_line_of_a_registration_is_read(tmp_path: Path) -> None:
    """The line that is damaged below would be read as it is."""
    (tmp_path / "registry.jsonl").write_text(f'{{"eventhub-registry":1}}\n{_registered()}\n')
    with open_store(tmp_path) as store:
        [version] = store.state.versions(parse_subject("a"))

    assert (1, 2, '"int"') == (version.version, version.id, version.definition.schema.text)


@pytest.mark.parametrize(
    "line",
    [
        '[{"hide":"orders-value","version":7}]',
        '[{"remove":"orders-value","version":7}]',
        '[{"remove":"nobody","version":1}]',
        '[{"register":7,"version":1,"id":1}]',
        '[{"register":"a","version":"1","id":1}]',
        '[{"set":"config","subject":"","value":7}]',
        '[{"set":"config","subject":"","value":{"compatibilityLevel":"SIDEWAYS"}}]',
        '[{"set":"config","subject":"","value":{"compatibilityLevel":["FULL"]}}]',
        '[{"set":"config","subject":"","value":{"normalize":"no"}}]',
        '[{"set":"mode","subject":"","value":{}}]',
        '[{"set":"mode","subject":"","value":{"mode":"READNEVER"}}]',
        '[{"set":"mode","subject":"","value":{"mode":["IMPORT"]}}]',
        '[{"set":"colour","subject":"","value":{"mode":"IMPORT"}}]',
        _registered(id=0),
        _registered(id=1 << 31),
        _registered(version=-1),
        _registered(guid=None),
        _registered(type="YAML"),
        _registered(schema={"type": "int"}),
        _registered(references=None),
        _registered(references=[["a", "b"]]),
        _registered(references=[["a", "b", "1"]]),
        _registered(metadata=[]),
        _registered(ruleSet="none"),
        '{"eventhub-registry":1}',
        '"set"',
        "",
        "[" * 100_000,
    ],
)
def test_change_that_cannot_have_been_is_named(tmp_path: Path, line: str) -> None:
    """A line that was edited, doubled or lost is one error that says where, and the file stays as it is."""
    with open_store(tmp_path) as store:
        store.register(_SUBJECT, _record(1))
    file = tmp_path / "registry.jsonl"
    file.write_bytes(damaged := file.read_bytes() + line.encode() + b"\n")
    with pytest.raises(RegistryError, match="line 3 of"), open_store(tmp_path):
        pass

    assert damaged == file.read_bytes()


@pytest.mark.parametrize("end", [b"\r", b"", b"\0"])
def test_file_without_ends_of_lines_is_left_alone(tmp_path: Path, end: bytes) -> None:
    """It is no journal that a crash cut off, since the first line is written before any other."""
    with open_store(tmp_path) as store:
        store.register(_SUBJECT, _record(1))
    file = tmp_path / "registry.jsonl"
    file.write_bytes(other := file.read_bytes().replace(b"\n", end))
    with pytest.raises(RegistryError, match="line 1 of"), open_store(tmp_path):
        pass

    assert other == file.read_bytes()


def test_line_that_cannot_be_read_says_why_and_what_to_do(tmp_path: Path) -> None:
    """The value that is wrong is named, and so are the ways out."""
    line = '[{"set":"config","subject":"","value":{"compatibilityLevel":"SIDEWAYS"}}]'
    (tmp_path / "registry.jsonl").write_text(f'{{"eventhub-registry":1}}\n{line}\n')
    with pytest.raises(RegistryError) as refused, open_store(tmp_path):
        pass

    assert (
        f"line 2 of {tmp_path}/registry.jsonl is no change of a registry: 'SIDEWAYS' is no compatibility level; "
        "restore the file, or cut it before that line; if a later version of eventhub wrote it, use that one"
    ) == str(refused.value)


def test_names_of_a_new_journal_reach_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's name and those of the directories that were made for it last as its content does."""
    synced: list[int] = []
    fsync = os.fsync

    def noted(file: int) -> None:
        synced.append(os.fstat(file).st_ino)
        fsync(file)

    monkeypatch.setattr(os, "fsync", noted)
    with open_store(tmp_path / "a" / "b"):
        made = [path.stat().st_ino for path in (tmp_path, tmp_path / "a", tmp_path / "a" / "b")]

    assert set(made) <= set(synced)


def test_second_process_is_refused(tmp_path: Path) -> None:
    """One directory is served once at a time."""
    with open_store(tmp_path), pytest.raises(RegistryError, match="another process"), open_store(tmp_path):
        pass


def test_full_disk_changes_nothing(tmp_path: Path) -> None:
    """A change that cannot be written is not made, and the next one that fits is."""
    resource = pytest.importorskip("resource", reason="limits of a process are POSIX's")
    with open_store(tmp_path) as store:
        store.register(_SUBJECT, _record(1))
        size = (tmp_path / "registry.jsonl").stat().st_size
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 200, limits[1]))
        try:
            with pytest.raises(OSError, match="too large"):
                store.register(parse_subject("more"), _record(2))
            store.set("mode", GLOBAL, {"mode": "READONLY"})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        before = _told(store)
    with open_store(tmp_path) as store:
        after = _told(store)

    assert before == after
    assert "READONLY" == store.mode(GLOBAL)
    assert [_SUBJECT] == before[0]


_WRITER = """
import sys
from pathlib import Path
from eventhub.registry.base import Schema
from eventhub.registry.embedded.journal import open_store
from eventhub.registry.embedded.state import parse_subject
from eventhub.registry.embedded.store import Proposal

with open_store(Path(sys.argv[1])) as store:
    for number in range(1_000_000):
        schema = Schema('{"type":"record","name":"R%d","fields":[]}' % number)
        version = store.register(parse_subject(f"s{number}"), Proposal(schema))
        print(version.id, flush=True)
"""


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    """After kill -9 in the middle of registering, every id that was answered is there, and no id twice."""
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, tmp_path], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    with writer, writer.stdout:
        answered = [int(writer.stdout.readline()) for _ in range(50)]
        os.kill(writer.pid, signal.SIGKILL)
        answered += [int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    with open_store(tmp_path) as store:
        kept = [version.id for subject in store.state.subjects() for version in store.state.versions(subject)]

    assert set(answered) <= set(kept)
    assert len(kept) == len(set(kept))
    assert len(kept) <= len(answered) + 1
