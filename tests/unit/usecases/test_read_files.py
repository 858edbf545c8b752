"""Files as sources of rows: every row once, from any place on, or an error with file and line."""

from __future__ import annotations

import gzip
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluice.adapters.sources.folder import LocalFolder
from sluice.adapters.system_clock import SystemClock
from sluice.domain.file_source import AnyFileRows, source_of
from sluice.domain.limits import Limits
from sluice.domain.pulled import Cursor
from sluice.domain.schema import ColumnType
from sluice.ports.source import SourceError, SourceUnavailable
from sluice.usecases.pulling.read_files import FilesReader
from tests.support.source_rows import rows_of, slices_of

ROWS: list[tuple[str, str | None]] = [
    ("1", "a"),
    ("2", 'b "quoted", with\nan end of line\r\nand one more'),
    ("3", None),
    ("sep=", "x"),
    ("4", "名 😀 ¿"),
    ("5", "sep=,"),
    ("6", "tab\tbar|semi;"),
    ("7", " blank "),
    ("8", "{}[]"),
]


def csv_text(rows: Sequence[tuple[str, str | None]], delimiter: str = ",", header: str = "id,name\n") -> bytes:
    def cell(text: str | None) -> str:
        return "" if text is None else '"' + text.replace('"', '""') + '"' if set(text) & set('"\n\t,|;') else text

    return (header + "".join(f"{delimiter.join(map(cell, row))}\n" for row in rows)).encode()


def objects(rows: Sequence[tuple[str, str | None]]) -> list[dict[str, str | None]]:
    return [dict(zip(("id", "name"), row, strict=True)) for row in rows]


def parquet_bytes(rows: Sequence[tuple[str, str | None]]) -> bytes:
    written = BytesIO()
    table = pa.table({"id": [row[0] for row in rows], "name": [row[1] for row in rows]})
    pq.write_table(table, written, row_group_size=4)
    return written.getvalue()


