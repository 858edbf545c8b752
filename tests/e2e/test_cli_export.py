"""`sluice export` in one process: the rows come back out of the file, and a run that fails leaves nothing."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import hashlib
import io
import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import openpyxl
import pytest
from python_calamine import CalamineWorkbook

from tests.support.command_line import COMMAND, environment, sluice, start_sluice

HEADER = ["id", "name", "amount", "paid", "at"]
ROWS = [
    ["1", "Zoë", "12.50", "true", "2025-03-14"],
    ["2", 'two\nlines, "quoted"', "-3", "no", "2024-02-29"],
    ["90071992547409931", "=1+1", "", "", ""],
]
TYPES = "id=number,amount=number:0.00,paid=boolean,at=date"


def write_csv(path: Path, rows: list[list[str]] = ROWS, header: list[str] = HEADER) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def read_csv(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_an_xlsx_file_holds_the_rows_with_their_types(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "rows.csv")
    sluice("export", source, "-o", tmp_path / "orders.xlsx", "--types", TYPES)
    sheet = CalamineWorkbook.from_path(str(tmp_path / "orders.xlsx")).get_sheet_by_index(0)
    assert sheet.to_python() == [
        HEADER,
        [1.0, "Zoë", 12.5, True, dt.date(2025, 3, 14)],
        [2.0, 'two\nlines, "quoted"', -3.0, False, dt.date(2024, 2, 29)],
        ["90071992547409931", "=1+1", "", "", ""],
    ]
    cell = openpyxl.load_workbook(tmp_path / "orders.xlsx").active["C2"]  # type: ignore[index]  # there is a sheet
    assert cell.number_format == "0.00"


def test_a_csv_file_holds_the_rows(tmp_path: Path) -> None:
    sluice("export", write_csv(tmp_path / "rows.csv"), "-o", tmp_path / "out.csv", "--options", "formula_guard=off")
    assert read_csv((tmp_path / "out.csv").read_bytes()) == [HEADER, *ROWS]


def test_options_shape_the_file(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "rows.csv", [["1", "x"]], ["a", "b"])
    sluice("export", source, "-o", tmp_path / "o.csv.gz", "--options", "csv_delimiter=;,csv_bom=false,line_ending=lf")
    assert gzip.decompress((tmp_path / "o.csv.gz").read_bytes()) == b"a;b\n1;x\n"


def test_the_summary_tells_the_truth(tmp_path: Path) -> None:
    sluice("export", write_csv(tmp_path / "rows.csv"), "-o", tmp_path / "out.csv", "--types", TYPES)
    told = json.loads(
        sluice("export", tmp_path / "rows.csv", "-o", tmp_path / "out.csv", "--types", TYPES, "--json").stdout
    )
    made = (tmp_path / "out.csv").read_bytes()
    assert (told["rows"], told["bytes"], told["sha256"]) == (3, len(made), hashlib.sha256(made).hexdigest())
    assert told["warnings"]["formula_guarded"] == 1


def test_a_person_reads_the_same_facts_and_no_progress_in_a_pipe(tmp_path: Path) -> None:
    done = sluice("export", write_csv(tmp_path / "rows.csv"), "-o", tmp_path / "out.csv")
    made = (tmp_path / "out.csv").read_bytes()
    words = done.stdout.split()
    assert str(tmp_path / "out.csv") in words
    assert hashlib.sha256(made).hexdigest() in words
    assert f"{len(made):,}" in words
    assert "formula_guarded:" in words
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("name", "data", "read_as"),
    [
        ("two.json", b'[{"id":1,"name":"x"},{"id":2,"name":"y"}]\n', "a JSON array"),
        ("two.csv", b'{"id":1,"name":"x"}\n{"id":2,"name":"y"}\n', "JSON Lines"),
        ("two.csv", b"sep=;\r\nid;name\r\n1;x\r\n2;y\r\n", "CSV divided by semicolons"),
        ("two.txt", b"id\tname\n1\tx\n2\ty\n", "CSV divided by tabs"),
        ("two.csv", gzip.compress(b"id|name\n1|x\n2|y\n", mtime=0), "CSV divided by bars"),
    ],
)
def test_the_kind_of_the_input_is_known_by_its_content_and_named(
    tmp_path: Path, name: str, data: bytes, read_as: str
) -> None:
    (tmp_path / name).write_bytes(data)
    done = sluice("export", tmp_path / name, "-o", tmp_path / "out.out.csv")
    assert read_csv((tmp_path / "out.out.csv").read_bytes()) == [["id", "name"], ["1", "x"], ["2", "y"]]
    assert read_as in done.stdout


def test_types_are_detected_unless_they_are_given_or_not_wanted(tmp_path: Path) -> None:
    rows = [["1", "007", "2025-03-14", "true"], *[["2.5", "8", "2025-03-15", "false"]] * 1_500, ["n/a", "9", "", ""]]
    source = write_csv(tmp_path / "rows.csv", rows, ["n", "id", "at", "b"])
    done = sluice("export", source, "-o", tmp_path / "o.xlsx")
    assert "n number, at date, b boolean" in done.stdout
    assert "invalid_as_text: 1" in done.stdout
    sheet = CalamineWorkbook.from_path(str(tmp_path / "o.xlsx")).get_sheet_by_index(0).to_python()
    assert sheet[1] == [1.0, "007", dt.date(2025, 3, 14), True]
    assert sheet[-1][:2] == ["n/a", "9"]
    for more in (["--no-detect-types"], ["--types", "at=date"]):
        sluice("export", source, "-o", tmp_path / "o.xlsx", *more)
        sheet = CalamineWorkbook.from_path(str(tmp_path / "o.xlsx")).get_sheet_by_index(0).to_python()
        assert sheet[1][:2] == ["1", "007"]


def test_rows_come_from_standard_input_too(tmp_path: Path) -> None:
    sluice("export", "-", "-o", tmp_path / "out.csv", stdin=b"a,b\n1,2\n")
    assert read_csv((tmp_path / "out.csv").read_bytes()) == [["a", "b"], ["1", "2"]]


def test_ndjson_keeps_digits_and_nulls(tmp_path: Path) -> None:
    lines = b'{"id": 9007199254740993, "n": 1.10, "ok": true, "t": null}\n{"t": "x", "id": 2}\n'
    sluice("export", "-", "--input-format", "ndjson", "-o", tmp_path / "out.csv", "--types", "ok=boolean", stdin=lines)
    assert read_csv((tmp_path / "out.csv").read_bytes()) == [
        ["id", "n", "ok", "t"],
        ["9007199254740993", "1.10", "true", ""],
        ["2", "", "", "x"],
    ]


def test_an_empty_table_makes_a_file_with_only_a_header(tmp_path: Path) -> None:
    sluice("export", "-", "-o", tmp_path / "out.csv", stdin=b"a,b\n")
    assert read_csv((tmp_path / "out.csv").read_bytes()) == [["a", "b"]]


def test_a_table_of_many_batches_comes_whole_and_in_order(tmp_path: Path) -> None:
    rows = [[str(number), f"name {number}"] for number in range(25_001)]
    source = write_csv(tmp_path / "rows.csv", rows, ["id", "name"])
    sluice("export", source, "-o", tmp_path / "out.csv", "--types", "id=number")
    assert read_csv((tmp_path / "out.csv").read_bytes()) == [["id", "name"], *rows]


def test_the_same_rows_give_the_same_csv_bytes_whatever_a_service_is_set_to(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "rows.csv")
    sluice("export", source, "-o", tmp_path / "a.csv")
    sluice("export", source, "-o", tmp_path / "b.csv", env={"SLUICE_PERFORMANCE_MAX_ROWS": "1"})
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_nothing_but_the_file_is_left(tmp_path: Path) -> None:
    sluice("export", write_csv(tmp_path / "rows.csv"), "-o", "orders.xlsx", cwd=tmp_path)
    assert names(tmp_path) == {"rows.csv", "orders.xlsx"}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"id,name\n1,a\nx,b\n", ["INVALID_VALUE", "row 2", "column id"]),
        (b"id,name\n" + b"1,a\n" * 10_500 + b"x,b\n", ["INVALID_VALUE", "row 10,501"]),
        (b"id,name\n1\n", ["ROW_WIDTH_MISMATCH", "row 1", "line 2"]),
        (b'id,name\n1,"a\n', ["INVALID_REQUEST", "not CSV"]),
        (b"id,name\n1,\xff\n", ["INVALID_TEXT", "--encoding"]),
        (b"", ["INVALID_REQUEST", "empty"]),
        (b"id,name\n1," + b"x" * 40_000 + b"\n", ["CELL_TOO_LONG", "column name"]),
    ],
)
def test_a_bad_table_exits_with_1_says_where_and_leaves_nothing(tmp_path: Path, data: bytes, said: list[str]) -> None:
    types = ["--types", "id=number"] if data else []
    done = sluice("export", "-", "-o", "out.xlsx", *types, stdin=data, cwd=tmp_path, exit_code=1)
    for words in said:
        assert words in done.stderr
    assert done.stdout == ""
    assert names(tmp_path) == set()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_what_a_program_wrote_with_a_mark_is_read_in_its_encoding(tmp_path: Path, encoding: str) -> None:
    data = "id\tname\n1\t名\n".encode(encoding)
    order = ("export", "-", "-o", "out.csv", "--options", "csv_bom=false", "--encoding", encoding)
    sluice(*order, stdin=data, cwd=tmp_path)
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines() == ["id,name", "1,名"]
    done = sluice(*order, stdin=b"id,name\n", cwd=tmp_path, exit_code=1)
    assert "INVALID_TEXT" in done.stderr


def test_a_run_that_fails_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("old")
    sluice("export", "-", "-o", tmp_path / "out.csv", stdin=b"a,b\n1\n", exit_code=1)
    assert (tmp_path / "out.csv").read_text() == "old"
    assert names(tmp_path) == {"out.csv"}


@pytest.mark.parametrize(
    ("output", "arguments"),
    [
        ("out.pdf", []),
        ("no-such-folder/out.csv", []),
        (".", []),
        ("rows.csv", []),
        ("out.csv", ["--types", "nmae=number"]),
        ("out.csv", ["--types", "name=int"]),
        ("out.csv", ["--options", "bandin=true"]),
        ("out.csv", ["--options", "banding=perhaps"]),
        ("out.csv", ["--delimiter", ";;"]),
        ("out.csv", ["--encoding", "utf-7000"]),
        ("out.csv", ["--server", "not an address"]),
    ],
)
def test_a_wrong_order_exits_with_2_and_leaves_nothing(tmp_path: Path, output: str, arguments: list[str]) -> None:
    write_csv(tmp_path / "rows.csv")
    sluice("export", "rows.csv", "-o", output, *arguments, cwd=tmp_path, exit_code=2)
    assert names(tmp_path) == {"rows.csv"}


def test_an_order_the_format_cannot_honour_exits_with_1(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "rows.csv")
    done = sluice("export", source, "-o", tmp_path / "o.csv", "--options", "csv_encoding=klingon", exit_code=1)
    assert "UNSUPPORTED_ENCODING" in done.stderr


def test_a_link_stays_a_link_to_the_new_file(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("real.csv")
    sluice("export", "-", "-o", tmp_path / "link.csv", stdin=b"a\n1\n")
    assert (tmp_path / "link.csv").is_symlink()
    assert read_csv((tmp_path / "real.csv").read_bytes()) == [["a"], ["1"]]


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_is_stopped_cleans_up(tmp_path: Path, number: signal.Signals, exit_code: int) -> None:
    with start_sluice("export", "-", "-o", "out.csv", cwd=tmp_path) as process:
        _feed_until_stored(process, tmp_path)
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode == exit_code
    assert names(tmp_path) == set()


def test_a_run_that_is_killed_never_leaves_half_a_file_under_the_name(tmp_path: Path) -> None:
    with start_sluice("export", "-", "-o", "out.csv", cwd=tmp_path) as process:
        _feed_until_stored(process, tmp_path)
        process.kill()
        process.communicate()
    assert "out.csv" not in names(tmp_path)


def _feed_until_stored(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Send more than a batch of rows and wait until its chunk is stored."""
    assert process.stdin is not None
    process.stdin.write(b"a\n" + b"1\n" * 30_000)
    process.stdin.flush()
    give_up_at = time.monotonic() + 30
    while not list(folder.glob(".sluice-*/objects/**/*.chunk*")):
        assert time.monotonic() < give_up_at, "no chunk was stored"
        assert process.poll() is None, "the command ended early"
        time.sleep(0.02)


def test_a_terminal_sees_how_far_it_is(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "rows.csv")
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "export", str(source), "-o", str(tmp_path / "out.csv")],
        env=environment({"TERM": "xterm-256color"}),
        stdout=subprocess.PIPE,
        stderr=end,
    )
    os.close(end)
    shown = b""
    try:
        while piece := os.read(terminal, 4096):
            shown += piece
    except OSError:
        pass  # Linux tells so that the other end is closed
    finally:
        os.close(terminal)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"\x1b[" in shown
    assert b"reading" in shown or b"writing" in shown or b"saving" in shown
    assert b"sha256" in out
    assert b"\x1b" not in out
