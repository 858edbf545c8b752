"""Task rows for tests: valid, and different where a test says so."""

from __future__ import annotations

from typing import Any

import msgspec

from sluice.domain.keys import TaskId, TaskRef, TenantId, task_id_from_key
from sluice.domain.limits import Limits
from sluice.domain.manifest import Claim
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.pulled import PastReading, Readings
from sluice.domain.schema import ColumnSpec, ColumnType, TableSpec
from sluice.domain.task import State, Task
from sluice.domain.timestamps import Time

TENANT = TenantId("acme")
NOW = 1_700_000_000.25
"""A quarter has an exact binary form."""


def a_task(name: str = "task", **changes: Any) -> Task:
    """An open task of ``TENANT`` whose id comes from ``name``."""
    tenant = changes.pop("tenant", TENANT)
    fields: dict[str, Any] = {
        "tenant": tenant,
        "task_id": task_id_from_key(tenant, name),
        "state": State.OPEN,
        "params_sha": "a" * 64,
        "params": params_called("a.csv"),
        "created_at": NOW,
        "due_at": NOW + 3600,
    }
    return Task(**(fields | changes))


def params_called(filename: str) -> ExportParams:
    """Parameters that differ by their file name."""
    return ExportParams(format=ExportFormat.CSV, filename=filename)


def widest_params() -> ExportParams:
    """Parameters about as large as a task may have."""
    limits = Limits()
    name = "x" * (limits.params_bytes_max // limits.columns_max - len('{"name":"00000"},'))
    columns = tuple(ColumnSpec(f"{number:05d}{name}") for number in range(limits.columns_max))
    return ExportParams(format=ExportFormat.CSV, filename="a.csv", columns=columns)


def a_full_task() -> Task:
    """A task in which every field has a value of its own."""
    values: dict[str, Any] = {}
    for number, field in enumerate(msgspec.structs.fields(Task), start=1):
        if field.type is int:
            values[field.name] = 2**53 + number
        elif field.type == Time:
            values[field.name] = NOW + number
        else:
            values[field.name] = f"{field.name} 值 '\";\n"
    columns = (ColumnSpec("id", ColumnType.NUMBER), ColumnSpec("名称 '\";\n"))
    sheets = tuple(TableSpec(name, columns) for name in "一二三")
    fixed = {
        "tenant": TENANT,
        "task_id": TaskId("a" * 26),
        "state": State.COMPOSING,
        "params": ExportParams(format=ExportFormat.XLSX, filename="值.xlsx", sheets=sheets),
        "sheet_rows": (2**53, 0, 7),
        "readings": Readings('["值"]', ("[5]", '[["AA=="],1.5]'), (PastReading(NOW, 1, 2, 3, 2**53),)),
        "renders": {"d" * 26: NOW},
        "shared_with": {"b" * 26: NOW, "c" * 26: NOW + 1},
        "warnings": {"text_cut": 2**53, "a kind '\"": 1},
    }
    return Task(**(values | fixed))


def a_claim(sequence: int, **changes: Any) -> Claim:
    """A batch of 10 rows and 1,000 bytes."""
    fields: dict[str, Any] = {"sequence": sequence, "sha": f"{sequence:032x}", "rows": 10, "size": 1000}
    return Claim(**(fields | changes))


def a_stranger() -> TaskRef:
    """Names a task that does not exist."""
    return a_task("nobody").ref
