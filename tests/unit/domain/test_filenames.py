"""A file name is safe on every system, still the sender's, and alone in its header."""

from __future__ import annotations

import re
import unicodedata
from email.message import Message
from urllib.parse import unquote

import pytest

from sluice.domain.filenames import content_disposition, sanitise_filename
from sluice.domain.limits import Limits

LIMITS = Limits()
NASTY = [
    "a/../../b", "..", ".", "", "x" * 300, "报" * 300, "e\u0301" * 100, "CON", "con.csv", "nul .x", "COM\u00b9.txt",
    "a\r\nSet-Cookie:x", 'a";filename="b.exe', "\u202efdp.exe", "\u2066x\u2069", "🎉", "👩‍👩‍👧" * 20, "报表 (1).xlsx",
    "\ud800x", "a\0b", "C:\\Windows\\x", "<script>|?*", " .orders. .xlsx ", ".csv", "\u3000x\u3000", "v1.2", "a%20b",
    "it's", "a\u2028b", "<\u0338", "\u212b", "x" * 145 + ".csv.gz", "...a...", "\x85\x9f", "CON" + "\u0301", "a.CSV.",
]  # fmt: skip
EXTENSIONS = ("xlsx", "csv", "csv.gz", "jsonl", "jsonl.gz", "parquet")


def sanitised(name: str, extension: str = "xlsx") -> str:
    return sanitise_filename(name, extension=extension, replaced=EXTENSIONS, limits=LIMITS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/../../b", "a....b.xlsx"),
        ("..", "export.xlsx"),
        (".", "export.xlsx"),
        ("", "export.xlsx"),
        ("x" * 300, "x" * 145 + ".xlsx"),
        ("CON", "_CON.xlsx"),
        ("a\r\nSet-Cookie:x", "aSet-Cookiex.xlsx"),
        ('a";filename="b.exe', "a;filename=b.exe.xlsx"),
        ("\u202efdp.exe", "fdp.exe.xlsx"),
        ("🎉", "🎉.xlsx"),
        ("报表 (1).xlsx", "报表 (1).xlsx"),
    ],
)
def test_row_66_a_nasty_name_becomes_a_plain_one(name: str, expected: str) -> None:
    assert sanitised(name) == expected


@pytest.mark.parametrize(
    ("name", "extension", "expected"),
    [
        ("orders.xlsx", "xlsx", "orders.xlsx"),
        ("orders.csv", "xlsx", "orders.xlsx"),
        ("orders", "csv", "orders.csv"),
        ("Orders.XLSX", "csv.gz", "Orders.csv.gz"),
        ("orders.csv.gz", "csv.gz", "orders.csv.gz"),
        ("orders.csv.gz", "xlsx", "orders.xlsx"),
        ("v1.2", "csv", "v1.2.csv"),
        ("orders.ndjson.gz", "parquet", "orders.parquet"),
        ("orders.parquet", "jsonl.gz", "orders.jsonl.gz"),
        ("orders.JSONL", "csv", "orders.csv"),
        ("orders.csv.", "xlsx", "orders.xlsx"),
        (".csv", "csv", "export.csv"),
        ("csv", "csv", "csv.csv"),
        ("virus.exe", "csv", "virus.exe.csv"),
    ],
)
def test_the_format_decides_the_extension(name: str, extension: str, expected: str) -> None:
    assert sanitised(name, extension) == expected


@pytest.mark.parametrize(
    "name",
    [
        *(
            "con",
            "PRN.txt",
            "aux.tar.old",
            "nul",
            "Com1",
            "LPT9.csv",
            "lpt\u00b3",
            "con .x",
            "COM1.txt",
            "com0",
            "CONIN$",
        ),
        *("conout$.x", "nul:", "con\u202e", " aux ", "NUL." + "x" * 200, "\u00a0com\u00b9"),
    ],
)
def test_a_name_of_a_windows_device_gets_an_underscore(name: str) -> None:
    assert sanitised(name).startswith("_")


