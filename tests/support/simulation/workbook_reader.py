"""Reads a workbook's texts with the standard library alone; knows only what the simulated tasks write."""

from __future__ import annotations

import io
import zipfile
from xml.etree import ElementTree as ET

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"

Texts = tuple[tuple[str, ...], ...]


def read_workbook(data: bytes) -> dict[str, Texts]:
    """Every worksheet's rows by its name, header included, in the order of the workbook."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [sheet.attrib["name"] for sheet in ET.fromstring(archive.read("xl/workbook.xml")).iter(f"{_MAIN}sheet")]
        parts = [archive.read(f"xl/worksheets/sheet{number}.xml") for number in range(1, len(names) + 1)]
    return dict(zip(names, map(_rows, parts), strict=True))


def _rows(xml: bytes) -> Texts:
    rows = ET.fromstring(xml).iter(f"{_MAIN}row")
    return tuple(tuple("".join(cell.itertext()) for cell in row) for row in rows)
