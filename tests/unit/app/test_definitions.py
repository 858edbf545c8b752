"""Definitions are read strictly: every mistake at once, with the file and the place in it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sluice.app import definitions as definitions_module
from sluice.app.definitions import AGAIN_S, Definitions, DefinitionsFolder, load_definitions, opens_sinks, opens_sources
from sluice.app.secrets import find_secret
from sluice.app.settings.validation import settings_from
from sluice.domain.dataset import DefinitionsError, PostgresqlConnection, SqliteConnection, TableSource
from sluice.domain.events import Event
from sluice.domain.pulled import Pulled
from sluice.domain.secret import NO_SECRET, Secret
from sluice.domain.target import TableTarget
from sluice.ports.sink import SinkError, SinkUnavailable
from sluice.ports.source import SourceError, SourceUnavailable
from tests.support.fake_clock import FakeClock
from tests.support.recorded_journal import RecordedJournal

CONNECTION = "name: app\ntype: sqlite\npath: shop.db\n"
DATASET = "dataset: orders\nsource: {connection: app, table: orders, key: [id]}\ncolumns: [{name: id, type: number}]\n"


SERVER = "name: app\ntype: postgresql\nhost: db.internal\ndatabase: shop\nuser: u\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "connections/app.yaml", CONNECTION)
    write(tmp_path, "datasets/orders.yaml", DATASET)
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)


def mistakes(folder: Path) -> tuple[str, ...]:
    with pytest.raises(DefinitionsError) as found:
        load_definitions(folder)
    return found.value.problems


def test_what_is_defined_is_found_by_name(folder: Path) -> None:
    found = load_definitions(folder)
    assert found.find("orders").source.key == ("id",)
    assert found.connections["app"] == SqliteConnection(name="app", path="shop.db")
    with pytest.raises(DefinitionsError, match="there is no dataset 'order'; did you mean orders"):
        found.find("order")


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (
            "datasets/orders.yaml",
            DATASET.replace("table: orders, ", ""),
            "source: Object missing required field `table`",
        ),
        ("datasets/orders.yaml", DATASET.replace("type: number", "typ: number"), "unknown field `typ`"),
        (
            "datasets/orders.yaml",
            DATASET.replace("type: number", "type: int"),
            "columns[0].type: Invalid enum value 'int'",
        ),
        (
            "datasets/orders.yaml",
            DATASET.replace("key: [id]", "key: []"),
            "source.key: Expected `array` of length >= 1",
        ),
        ("datasets/orders.yaml", DATASET.replace("key: [id]", "key: [id, id]"), "source.key: id is given twice"),
        (
            "datasets/orders.yaml",
            DATASET.replace("key: [id]", "key: [id], splits: 4"),
            "source.splits: is of no use without consistency: split",
        ),
        ("datasets/orders.yaml", DATASET.replace("[{name: id", "[{name: id}, {name: id"), "columns: id is given twice"),
        (
            "datasets/orders.yaml",
            DATASET.replace("[{name: id", "[{name: a, label: id}, {name: id"),
            "columns: two have the header 'id'",
        ),
        ("datasets/orders.yaml", DATASET.replace("connection: app", "connection: ap"), "did you mean app?"),
        ("datasets/orders.yaml", DATASET + "dataset: again\n", "orders.yaml:4: is not YAML: dataset is given twice"),
        ("datasets/orders.yaml", "a: [", "is not YAML"),
        ("datasets/orders.yaml", "? [a, b]\n: 1", "is not YAML: found unhashable key"),
        ("datasets/orders.yaml", "", "is empty"),
        ("datasets/orders.yaml", "&a [*a]", "found unconstructable recursive node"),
        ("datasets/orders.yaml", "x: " + "y" * (1 << 20), "has more than 1,048,576 characters"),
        ("datasets/other.yaml", DATASET, "orders is defined in another file too"),
        ("datasets/orders.yml", DATASET, "orders is defined in another file too"),
        (
            "datasets/orders.yaml",
            DATASET.replace("dataset: orders", "dataset: Orders"),
            "dataset: Expected `str` matching",
        ),
        ("datasets/orders.yaml", DATASET.replace("dataset: orders", "dataset: ords"), "the file of that is ords.yaml"),
        ("connections/app.yaml", CONNECTION.replace("sqlite", "oracle"), "Invalid value 'oracle'"),
        ("connections/app.yaml", CONNECTION + "password: x\n", "unknown field `password`"),
        ("connections/app.yaml", SERVER.replace("user: u\n", ""), "missing required field `user`"),
        ("connections/app.yaml", SERVER + "port: 0\n", "port: Expected `int` >= 1"),
        ("connections/app.yaml", SERVER + "statement_timeout: 5\n", "statement_timeout: Expected `str`, got `int`"),
        ("connections/app.yaml", SERVER + "statement_timeout: 0s\n", "statement_timeout: Expected `str` matching"),
        ("connections/app.yaml", SERVER + "tls: maybe\n", "tls: Invalid enum value 'maybe'"),
        ("connections/app.yaml", SERVER + "tls_ca: ca.pem\ntls: off\n", "tls_ca: is of no use without tls: verify"),
        ("connections/app.yaml", SERVER.replace("db.internal", "/run/db") + "tls: verify\n", "a socket has no name"),
        ("datasets/orders.yaml", DATASET.replace("table: orders", "table: orders, schema: s"), "SQLite has none"),
    ],
)
def test_a_mistake_is_named_with_its_place(folder: Path, file: str, text: str, said: str) -> None:
    write(folder, file, text)
    assert said in "\n".join(mistakes(folder))


def test_all_mistakes_are_named_at_once(folder: Path) -> None:
    write(folder, "connections/app.yaml", "- 1")
    write(folder, "datasets/orders.yaml", "dataset: orders")
    write(folder, "datasets/more.yaml", "{")
    assert [problem.partition(":")[0] for problem in mistakes(folder)] == [
        "connections/app.yaml",
        "datasets/more.yaml",
        "datasets/orders.yaml",
    ]


def test_a_folder_that_is_not_there_says_so_and_an_empty_one_defines_nothing(tmp_path: Path) -> None:
    assert load_definitions(tmp_path).datasets == {}
    assert mistakes(tmp_path / "none") == (f"there is no folder {tmp_path / 'none'}",)
    write(tmp_path, "datasets/orders.yaml", "x")
    (tmp_path / "datasets/orders.yaml").write_bytes(b"\xff")
    assert mistakes(tmp_path) == ("datasets/orders.yaml: cannot be read: it is not UTF-8",)


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
@pytest.mark.parametrize("password", ["Kn0rr!", "x${secret:app}", "${secret:App}", "${secret:}", "${env:app}"])
def test_a_password_in_a_file_is_a_mistake_that_names_the_way_out_and_quotes_nothing(
    folder: Path, kind: str, password: str
) -> None:
    write(folder, "connections/app.yaml", SERVER.replace("postgresql", kind) + f"password: '{password}'\n")
    (said,) = mistakes(folder)
    assert said.startswith("connections/app: password: stands in the file itself")
    assert "${secret:app}" in said
    assert "SLUICE_SECRET_APP" in said
    assert password not in said.replace("${secret:app}", "")


@pytest.mark.parametrize(
    ("host", "tls", "verifies"),
    [
        ("db.internal", "", True),
        ("10.0.0.1", "", True),
        ("127.0.0.1", "", False),
        ("::1", "", False),
        ("localhost", "", False),
        ("/run/postgresql", "", False),
        ("127.0.0.1.evil.example", "", True),
        ("db.internal", "tls: off\n", False),
        ("db.internal", "tls: 'off'\n", False),
        ("127.0.0.1", "tls: on\n", True),
        ("127.0.0.1", "tls: verify\n", True),
    ],
)
def test_a_server_on_another_machine_has_to_prove_its_name(
    folder: Path, host: str, tls: str, *, verifies: bool
) -> None:
    write(folder, "connections/app.yaml", SERVER.replace("db.internal", f"'{host}'") + tls)
    connection = load_definitions(folder).connections["app"]
    assert isinstance(connection, PostgresqlConnection)
    assert connection.verifies is verifies
    assert connection.statement_timeout_s == 3600


def test_a_table_is_named_with_its_schema_before_the_first_dot() -> None:
    def place(table: str, schema: str | None = None) -> tuple[str | None, str]:
        return TableSource(connection="c", table=table, schema=schema, key=("id",)).place

    assert place("orders") == (None, "orders")
    assert place("public.orders") == ("public", "orders")
    assert place("public.a.b") == ("public", "a.b")
    assert place("a.b", "public") == ("public", "a.b")
    assert place(".orders") == (None, ".orders")


@pytest.mark.parametrize(
    ("kind", "package", "extra"), [("postgresql", "asyncpg", "postgresql"), ("mysql", "pymysql", "mysql")]
)
def test_a_driver_that_is_not_installed_is_named_with_its_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, package: str, extra: str
) -> None:
    write(folder, "connections/app.yaml", SERVER.replace("postgresql", kind))
    monkeypatch.setitem(sys.modules, package, None)
    found = load_definitions(folder)
    with pytest.raises(SourceError, match=rf"pip install 'sluice\[{extra}\]'"):
        found.source_of(found.find("orders")).count(1)


def test_a_secret_is_looked_for_when_the_source_is_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "connections/app.yaml", SERVER + "password: ${secret:shop-db}\n")
    found = load_definitions(folder)
    reading = found.source_of(found.find("orders"))
    with pytest.raises(
        SourceError, match="there is no secret shop-db: set SLUICE_SECRET_SHOP_DB, or SLUICE_SECRETS_DIR"
    ):
        reading.count(1)
    monkeypatch.setenv("SLUICE_SECRETS_DIR", str(folder))
    with pytest.raises(SourceError, match=r"SLUICE_SECRET_SHOP_DB is not set, and .*shop-db cannot be read"):
        reading.count(1)
    (folder / "shop-db").write_text("of a file \n")
    assert find_secret("${secret:shop-db}") == Secret("of a file ")
    monkeypatch.setenv("SLUICE_SECRETS", '{"shop-db": "one of all", "other": "x"}')
    assert find_secret("${secret:shop-db}") == Secret("one of all")
    monkeypatch.setenv("SLUICE_SECRET_SHOP_DB", "of a variable")
    assert find_secret("${secret:shop-db}") == Secret("of a variable")
    assert find_secret("") == NO_SECRET
    assert settings_from({"SLUICE_SECRET_SHOP_DB": "x", "SLUICE_SECRETS_DIR": "y"}, None) == settings_from({}, None)


@pytest.mark.parametrize("text", ["null", "{}", '{"other": "x"}'])
def test_secrets_that_are_given_all_in_one_may_be_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SLUICE_SECRETS", text)
    with pytest.raises(SourceError, match="there is no secret shop-db"):
        find_secret("${secret:shop-db}")


@pytest.mark.parametrize("text", ['["hidden-word"]', '{"shop-db": ["hidden-word"]}', "hidden-word", "{"])
def test_secrets_that_cannot_be_read_are_named_and_not_quoted(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SLUICE_SECRETS", text)
    with pytest.raises(SourceError) as caught:
        find_secret("${secret:shop-db}")
    assert str(caught.value) == "SLUICE_SECRETS is no JSON object of texts"
    assert caught.value.__cause__ is None


def test_the_connection_to_a_server_that_the_page_shows_is_one(folder: Path) -> None:
    text = (Path(__file__).parents[3] / "docs/datasets.md").read_text(encoding="utf-8")
    (shown,) = [block for block in text.split("```")[1::2] if "connections/crm.yaml" in block]
    write(folder, "connections/crm.yaml", shown.removeprefix("yaml\n"))
    found = load_definitions(folder).connections["crm"]
    assert isinstance(found, PostgresqlConnection)
    assert (found.verifies, found.statement_timeout_s, found.port) == (True, 1800, 5432)


def test_a_mistake_in_the_folder_puts_a_reading_off_and_a_connection_that_is_gone_ends_it(folder: Path) -> None:
    pulled = Pulled(dataset="orders", version="v", connection="app", table="orders", key=("id",), consistency="key")
    open_source = opens_sources(folder)
    open_source(pulled)
    write(folder, "datasets/typo.yaml", "dataset: [")
    write(folder, "connections/typo.yaml", "name: [")
    open_source(pulled)  # what is wrong elsewhere is of no interest
    app = (folder / "connections/app.yaml").read_text()
    write(folder, "connections/app.yaml", "name: [")
    with pytest.raises(SourceUnavailable, match="app"):
        open_source(pulled)
    write(folder, "connections/app.yaml", app)
    for place in ("datasets", "connections"):
        (folder / place / "typo.yaml").unlink()
    (folder / "datasets/orders.yaml").unlink()
    open_source(pulled)
    (folder / "connections/app.yaml").unlink()
    with pytest.raises(SourceError) as caught:
        open_source(pulled)
    assert not isinstance(caught.value, SourceUnavailable)


def test_a_folder_with_a_mistake_is_not_read_at_each_call(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Path] = []

    def counted(read: Path) -> Definitions:
        reads.append(read)
        return load_definitions(read)

    monkeypatch.setattr(definitions_module, "load_definitions", counted)
    journal, clock = RecordedJournal(), FakeClock()
    definitions = DefinitionsFolder(folder, journal, monotonic=clock.monotonic)
    write(folder, "datasets/broken.yaml", "dataset: broken\n")
    for _ in range(5):
        assert list(definitions.current().datasets) == ["orders"], "what was read before holds on"
    assert len(reads) == 2
    clock.advance(AGAIN_S)
    definitions.current()
    assert len(reads) == 3, "what is in the way may show in no file"
    assert len(journal.of(Event.VALIDATION_ERROR)) == 1
    write(folder, "datasets/broken.yaml", DATASET.replace("dataset: orders", "dataset: broken"))
    assert sorted(definitions.current().datasets) == ["broken", "orders"], "at once, for its file has changed"


def test_rows_are_loaded_through_a_connection_that_may_be_written_to_alone(folder: Path) -> None:
    write(folder, "connections/dwh.yaml", SERVER.replace("app", "dwh") + "writes: true\n")
    write(folder, "connections/crm.yaml", SERVER.replace("app", "crm"))
    opens = opens_sinks(folder)
    opens(TableTarget(connection="dwh", table="t")).close()
    for name, said in (
        ("crm", "for reading alone: set writes: true"),
        ("app", "tables of PostgreSQL and MySQL alone"),
        ("dwh2", "there is no connection dwh2 in .*; did you mean dwh"),
    ):
        with pytest.raises(SinkError, match=said):
            opens(TableTarget(connection=name, table="t"))


def test_a_target_is_away_while_its_connection_cannot_be_read(folder: Path) -> None:
    write(folder, "connections/dwh.yaml", SERVER.replace("app", "dwh") + "writes: maybe\n")
    with pytest.raises(SinkUnavailable, match="Expected `bool`"):
        opens_sinks(folder)(TableTarget(connection="dwh", table="t"))
