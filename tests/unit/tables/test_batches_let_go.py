"""What writers hold of the batches they are given: none longer than they need it, and few ahead."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator

import pytest

from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.schema import ColumnSpec
from sluice.tables.batch import Batch
from sluice.tables.file_plan import FilePlan, Tally
from sluice.tables.formats import FORMATS
from tests.support.xlsx_tables import write_xlsx

STREAMED = (ExportFormat.XLSX, ExportFormat.CSV, ExportFormat.JSONL)
TWO = (ColumnSpec("a"), ColumnSpec("b"))


def plan(rows: int, columns: tuple[ColumnSpec, ...] = TWO) -> FilePlan:
    return FilePlan(columns=columns, options=ExportOptions(), rows=rows, size=rows * 1_000_000)


@pytest.fixture(autouse=True)
def look_at_new_objects_only() -> None:
    """What was there before is passed over: there are half a million objects when all tests are collected."""
    gc.freeze()


def live_batches(text: str) -> int:
    """How many batches that begin with this cell anybody holds."""
    found = [one for one in gc.get_objects() if type(one) is Batch]
    return sum(str(batch.columns[0].text).startswith(text) for batch in found)


@pytest.mark.parametrize("name", STREAMED)
@pytest.mark.parametrize("rows", [1, 500, 2_500])
def test_a_batch_is_let_go_before_the_next_is_asked_for(name: ExportFormat, rows: int) -> None:
    mark = f"mark {name} {rows}"
    held = []

    def batches() -> Iterator[Batch]:
        yield Batch.of_columns([["x" * 11_000] * 100] * 2, 100)  # the rows that XLSX looks at for its widths
        for _ in range(4):
            held.append(live_batches(mark))
            yield Batch.of_columns([[mark + "x" * min(30_000, 400_000 // rows)] * rows] * 2, rows)

    for _block in FORMATS[name].write(batches(), plan(100 + 4 * rows), Tally()):
        pass
    assert held == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("columns", "text", "most"),
    [
        pytest.param(20, "☃" * 30_000, 2, id="two-have-more-than-a-megabyte"),
        pytest.param(4_000, "☂", 8, id="eight-have-more-than-32768-cells"),
        pytest.param(3, "☁", 100, id="a-hundred-rows"),
    ],
)
def test_the_widths_wait_for_few_batches_of_long_or_wide_rows(columns: int, text: str, most: int) -> None:
    held = []

    def batches() -> Iterator[Batch]:
        for _ in range(150):
            held.append(live_batches(text))
            yield Batch.of_columns([[text]] * columns, 1)

    declared = tuple(ColumnSpec(f"c{number}") for number in range(columns))
    for _block in FORMATS[ExportFormat.XLSX].write(batches(), plan(150, declared), Tally()):
        if len(held) > most + 1:
            break
    assert max(held) == most - 1  # when the last of them is asked for


@pytest.mark.parametrize("batch_rows", [1, 20, 55, 150])
def test_the_widths_do_not_depend_on_how_long_rows_are_cut_into_batches(batch_rows: int) -> None:
    seen: list[list[str | None]] = [["z" * 12_000, "x"]] * 40
    wider: list[list[str | None]] = [["", "y" * 30]] * 60
    widest: list[list[str | None]] = [["", "y" * 45]] * 50
    rows = seen + wider + widest
    sheet = write_xlsx(TWO, rows, batch_rows=batch_rows).openpyxl_sheets()[0]
    widths = [sheet.column_dimensions[letter].width for letter in "AB"]
    assert widths == [pytest.approx(50, abs=1), pytest.approx(32, abs=1)]


@pytest.mark.parametrize("compact", [False, True])
def test_a_row_alone_is_written_like_one_among_others(*, compact: bool) -> None:
    rows: list[list[str | None]] = [["a\x07" * 5, None], ["", "=b"], ["_x0041_", " "]]
    options = ExportOptions(compact=compact)
    alone, together = (write_xlsx(TWO, rows, batch_rows=count, options=options) for count in (1, 3))
    assert alone.data == together.data


def test_a_large_text_is_escaped_in_pieces_like_one_that_is_not() -> None:
    text = '\x07"\\\u2028é\n' * 60_000
    rows: list[tuple[str | None, str | None]] = [(text, None), (None, text), ("", "\0" + text)]
    batches = [Batch.of_rows([row], 2) for row in rows]
    lines = b"".join(FORMATS[ExportFormat.JSONL].write(iter(batches), plan(3), Tally())).decode()
    assert "\u2028" not in lines
    assert [tuple(json.loads(line).values()) for line in lines.split("\n")[:-1]] == rows
    together = b"".join(FORMATS[ExportFormat.JSONL].write([Batch.of_rows(rows[:2], 2)], plan(2), Tally())).decode()
    assert lines.startswith(together)
