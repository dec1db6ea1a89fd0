"""The house rules that no tool knows. Each rule is seen to break on a deliberate violation."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import eventhub
from eventhub import Context, Event, Handler, Service, subscribe
from eventhub.runtime.worker import Worker
from eventhub.testing import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType, FrameType

ROOT = Path(__file__).parent.parent
PACKAGE = "src/eventhub"

LONGEST_FILE = 400
MOST_PARAMETERS = 8

MOST_ON_THE_PATH = {"calls": 20, "functions": 15, "files": 8}
"""From ``Worker._process`` to a handler's first line, both included: what every record costs, and a newcomer reads."""

EXTRAS = {"aiosqlite", "asyncpg", "google.protobuf", "pytest", "sqlalchemy", "testcontainers"}

SLEEPERS = {"anyio", "asyncio", "time", "trio"}

CAMPAIGNS = ("chaos", "conformance", "examples", "properties", "regressions", "simulation", "stack", "typing")
"""Folders of tests that cross the rooms, and so mirror none."""

TESTS_OF_THE_PROJECT = ("tests/test_conftest.py", "tests/test_house.py", "tests/test_typing.py")
"""Tests of what is no module of eventhub."""


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file of the project."""

    path: str
    """Its path from the project's root, with slashes."""
    text: str
    """What it says."""

    @property
    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """The functions and methods it defines."""
        for node in ast.walk(ast.parse(self.text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


def too_long(source: Source) -> list[str]:
    """A file of the package has at most 400 lines."""
    lines = len(source.text.splitlines())
    if not source.path.startswith(PACKAGE) or lines <= LONGEST_FILE:
        return []
    return [f"{source.path} has {lines} lines; split it by idea"]


def too_wide(source: Source) -> list[str]:
    """A function has at most eight parameters, keyword-only ones included; a command has one for each option."""
    if not source.path.startswith(PACKAGE) or source.path.startswith(f"{PACKAGE}/cli/"):
        return []
    return [
        f"{source.path}:{function.lineno} {function.name} has {count} parameters; make some of them one value"
        for function in source.functions
        if (count := len(_parameters(function))) > MOST_PARAMETERS
    ]


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The names of what a caller passes."""
    declared = function.args
    every = [*declared.posonlyargs, *declared.args, *declared.kwonlyargs, declared.vararg, declared.kwarg]
    return [argument.arg for argument in every if argument is not None and argument.arg not in {"self", "cls"}]


def sleeping(source: Source) -> list[str]:
    """A test waits for a condition or moves a clock by hand, never sleeps; chaos and simulation own their time."""
    if not source.path.startswith("tests/") or source.path.startswith(("tests/chaos/", "tests/simulation/")):
        return []
    return [
        f"{source.path}:{node.lineno} sleeps; wait for what the test waits for"
        for node in ast.walk(ast.parse(source.text))
        if isinstance(node, ast.Attribute | ast.ImportFrom) and _is_sleep(node)
    ]


def _is_sleep(node: ast.Attribute | ast.ImportFrom) -> bool:
    """Whether the sleep of a library is named, as in ``asyncio.sleep`` or ``from time import sleep``."""
    match node:
        case ast.Attribute(value=ast.Name(id=module), attr="sleep"):
            return module in SLEEPERS
        case ast.ImportFrom(module=module, names=names):
            return module in SLEEPERS and "sleep" in {alias.name for alias in names}
        case _:
            return False


def mirroring_nothing(source: Source) -> list[str]:
    """A test stands where the module or package that it tests stands."""
    path = Path(source.path)
    if path.parts[0] != "tests" or not path.name.startswith("test_") or source.path in TESTS_OF_THE_PROJECT:
        return []
    if path.parts[1] in CAMPAIGNS:
        return []
    tested = ROOT / PACKAGE / Path(*path.parts[1:-1]) / path.stem.removeprefix("test_")
    if tested.is_dir() or tested.with_suffix(".py").is_file():
        return []
    return [f"{source.path} mirrors no module: {tested.relative_to(ROOT)}.py is not there"]


RULES = (too_long, too_wide, sleeping, mirroring_nothing)


def project_sources() -> list[Source]:
    """Every Python file of the package and of the tests."""
    files = sorted(file for folder in (PACKAGE, "tests") for file in (ROOT / folder).rglob("*.py"))
    return [Source(file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")) for file in files]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_its_rules(rule: Callable[[Source], list[str]]) -> None:
    """No file of the project breaks a rule of the house."""
    broken = [violation for source in project_sources() for violation in rule(source)]

    assert [] == broken


@pytest.mark.parametrize(
    ("rule", "violation"),
    [
        (too_long, Source("src/eventhub/violation.py", "\n" * 401)),
        (too_wide, Source("src/eventhub/violation.py", "def f(self, a, /, b, c, d, e, *f, g, h, **i): ...")),
        (
            too_wide,
            Source("src/eventhub/violation.py", "class C:\n  async def f(self, a, b, c, d, e, f, g, h, i): ..."),
        ),
        (sleeping, Source("tests/test_violation.py", "async def test_it(): await asyncio.sleep(0)")),
        (sleeping, Source("tests/conformance/violation.py", "from time import sleep; sleep(1)")),
        (mirroring_nothing, Source("tests/test_violation.py", "")),
        (mirroring_nothing, Source("tests/brokers/test_event.py", "")),
    ],
)
def test_a_violation_is_seen(rule: Callable[[Source], list[str]], violation: Source) -> None:
    """Each rule names the file that breaks it."""
    seen = rule(violation)

    assert [violation.path] == [place[: len(violation.path)] for place in seen]


@pytest.mark.parametrize(
    ("rule", "innocent"),
    [
        (too_long, Source("src/eventhub/innocent.py", "\n" * 400)),
        (too_long, Source("tests/test_innocent.py", "\n" * 401)),
        (too_wide, Source("src/eventhub/innocent.py", "def f(self, a, b, c, d, e, f, *, g, h): ...")),
        (too_wide, Source("src/eventhub/cli/innocent.py", "def f(a, b, c, d, e, f, g, h, i): ...")),
        (sleeping, Source("tests/chaos/test_innocent.py", "time.sleep(1)")),
        (sleeping, Source("src/eventhub/innocent.py", "time.sleep(1)")),
        (sleeping, Source("tests/test_innocent.py", "async def test_it(): await clock.sleep(1)")),
        (mirroring_nothing, Source("tests/test_event.py", "")),
        (mirroring_nothing, Source("tests/test_brokers.py", "")),
        (mirroring_nothing, Source("tests/properties/test_anything.py", "")),
    ],
)
def test_the_innocent_pass(rule: Callable[[Source], list[str]], innocent: Source) -> None:
    """No rule objects to what the house allows."""
    assert [] == rule(innocent)


def test_every_room_is_on_the_file_map() -> None:
    """The file map of the design names each module and package right under eventhub, and nothing else."""
    rooms = {
        room.name
        for room in (ROOT / PACKAGE).iterdir()
        if (room.suffix == ".py" and room.name != "__init__.py") or (room / "__init__.py").is_file()
    }

    assert rooms == rooms_on_the_map((ROOT / "docs/design.md").read_text(encoding="utf-8"))


def rooms_on_the_map(design: str) -> set[str]:
    """The first column of the file map, without the slash that ends a package."""
    block = design.partition("## File map")[2].partition("```text\n")[2].partition("```")[0]
    return {line.split()[0].removesuffix("/") for line in block.splitlines() if line and not line.startswith(" ")}


def test_importing_eventhub_imports_no_extra() -> None:
    """What an extra installs is imported by nobody who has not asked for it."""
    imported = _output("import sys, eventhub; print(*sorted(sys.modules))").split()

    assert set() == EXTRAS & set(imported)
    assert "eventhub" in imported


def _output(program: str) -> str:
    """What a program prints in an interpreter of its own, as in a user's environment."""
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT / "src", check=True, capture_output=True, text=True
    )
    return finished.stdout


def test_all_public_names_are_exported_once() -> None:
    """What eventhub says it exports is there, each name once and none of it private."""
    exported = eventhub.__all__

    assert sorted(set(exported), key=exported.index) == exported
    assert [] == [name for name in exported if name.startswith("_") or not hasattr(eventhub, name)]


class OrderCreated(Event, topic="orders", key="order_id"):
    """An event as services have them."""

    order_id: str
    sku: str
    quantity: int


async def test_the_handler_is_near() -> None:
    """A record takes few calls, functions and files from the worker to its handler, decoding included."""
    path = await path_to_the_handler()

    assert [] == [what for what, most in MOST_ON_THE_PATH.items() if lengths(path)[what] > most], told(path)


async def test_a_detour_is_seen() -> None:
    """Every call that somebody puts on the path is counted, and named in the report."""

    def pass_on(handle: Handler) -> Handler:
        async def passed(context: Context[None]) -> Sequence[Event]:
            return await handle(context)

        return passed

    direct = await path_to_the_handler()
    detour = await path_to_the_handler(*[pass_on] * 20)

    assert lengths(direct)["calls"] + 20 <= lengths(detour)["calls"]
    assert "passed" in told(detour)


async def path_to_the_handler(*middleware: Callable[[Handler], Handler]) -> list[CodeType]:
    """The Python functions that are called for a record on the real runtime, once its schema is known."""
    calls: list[CodeType] = []
    paths: list[list[CodeType]] = []

    @subscribe(OrderCreated)
    async def handle(_: OrderCreated) -> None:
        paths.append(calls.copy())

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            if frame.f_code is Worker._process.__code__:
                calls.clear()
            calls.append(frame.f_code)

    async with running(Service("inventory", [handle], middleware=middleware)) as hub:
        await hub.publish(OrderCreated(order_id="o-1", sku="tea", quantity=1))
        await hub.caught_up()
        sys.setprofile(note)
        try:
            await hub.publish(OrderCreated(order_id="o-2", sku="tea", quantity=1))
            await hub.caught_up()
        finally:
            sys.setprofile(None)
    return paths[-1]


def lengths(path: Sequence[CodeType]) -> dict[str, int]:
    """How long a path is."""
    return {"calls": len(path), "functions": len(set(path)), "files": len({code.co_filename for code in path})}


def told(path: Sequence[CodeType]) -> str:
    """The lengths of a path, and the calls one by one."""
    steps = "".join(f"\n  {Path(code.co_filename).name} {code.co_qualname}" for code in path)
    return f"{lengths(path)}, allowed are {MOST_ON_THE_PATH}:{steps}"
