"""A file of rows that were put by other options has nothing in it that its own options refuse."""

from __future__ import annotations

import pytest

from sluice.domain.errors import ErrorCode
from sluice.domain.keys import ManifestRef, TenantId
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, ColumnType, TableSpec
from sluice.domain.task import State, Task
from sluice.ports.bundle import Ports
from sluice.tables.batch import Batch
from sluice.tables.values.slices import SLICE_ROWS
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from sluice.usecases.sending.render_again import RenderRequest, render_again
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports

VALID = {ColumnType.NUMBER: "1", ColumnType.DATE: "2025-03-14", ColumnType.BOOLEAN: "true"}
GOOD = tuple(VALID.values())
ROWS_BEFORE = SLICE_ROWS + 7
"""Of the second batch, before the row with the invalid value: it is in no first slice."""


@pytest.fixture
def ports() -> Ports:
    return memory_ports(FakeClock())


def composed(ports: Ports, sealed: Task) -> Task:
    compose_export(ports, ManifestRef(sealed.ref, sealed.man_sha))
    row = ports.tasks.read(sealed.ref)
    assert row is not None
    return row


def stored(ports: Ports, *, on_invalid: str, column: int, declared: bool = True) -> Task:
    """An export of two batches whose row 4 of all is invalid in one column, further down in the second of them."""
    columns = tuple(ColumnSpec(f"c{kind}", kind, detected=not declared) for kind in VALID)
    options = ExportOptions(on_invalid=on_invalid)  # type: ignore[arg-type]  # a parameter
    params = ExportParams(format=ExportFormat.CSV, filename="t", columns=columns, options=options)
    ref = open_export(ports, TenantId("acme"), OpenRequest(params)).task.ref
    bad = tuple("n/a" if index == column else text for index, text in enumerate(GOOD))
    put_batch(ports, ParamsCache(ports), ref, sequence=1, batch=Batch.of_rows([GOOD] * 3, 3))
    second = Batch.of_rows([GOOD] * ROWS_BEFORE + [bad, GOOD], 3)
    put_batch(ports, ParamsCache(ports), ref, sequence=2, batch=second)
    return composed(ports, close_export(ports, ref, CloseRequest()))


@pytest.mark.parametrize("file_format", ExportFormat)
@pytest.mark.parametrize("column", range(len(VALID)))
@pytest.mark.parametrize("put_with", ["null", "text"])
@pytest.mark.parametrize("rendered_with", ["error", ""])
def test_a_render_refuses_what_a_batch_would_be_refused_for_and_says_where(
    ports: Ports, file_format: ExportFormat, column: int, put_with: str, rendered_with: str
) -> None:
    source = stored(ports, on_invalid=put_with, column=column)
    assert source.state is State.COMPLETED
    options = ExportOptions(on_invalid=rendered_with)  # type: ignore[arg-type]  # a parameter
    made = composed(ports, render_again(ports, source.ref, RenderRequest(file_format, options=options)).task)
    assert (made.state, made.last_error_code, made.result_key) == (State.FAILED, ErrorCode.INVALID_VALUE, "")
    place = f"row: {3 + ROWS_BEFORE + 1}, column: c{list(VALID)[column].value}"
    assert place in made.last_error
    assert f"batch: 2, batch_row: {ROWS_BEFORE + 1}" in made.last_error


@pytest.mark.parametrize("file_format", ExportFormat)
@pytest.mark.parametrize(("rendered_with", "counted"), [("null", "invalid_as_null"), ("text", "invalid_as_text")])
def test_a_render_that_takes_invalid_values_counts_them(
    ports: Ports, file_format: ExportFormat, rendered_with: str, counted: str
) -> None:
    source = stored(ports, on_invalid="text", column=0)
    options = ExportOptions(on_invalid=rendered_with)  # type: ignore[arg-type]  # a parameter
    made = composed(ports, render_again(ports, source.ref, RenderRequest(file_format, options=options)).task)
    assert (made.state, made.warnings) == (State.COMPLETED, {counted: 1})


def test_a_detected_column_that_is_rendered_as_if_it_were_declared_so_is_checked_as_such(ports: Ports) -> None:
    source = stored(ports, on_invalid="", column=0, declared=False)
    assert source.warnings == {"invalid_as_text": 1}
    strict = RenderRequest(options=ExportOptions(on_invalid="error"))
    made = composed(ports, render_again(ports, source.ref, strict).task)
    assert (made.state, made.last_error_code) == (State.FAILED, ErrorCode.INVALID_VALUE)


def test_rows_are_counted_in_their_own_sheet(ports: Ports) -> None:
    sheets = tuple(TableSpec(name, (ColumnSpec("n", ColumnType.NUMBER),)) for name in ("a", "b"))
    options = ExportOptions(on_invalid="text")
    params = ExportParams(format=ExportFormat.XLSX, filename="t", sheets=sheets, options=options)
    ref = open_export(ports, TenantId("acme"), OpenRequest(params)).task.ref
    for sequence, (sheet, texts) in enumerate([(1, ["1", "2"]), (0, ["3"]), (1, ["4", "n/a"])], 1):
        batch = Batch.of_columns([texts], len(texts))
        put_batch(ports, ParamsCache(ports), ref, sequence=sequence, batch=batch, sheet=sheet)
    source = composed(ports, close_export(ports, ref, CloseRequest()))
    strict = RenderRequest(options=ExportOptions(on_invalid="error"))
    made = composed(ports, render_again(ports, source.ref, strict).task)
    assert "row: 4, column: n" in made.last_error
    assert "batch: 3, batch_row: 2" in made.last_error
