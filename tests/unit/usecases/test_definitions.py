"""What tasks were opened with is remembered, within bounds; parameters that no store would keep are refused."""

from __future__ import annotations

import pytest

from sluice.domain.columns import ColumnSpec
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskRef, TenantId
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.task import Guard, Task
from sluice.ports.outside import Outside
from sluice.usecases.find_task import Definitions
from sluice.usecases.open_export import OpenRequest, open_export
from tests.support.fake_clock import FakeClock
from tests.support.memory_outside import memory_outside


def opened(outside: Outside, columns: int, name: str = "c") -> Task:
    params = ExportParams(format=ExportFormat.CSV, filename="t", columns=(ColumnSpec(name),) * columns)
    return open_export(outside, TenantId("acme"), OpenRequest(params)).task


def still_known(definitions: Definitions, outside: Outside, refs: list[TaskRef]) -> list[bool]:
    """Which tasks a definition is known of when their rows are gone."""
    for ref in refs:
        row = outside.tasks.read(ref)
        assert row is not None
        outside.tasks.update(ref, _guard(row), {"params": "", "deleted_at": 1.0})
    return [_is_known(definitions, ref) for ref in refs]


def _guard(row: Task) -> Guard:
    return Guard(state=row.state)


def _is_known(definitions: Definitions, ref: TaskRef) -> bool:
    try:
        definitions.read(ref)
    except SluiceError:
        return False
    return True


@pytest.mark.parametrize(
    ("columns", "known"),
    [
        ([1, 1, 1, 1], [False, True, True, True]),
        ([50, 50, 1], [False, True, True]),
        ([10, 99], [False, True]),
        ([10, 200], [False, True]),
        ([60, 40], [True, True]),
    ],
)
def test_no_more_definitions_are_kept_than_their_number_and_their_columns_allow(
    columns: list[int], known: list[bool]
) -> None:
    outside = memory_outside(FakeClock())
    definitions = Definitions(outside, size=3, columns=100)
    tasks = [opened(outside, count) for count in columns]
    for task in tasks:
        definitions.remember(task)
        definitions.remember(task)  # a second time counts once
    assert still_known(definitions, outside, [task.ref for task in tasks]) == known


def test_parameters_that_are_too_large_for_a_row_are_refused() -> None:
    outside = memory_outside(FakeClock())
    assert opened(outside, 16_384, "a" * 90).params
    with pytest.raises(SluiceError) as caught:
        opened(outside, 16_384, "表" * 90)
    assert (caught.value.code, caught.value.facts) == (ErrorCode.INVALID_REQUEST, {"field": "columns"})
