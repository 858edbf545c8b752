"""What a person and a program read of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sluice.cli.formatting import counted, printable, size
from sluice.cli.job.local_run import SavedFile
from sluice.domain.reading import moments_of
from sluice.domain.task import Task
from sluice.domain.task_errors import error_of
from sluice.domain.timestamps import iso_time
from sluice.usecases.running.certificate import certificate_of, refused_in
from sluice.usecases.running.open_run import Delivered, RunStatus, run_of


def run_as_json(status: RunStatus, saved: Sequence[SavedFile] = ()) -> dict[str, Any]:
    """The run with its certificate."""
    return {**certificate_of(status), "files": [one._asdict() for one in saved]}


def run_as_text(status: RunStatus, saved: Sequence[SavedFile] = ()) -> str:
    """Some lines for a person."""
    task, params = status.task, status.task.params
    assert params is not None  # a tombstone is no run
    run = run_of(params)
    moments = moments_of(task)
    lines = [f"run {task.task_id} of {run.job} ({run.version}): {status.state}"]
    if task.sealed_at:
        consistency = params.pulled.consistency if params.pulled else ""
        at = f", as of {iso_time(moments[0][0])}" if moments and moments[0][0] else ""
        several = f" and {len(moments) - 1} later" if len(moments) > 1 else ""
        read = counted(task.total_rows + task.rows_filtered, "row")
        out = f"; {task.rows_filtered:,} filtered out" if task.rows_filtered else ""
        out += f"; {refused_in(task):,} refused" if refused_in(task) else ""
        lines.append(f"  read: {read} ({consistency}{at}{several}){out}")
    error = error_of(task)
    if error is not None:
        lines.append(f"  {error.code}: {printable(error.said)}")
    paths = {one.output: one for one in saved}
    lines += [_output_line(one, paths.get(one.output)) for one in status.outputs]
    return "\n".join(lines)


def _output_line(one: Delivered, saved: SavedFile | None) -> str:
    if one.task is None:
        return f"  {one.output}: not begun"
    error = error_of(one.task)
    if error is not None:
        return f"  {one.output}: {one.task.state.value}: {error.code}: {printable(error.said)}"
    where = f": {printable(saved.path)}, {size(saved.bytes)}" if saved else _table_of(one.task)
    return f"  {one.output}: {one.task.state.value}, {counted(one.task.result_rows, 'row')}{where}"


def _table_of(task: Task) -> str:
    target = task.params.target if task.params else None
    return f" in {printable(target.table)} of {target.connection}" if target else ""
