"""Every program that reads CSV files sees, field by field, what was sent: each kind of value, whatever the options."""

from __future__ import annotations

import csv
import io
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sluice.domain.schema import ColumnSpec
from sluice.tables.file_plan import Warned
from tests.support.csv_files import write_csv
from tests.support.programs import has, why_not
from tests.support.readers.corpus import CORPUS, CorpusTable, everyday_table
from tests.support.readers.csv_programs import CSV_READERS, CsvFile, CsvReader, Field, disagreements, read_by_php

READERS = pytest.mark.parametrize("reader", CSV_READERS, ids=lambda reader: reader.name)
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"csv_bom": False},
    {"line_ending": "lf"},
    {"quote_all": True},
    {"compression_enabled": True},
    *({"csv_delimiter": delimiter, "quote_all": quote_all} for delimiter in ";\t|" for quote_all in (False, True)),
    {"csv_delimiter": ";", "line_ending": "lf", "csv_bom": False},
    {"csv_delimiter": "\t", "line_ending": "lf", "quote_all": True, "compression_enabled": True},
    {"formula_guard": "prefix"},
    {"on_unencodable": "replace"},
    {"timezone": "Asia/Kathmandu"},
)
"""Options that change how a file is written, and no value in it."""


def put(folder: Path, table: CorpusTable, **options: Any) -> CsvFile:
    """Write a table into a new file."""
    path = folder / f"{len(list(folder.iterdir())):03}.csv{'.gz' if options.get('compression_enabled') else ''}"
    chosen = {"formula_guard": "off", **table.options, **options}
    path.write_bytes(write_csv(table.sent, table.columns, batch_rows=17, **chosen).data)
    encoding = options.get("csv_encoding", "utf-8")
    return CsvFile(path, encoding, options.get("csv_delimiter", ","), len(table.columns))


def whole(table: CorpusTable) -> list[list[Field]]:
    return [[*table.names], *table.in_csv]


def check(reader: CsvReader, files: Sequence[CsvFile], expected: Sequence[tuple[str, list[list[Field]]]]) -> list[str]:
    """What is wrong in files that should have these rows; each expectation has a name."""
    wrong = []
    for (name, rows), found in zip(expected, reader.read(files), strict=True):
        if name in reader.refuses:
            assert isinstance(found, str)  # once it reads the table, this says so
        elif isinstance(found, str):
            wrong.append(f"{name}: {found}")
        else:
            wrong += [f"{name}: {told}" for told in disagreements(reader, found, rows)]
    return wrong


@READERS
def test_every_value_of_the_corpus_comes_back(reader: CsvReader, tmp_path: Path) -> None:
    files = [put(tmp_path, table) for table in CORPUS]
    assert check(reader, files, [(table.name, whole(table)) for table in CORPUS]) == []


@READERS
def test_no_option_that_is_about_looks_changes_a_value(reader: CsvReader, tmp_path: Path) -> None:
    table = everyday_table(60)
    ways = [way for way in OPTIONS if reader.reads_gzip or "compression_enabled" not in way]
    files = [put(tmp_path, table, **way) for way in ways]
    assert check(reader, files, [(str(way), whole(table)) for way in ways]) == []


@READERS
def test_a_file_without_a_header_begins_with_its_first_row(reader: CsvReader, tmp_path: Path) -> None:
    table = everyday_table(10)
    ways: list[dict[str, Any]] = [{"header": False, "csv_bom": bom} for bom in (True, False)]
    files = [put(tmp_path, table, **way) for way in ways]
    assert check(reader, files, [(str(way), table.in_csv) for way in ways]) == []


def test_the_escape_that_php_has_by_default_harms_a_backslash_before_a_quote_and_nothing_else(tmp_path: Path) -> None:
    """It is no part of CSV and deprecated; RFC 4180 needs ``escape: ""``, which all other tests use."""
    values = ["a", "a\\b", 'a"b', "a\\", 'a\\"b']
    path = tmp_path / "table.csv"
    path.write_bytes(write_csv([(value, "end") for value in values], (ColumnSpec("v"), ColumnSpec("e"))).data)
    (found,) = read_by_php([CsvFile(path)], escape="\\")
    assert [row[0] for row in found[1:-1]] == values[:-1]
    assert found[-1] != ['a\\"b', "end"]
    (found,) = read_by_php([CsvFile(path)])
    assert [row[0] for row in found[1:]] == values


PAGES = {"gbk": "CP936", "big5": "CP950", "shift_jis": "CP932", "euc-kr": "CP949", "iso-8859-1": "CP1252"}
"""What Excel and browsers take an encoding for."""
ENCODINGS = (
    "gbk",
    "gb18030",
    "big5",
    "shift_jis",
    "euc-kr",
    "utf-16",
    "iso-8859-1",
    *(f"windows-125{page}" for page in range(9)),
)
SOME_BEYOND_THE_BASIC_PLANE = "😀\U00020000\U0002a6d6\U0010fffd"
CHARACTERS = [chr(code) for code in (*range(1, 0xD800), *range(0xE000, 0xFFFE))] + [*SOME_BEYOND_THE_BASIC_PLANE]


@pytest.mark.skipif(not has("iconv"), reason=why_not("iconv"))
@pytest.mark.parametrize("name", ENCODINGS)
def test_no_program_reads_another_character_than_the_one_that_was_sent(name: str) -> None:
    """Each character on a line of its own: it comes back, or it was refused and stands as a question mark."""
    rows = [("x", character, "end") for character in CHARACTERS]
    columns = (ColumnSpec("a"), ColumnSpec("b"), ColumnSpec("c"))
    written = write_csv(rows, columns, header=False, csv_encoding=name, on_unencodable="replace", formula_guard="off")
    command = ["iconv", "-f", PAGES.get(name, name.replace("windows-", "cp")), "-t", "utf-8"]
    told = subprocess.run(command, input=written.data, capture_output=True, check=True).stdout.decode()
    found = [row[1] for row in csv.reader(io.StringIO(told.removeprefix("\ufeff"), newline=""), strict=True)]
    replaced = [sent for sent, character in zip(CHARACTERS, found, strict=True) if character != sent]
    assert {character for sent, character in zip(CHARACTERS, found, strict=True) if character != sent} <= {"?"}
    assert written.tally.warnings[Warned.CHARACTER_REPLACED] == len(replaced)
    assert not {*replaced} & {*"abc,;|\"' 09"}
