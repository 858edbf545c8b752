"""Do what a trigger asks for, whatever kind of task it is about."""

from __future__ import annotations

from functools import partial

from sluice.domain.keys import ManifestRef, TaskRef
from sluice.domain.manifest import Manifest
from sluice.domain.task import Result, State, Task
from sluice.ports.bundle import Ports
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.composing.write_result import ComposeLease
from sluice.usecases.lease import Outcome, renew_if_due
from sluice.usecases.loading.load_rows import load_rows
from sluice.usecases.pulling.read_source import read_source
from sluice.usecases.running.deliver_run import deliver_run


def work_off(ports: Ports, trigger: ManifestRef, *, owner: str = "") -> Outcome:
    """Read the rows of a task that waits for them, or make of a sealed one what it is to become.

    Who has read the rows goes on with what they become, and need not wait for
    another to begin. Promises and errors are those of ``read_source`` and ``compose_export``.
    """
    if trigger.sha:
        return compose_export(ports, trigger, owner=owner, deliver=deliver)
    return read_and_compose(ports, trigger.task, owner=owner)


def read_and_compose(ports: Ports, ref: TaskRef, *, owner: str = "") -> Outcome:
    """As ``work_off``, for a task whose rows are still to be read."""
    outcome = read_source(ports, ref, owner=owner)
    task = ports.tasks.read(ref)
    if outcome not in {Outcome.COMPLETED, Outcome.DROPPED} or task is None or task.state is not State.SEALED:
        return outcome
    return compose_export(ports, ManifestRef(ref, task.man_sha), owner=owner, deliver=deliver)


def deliver(ports: Ports, lease: ComposeLease, task: Task, manifest: Manifest) -> Result:
    """Hand the rows of a run to the tasks of its outputs, or load those of an output into its table."""
    params = task.live_params
    if params.run is not None:
        return deliver_run(ports, task, params.run, manifest, keep=partial(renew_if_due, ports, lease))
    assert params.target is not None, "a task that becomes no file is a run, or has a target"
    return load_rows(ports, lease, task, params.target, manifest)
