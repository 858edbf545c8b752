"""Tables as wide as a worksheet can be, through the whole service, over both faces."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest
from python_calamine import CalamineWorkbook

from sluice.domain.keys import TaskId, TaskRef, TenantId
from tests.support.either_face import FACES, BothApis, EitherApi, Wish, both_faces, granted, refused

SHEET_COLUMNS = 16_384
LAST = "XFD"
"""The name of a worksheet's last column."""
WIDEST = Wish(kind="xlsx", columns=tuple((f"c{number}", "string") for number in range(1, SHEET_COLUMNS + 1)))
ROWS = [[f"{row}:{column}" for column in range(SHEET_COLUMNS)] for row in range(3)]


@pytest.fixture
def faces(tmp_path: Path) -> Iterator[BothApis]:
    with both_faces(tmp_path) as running:
        yield running


def export(faces: BothApis, face: EitherApi) -> bytes:
    """Send the widest table, a batch for its first rows and one for the last; returns the file."""
    task_id = granted(face.open(WIDEST))
    granted(face.put(task_id, 1, ROWS[:2]))
    granted(face.put(task_id, 2, ROWS[2:]))
    granted(face.close(task_id, batches=2, rows=3))
    faces.memory.invoker.join()
    assert granted(face.status(task_id)) == "completed"
    task = faces.memory.tasks.read(TaskRef(TenantId(face.tenant), TaskId(task_id)))
    assert task is not None
    return faces.memory.store.get(task.result_key)


@pytest.mark.slow
@pytest.mark.parametrize("name", FACES)
def test_row_7_a_table_of_16384_columns_comes_back_whole(faces: BothApis, name: str) -> None:
    data = export(faces, faces.face(name))
    names = [column for column, _ in WIDEST.columns]
    assert CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0).to_python() == [names, *ROWS]
    sheet = openpyxl.load_workbook(io.BytesIO(data), read_only=True).worksheets[0]
    assert [list(row) for row in sheet.iter_rows(values_only=True)] == [names, *ROWS]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        xml = archive.read("xl/worksheets/sheet1.xml").decode()
    assert f'<dimension ref="A1:{LAST}4"/>' in xml
    assert f'<autoFilter ref="A1:{LAST}4"/>' in xml
    references = re.findall(r'<c r="([A-Z]+[0-9]+)"', xml)
    assert len(references) == len(set(references)) == 4 * SHEET_COLUMNS
    assert references[-SHEET_COLUMNS :: SHEET_COLUMNS - 1] == ["A4", f"{LAST}4"]


@pytest.mark.parametrize("name", FACES)
def test_row_7_one_column_more_is_refused(faces: BothApis, name: str) -> None:
    said = refused(faces.face(name).open(Wish(kind="xlsx", columns=(*WIDEST.columns, ("one more", "string")))))
    assert said.code == "TOO_MANY_COLUMNS"
    assert said.facts == {"columns": SHEET_COLUMNS + 1, "columns_max": SHEET_COLUMNS}
