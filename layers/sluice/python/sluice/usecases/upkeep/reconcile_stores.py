"""Compare the stores with each other, without any index: objects that no row names, and rows that no sweep finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain

from sluice.domain.attempts import is_due
from sluice.domain.errors import SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import INPUT_PREFIX, OUTPUT_PREFIX, TaskRef, is_result_of, is_shared_key, parse_owner
from sluice.domain.limits import DAY_S
from sluice.domain.task import State
from sluice.domain.task_errors import owner_of_result
from sluice.ports.bundle import Ports
from sluice.usecases.upkeep.sweep_tasks import SweepMemory, sweep_quietly

ORPHAN_AGE_S = 8 * DAY_S
"""Older than any open task can be idle plus any retention by default; younger objects may belong to a task to be."""
OVERDUE_S = 600.0


@dataclass(slots=True)
class Reconciliation:
    """What was found, and done."""

    rows: int = 0
    overdue: int = 0
    """Rows the index should have proposed long ago; each was given its step."""
    objects: int = 0
    orphans_removed: int = 0
    pointers_removed: int = 0
    """To results for other tasks of their content; a removed one only costs that their file is written."""
    results_missing: list[str] = field(default_factory=list)
    """Ids of completed tasks whose object is gone."""
    rows_damaged: list[str] = field(default_factory=list)
    """Ids of tasks whose rows cannot be read. Their objects are kept."""


def reconcile_stores(ports: Ports, *, orphan_age_s: float = ORPHAN_AGE_S) -> Reconciliation:
    """Walk all rows and all objects once. Meant weekly; memory does not depend on their number.

    Gives every overdue row its step, removes objects and uploads of tasks
    without a row that are older than ``orphan_age_s``, and names completed
    tasks whose object is gone. Any number may run at once. A store that fails
    on the step of one row does not end the walk. What is old by the clock is
    believed: a caller whose clock may be wrong asks ``SweepMemory`` first.
    """
    report = Reconciliation()
    _walk_rows(ports, report)
    _remove_orphans(ports, report, older_than=ports.clock.now() - orphan_age_s)
    ports.journal.record(
        Event.SWEEP_FINISHED,
        reconciled_rows=report.rows,
        overdue=report.overdue,
        orphans_removed=report.orphans_removed,
        results_missing=len(report.results_missing),
        rows_damaged=len(report.rows_damaged),
    )
    return report


def _walk_rows(ports: Ports, report: Reconciliation) -> None:
    memory = SweepMemory(trusts_clock=True)
    for task in ports.tasks.scan(lambda ref: report.rows_damaged.append(ref.task_id)):
        report.rows += 1
        now = ports.clock.now()
        if task.due_at < now - OVERDUE_S or (task.due_at > now and is_due(task, now=now, timings=ports.timings)):
            report.overdue += 1
            sweep_quietly(ports, task.ref, memory)
        elif task.state is State.COMPLETED:
            key = task.result_key
            if not is_result_of(owner_of_result(task), key):
                report.rows_damaged.append(task.task_id)
            elif not any(item.key == key for item in ports.objects.list(key)):
                report.results_missing.append(task.task_id)


def _remove_orphans(ports: Ports, report: Reconciliation, *, older_than: float) -> None:
    owner: TaskRef | None = None  # of the objects before, which has a row; that one has none is not remembered
    for item in chain.from_iterable(map(ports.objects.list, (INPUT_PREFIX, OUTPUT_PREFIX))):
        report.objects += 1
        ref = parse_owner(item.key)
        if item.modified_at >= older_than or (ref is None and not is_shared_key(item.key)):
            continue
        if ref is None:  # leads to a result whose time is over, or will soon be put again
            ports.objects.delete([item.key])
            report.pointers_removed += 1
            continue
        if ref == owner or _has_row(ports, ref):
            owner = ref
            continue
        ports.objects.delete([item.key])  # right after the look: the key of a task that is gone may be opened anew
        report.orphans_removed += 1
    # a composer that slept through the end of its task may have begun an upload that no row leads to
    for upload in ports.objects.list_uploads(OUTPUT_PREFIX):
        ref = parse_owner(upload.key)
        if ref is not None and upload.begun_at < older_than and not _has_row(ports, ref):
            ports.objects.abort_upload(upload)
            report.orphans_removed += 1


def _has_row(ports: Ports, ref: TaskRef) -> bool:
    """Whether there is a row, also one that cannot be read."""
    try:
        return ports.tasks.read(ref) is not None
    except SluiceError:
        return True
