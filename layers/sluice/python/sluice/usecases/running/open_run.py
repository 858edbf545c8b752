"""Open a run, and see how it is."""

from __future__ import annotations

import msgspec

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskId, TaskRef, TenantId
from sluice.domain.params import ExportParams
from sluice.domain.run import Run, delivery_ref, run_id_of
from sluice.domain.task import State, Task
from sluice.ports.bundle import Ports
from sluice.usecases.reading.read_task import find_task
from sluice.usecases.running.deliver_run import outputs_of
from sluice.usecases.sending.cancel_export import cancel_export, cancel_if_live
from sluice.usecases.sending.open_export import Opened, OpenRequest, choose_task_id, open_planned


def open_run(
    ports: Ports,
    tenant: TenantId,
    params: ExportParams,
    request: OpenRequest | None = None,
    *,
    is_again: bool = False,
) -> Opened:
    """Make the run's task, whose rows are read next. A tick has one run, however many schedulers ask for it.

    ``request.params`` count for nothing. One without a tick is made once for each idempotency key. ``is_again``:
    another run of a tick that has one, for a person who says so.
    """
    run = run_of(params)
    if not run.tick or is_again:
        key = request.idempotency_key if request else None
        ref = TaskRef(tenant, choose_task_id(ports, tenant, key))
        return open_planned(ports, ref, params, request, is_known=key is not None)
    ref = TaskRef(tenant, run_id_of(tenant, run.job, run.tick))
    try:
        return open_planned(ports, ref, params, request)
    except SluiceError as error:
        if error.code not in {ErrorCode.IDEMPOTENCY_KEY_REUSED, ErrorCode.TASK_DELETED}:
            raise
        return Opened(find_task(ports, ref), replayed=True)  # the first one stands, though the job is another by now


def run_of(params: ExportParams) -> Run:
    """The run that a task is. Raises JOB_NOT_FOUND for one that is none."""
    if params.run is None:
        raise SluiceError(ErrorCode.JOB_NOT_FOUND, "This task is no run of a job.")
    return params.run


class Delivered(msgspec.Struct, frozen=True):
    """How an output of a run is."""

    output: str
    task_id: TaskId
    task: Task | None
    """None before all rows are read, and once it is gone."""


class RunStatus(msgspec.Struct, frozen=True):
    """A run as it is now: its own task, and those of its outputs."""

    task: Task
    outputs: tuple[Delivered, ...]

    @property
    def state(self) -> str:
        """``waiting``, ``reading``, ``delivering``, ``succeeded``, ``failed``, ``cancelled`` or ``expired``."""
        match self.task.state:
            case State.WAITING | State.READING | State.FAILED | State.CANCELLED | State.EXPIRED:
                return self.task.state.value
            case State.COMPLETED:
                states = {one.task.state if one.task else State.EXPIRED for one in self.outputs}
                if not all(state.terminal for state in states):
                    return "delivering"
                for ended in (State.FAILED, State.CANCELLED):
                    if ended in states:
                        return ended.value
                return "succeeded"
            case _:
                return "delivering"

    @property
    def is_over(self) -> bool:
        return self.state in {"succeeded", "failed", "cancelled", "expired"}


def read_run(ports: Ports, ref: TaskRef) -> RunStatus:
    """How a run is. Raises TASK_NOT_FOUND, and JOB_NOT_FOUND for a task that is no run."""
    task = find_task(ports, ref)
    if task.params is None:
        raise SluiceError(ErrorCode.TASK_NOT_FOUND)
    return status_of_run(ports, task)


def status_of_run(ports: Ports, task: Task) -> RunStatus:
    """As ``read_run``, of a task that was just read or listed."""
    assert task.params is not None  # a tombstone is no run
    refs = [(output.name, delivery_ref(task.ref, output.name)) for output in outputs_of(run_of(task.params), task)]
    return RunStatus(task, tuple(Delivered(name, one.task_id, ports.tasks.read(one)) for name, one in refs))


def cancel_run(ports: Ports, ref: TaskRef) -> RunStatus:
    """End a run and what is under way of its outputs. Files that are whole, and rows that are loaded, stay.

    Repeatable. Raises as ``read_run``, and ALREADY_COMPLETED for one that is over.
    """
    status = read_run(ports, ref)
    if status.is_over and status.state != "cancelled":
        raise SluiceError(ErrorCode.ALREADY_COMPLETED, "The run is over.", state=status.state)
    if not status.task.state.terminal:
        cancel_export(ports, ref)
    for one in read_run(ports, ref).outputs:
        if one.task is not None and not one.task.state.terminal:
            cancel_if_live(ports, one.task.ref)
    return read_run(ports, ref)
