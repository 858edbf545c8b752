"""Open the tasks that deliver a run, one for each of its outputs, once all of its rows are read."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef
from sluice.domain.manifest import Manifest
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.reading import open_over
from sluice.domain.run import DIVERTED, Output, Run, delivery_ref
from sluice.domain.task import Result, State, Task
from sluice.ports.bundle import Ports
from sluice.tables.formats import FORMATS
from sluice.usecases.sending.cancel_export import cancel_if_live
from sluice.usecases.sending.close_export import put_manifest
from sluice.usecases.sending.open_export import Opened, check_params, create_task

_PLAIN = ExportOptions(csv_bom=False)


def deliver_run(ports: Ports, task: Task, run: Run, manifest: Manifest, *, keep: Callable[[], object]) -> Result:
    """Open a task for each output over the run's chunks, and trigger it.

    Repeatable: an output has one task, however often this is done, and by
    whom. All have the same rows: their manifests name the same chunks. ``keep``
    is called before each, and may raise. Raises what an output's rows can be
    refused for as a whole, such as TOO_MANY_ROWS; nothing is delivered then.
    """
    outputs = outputs_of(run, task)
    made = [(delivery_ref(task.ref, output.name), params_of(ports, task, output)) for output in outputs]
    rows = manifest.sheet_rows(len(task.live_params.tables))
    for _, params in made:
        if params.is_file:
            FORMATS[params.format].check_rows(params, (rows[params.sheet_of_run],), ports.limits)
    for ref, params in made:
        keep()
        _open(ports, task, ref, params, manifest)
    return Result("", 0, "", "", manifest.rows, {})


def outputs_of(run: Run, task: Task) -> tuple[Output, ...]:
    """The outputs of a run, and one of the rows that were refused, if there are some: known once all are read."""
    if not task.sheet_rows or not task.sheet_rows[1]:
        return run.outputs
    filename = f"{run.job}-{task.task_id[:8]}-{DIVERTED}"
    refused = Output(name=DIVERTED, format=ExportFormat.CSV, filename=filename, sheet=1, options=_PLAIN)
    return (*run.outputs, refused)


def params_of(ports: Ports, task: Task, output: Output) -> ExportParams:
    """What an output of a run is made as."""
    params = task.live_params
    columns = params.tables[output.sheet].columns
    columns = tuple(columns[index] for index in output.picked) if output.picked else columns
    pulled = params.pulled and msgspec.structs.replace(params.pulled, kept_s=output.kept_s)
    made = msgspec.structs.replace(
        params,
        format=output.format,
        filename=output.filename or output.name,
        columns=columns,
        sheets=(),
        options=output.options,
        source_task=task.task_id,
        source_created_at=task.created_at,
        pulled=pulled,
        run=None,
        output=output.name,
        picked=output.picked,
        sheet_of_run=output.sheet,
        target=output.target,
    )
    return check_params(made, ports.limits)


def _open(ports: Ports, task: Task, ref: TaskRef, params: ExportParams, manifest: Manifest) -> None:
    sealed = Manifest.of_table(ref, manifest.chunks, params.sheet_of_run, source_task=task.task_id)
    opened_by = {"request_id": task.client_request_id, "trace_parent": task.trace_parent}
    made = open_over(task, ref, params, sealed, now=ports.clock.now(), timings=ports.timings, **opened_by)
    opened = _create(ports, made, params)
    if opened is None:
        return
    if not opened.replayed:
        ports.journal.record(
            Event.TASK_CREATED,
            task_id=ref.task_id,
            tenant=ref.tenant,
            format=params.format.value if params.is_file else None,
            source_task=task.task_id,
            output=params.output,
        )
    if opened.task.state is not State.SEALED:
        return
    # Who cancels a run ends its own task first, and then the outputs that there are: this one is among them, or this
    # sees that the run has ended.
    run = ports.tasks.read(task.ref)
    if run is None or run.state is State.CANCELLED:
        cancel_if_live(ports, ref)
        return
    put_manifest(ports, ref, sealed)


def _create(ports: Ports, made: Task, params: ExportParams) -> Opened | None:
    """None: the output was deleted before this came to it again."""
    try:
        return create_task(ports, made, params)
    except SluiceError as error:
        if error.code is not ErrorCode.TASK_DELETED:
            raise
        return None