@pytest.mark.parametrize(
    "name", ["conin", "CONIN$x", "com\u2074", "console", "com", "com10", "auxiliary", "null", "icon"]
)
def test_a_name_that_only_resembles_a_device_is_kept(name: str) -> None:
    assert sanitised(name) == f"{name}.xlsx"


def test_the_name_is_composed() -> None:
    assert sanitised("Mu\u0308nchen") == "M\u00fcnchen.xlsx"
    assert sanitised("Mu:\u0308nchen") == "M\u00fcnchen.xlsx"


@pytest.mark.parametrize(("characters", "kept"), [(48, 48), (49, 48)])
def test_a_long_name_is_cut_between_characters(characters: int, kept: int) -> None:
    assert sanitised("表" * characters) == "表" * kept + ".xlsx"


def test_a_name_cut_at_a_dot_or_a_blank_does_not_end_in_it() -> None:
    assert sanitised("x" * 143 + " .y") == "x" * 143 + ".xlsx"


@pytest.mark.parametrize("size", range(12, 24))
def test_a_smaller_limit_is_kept_to_the_byte(size: int) -> None:
    limits = Limits(filename_bytes_max=size)
    for name in ("x" * 40, "é" * 40, "表" * 40, "🎉" * 40, "CON" + "x" * 40, "com1", ""):
        result = sanitise_filename(name, extension="xlsx", replaced=EXTENSIONS, limits=limits)
        assert size - 4 < len(result.encode()) <= size or len(name) < 10
        assert sanitise_filename(result, extension="xlsx", replaced=EXTENSIONS, limits=limits) == result


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("name", NASTY, ids=ascii)
def test_every_name_is_safe_and_sanitising_again_changes_nothing(name: str, extension: str) -> None:
    result = sanitised(name, extension)
    assert result.endswith(f".{extension}")
    assert not re.search(r'[/\\:*?"<>|\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]', result)
    assert result[0] not in ". "
    assert result.removesuffix(f".{extension}")[-1] not in ". "
    assert len(result.encode()) <= LIMITS.filename_bytes_max
    assert unicodedata.is_normalized("NFC", result)
    assert sanitised(result, extension) == result


@pytest.mark.parametrize("name", NASTY, ids=ascii)
def test_row_66_the_header_is_one_line_with_one_name(name: str) -> None:
    for filename in (name, sanitised(name)):
        header = content_disposition(filename)
        assert re.fullmatch(
            r'attachment; filename="[ !#-$&-\[\]-~]*"; filename\*=UTF-8\'\'[A-Za-z0-9!#$&+\-.^_`|~%]*', header
        )


@pytest.mark.parametrize("name", NASTY, ids=ascii)
def test_the_header_gives_back_the_name_in_utf_8(name: str) -> None:
    filename = sanitised(name)
    message = Message()
    message["Content-Disposition"] = content_disposition(filename)
    assert message.get_content_disposition() == "attachment"
    encoded = content_disposition(filename).partition("filename*=UTF-8''")[2]
    assert unquote(encoded, errors="strict") == filename


def test_an_old_reader_gets_an_ascii_name() -> None:
    assert content_disposition("报表 100%.xlsx") == (
        "attachment; filename=\"__ 100_.xlsx\"; filename*=UTF-8''%E6%8A%A5%E8%A1%A8%20100%25.xlsx"
    )


def test_a_name_of_very_many_marks_is_cut_before_it_is_normalised() -> None:
    """To normalise them takes the square of their number: a million would take minutes, in which nothing else runs."""
    name = "a" + "\u0301\u0323" * 500_000
    safe = sanitise_filename(name, extension="csv", replaced=("csv",), limits=Limits())
    assert safe.endswith(".csv")
    assert len(safe.encode()) <= Limits().filename_bytes_max
    assert sanitise_filename("\x00" * 100_000 + "报表", extension="csv", replaced=(), limits=Limits()) == "报表.csv"
