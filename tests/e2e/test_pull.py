"""`sluice pull`: a table of the application's own database becomes a file, by its definition alone."""

from __future__ import annotations

import csv
import hmac
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import openpyxl
import pytest

from tests.support.command_line import sluice

ROWS = 12_345
PAGE = Path(__file__).parents[2] / "docs/datasets.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The page's definitions, and the database that they are about."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = [block.partition("\n")[2] for block in text.split("```")[1::2] if block.startswith("yaml")]
    for block in blocks[:2]:  # what follows is of servers
        name = block.partition(" ")[2].partition("\n")[0]
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(block)
    with closing(sqlite3.connect(tmp_path / "definitions" / "shop.db")) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, email TEXT, amount REAL, paid INTEGER, created_at TEXT)"
        )
        db.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", map(row, range(1, ROWS + 1)))
        db.commit()
    return tmp_path


def row(number: int) -> tuple[int, str | None, float, int, str]:
    at = f"2026-03-{number % 28 + 1:02} 10:00:00"
    return number, None if number % 7 == 0 else f"名 {number}@example.com", number / 8, number % 2, at


def pull(folder: Path, *arguments: str, exit_code: int = 0) -> str:
    done = sluice("pull", *arguments, "--definitions", folder / "definitions", exit_code=exit_code)
    return done.stderr if exit_code else done.stdout


def test_every_row_of_the_table_is_in_the_file_as_the_page_defines_it(folder: Path) -> None:
    made = json.loads(pull(folder, "orders", "-o", str(folder / "orders.csv"), "--json"))
    assert (made["rows"], made["read_as"]) == (ROWS, "orders, snapshot")
    with (folder / "orders.csv").open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["Order id", "email", "amount", "paid", "created_at"]
    assert len(rows) == ROWS
    for number, (order, email, amount, paid, at) in enumerate(rows, 1):
        expected = row(number)
        assert (int(order), email or None, float(amount), at) == (expected[0], expected[1], expected[2], expected[4])
        assert paid == ("yes" if expected[3] else "no")


def test_a_table_is_read_by_ranges_of_its_keys_each_of_its_own_moment(folder: Path) -> None:
    defined = folder / "definitions/datasets/orders.yaml"
    with closing(sqlite3.connect(folder / "definitions" / "shop.db")) as db:
        db.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", map(row, range(ROWS + 1, 20_001)))
        db.commit()
    made = json.loads(pull(folder, "orders", "-o", str(folder / "whole.jsonl"), "--json"))
    defined.write_text(defined.read_text().replace("key: [id]", "key: [id], consistency: split, splits: 5"))
    split = json.loads(pull(folder, "orders", "-o", str(folder / "split.jsonl"), "--json"))
    assert (split["rows"], split["read_as"]) == (20_000, "orders, split of 3 moments"), "8,000 rows are one slice"
    assert (folder / "split.jsonl").read_bytes() == (folder / "whole.jsonl").read_bytes()
    assert made["rows"] == split["rows"]


def test_a_workbook_has_the_columns_that_are_asked_for_in_their_order(folder: Path) -> None:
    pull(folder, "orders", "-o", str(folder / "few.xlsx"), "--columns", "amount,id")
    with closing(openpyxl.load_workbook(folder / "few.xlsx", read_only=True)) as book:
        sheet, about = book.worksheets
        rows, said = (list(one.iter_rows(values_only=True)) for one in (sheet, about))
    assert ("Rows in this file", str(ROWS), None) in said
    assert ("Column", "amount", "number, amount of the table") in said
    assert rows[:2] == [("amount", "Order id"), (0.125, 1)]
    assert len(rows) == ROWS + 1


@pytest.mark.parametrize(
    ("arguments", "said", "exit_code"),
    [
        (["order", "-o", "x.csv"], "did you mean orders?", 2),
        (["orders", "-o", "x.csv", "--columns", "id,mail"], "name mail, known amount created_at email id paid", 1),
        (["orders", "-o", "x.csv", "--columns", "id,id"], "a column is asked for twice", 1),
        (["orders", "-o", "x.csv", "--attribute", "tenant"], "'tenant' is no NAME=VALUE", 2),
        (["orders", "-o", "x.doc"], "the name ends in", 2),
    ],
)
def test_what_is_asked_for_wrongly_makes_no_file_and_says_why(
    folder: Path, arguments: list[str], said: str, exit_code: int
) -> None:
    place = [str(folder / one) if one.startswith("x.") else one for one in arguments]
    assert said in " ".join(pull(folder, *place, exit_code=exit_code).split())
    assert not list(folder.glob("x.*"))