def zipped(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.csv", content)


def plain(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def packed(path: Path, content: bytes) -> None:
    half = len(content) // 2
    path.write_bytes(gzip.compress(content[:half], mtime=0) + gzip.compress(content[half:], mtime=0))


Rows = Sequence[tuple[str, str | None]]
KINDS: dict[str, tuple[str, dict[str, Any], Callable[[Rows], bytes], Callable[[Path, bytes], None]]] = {
    "csv": (".csv", {"type": "csv"}, csv_text, plain),
    "csv with a mark and CRLF": (
        ".csv",
        {"type": "csv"},
        lambda rows: b"\xef\xbb\xbf" + csv_text(rows).replace(b"\n3", b"\r\n3"),
        plain,
    ),
    "csv of Excel": (".csv", {"type": "csv"}, lambda rows: csv_text(rows, ";", 'sep=;\r\n"id";name\r\n'), plain),
    "csv with blank lines": (".csv", {"type": "csv"}, lambda rows: csv_text(rows).replace(b"\n5", b"\n\n\n5"), plain),
    "csv without an end": (".csv", {"type": "csv"}, lambda rows: csv_text(rows).rstrip(b"\n"), plain),
    "csv without a header": (
        ".csv",
        {"type": "csv", "header": False, "columns": ["id", "name"]},
        lambda rows: csv_text(rows, header=""),
        plain,
    ),
    "tsv": (".tsv", {"type": "tsv"}, lambda rows: csv_text(rows, "\t", "id\tname\n"), plain),
    "gzip": (".csv.gz", {"type": "csv"}, csv_text, packed),
    "zip": (".ZIP", {"type": "csv"}, csv_text, zipped),
    "utf-16": (
        ".csv",
        {"type": "csv", "encoding": "utf-16"},
        lambda rows: csv_text(rows).decode().encode("utf-16"),
        plain,
    ),
    "ndjson": (
        ".ndjson",
        {"type": "ndjson"},
        lambda rows: "\n\n".join(map(json.dumps, objects(rows))).encode() + b"\n",
        plain,
    ),
    "arrays": (
        ".jsonl.gz",
        {"type": "ndjson", "columns": ["id", "name"]},
        lambda rows: "\n".join(map(json.dumps, rows)).encode(),
        packed,
    ),
    "parquet": (".parquet", {"type": "parquet"}, parquet_bytes, plain),
    "json": (".json", {"type": "json"}, lambda rows: json.dumps(objects(rows), indent=1).encode(), plain),
}


def source(folder: Path, path: str, *, rows_max: int = 3, **options: Any) -> FilesReader:
    rows: AnyFileRows = msgspec.convert({"type": "csv", "connection": "landing", "path": path, **options}, AnyFileRows)
    files = LocalFolder(folder, "landing")
    limits = Limits(batch_rows_max=rows_max)
    made = source_of(rows, files.find(path))
    return FilesReader(files, made, rows.columns, connection="landing", clock=SystemClock(), limits=limits)


def failure(reading: FilesReader, after: Cursor | None = None) -> str:
    with pytest.raises(SourceError) as failed:
        slices_of(reading, after)
    return str(failed.value)


def last_cursor(reading: FilesReader) -> Cursor | None:
    """Of the last slice before an error."""
    cursor = None
    with suppress(SourceError), reading.reading() as slices:
        for part in slices:
            cursor = part.cursor
    return cursor


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_comes_once_in_the_order_of_the_names_and_from_any_cursor_on(kind: str, tmp_path: Path) -> None:
    ending, options, written, write = KINDS[kind]
    parts = {"rows-1": ROWS, "rows-3": [], "rows-2": ROWS[:4], "rows-4": ROWS[::-1], "other": ROWS}
    for name, rows in parts.items():
        if rows or options.get("columns") is None:
            write(tmp_path / f"{name}{ending}", written(rows) if rows else written(ROWS[:1]))
    expected = ROWS + ROWS[:4] + ([] if options.get("columns") else ROWS[:1]) + ROWS[::-1]
    for rows_max in (1, 3, 100):
        reading = source(tmp_path, f"rows-*{ending}", rows_max=rows_max, **options)
        slices = slices_of(reading)
        assert rows_of(slices) == expected
        for place, part in enumerate(slices, 1):
            assert rows_of(slices_of(reading, part.cursor)) == rows_of(slices[place:])
        assert reading.count(1_000) == len(expected)
        assert reading.count(2) == 2


def test_ranges_are_of_whole_files_and_hold_every_row_once(tmp_path: Path) -> None:
    for number in range(7):
        plain(tmp_path / f"{number}.csv", csv_text([(str(number), "x" * 50)] * (number + 1)))
    reading = source(tmp_path, "?.csv")
    whole = rows_of(slices_of(reading))
    for splits in (1, 2, 3, 7, 64):
        bounds = reading.plan(splits, 1)
        assert len(bounds) <= splits
        found = [
            rows_of(slices_of(reading, after, until)) for after, until in zip([None, *bounds], bounds, strict=False)
        ]
        assert [row for part in found for row in part] == whole
    assert source(tmp_path, "no-*.csv", missing="empty").plan(2, 1) == ()


def test_a_file_that_is_not_what_was_planned_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"

    def changed(change: Callable[[], object]) -> str:
        path.unlink(missing_ok=True)
        plain(path, csv_text(ROWS))
        os.utime(path, ns=(0, 1_700_000_000_000_000_000))
        reading = source(tmp_path, "*.csv")
        with reading.reading() as slices:
            next(slices)
            change()
            with pytest.raises(SourceError) as during:
                list(slices)
        assert str(during.value) in {failure(reading), "a.csv of landing has changed since the run was planned"}
        return failure(reading)

    def appended() -> None:
        with path.open("ab") as file:
            file.write(b"9,x\n")

    def rewritten() -> None:
        path.write_bytes(path.read_bytes().replace(b"1,a", b"1,b"))

    def exchanged() -> None:
        other = tmp_path / "b"
        plain(other, csv_text(ROWS))
        os.utime(other, ns=(0, 1_700_000_000_000_000_000))
        other.replace(path)

    assert changed(appended) == "a.csv of landing has changed since the run was planned"
    assert changed(rewritten) == "a.csv of landing has changed since the run was planned"
    reading = source(tmp_path, "*.csv")
    exchanged()
    assert failure(reading) == "a.csv of landing has changed since the run was planned"
    path.unlink()
    assert failure(reading) == "there is no a.csv of landing"


@pytest.mark.parametrize(
    ("ending", "options", "content", "said"),
    [
        ("csv", {}, b'id,name\n1,a\n2,"b\nc"\n3\n4,d\n', "line 5: The row has 1 cells, the table 2 columns."),
        ("csv", {}, b"id,name\n1,a\n2,b\n3,c,d\n", "line 4: The row has 3 cells, the table 2 columns."),
        ("csv", {}, b'id,name\n1,a\n2,b\n3,"c\n4,d\n', "line 4: The input is not CSV"),
        ("csv", {}, b"id,name\n1,a\n2,b\n3,\xff\n", "line 4: The input is not text in UTF-8"),
        ("csv", {"encoding": "gbk"}, b"id,name\n1,a\n2,b\n3,\xff\xff\n", "line 4: The file is not text in GBK."),
        ("csv", {}, b"", "line 1: The input is empty"),
        ("csv", {}, b"id,id\n1,2\n", " has two columns id"),
        ("csv", {}, b"PK\x03\x04xx", "an Excel workbook"),
        ("csv", {"columns": ["nam"]}, b"id,name\n1,a\n", " has no column nam; it has id, name"),
        (
            "ndjson",
            {"type": "ndjson"},
            b'{"id":1}\n\n{"id":2}\n{"id":3,"x":4}\n',
            "line 4: An object has a name that is",
        ),
        ("ndjson", {"type": "ndjson"}, b'{"id":1}\n{"id":[2]}\n', "line 2, column id: A cell is a text"),
        ("ndjson", {"type": "ndjson"}, b'{"id":1}\n{"id":2}\n{"id":3}\n{"id":\n', "line 4: "),
        ("json", {"type": "json"}, b'[{"id":1},{"id":2},{"id":3},{"id":4', "row 4: The input is no JSON array of rows"),
        ("csv.gz", {}, gzip.compress(b"id,name\n1,a\n" * 99, mtime=0)[:-9], ": The gzip data is cut short."),
        ("csv.gz", {}, b"id,name\n1,a\n", ": The data is not gzip"),
        ("parquet", {"type": "parquet"}, b"PAR1xxxxPAR1", ": The file is no Parquet file"),
        ("parquet", {"type": "parquet"}, parquet_bytes(ROWS)[:-20], ": The file is no Parquet file"),
        ("zip", {}, b"id,name\n", "is no archive that can be read"),
    ],
)
def test_what_cannot_be_read_is_named_by_file_and_line_also_when_it_is_read_on(
    ending: str, options: dict[str, Any], content: bytes, said: str, tmp_path: Path
) -> None:
    plain(tmp_path / f"a.{ending}", content)
    texts = set()
    for rows_max in (1, 2):
        reading = source(tmp_path, f"*.{ending}", rows_max=rows_max, **options)
        texts.add(failure(reading))
        texts.add(failure(reading, last_cursor(reading)))
    (text,) = texts
    assert text.startswith(f"a.{ending}")
    assert said in text


def test_types_are_those_of_the_first_rows_or_as_they_are_said(tmp_path: Path) -> None:
    header = b"n,d,m,b,t,z,e\n"
    plain(tmp_path / "0.csv", header)
    plain(tmp_path / "1.csv", header + b"1.5,2026-12-01,2026-12-01 08:15:00,true,x,007,\n")
    found = source(tmp_path, "*.csv").describe()
    kinds = ["number", "date", "datetime", "boolean", "string", "string", "string"]
    assert [(column.name, column.kind.value) for column in found] == list(zip("ndmbtze", kinds, strict=True))
    found = source(tmp_path, "*.csv", columns=["e", "n"], types={"e": "number"}).describe()
    assert [(column.name, column.kind) for column in found] == [("e", ColumnType.NUMBER), ("n", ColumnType.NUMBER)]
    with pytest.raises(SourceError, match=r"types: \*\.csv has no column x; it has n, d"):
        source(tmp_path, "*.csv", types={"x": "number"}).describe()
    with pytest.raises(SourceError, match="columns are not named"):
        source(tmp_path, "no*.csv", missing="empty").describe()


def test_columns_are_chosen_by_their_names_in_each_file_and_none_is_left_out_unasked(tmp_path: Path) -> None:
    plain(tmp_path / "1.csv", b"id,name\n1,a\n")
    plain(tmp_path / "2.csv", b"name,more,id\nb,x,2\n")
    assert rows_of(slices_of(source(tmp_path, "?.csv", columns=["name", "id"]))) == [("a", "1"), ("b", "2")]
    files = LocalFolder(tmp_path, "landing")
    rows = msgspec.convert({"type": "csv", "connection": "landing", "path": "?.csv"}, AnyFileRows)
    whole = FilesReader(
        files,
        source_of(rows, files.find("?.csv")),
        ["id", "name"],
        connection="landing",
        clock=SystemClock(),
        limits=Limits(),
    )
    assert (
        failure(whole)
        == "2.csv of landing has columns that the first file has not, more: name those to read as columns"
    )
    plain(tmp_path / "a.ndjson", b'{"id":1,"x":{"y":2}}\n{"id":2}\n{"x":[1]}\n')
    some = source(tmp_path, "a.ndjson", type="ndjson", columns=["id"])
    assert rows_of(slices_of(some)) == [("1",), ("2",), (None,)]
    with pytest.raises(SourceError, match=r"no row at the beginning of a.ndjson has idd; did you mean id"):
        source(tmp_path, "a.ndjson", type="ndjson", columns=["idd"]).describe()


def test_no_name_and_no_link_leads_out_of_the_folder(tmp_path: Path) -> None:
    folder, secret = tmp_path / "landing", tmp_path / "secret.csv"
    (folder / "in").mkdir(parents=True)
    plain(secret, csv_text(ROWS))
    plain(folder / "in" / "a.csv", csv_text(ROWS))
    plain(folder / ".hidden.csv", csv_text(ROWS))
    assert [file.name for file in LocalFolder(folder, "landing").find("*/*.csv")] == ["in/a.csv"]
    assert LocalFolder(folder, "landing").find("*.csv") == ()
    (folder / "in" / "link.csv").symlink_to(secret)
    (folder / "out").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.csv")
    refused = [
        "../secret.csv",
        "/etc/passwd",
        "in/../../secret.csv",
        "in//a.csv",
        "./in/a.csv",
        "**/a.csv",
        "a\0b",
        "in\\a",
    ]
    refused += ["in/link.csv", "in/*.csv", "out/secret.csv", "*/secret.csv", "pipe.csv", "in", "i*"]
    for path in refused:
        with pytest.raises(SourceError):
            LocalFolder(folder, "landing").find(path)
    with pytest.raises(SourceError, match="is a symbolic link"):
        LocalFolder(folder, "landing").find("in/link.csv")
    reading = source(folder, "in/a.csv")
    (folder / "in").rename(folder / "was")
    (folder / "in").symlink_to(folder / "was")
    assert "is a symbolic link" in failure(reading)


def test_a_reading_that_is_interrupted_ends_and_no_other_begins(tmp_path: Path) -> None:
    plain(tmp_path / "a.csv", csv_text(ROWS * 10_000))
    reading = source(tmp_path, "a.csv", rows_max=100)
    with reading.reading() as slices:
        next(slices)
        reading.interrupt()
        with pytest.raises(SourceUnavailable):
            list(slices)
    with pytest.raises(SourceUnavailable):
        slices_of(reading)


def test_a_cursor_of_another_source_is_refused(tmp_path: Path) -> None:
    plain(tmp_path / "a.csv", csv_text(ROWS))
    for cursor in (("1",), (1, 2), (2, 0, 1), (-1, 0, 0), (0, 0, 1.5)):
        with pytest.raises(SourceError):
            slices_of(source(tmp_path, "a.csv"), cursor)


def test_values_of_parquet_are_the_texts_that_say_exactly_them(tmp_path: Path) -> None:
    at = datetime(2026, 12, 1, 8, 15, 0, 5)  # noqa: DTZ001  # as a file may have it
    columns: dict[str, tuple[Any, str, str | None, str]] = {
        "i": (pa.array([2**63 - 1, None]), "number", "9223372036854775807", "int64"),
        "d": (
            pa.array([Decimal("-99999999999999999.10"), None]),
            "number",
            "-99999999999999999.10",
            "decimal128(19, 2)",
        ),
        "f": (pa.array([0.1, None]), "number", "0.1", "double"),
        "b": (pa.array([True, None]), "boolean", "true", "bool"),
        "day": (pa.array([at.date(), None]), "date", "2026-12-01", "date32[day]"),
        "t": (pa.array([at, None]), "datetime", "2026-12-01 08:15:00.000005", "timestamp[us]"),
        "z": (
            pa.array([at, None], pa.timestamp("us", "Asia/Shanghai")),
            "datetime",
            "2026-12-01 16:15:00.000005+0800",
            "timestamp[us, tz=Asia/Shanghai]",
        ),
        "x": (pa.array([b"\xff\0", None]), "string", "/wA=", "binary"),
        "c": (
            pa.array(["a\0b", None]).dictionary_encode(),
            "string",
            "a\0b",
            "dictionary<values=string, indices=int32, ordered=0>",
        ),
        "l": (pa.array([[1], None]), "string", None, "list<element: int64>"),
    }
    pq.write_table(pa.table({name: column[0] for name, column in columns.items()}), tmp_path / "a.parquet")
    found = source(tmp_path, "a.parquet", type="parquet").describe()
    assert [(one.name, one.kind.value, one.type) for one in found] == [
        (name, kind, called) for name, (_, kind, _, called) in columns.items()
    ]
    assert "a.parquet of landing, column l: It is a list<element: int64>" in failure(
        source(tmp_path, "a.parquet", type="parquet")
    )
    names = [name for name in columns if name != "l"][::-1]
    rows = rows_of(slices_of(source(tmp_path, "a.parquet", type="parquet", columns=names)))
    assert rows == [tuple(columns[name][2] for name in names), (None,) * len(names)]
