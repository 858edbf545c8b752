"""Definitions are read strictly: every mistake at once, with the file and the place in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.app.definitions import load_definitions
from sluice.domain.dataset import DefinitionsError

CONNECTION = "name: app\ntype: sqlite\npath: shop.db\n"
DATASET = "dataset: orders\nsource: {connection: app, table: orders, key: [id]}\ncolumns: [{name: id, type: number}]\n"


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
    assert found.connections["app"].path == "shop.db"
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
