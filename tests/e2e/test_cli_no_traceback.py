"""Whatever is in the input or in a flag, a command answers in words."""

from __future__ import annotations

import gzip
from encodings.aliases import aliases
from pathlib import Path

import pytest

from tests.support.command_line import sluice

PACKED = gzip.compress(b"a,b\n" + bytes(range(48, 123)).hex().encode() * 9 + b",2\n" + b"1,2\n" * 500, mtime=0)
ENCODINGS = sorted({*aliases.values(), "idna", "undefined", "utf-8-sig", "", "mbcs", "é", "utf-8,ignore"})
BODIES = {
    "a table": b"a,b\n1,2\n",
    "every byte": bytes(range(256)),
    "UTF-16": "a,b\nü,2\n".encode("utf-16"),
    "half of gzip's head": b"\x1f\x8b\x08\x00",
    "half an array": b'[["a"',
    "nothing but zeros": b"\x00\x00",
}
FLAGS = [
    *(("--types", text) for text in ("=", "a", "a=number:", '{"a":1}', '{"a":{"x":1}}', "\udcff=number")),
    *(("--options", text) for text in ("x=1", "csv_delimiter=ab", "{", "null_value=\udcff", "timezone=../../etc")),
    *(("--delimiter", text) for text in ("", "ab", "\n", "\udcff", '"')),
    *(("--columns", text) for text in (",", '"', "\udcff", "x\ny")),
    ("--null-value", "\udcff"),
    ("--server", "http://["),
    ("-o", "\udcff.csv"),
    ("-o", "n" * 300 + ".csv"),
]


def answer(*arguments: str | Path, code: int | None = None) -> str:
    """What the command says; its exit code is one of those that it documents."""
    for expected in (0, 1, 2) if code is None else (code,):
        try:
            done = sluice(*arguments, exit_code=expected)
        except AssertionError:
            continue
        assert "Traceback" not in done.stderr
        assert "a bug" not in done.stderr
        assert "Aborted" not in done.stderr
        assert expected == 0 or done.stderr
        return done.stderr
    raise AssertionError(f"another exit code than expected of {arguments}")


@pytest.mark.parametrize("cut", [1, 2, 9, 10, 40, len(PACKED) - 8, len(PACKED) - 1])
def test_packed_rows_that_are_cut_short_are_an_error_with_its_code(tmp_path: Path, cut: int) -> None:
    (tmp_path / "rows.csv.gz").write_bytes(PACKED[:cut])
    said = answer("export", tmp_path / "rows.csv.gz", "-o", tmp_path / "out.csv", code=1)
    assert "INVALID_REQUEST: The gzip data is cut short" in said


@pytest.mark.parametrize("start", range(0, len(ENCODINGS), 10))
def test_any_encoding_is_read_or_refused(tmp_path: Path, start: int) -> None:
    (tmp_path / "rows.csv").write_bytes(BODIES["every byte"])
    for encoding in ENCODINGS[start : start + 10]:
        answer("export", tmp_path / "rows.csv", "-o", tmp_path / "out.csv", "--encoding", encoding)


def test_what_is_no_encoding_of_texts_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"a\n1\n")
    for encoding in ("rot13", "hex", "idna", "undefined", ""):
        said = answer("export", tmp_path / "rows.csv", "-o", tmp_path / "o.csv", "--encoding", encoding, code=2)
        assert "there is no encoding" in said


@pytest.mark.parametrize("body", BODIES)
def test_any_input_is_read_or_refused_under_any_name(tmp_path: Path, body: str) -> None:
    for name in ("a.csv", "a.json", "a.csv.gz", "a.ndjson", "a.tsv"):
        (tmp_path / name).write_bytes(BODIES[body])
        answer("export", tmp_path / name, "-o", tmp_path / "out.xlsx")


@pytest.mark.parametrize(("flag", "text"), FLAGS)
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_any_flag_is_taken_or_refused(tmp_path: Path, flag: str, text: str, more: tuple[str, ...]) -> None:
    (tmp_path / "rows.csv").write_bytes(b"a,b\n1,2\n")
    output = str(tmp_path / text) if flag == "-o" else str(tmp_path / "out.csv")
    given = () if flag == "-o" else (flag, text)
    answer("export", tmp_path / "rows.csv", "-o", output, *given, *more)


def test_a_link_to_itself_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    (tmp_path / "rows.csv").write_text("a\n1\n")
    for rows, output in (("rows.csv", "loop.csv"), ("loop.csv", "out.csv")):
        answer("export", tmp_path / rows, "-o", tmp_path / output, code=2)
    answer("serve", "--data", f"{tmp_path}/d\udcff", code=2)
