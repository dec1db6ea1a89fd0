"""``eventhub schemas``: its functions on the embedded registry, the whole of it against served ones."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from eventhub import Event, Service, subscribe
from eventhub.cli.schemas import (
    check_classes,
    diff_class,
    diff_versions,
    list_subjects,
    register_classes,
    show_version,
)
from eventhub.errors import IncompatibleSchema, RegistryError, SchemaNotFound
from eventhub.registry.base import Reference, Schema
from eventhub.registry.client import HttpSchemaRegistry, embedded_registry
from eventhub.registry.embedded.app import Credentials, EmbeddedRegistry
from eventhub.registry.embedded.server import serve
from eventhub.schemas import declarations
from tests.conformance.apicurio import apicurio
from tests.registry.embedded.asking import ask, record
from tests.registry.scripted import canned

PAGE = Path(__file__).parent.parent.parent / "docs" / "schemas.md"


class Ordered(Event, topic="orders"):
    """A customer has placed an order."""

    id: str
    note: str = ""


class Reserved(Event, topic="stock"):
    """Stock has been set aside."""

    id: str


class StockReserved(Event, topic="stock"):
    """The event of the documentation."""

    order_id: str


class OrderCreated(Event, topic="orders"):
    """The event of the documentation."""

    order_id: str
    note: str


@subscribe(OrderCreated)
async def reserve(order: OrderCreated) -> StockReserved:
    """Reserve what was ordered."""
    return StockReserved(order_id=order.order_id)


@pytest.fixture
async def app() -> EmbeddedRegistry:
    """A registry with two versions of an order."""
    app = EmbeddedRegistry()
    for text in (record("Ordered", id="string"), record("Ordered", id="string", more=("long", 0))):
        await embedded_registry(app).register("orders-value", Schema(text))
    return app


@pytest.fixture
def registry(app: EmbeddedRegistry) -> HttpSchemaRegistry:
    """Its client."""
    return embedded_registry(app)


async def test_subjects_are_listed(
    app: EmbeddedRegistry, registry: HttpSchemaRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that begin so, deleted versions and subjects if asked for, as a table or a line each."""
    await registry.register("stock-value", Schema(record("Reserved")))
    await ask(app, "DELETE", "/subjects/stock-value")
    await ask(app, "DELETE", "/subjects/orders-value/versions/1")
    await list_subjects(registry)
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    await list_subjects(registry, "s", json=True)
    await list_subjects(registry, deleted=True, json=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert ["orders-value", "2", "AVRO", "BACKWARD", "2"] == table[1]
    assert [("orders-value", [2], [1], 2), ("stock-value", [], [1], 3)] == [
        (line["subject"], line["versions"], line["deleted"], line["latest_id"]) for line in lines
    ]


async def test_a_list_that_breaks_off_is_one_error(app: EmbeddedRegistry) -> None:
    """Subjects are asked about at the same time, and what fails is told as if they were not."""

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        answerer = app if scope["path"] == "/subjects" else canned(401, None)
        await answerer(scope, receive, send)

    await embedded_registry(app).register("stock-value", Schema(record("Reserved")))
    with pytest.raises(RegistryError, match="-value/versions; check user and password"):
        await list_subjects(HttpSchemaRegistry("http://registry", transport=httpx.ASGITransport(guarded)))


async def test_a_long_list_is_no_crowd_of_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    """A server may name as many subjects as fit into an answer."""
    names, crowd = [f"s{number:03}" for number in range(300)], 0

    async def counting(scope: Any, receive: Any, send: Any) -> None:
        nonlocal crowd
        crowd = max(crowd, len(asyncio.all_tasks()))
        path = scope["path"]
        body: Any = {"id": 1, "version": 1, "schema": '"int"', "compatibilityLevel": "FULL"}
        await canned(200, names if path == "/subjects" else [1] if path.endswith("/versions") else body)(
            scope, receive, send
        )

    await list_subjects(HttpSchemaRegistry("http://registry", transport=httpx.ASGITransport(counting)), json=True)

    assert names == [json.loads(line)["subject"] for line in capsys.readouterr().out.splitlines()]
    assert crowd < 50


async def test_a_version_is_shown(registry: HttpSchemaRegistry, capsys: pytest.CaptureFixture[str]) -> None:
    """The latest unless told otherwise; raw is the schema letter by letter."""
    await show_version(registry, "orders-value", None)
    head, _, text = capsys.readouterr().out.partition("\n\n")
    await show_version(registry, "orders-value", 1, raw=True)

    assert ["version", "2"] == head.splitlines()[1].split()
    assert ["id", "more"] == [field["name"] for field in json.loads(text)["fields"]]
    assert record("Ordered", id="string") == capsys.readouterr().out


async def test_a_deleted_version_is_shown_if_asked_for(
    app: EmbeddedRegistry, registry: HttpSchemaRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    """Records that were written with it are still on the topic."""
    await ask(app, "DELETE", "/subjects/orders-value/versions/1")
    with pytest.raises(SchemaNotFound):
        await show_version(registry, "orders-value", 1)
    await show_version(registry, "orders-value", 1, deleted=True)

    assert "version   1" in capsys.readouterr().out


async def test_text_of_a_registry_is_no_command_to_a_terminal(
    registry: HttpSchemaRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names of subjects, schemas and their differences are written by whoever may write to the registry."""
    hostile = {"type": "record", "name": "R", "fields": [], "doc": "\x1b[2J\x9b31m\u202e"}
    await registry.register("evil", Schema(record()))
    await registry.register("evil", Schema(json.dumps(hostile)))
    await list_subjects(registry)
    await show_version(registry, "evil", 2)
    with pytest.raises(typer.Exit):
        await diff_versions(registry, "evil", (1, 2))
    shown = capsys.readouterr().out

    assert "\\x9b31m" in shown
    assert all(letter.isprintable() or letter == "\n" for letter in shown)


async def test_two_versions_are_compared(registry: HttpSchemaRegistry, capsys: pytest.CaptureFixture[str]) -> None:
    """The last two, or those that are named; the exit code says whether they differ."""
    with pytest.raises(typer.Exit) as differ:
        await diff_versions(registry, "orders-value", (None, None))
    text = capsys.readouterr().out
    await diff_versions(registry, "orders-value", (2, 2))
    same = capsys.readouterr().out
    with pytest.raises(typer.Exit):
        await diff_versions(registry, "orders-value", (2, 1), json=True)
    facts = json.loads(capsys.readouterr().out)

    assert 1 == differ.value.exit_code
    assert [
        "orders-value: version 1 -> version 2",
        '  + /fields/1  {"name": "more", "type": "long", "default": 0}',
        "version 2 reads version 1",
        "version 1 reads version 2",
    ] == text.splitlines()
    assert "they say the same" in same
    assert [("removed", "/fields/1")] == [(each["change"], each["path"]) for each in facts["differences"]]
    with pytest.raises(SchemaNotFound, match="nothing before version 1"):
        await diff_versions(registry, "orders-value", (None, 1))


async def test_versions_that_lean_on_others_are_compared(registry: HttpSchemaRegistry) -> None:
    """What they refer to is fetched."""
    await registry.register("line", Schema(record("Line", sku="string")))
    leaning = Schema(record("Order", line="Line"), references=(Reference("Line", "line", 1),))
    await registry.register("leaning", leaning)

    await diff_versions(registry, "leaning", (1, 1))


async def test_a_class_is_compared_with_a_version(
    registry: HttpSchemaRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the latest unless told otherwise."""
    for number in (None, 1):
        with pytest.raises(typer.Exit):
            await diff_class(registry, declarations(Ordered), number)
    shown = capsys.readouterr().out

    assert "version 2 -> Ordered\n  - /fields/1" in shown
    assert "version 1 -> Ordered\n  + /fields/1" in shown


async def test_a_check_tells_all_at_once(registry: HttpSchemaRegistry, capsys: pytest.CaptureFixture[str]) -> None:
    """Every version of every class, and how many problems there are."""
    await registry.register("stock-value", Schema(record("Reserved", number="long")))
    with pytest.raises(typer.Exit) as failed:
        await check_classes(registry, declarations(Ordered, Reserved))
    text = capsys.readouterr().out.splitlines()
    with pytest.raises(typer.Exit):
        await check_classes(registry, declarations(Ordered, Reserved), json=True)
    facts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    await check_classes(registry, declarations(Ordered))

    assert 1 == failed.value.exit_code
    assert [
        "orders-value  Ordered",
        "  version 1 (id 1)  is read",
        "  version 2 (id 2)  is read",
        "  its own schema would be a new version (BACKWARD)",
        "stock-value  Reserved",
        "  version 1 (id 3)  CANNOT BE READ",
    ] == text[:6]
    assert "2 classes, 3 versions: 2 problems" == text[-1]
    assert [True, False] == [line["compatible"] for line in facts]
    [problem] = facts[1]["versions"][0]["problems"]
    assert {"kind", "path", "reason", "reader", "writer"} == problem.keys()
    assert ("refused", "BACKWARD") == (facts[1]["own_schema"]["state"], facts[1]["own_schema"]["level"])
    assert [1] == [conflict["version"] for conflict in facts[1]["own_schema"]["conflicts"]]


async def test_the_report_is_the_one_of_the_documentation(capsys: pytest.CaptureFixture[str]) -> None:
    """Letter by letter."""
    app = EmbeddedRegistry()
    registry = embedded_registry(app)
    declared = declarations(Service("inventory", [reserve]))
    await ask(app, "PUT", "/config", {"compatibility": "NONE"})
    await registry.register("orders-value", Schema(record("OrderCreated", order_id="string")))
    await registry.register("stock-value", declared[1].schema)
    await registry.register(
        "orders-value", Schema(record("OrderCreated", order_id="string", note="string", sku="string"))
    )
    await ask(app, "PUT", "/config", {"compatibility": "FULL"})
    with pytest.raises(typer.Exit):
        await check_classes(registry, declared)

    assert f"```text\n{capsys.readouterr().out}```" in PAGE.read_text("utf-8")


async def test_registering_is_said_before_it_is_done(
    registry: HttpSchemaRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the word nothing is registered, with it each new schema is told, and then there is nothing to do."""
    await register_classes(registry, declarations(Ordered, Reserved))
    said = capsys.readouterr().out
    before = await registry.version_numbers("stock-value")
    await register_classes(registry, declarations(Ordered, Reserved), yes=True)
    done = capsys.readouterr().out
    await register_classes(registry, declarations(Ordered, Reserved))

    assert "2 new; say --yes to register" in said
    assert [] == list(before)
    assert ["orders-value is now at version 3 (id 3)", "stock-value is now at version 1 (id 4)"] == done.splitlines()[
        -2:
    ]
    assert "nothing to register" in capsys.readouterr().out


async def test_one_refusal_keeps_all_from_being_registered(
    registry: HttpSchemaRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    """All refusals are told."""
    await registry.register("stock-value", Schema(record("Reserved", number="long")))
    with pytest.raises(typer.Exit) as refused:
        await register_classes(registry, declarations(Ordered, Reserved), yes=True)

    assert 1 == refused.value.exit_code
    assert "WOULD BE REFUSED" in capsys.readouterr().out
    assert [1, 2] == list(await registry.version_numbers("orders-value"))


class Parcelled(Event, topic="parcels"):
    """A parcel was packed."""

    id: str


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        (canned(409, None), IncompatibleSchema, "not registered: stock-value, parcels-value"),
        (
            canned(422, {"error_code": 42205, "message": "Subject stock-value is in read-only mode"}),
            RegistryError,
            "not registered: stock-value, parcels-value",
        ),
        (
            canned(503, None),
            RegistryError,
            "perhaps registered, since there was no proper answer: stock-value; not registered: parcels-value",
        ),
        (
            canned(200, b"<html>"),
            RegistryError,
            "perhaps registered, since there was no proper answer: stock-value; not registered: parcels-value",
        ),
    ],
)
async def test_a_registry_that_changes_its_mind_leaves_a_report_and_a_second_run_does_the_rest(
    app: EmbeddedRegistry, answer: Any, error: type[Exception], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was registered, what was not, and nothing twice."""
    registered: list[str] = []
    willing = False

    async def moody(scope: Any, receive: Any, send: Any) -> None:
        is_registration = scope["method"] == "POST" and scope["path"].endswith("/versions")
        if is_registration and not scope["path"].startswith("/compatibility"):
            if not willing and "stock" in scope["path"]:
                await answer(scope, receive, send)
                return
            registered.append(scope["path"].split("/")[2])
        await app(scope, receive, send)

    declared = declarations(Ordered, Reserved, Parcelled)

    def client() -> HttpSchemaRegistry:
        return HttpSchemaRegistry("http://registry", transport=httpx.ASGITransport(moody), timeout=2.0)

    with pytest.raises(error):
        await register_classes(client(), declared, yes=True)
    report = capsys.readouterr().out.splitlines()[-1]
    willing = True
    await register_classes(client(), declared, yes=True)

    assert f"broken off; registered: orders-value; {told}; the same command does the rest" == report
    assert ["orders-value", "stock-value", "parcels-value"] == registered
    assert ["stock-value is now at version 1 (id 4)", "parcels-value is now at version 1 (id 5)"] == (
        capsys.readouterr().out.splitlines()[-2:]
    )


# --- the command line -------------------------------------------------------------------------------------------------

PROGRAM = """
from eventhub import Event, Service, subscribe


class OrderCreated(Event, topic="orders-{mark}"):
    order_id: str


class Changed(Event, topic="orders-{mark}", name="OrderCreated"):
    order_id: str
    note: str


class StockReserved(Event, topic="stock-{mark}"):
    order_id: str


@subscribe(OrderCreated)
async def reserve(order: OrderCreated) -> StockReserved:
    return StockReserved(order_id=order.order_id)


service = Service("inventory", [reserve])
"""


@pytest.fixture
def mark() -> str:
    """What the topics of a test end in."""
    return uuid.uuid4().hex


@pytest.fixture
def program(tmp_path: Path, mark: str) -> Path:
    """A folder with a module that holds a service and its events."""
    (tmp_path / "shop.py").write_text(PROGRAM.replace("{mark}", mark))
    (tmp_path / "wrong.py").write_text("from eventhub import Event\nclass A(Event, topik='a'): ...\n")
    return tmp_path


async def ran(
    folder: Path, *arguments: str, registry: str = "embedded", token: str = ""
) -> tuple[int | None, str, str]:
    """The command line in a process of its own: exit code, output and errors."""
    path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "eventhub.cli", "schemas", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": path,
            "NO_COLOR": "1",
            "COLUMNS": "200",
            "EVENTHUB_REGISTRY": registry,
            "EVENTHUB_REGISTRY_TOKEN": token,
        },
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode, out.decode(), " ".join(err.decode().replace("│", " ").split())


async def tell_the_story(folder: Path, registry: str, mark: str) -> None:
    """Register a service's schemas and look at them in every way there is."""
    orders, stock = f"orders-{mark}-value", f"stock-{mark}-value"

    async def said(*arguments: str, code: int = 0) -> str:
        returned, out, err = await ran(folder, *arguments, registry=registry)

        assert code == returned, out + err
        return out

    assert "1 new; say --yes" in await said("register", "shop:service")
    assert "is now at version 1" in await said("register", "shop:service", "--yes")
    assert "is now at version 1" in await said("register", "shop:OrderCreated", "--yes")
    listed = [json.loads(line) for line in (await said("list", "--json")).splitlines()]
    assert {(orders, 1), (stock, 1)} <= {(line["subject"], len(line["versions"])) for line in listed}
    assert "order_id" in await said("show", orders)
    assert "order_id" == json.loads(await said("show", orders, "1", "--raw"))["fields"][0]["name"]
    assert "2 classes, 1 version: no problems" in await said("check", "shop:service")
    checked = json.loads(await said("check", "shop:Changed", "--json", code=1))
    assert ("refused", "BACKWARD") == (checked["own_schema"]["state"], checked["own_schema"]["level"])
    assert "READER_FIELD_MISSING_DEFAULT_VALUE" == checked["own_schema"]["conflicts"][0]["kind"]
    assert "+ /fields/1" in await said("diff", "shop:Changed", code=1)
    assert "they say the same" in await said("diff", "shop:OrderCreated")
    assert "nothing was registered" in await said("register", "shop:Changed", "--yes", code=1)


async def test_the_commands_work_on_a_served_registry(program: Path, mark: str) -> None:
    """The one that comes with eventhub."""
    async with serve() as server:
        await tell_the_story(program, server.url, mark)


async def test_a_registry_may_ask_for_a_token(program: Path) -> None:
    """It comes from the environment, as that of a service does."""
    async with serve(EmbeddedRegistry(credentials=Credentials("secret"))) as server:
        known = await ran(program, "list", "--json", registry=server.url, token="secret")  # noqa: S106
        stranger = await ran(program, "list", "--json", registry=server.url)

    assert (0, "", "") == known
    assert 2 == stranger[0]
    assert "or the token" in stranger[2]


@pytest.mark.java
async def test_the_commands_work_on_apicurio(program: Path, mark: str) -> None:
    """Another registry under Confluent's interface."""
    with apicurio() as address:
        await tell_the_story(program, f"{address}/apis/ccompat/v7", mark)


async def test_schemas_are_exported_without_a_registry(program: Path, mark: str) -> None:
    """Those of all that a service reads and writes, into a folder that is made."""
    code, out, err = await ran(program, "export", "shop:service", "--to", "made/here")
    names = sorted(file.name for file in (program / "made" / "here").iterdir())

    assert 0 == code, err
    assert [f"orders-{mark}-value.avsc", f"stock-{mark}-value.avsc"] == names
    assert names == sorted(Path(line).name for line in out.splitlines())


async def test_a_module_that_cannot_be_imported_is_not_taken_for_a_refusal(program: Path) -> None:
    """Its own error is shown as Python shows it."""
    (program / "broken.py").write_text("raise LookupError('no such shop')\n")
    code, out, err = await ran(program, "check", "broken:service")

    assert (2, "") == (code, out)
    assert "Traceback" in err
    assert err.endswith("LookupError: no such shop")


@pytest.mark.parametrize(
    ("arguments", "registry", "message"),
    [
        (("list",), "embedded", "lives inside one process"),
        (("list",), "http://127.0.0.1:9", "check that it runs"),
        (("list", "--registry", "nowhere"), "http://127.0.0.1:9", "is no address of a Schema Registry"),
        (("check", "shop:nothing"), "embedded", "there is no 'nothing' in 'shop'"),
        (("check", "wrong:A"), "embedded", "did you mean 'topic'?"),
        (("export", "shop:service", "--to", "shop.py"), "embedded", "is a file"),
        (("show", "s", "first"), "embedded", "write a number from 1 on, or latest"),
        (("show", "s", "9" * 5_000), "embedded", "write a number from 1 on, or latest"),
        (("show", "\udcff"), None, "not found"),
        (("diff", "shop:OrderCreated", "1", "2"), "embedded", "a class is compared with one version"),
        (("register", "shop:OrderCreated", "shop:Changed"), None, "declare different schemas"),
    ],
)
async def test_what_cannot_be_found_out_is_one_message_and_exit_code_2(
    program: Path, arguments: tuple[str, ...], registry: str | None, message: str
) -> None:
    """Which a pipeline tells from a schema that is refused."""
    async with serve() as server:
        code, out, err = await ran(program, *arguments, registry=server.url if registry is None else registry)

    assert 2 == code, err
    assert message in err
    assert "" == out
    assert "Traceback" not in err
