"""A table of SQLite is read whole, each row once, in an order that can be taken up again; or it says why not."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.adapters.sources import sqlite as source_module
from sluice.adapters.sources.sqlite import SqliteSource
from sluice.domain.dataset import TableSource
from sluice.domain.pulled import Condition, Cursor
from sluice.ports.source import ConditionError, Slice, SourceError, SourceUnavailable

ROWS = [(str(number), f"name {number}") for number in range(1, 11)]
EVIL = ['a"b', "x; DROP TABLE t; --", "sel ect", "名", "t.id"]


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "PAGE_ROWS", 3)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


def made(file: Path, *statements: str, rows: Sequence[Sequence[Any]] = (), wal: bool = True) -> Path:
    """A file with a table ``t``, whose rows are ``rows``."""
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        if wal:
            db.execute("PRAGMA journal_mode=WAL")
        for statement in statements or ("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)",):
            db.execute(statement)
        for row in rows:
            db.execute(f"INSERT INTO t VALUES ({', '.join('?' * len(row))})", row)
    return file


def source(
    file: Path,
    columns: Sequence[str] = ("id", "name"),
    key: tuple[str, ...] = ("id",),
    table: str = "t",
    consistency: Literal["snapshot", "key"] = "snapshot",
) -> SqliteSource:
    return SqliteSource(file, TableSource(connection="c", table=table, key=key, consistency=consistency), columns)


def slices_of(reading: SqliteSource, after: Cursor | None = None) -> list[Slice]:
    with reading.reading(after) as slices:
        return list(slices)


def rows_of(slices: Sequence[Slice]) -> list[tuple[str | None, ...]]:
    assert all({len(values) for values in part.columns} == {part.rows} for part in slices)
    return [row for part in slices for row in zip(*part.columns, strict=True)]


def test_every_row_comes_once_in_the_order_of_the_key_and_from_any_place_on(file: Path) -> None:
    reading = source(made(file, rows=ROWS[::-1]))
    slices = slices_of(reading)
    assert rows_of(slices) == ROWS
    assert len(slices) > 1
    for place, part in enumerate(slices, 1):
        assert rows_of(slices_of(reading, part.cursor)) == rows_of(slices[place:])
    assert slices_of(source(made(file.with_name("empty.db")))) == []


def test_a_slice_ends_where_it_is_large(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "SLICE_BYTES", 100)
    slices = slices_of(source(made(file, rows=[(1, "x" * 50), (2, "y"), (3, "z")])))
    assert [part.rows for part in slices] == [1, 2]


KEYS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3),
    st.sampled_from(["a", "A", "ä", "Ä", "b ", "b", "10", "9"]),
    st.binary(max_size=2),
)


@pytest.mark.slow
@given(
    st.lists(st.tuples(KEYS, KEYS), max_size=12, unique_by=repr),
    st.sampled_from(["", "INTEGER", "REAL", "NUMERIC", "TEXT", "TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM", "BLOB"]),
    st.sampled_from(["", "WITHOUT ROWID"]),
)
def test_keys_of_any_values_types_and_orders_leave_no_row_out(
    keys: list[tuple[Any, Any]], kind: str, without: str
) -> None:
    with TemporaryDirectory() as folder:
        file = made(
            Path(folder) / "k.db",
            f"CREATE TABLE t (a {kind} NOT NULL, b {kind} NOT NULL, n, "
            f"PRIMARY KEY ({'a COLLATE BINARY, b COLLATE BINARY' if 'COLLATE' in kind else 'a, b'})) {without}",
        )
        with closing(sqlite3.connect(file, isolation_level=None)) as db:
            for number, pair in enumerate(keys):
                db.execute("INSERT OR IGNORE INTO t VALUES (?, ?, ?)", (*pair, number))
            stored = {number for (number,) in db.execute("SELECT n FROM t")}
        slices = slices_of(source(file, ["n"], ("a", "b")))
        found = [int(str(number)) for (number,) in rows_of(slices)]
        assert sorted(found) == sorted(stored)
        for place, part in enumerate(slices, 1):
            assert rows_of(slices_of(source(file, ["n"], ("a", "b")), part.cursor)) == rows_of(slices[place:])


def test_values_are_exact(file: Path) -> None:
    values = [2**63 - 1, -(2**63), 0.1, 1 / 3, 1e300, 5e-324, -0.0, "007", "", None, b"\x00\xff", "名 😀", "a\0b"]
    reading = source(made(file, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", rows=list(enumerate(values))), ["v"])
    expected: list[Any] = [*map(str, values[:2]), *values[2:]]
    expected[2:7] = ["0.1", "0.3333333333333333", "1e+300", "5e-324", "-0.0"]
    expected[10] = "AP8="
    assert [cell for (cell,) in rows_of(slices_of(reading))] == expected


def test_bytes_that_are_no_text_are_seen_by_the_check_of_values(file: Path) -> None:
    reading = source(made(file, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)"), ["v"])
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute("INSERT INTO t VALUES (1, CAST(x'61ff' AS TEXT))")
    assert rows_of(slices_of(reading)) == [("a\udcff",)]


@pytest.mark.parametrize("name", EVIL)
def test_any_name_is_a_name_and_nothing_else(file: Path, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    made(file, f"CREATE TABLE {quoted} ({quoted} INTEGER PRIMARY KEY, v)", f"INSERT INTO {quoted} VALUES (1, 'x')")
    assert rows_of(slices_of(source(file, [name, "v"], (name,), name))) == [("1", "x")]


def test_a_key_that_is_no_text_ends_the_reading_with_its_reason(file: Path) -> None:
    reading = source(made(file, "CREATE TABLE t (id TEXT PRIMARY KEY, name)"))
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        for number in range(9):
            db.execute("INSERT INTO t VALUES (CAST(? AS TEXT), 'x')", (b"%d\xff" % number,))
    with pytest.raises(SourceError, match="has a key that is not UTF-8"):
        slices_of(reading)


def test_a_snapshot_is_of_one_moment_and_its_writers_go_on(file: Path) -> None:
    reading = source(made(file, rows=ROWS))
    with reading.reading() as slices, closing(sqlite3.connect(file, isolation_level=None)) as writer:
        found = rows_of([next(slices)])
        writer.execute("DELETE FROM t WHERE id IN (2, 8)")
        writer.execute("UPDATE t SET id = id + 100 WHERE id IN (3, 9)")
        writer.execute("UPDATE t SET name = 'other'")
        writer.execute("INSERT INTO t VALUES (50, 'new')")
        found += rows_of(list(slices))
    assert found == ROWS
    assert len(rows_of(slices_of(reading))) == len(ROWS) - 1


def test_by_key_each_row_that_stays_where_it_is_comes_once_whatever_others_do(file: Path) -> None:
    reading = source(made(file, rows=ROWS, wal=False), consistency="key")
    seen: list[int] = []
    with reading.reading() as slices, closing(sqlite3.connect(file, isolation_level=None)) as writer:
        for turn, part in enumerate(slices):
            seen += [int(str(row[0])) for row in zip(*part.columns, strict=True)]
            writer.execute("DELETE FROM t WHERE id = ?", (8 if turn == 0 else 1,))
            writer.execute("INSERT INTO t VALUES (?, 'new')", (-turn - 1,))
            writer.execute("UPDATE t SET id = -100 WHERE id = 9")
    assert len(seen) == len(set(seen))
    assert set(range(1, 8)) | {10} <= set(seen)


def fits(*conditions: tuple[str, Any, tuple[Any, ...]], file: Path, table: str = "t") -> list[str | None]:
    """The ids of the rows that fit; they are counted alike, and found page by page."""
    table_source = TableSource(connection="c", table=table, key=("id",))
    reading = SqliteSource(file, table_source, ["id"], [Condition(*condition) for condition in conditions])
    slices = slices_of(reading)
    found = [row[0] for row in rows_of(slices)]
    assert reading.count(100) == len(found)
    assert reading.count(1) == min(1, len(found))
    for place, part in enumerate(slices, 1):
        assert rows_of(slices_of(reading, part.cursor)) == rows_of(slices[place:])
    return found


def test_only_rows_that_fit_all_conditions_are_counted_and_read(file: Path) -> None:
    columns = "id INTEGER PRIMARY KEY, city TEXT, amount REAL, at TEXT"
    rows = [(number, "AB"[number % 2], number / 2, f"2026-11-{number:02}") for number in range(1, 11)]
    made(file, f"CREATE TABLE t ({columns})", "CREATE INDEX i ON t (city)", rows=[*rows, (11, None, None, None)])
    assert fits(file=file) == [str(number) for number in range(1, 12)]
    assert fits(("city", "in", ("B",)), ("id", ">=", (5,)), ("id", "<", ("9",)), file=file) == ["5", "7"]
    assert fits(("id", "in", ("2", 3, "3", 99)), file=file) == ["2", "3"]
    assert fits(("at", ">=", ("2026-11-09",)), file=file) == ["9", "10"]
    assert fits(("amount", "in", (0.5, "1.0")), file=file) == ["1", "2"]
    assert fits(("city", "in", ()), file=file) == []
    for evil in ("A' OR '1'='1", "A'; DROP TABLE t; --", "A\0B", "%", "city"):
        assert fits(("city", "in", (evil,)), file=file) == []
    with pytest.raises(SourceError, match="has no column citi"):
        fits(("citi", "in", ("A",)), file=file)
    for wrong in (2**70, "no"):
        with pytest.raises(SourceError, match="id is compared with whole numbers of 64 bits"):
            fits(("id", "in", (2, wrong)), file=file)


KINDS = ["", "ANY", "INTEGER", "INT", "REAL", "DOUBLE", "NUMERIC", "DECIMAL(9, 2)", "BOOLEAN", "DATE", "STRING"]
KINDS += ["TEXT", "TEXT COLLATE NOCASE", "VARCHAR(9)", "BLOB"]
HELD = [
    7,
    -1,
    2**62,
    0.5,
    7.25,
    1e22,
    2.0**70,
    "7a",
    "a",
    "A",
    "",
    " 7",
    "07",
    "1.50",
    "2026-01-01",
    "true",
    b"ab",
    b"",
]
HELD += [b"7", b"\xd7\x6d\xf8"]  # whose base64 is 1234


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_found_by_what_its_cell_says_whatever_kind_of_value_it_holds(file: Path, kind: str) -> None:
    made(file, f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {kind})", rows=[*enumerate(HELD), (99, 1234)])
    cells = rows_of(slices_of(source(file, ["id", "v"])))
    for _, cell in cells:
        assert cell is not None
        found = set(fits(("v", "in", (cell,)), file=file))
        assert {number for number, other in cells if other == cell} <= found, cell


@pytest.mark.parametrize("kind", KINDS)
def test_a_number_is_found_in_a_column_of_any_kind(file: Path, kind: str) -> None:
    made(file, f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {kind})", rows=[(1, 7), (2, "8"), (3, 9)])
    for value in (7, "7"):
        assert fits(("v", "in", (value,)), file=file) == ["1"]
        assert fits(("v", "in", (value, 8, "9")), file=file) == ["1", "2", "3"]


@pytest.mark.parametrize("wrong", [1772323200, 2461100.5, "01/03/2026", "20260301", "n/a", b"2026-03-01"])
def test_a_range_of_dates_on_values_that_are_none_is_a_mistake_of_the_dataset(file: Path, wrong: Any) -> None:
    rows = [(1, "2026-03-01"), (2, None), (3, ""), (4, wrong)]
    made(file, "CREATE TABLE t (id INTEGER PRIMARY KEY, at)", rows=rows[:3])
    for test in (">=", "<"):
        assert fits(("at", test, ("2026-03-01",)), file=file) == (["1"] if test == ">=" else [])
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute("INSERT INTO t VALUES (?, ?)", rows[3])
    for test in (">=", "<"):
        with pytest.raises(SourceError, match=r"at of table t of shop.db is a column of \w+") as refused:
            fits(("at", test, ("2026-03-01",)), file=file)
        assert not isinstance(refused.value, ConditionError)


def test_a_table_with_the_name_of_ours_is_the_file_s(file: Path) -> None:
    made(file, "CREATE TABLE sluice_given_0 (id INTEGER PRIMARY KEY)", "INSERT INTO sluice_given_0 VALUES (5), (6)")
    assert fits(("id", "in", (6, 7)), file=file, table="sluice_given_0") == ["6"]


def test_a_text_is_compared_by_its_bytes_whatever_the_column_s_collation_says(file: Path) -> None:
    rows = [(1, "ann"), (2, "Ann"), (3, "ann ")]
    made(file, "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE)", rows=rows)
    assert fits(("name", "in", ("ann",)), file=file) == ["1"]
    assert fits(("name", "in", ("ANN", "ann ")), file=file) == ["3"]


@pytest.mark.slow
def test_many_ids_are_found_by_the_key(file: Path) -> None:
    made(file, "CREATE TABLE t (id INTEGER PRIMARY KEY)", rows=[(number,) for number in range(50)])
    ids = tuple(range(0, 60_000, 2))
    assert len(fits(("id", "in", ids), file=file)) == 25
    texts = Condition("id", "in", tuple(map(str, ids)))
    reading = SqliteSource(file, TableSource(connection="c", table="t", key=("id",)), ["id"], [texts])
    assert reading.page_query(is_first=True).count("?") == 1, "SQLite takes 32,766 in one statement by itself"


def refusal(reading: SqliteSource) -> str:
    with pytest.raises(SourceError) as refused:
        slices_of(reading)
    return str(refused.value)


NOT_UNIQUE = "no unique index of table t of shop.db is made of columns of the key"


@pytest.mark.parametrize(
    ("statements", "how", "said"),
    [
        ((), {"table": "u"}, "there is no table u in shop.db"),
        ((), {"columns": ["id", "nam"]}, "table t of shop.db has no column nam; it has id, name"),
        ((), {"key": ("no",)}, "has no column no"),
        ((), {"key": ("name",)}, NOT_UNIQUE),
        (("CREATE TABLE t (id, name)",), {}, NOT_UNIQUE),
        (("CREATE TABLE t (id, name, PRIMARY KEY (id, name))",), {}, NOT_UNIQUE),
        (("CREATE TABLE t (id, name)", "CREATE UNIQUE INDEX i ON t (id) WHERE id > 0"), {}, NOT_UNIQUE),
        (("CREATE TABLE t (id, name)", "CREATE UNIQUE INDEX i ON t (abs(id))"), {}, NOT_UNIQUE),
        (("CREATE TABLE u (id INTEGER PRIMARY KEY, name)", "CREATE VIEW t AS SELECT * FROM u"), {}, NOT_UNIQUE),
        (
            ("CREATE TABLE t (id UNIQUE, name)", "INSERT INTO t VALUES (NULL, 'x')"),
            {},
            "without a value in its key",
        ),
    ],
)
def test_a_table_that_is_not_as_it_is_defined_is_refused_before_its_first_row(
    file: Path, statements: tuple[str, ...], how: dict[str, Any], said: str
) -> None:
    assert said in refusal(source(made(file, *statements), **how))


def test_a_key_may_be_more_than_what_is_unique(file: Path) -> None:
    made(file, "CREATE TABLE t (id UNIQUE NOT NULL, name NOT NULL)", rows=ROWS)
    assert rows_of(slices_of(source(file, key=("name", "id")))) == sorted(ROWS, key=lambda row: row[1])


def test_a_snapshot_of_a_file_whose_writers_would_wait_is_refused_with_the_way_out(file: Path) -> None:
    made(file, rows=ROWS, wal=False)
    assert "consistency: key" in refusal(source(file))
    assert rows_of(slices_of(source(file, consistency="key"))) == ROWS


def test_what_is_no_file_of_sqlite_says_so(tmp_path: Path) -> None:
    assert "there is no file" in refusal(source(tmp_path / "none.db"))
    (tmp_path / "text.db").write_text("not a database, but long enough to be looked at as one" * 20)
    assert "table t of text.db: file is not a database" in refusal(source(tmp_path / "text.db"))


def test_a_column_that_is_dropped_between_two_pages_ends_the_reading(file: Path) -> None:
    reading = source(made(file, rows=ROWS, wal=False), consistency="key")
    with reading.reading() as slices:
        next(slices)
        with closing(sqlite3.connect(file, isolation_level=None)) as writer:
            writer.execute("ALTER TABLE t DROP COLUMN name")
        with pytest.raises(SourceError, match="no such column"):
            list(slices)


def test_an_error_of_who_has_the_rows_is_none_of_the_source(file: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="another file"), source(made(file, rows=ROWS)).reading():
        raise sqlite3.OperationalError("another file")


@pytest.mark.parametrize(
    ("columns", "key"),
    [
        ("id INTEGER PRIMARY KEY, name TEXT", ("id",)),
        ("id TEXT, name TEXT, PRIMARY KEY (id, name)", ("id", "name")),
        ("id INTEGER, name TEXT, PRIMARY KEY (id, name)", ("id", "name")),
    ],
)
def test_a_page_begins_where_the_one_before_ended_without_looking_at_what_is_before(
    file: Path, columns: str, key: tuple[str, ...]
) -> None:
    reading = source(made(file, f"CREATE TABLE t ({columns})"), key=key)
    with closing(sqlite3.connect(file)) as db:
        query = reading.page_query(is_first=False, collates=False)
        plan = " ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}", [*["1"] * len(key), 10]))
    assert "SEARCH t USING" in plan
    assert "TEMP B-TREE" not in plan


def test_the_table_is_only_read(file: Path) -> None:
    made(file, rows=ROWS, wal=False)
    before = file.read_bytes()
    file.chmod(0o444)
    slices_of(source(file, consistency="key"))
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


NOBODY, ANOTHER = 65534, 65533


@contextmanager
def as_user(uid: int) -> Iterator[None]:
    """Act as another user."""
    before = os.geteuid()
    os.seteuid(0)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.seteuid(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as another user")
def test_reading_leaves_no_file_that_the_owner_of_the_database_could_not_write() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        file = folder / "shop.db"
        with as_user(NOBODY):
            made(file, rows=ROWS)
        before = set(folder.iterdir())
        with as_user(ANOTHER), pytest.raises(SourceUnavailable, match="belongs to another user"):
            slices_of(source(file))
        assert set(folder.iterdir()) == before
        with as_user(NOBODY), closing(sqlite3.connect(file)) as program:
            program.execute("INSERT INTO t VALUES ('11', 'of the owner')")
            program.commit()
            with as_user(ANOTHER):
                read = slices_of(source(file))
            assert sum(part.rows for part in read) == len(ROWS) + 1, "its program has it open"
            program.execute("INSERT INTO t VALUES ('12', 'of the owner')")
            program.commit()
