"""Folders of files in a folder of definitions."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from sluice.app.definitions import load_definitions
from sluice.domain.dataset import DefinitionsError
from sluice.domain.file_source import AnyFileRows
from sluice.domain.pulled import Pulled
from sluice.ports.source import SourceError
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
        (rows(connection="shop"), "connection shop is of a database: files are read from one of type folder"),
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
    with pytest.raises(DefinitionsError, match="is of a folder, and a dataset reads a table of a database"):
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
