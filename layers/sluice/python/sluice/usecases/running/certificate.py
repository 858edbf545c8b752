"""What a run proves: what was read, of which moments, and that each output has all of it."""

from __future__ import annotations

from typing import Any

from sluice.domain.reading import moments_of
from sluice.domain.task import State, Task
from sluice.domain.task_errors import error_of
from sluice.domain.timestamps import iso_time
from sluice.usecases.running.open_run import Delivered, RunStatus, run_of


def certificate_of(status: RunStatus) -> dict[str, Any]:
    """As plain JSON values. ``content`` is the digest of the list of chunks, which all outputs were made from."""
    task, params = status.task, status.task.params
    assert params is not None  # a tombstone is no run
    pulled = params.pulled
    return {
        **heading_of(status),
        "source": {
            "connection": pulled.connection if pulled else None,
            "table": pulled.table if pulled else None,
            "consistency": pulled.consistency if pulled else None,
            "moments": [{"at": iso_time(at) if at else None, "rows": rows} for at, rows in moments_of(task)],
        },
        "rows": {
            "read": task.total_rows + task.rows_filtered if task.sealed_at else None,
            "filtered": task.rows_filtered,
            "refused": refused_in(task) if task.sealed_at else None,
            "out": task.total_rows - refused_in(task) if task.sealed_at else None,
        },
        "content": task.man_sha or None,
        "outputs": [_output(one) for one in status.outputs],
    }


def heading_of(status: RunStatus) -> dict[str, Any]:
    """Which run it is, and how it is as a whole: what lists have of it too."""
    task, params = status.task, status.task.params
    assert params is not None  # a tombstone is no run
    run = run_of(params)
    return {
        "run": task.task_id,
        "job": run.job,
        "version": run.version,
        "tick": run.tick or None,
        "state": status.state,
        "error": _error(task),
    }


def _error(task: Task) -> dict[str, str] | None:
    error = error_of(task)
    return {"code": error.code.value, "message": error.said} if error else None


def refused_in(task: Task) -> int:
    """How many rows of a sealed run were refused and set aside."""
    return task.sheet_rows[1] if task.sheet_rows else 0


def _output(one: Delivered) -> dict[str, Any]:
    task = one.task
    if task is None or task.params is None:
        return {"name": one.output, "state": "waiting" if task is None else task.state.value}
    target = task.params.target
    is_done = task.state is State.COMPLETED
    made: dict[str, Any] = {
        "name": one.output,
        "task": task.task_id,
        "state": task.state.value,
        "rows": task.result_rows if is_done else None,
        "error": _error(task),
    }
    if target is not None:
        return {**made, "connection": target.connection, "table": target.table, "mode": target.mode}
    sha = task.result_sha256 if is_done else None
    return {**made, "format": task.params.format.value, "bytes": task.result_size if is_done else None, "sha256": sha}
