"""A worksheet whose XML is larger than 4 GiB opens, and has every row. Takes minutes: see ``--huge``."""

from __future__ import annotations

import struct
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

import openpyxl
import pytest

from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.file_plan import FilePlan, Replan, Tally
from sluice.tables.formats import FORMATS
from tests.support.programs import has, why_not

pytestmark = [pytest.mark.huge, pytest.mark.slow, pytest.mark.memory, pytest.mark.timeout(1_500)]

GIB_4 = 4 * 1024**3
SHEET = "xl/worksheets/sheet1.xml"
ZIP64_EXTRA = 1
ZIP64_VERSION = 45
COLUMNS = (ColumnSpec("n", ColumnType.NUMBER), ColumnSpec("a"), ColumnSpec("b"))
TEXT = "a" * 16_000
ROWS = 140_000
"""Two texts of 16,000 characters each, so 4.48 GB."""
BATCH_ROWS = 125


def batches() -> Iterator[Batch]:
    for first in range(0, ROWS, BATCH_ROWS):
        numbers = list(map(str, range(first, first + BATCH_ROWS)))
        yield Batch.of_columns([numbers, [TEXT] * BATCH_ROWS, [TEXT] * BATCH_ROWS], BATCH_ROWS)


def write(path: Path) -> int:
    """Write the table as the composer does; returns how often it had to start again."""
    table = FilePlan(columns=COLUMNS, options=ExportOptions(), rows=ROWS, size=ROWS * (2 * len(TEXT) + 10))
    for replanned in range(3):
        try:
            with path.open("wb") as file:
                tally = Tally()
                file.writelines(FORMATS[ExportFormat.XLSX].write(batches(), table, tally))
        except Replan as found:
            table = found.plan
        else:
            assert tally.rows == ROWS
            return replanned
    raise AssertionError("the writer never has the plan it wants")


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("huge") / "huge.xlsx"
    assert write(path) == 1
    yield path
    path.unlink()


def extras(data: bytes) -> set[int]:
    """The kinds of extra fields of a member."""
    kinds = set()
    while data:
        kind, size = struct.unpack_from("<HH", data)
        kinds.add(kind)
        data = data[4 + size :]
    return kinds


def local_header(path: Path, member: zipfile.ZipInfo) -> tuple[int, set[int]]:
    """The version needed, and the kinds of extra fields, as the header before the member says."""
    with path.open("rb") as file:
        file.seek(member.header_offset)
        signature, version, name_bytes, extra_bytes = struct.unpack("<4sH20xHH", file.read(30))
        assert signature == b"PK\x03\x04"
        file.seek(name_bytes, 1)
        return version, extras(file.read(extra_bytes))


def test_only_the_large_member_is_zip64(huge: Path) -> None:
    with zipfile.ZipFile(huge) as archive:
        members = archive.infolist()
    for member in members:
        version, local = local_header(huge, member)
        if member.filename == SHEET:
            assert member.file_size > GIB_4
            assert (version, member.extract_version) == (ZIP64_VERSION, ZIP64_VERSION)
            assert ZIP64_EXTRA in local
            assert ZIP64_EXTRA in extras(member.extra)
        else:
            assert (version, member.extract_version) == (20, 20)
            assert ZIP64_EXTRA not in local | extras(member.extra)


class CountedRows:
    """Counts the rows of a worksheet's XML and holds each against what was sent, with nothing but expat."""

    def __init__(self) -> None:
        self.rows = 0
        self._cells: list[str] = []
        self._text: list[str] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.buffer_size = 1 << 20
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text.append

    def feed(self, data: bytes, *, is_last: bool) -> None:
        self._parser.Parse(data, is_last)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        del attributes
        if name == "c":
            self._text.clear()

    def _end(self, name: str) -> None:
        if name == "c":
            self._cells.append("".join(self._text))
        elif name == "row":
            wanted = [str(self.rows - 1), TEXT, TEXT] if self.rows else [column.name for column in COLUMNS]
            assert self._cells == wanted, f"row {self.rows + 1}"
            self.rows += 1
            self._cells.clear()


def test_zipfile_and_expat_see_every_row(huge: Path) -> None:
    counted = CountedRows()
    with zipfile.ZipFile(huge) as archive, archive.open(SHEET) as sheet:
        while data := sheet.read(1 << 22):
            counted.feed(data, is_last=False)
    counted.feed(b"", is_last=True)
    assert counted.rows == ROWS + 1


def test_openpyxl_sees_every_row(huge: Path) -> None:
    book = openpyxl.load_workbook(huge, read_only=True)
    rows = book.worksheets[0].iter_rows(values_only=True)
    assert next(rows) == tuple(column.name for column in COLUMNS)
    count = 0
    for number, *texts in rows:
        assert number == count
        assert texts == [TEXT, TEXT]
        count += 1
    book.close()
    assert count == ROWS


@pytest.mark.skipif(not has("unzip"), reason=why_not("unzip"))
def test_unzip_finds_no_fault(huge: Path) -> None:
    said = subprocess.run(["unzip", "-t", huge], capture_output=True, text=True, check=False)
    assert (said.returncode, "No errors detected" in said.stdout) == (0, True)
