"""Folders of files in a folder of definitions."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from sluice.app.definitions import load_definitions
from sluice.domain.dataset import DefinitionsError
from sluice.domain.file_source import AnyFileRows
from sluice.domain.http_source import HttpRows, http_source_of
from sluice.domain.pulled import Pulled
from sluice.ports.source import SourceError
from tests.support.scripted_server import Answer, scripted_server
from tests.support.source_rows import rows_of, slices_of


def rows(**options: object) -> AnyFileRows:
    written = {"type": "csv", "connection": "landing", "path": "*.csv", **options}
    made: AnyFileRows = msgspec.convert(written, AnyFileRows)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "connections").mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("id,name\n1,a\n2,b\n")
    (tmp_path / "connections" / "landing.yaml").write_text("{name: landing, type: folder, path: in}")
    (tmp_path / "connections" / "shop.yaml").write_text("{name: shop, type: sqlite, path: shop.db}")
    return tmp_path


def test_what_a_task_has_of_files_is_read_where_it_is_worked_on(folder: Path) -> None:
    found = load_definitions(folder)
    files = found.pinned(rows())
    columns = tuple(column.name for column in found.files("landing", files).describe())
    pulled = Pulled(
        dataset="", version="", connection="landing", table="*.csv", consistency="key", columns=columns, files=files
    )
    stored = msgspec.json.decode(msgspec.json.encode(pulled), type=Pulled)
    assert stored == pulled
    assert rows_of(slices_of(found.open_pulled(stored))) == [("1", "a"), ("2", "b")]
    assert pulled.listed().files is None


def test_files_that_are_not_there_and_connections_of_another_kind_are_named(folder: Path) -> None:
    found = load_definitions(folder)
    for wrong, said in (
        (rows(path="no*.csv"), "no file in landing fits no*.csv; missing: empty takes that for no rows"),
        (rows(connection="shop"), "connection shop is of no folder: files come from one of type folder or bucket"),
        (rows(connection="lost"), "there is no connection lost"),
    ):
        with pytest.raises(SourceError) as refused:
            found.pinned(wrong)
        assert said in str(refused.value)
    assert found.pinned(rows(path="no*.csv", missing="empty")).files == ()
    (folder / "datasets").mkdir()
    (folder / "datasets" / "orders.yaml").write_text(
        "{dataset: orders, source: {connection: landing, table: a, key: [id]}, columns: [{name: id}]}"
    )
    with pytest.raises(DefinitionsError, match="is of no database, and a dataset reads a table of one"):
        load_definitions(folder)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"header": False}, "a file without a header needs columns"),
        ({"columns": ["a", "a"]}, "columns has a name twice"),
        ({"delimiter": ";;"}, "matching regex"),
        ({"types": {"a": "numbr"}}, "Invalid enum value"),
        ({"colums": ["a"]}, "unknown field"),
    ],
)
def test_a_mistake_in_a_job_is_named(options: dict[str, object], said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        rows(**options)


def test_an_api_is_read_by_its_connection_and_its_secret_stands_in_no_definition(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted_server(lambda _: Answer(200, b'[{"id": 1}]')) as server:
        path = folder / "connections" / "api.yaml"
        written = "type: http, auth: bearer, secret: '${secret:api}', allow: [127.0.0.1/32]"
        path.write_text(f"{{name: api, {written}, url: '{server.url}'}}")
        monkeypatch.setenv("SLUICE_SECRET_API", "s3cret")
        pages = http_source_of(HttpRows(connection="api", path="orders"), {})
        pulled = Pulled(
            dataset="", version="", connection="api", table="", consistency="key", columns=("id",), pages=pages
        )
        stored = msgspec.json.decode(msgspec.json.encode(pulled), type=Pulled)
        assert rows_of(slices_of(load_definitions(folder).open_pulled(stored))) == [("1",)]
        assert server.asked[0].headers["authorization"] == "Bearer s3cret"
        assert "s3cret" not in msgspec.json.encode(pulled).decode()
        with pytest.raises(SourceError, match="connection landing is no service"):
            load_definitions(folder).pages("landing", pages)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("url: 'http://a.example'", "url: http:// goes into a network of allow alone"),
        ("url: 'https://a.example', auth: bearer", "auth: bearer, basic or header goes with a secret"),
        (
            "url: 'https://a.example', auth: bearer, secret: hidden",
            'secret: stands in the file itself: write "${secret:api}"',
        ),
        ("url: 'https://a.example', user: u", "user: goes with auth: basic"),
        ("url: 'https://a.example', allow: [10.0.0.1/8]", "allow: '10.0.0.1/8' is no network as 10.1.0.0/16"),
        ("url: 'https://a.example:99999'", "url: its port is none"),
        ("url: 'https://u:p@a.example'", "matching regex"),
        ("url: 'file:///etc/passwd'", "matching regex"),
    ],
)
def test_a_mistake_in_a_service_is_named_and_its_secret_is_not_shown(written: str, said: str, folder: Path) -> None:
    (folder / "connections" / "api.yaml").write_text(f"{{name: api, type: http, {written}}}")
    with pytest.raises(DefinitionsError) as refused:
        load_definitions(folder)
    assert said in str(refused.value)
    assert "hidden" not in str(refused.value)