def test_the_file_has_what_the_user_would_get(folder: Path) -> None:
    file = folder / "definitions/datasets/orders.yaml"
    masked = '{name: email, mask: email, unmask_with: "orders:pii"}'
    file.write_text(file.read_text().replace("{name: email}", masked) + 'rows: {id: ":user.mine"}\n')
    said = pull(folder, "orders", "-o", str(folder / "x.csv"), exit_code=1)
    assert "PERMISSION_DENIED" in said
    assert "says no mine" in " ".join(said.split())
    mine = ["orders", "--attribute", "mine=3", "-o", str(folder / "x.jsonl")]
    pull(folder, *mine)
    assert json.loads((folder / "x.jsonl").read_text())["email"] == "名***@example.com"
    pull(folder, *mine, "--permission", "orders:pii")
    assert json.loads((folder / "x.jsonl").read_text())["email"] == "名 3@example.com"


def test_a_hash_is_by_a_secret_that_is_in_no_file(folder: Path) -> None:
    file = folder / "definitions/datasets/orders.yaml"
    file.write_text(file.read_text().replace("{name: email}", "{name: email, mask: hash, hash_key: pseudo-nyms}"))
    out = folder / "x.csv"
    assert "there is no secret pseudo-nyms" in pull(folder, "orders", "-o", str(out), exit_code=1)
    asked: list[str | Path] = [
        "pull",
        "orders",
        "-o",
        str(out),
        "--columns",
        "id,email",
        "--definitions",
        folder / "definitions",
    ]
    sluice(*asked, env={"SLUICE_SECRET_PSEUDO_NYMS": "sesame"})
    rows = out.read_text(encoding="utf-8-sig").splitlines()[1:]
    key, value = b"sesame", "名 8@example.com".encode()
    assert rows[7] == f"8,{hmac.digest(key, value, 'sha256').hex()[:32]}"
    assert rows[6] == "7,", "a null is no value"
    assert "sesame" not in out.read_text()


def test_a_table_that_changed_since_its_definition_makes_no_file(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "definitions" / "shop.db")) as db:
        db.execute("ALTER TABLE orders DROP COLUMN paid")
    said = pull(folder, "orders", "-o", str(folder / "x.csv"), exit_code=1)
    assert "table orders of shop.db has no column paid" in said
    assert (
        "has no column paid" in sluice("dataset", "check", "--definitions", folder / "definitions", exit_code=1).stderr
    )
    assert not list(folder.glob("*x.csv*"))


def test_the_check_names_every_table_that_is_wrong(folder: Path) -> None:
    defined = folder / "definitions" / "datasets"
    for name in ("first", "second"):
        text = (defined / "orders.yaml").read_text().replace("dataset: orders", f"dataset: {name}")
        (defined / f"{name}.yaml").write_text(text.replace("table: orders", f"table: {name}"))
    checked = sluice("dataset", "check", "--definitions", folder / "definitions", exit_code=1)
    assert checked.stdout == "orders: 5 columns of orders\n"
    assert "first: there is no table first in shop.db; second: there is no table second in shop.db" in checked.stderr


def test_the_check_names_a_filter_that_its_table_has_no_use_for(folder: Path) -> None:
    defined = folder / "definitions" / "datasets"
    text = (defined / "orders.yaml").read_text().replace("dataset: orders", "dataset: NAME")
    for name, more in (
        ("epochs", "filters: {date: id}"),
        ("nowhere", "filters: {ids: id, equals: [city]}"),
        ("others", 'rows: {shop: ":user.tenant"}'),
    ):
        (defined / f"{name}.yaml").write_text(f"{text.replace('NAME', name)}\n{more}\n")
    checked = sluice("dataset", "check", "--definitions", folder / "definitions", exit_code=1)
    assert checked.stdout == "orders: 5 columns of orders\n"
    assert "epochs: id of table orders of shop.db is INTEGER, and the dates of a range are compared" in checked.stderr
    assert "nowhere: table orders of shop.db has no column city" in checked.stderr
    assert "others: table orders of shop.db has no column shop" in checked.stderr


def test_a_value_that_is_none_of_its_type_is_named_by_row_and_column_and_makes_no_file(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "definitions" / "shop.db")) as db:
        db.execute("UPDATE orders SET created_at = 'soon' WHERE id = 9000")
        db.commit()
    said = pull(folder, "orders", "-o", str(folder / "x.csv"), exit_code=1)
    assert "INVALID_VALUE" in said
    assert "row 9,000" in said or "row 9000" in said
    assert "created_at" in said
    assert "soon" not in said
    assert not list(folder.glob("*x.csv*"))


def test_definitions_are_checked_listed_shown_and_previewed(folder: Path) -> None:
    def dataset(*arguments: str) -> str:
        return sluice("dataset", *arguments, "--definitions", folder / "definitions").stdout

    assert dataset("check") == "orders: 5 columns of orders\n1 dataset, 1 connection: no mistakes\n"
    assert dataset("list") == "orders  orders of app\n"
    assert json.loads(dataset("list", "--json")) == ["orders"]
    assert "consistency  snapshot" in dataset("show", "orders")
    assert json.loads(dataset("show", "orders", "--json"))["source"]["key"] == ["id"]
    lines = dataset("preview", "orders", "--rows", "3").splitlines()
    assert [json.loads(line)["Order id"] for line in lines] == ["1", "2", "3"]
    assert json.loads(lines[0])["amount"] == "0.125"
