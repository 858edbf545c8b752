"""What tasks were opened with is remembered, within bounds; parameters that no store would keep are refused."""

from __future__ import annotations

import msgspec
import pytest

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskRef, TenantId
from sluice.domain.lifecycle import Guard
from sluice.domain.limits import MIB
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import Task
from sluice.ports.bundle import Ports
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.open_export import OpenRequest, open_export
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports


def opened(ports: Ports, columns: int, name: str = "c") -> Task:
    params = ExportParams(format=ExportFormat.CSV, filename="t", columns=(ColumnSpec(name),) * columns)
    return open_export(ports, TenantId("acme"), OpenRequest(params)).task


def still_known(params_cache: ParamsCache, ports: Ports, refs: list[TaskRef]) -> list[bool]:
    """Which tasks a definition is known of when their rows are gone."""
    for ref in refs:
        row = ports.tasks.read(ref)
        assert row is not None
        ports.tasks.update(ref, _guard(row), {"params": None, "deleted_at": 1.0})
    return [_is_known(params_cache, ref) for ref in refs]


def _guard(row: Task) -> Guard:
    return Guard(state=row.state)


def _is_known(params_cache: ParamsCache, ref: TaskRef) -> bool:
    try:
        params_cache.read(ref)
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
    ports = memory_ports(FakeClock())
    one, two = (ParamsCache(ports).remember(opened(ports, count)).weight for count in (1, 2))
    column, rest = two - one, 2 * one - two
    params_cache = ParamsCache(ports, size=3, bytes_max=100 * column + 2 * rest)
    tasks = [opened(ports, count) for count in columns]
    for task in tasks:
        params_cache.remember(task)
        params_cache.remember(task)  # a second time counts once
    assert still_known(params_cache, ports, [task.ref for task in tasks]) == known


def test_long_texts_of_definitions_count_as_columns_do() -> None:
    ports = memory_ports(FakeClock())
    params_cache = ParamsCache(ports)
    tasks = [opened(ports, 1_000, "n" * 255) for _ in range(150)]
    weights = {params_cache.remember(task).weight for task in tasks}
    texts = 255 * 1_000
    assert 2 * texts < min(weights) == max(weights) < 3 * texts
    known = still_known(params_cache, ports, [task.ref for task in tasks])
    assert sum(known) == 64 * MIB // weights.pop() < len(tasks)


@pytest.mark.parametrize("option", ["document_title", "null_value", "excel_sheet_name", "csv_delimiter", "timezone"])
def test_an_option_of_any_length_is_refused_whatever_the_format(option: str) -> None:
    """Services remember what exports were opened with, and lists read it."""
    ports = memory_ports(FakeClock())
    options = msgspec.convert({option: "x" * 256}, ExportOptions)
    params = ExportParams(format=ExportFormat.JSONL, filename="t", columns=(ColumnSpec("c"),), options=options)
    with pytest.raises(SluiceError) as caught:
        open_export(ports, TenantId("acme"), OpenRequest(params))
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert option in str(caught.value.facts["field"])


def test_parameters_that_are_too_large_for_a_row_are_refused() -> None:
    ports = memory_ports(FakeClock())
    assert opened(ports, 16_384, "a" * 90).params
    with pytest.raises(SluiceError) as caught:
        opened(ports, 16_384, "表" * 90)
    assert (caught.value.code, caught.value.facts) == (ErrorCode.INVALID_REQUEST, {"field": "columns"})
