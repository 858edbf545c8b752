"""Compare the stores with each other, without any index: objects that no row names, and rows that no sweep finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from sluice.domain.attempts import is_due
from sluice.domain.errors import SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import INPUT_PREFIX, OUTPUT_PREFIX, TaskRef, is_result_of, is_shared_key, parse_owner
from sluice.domain.limits import DAY_S
from sluice.domain.task import State
from sluice.domain.task_errors import owner_of_result
from sluice.ports.bundle import Ports
from sluice.ports.pool import nothing
from sluice.ports.store_errors import OutcomeUnknown, StoreError
from sluice.usecases.upkeep.sweep_tasks import SweepMemory, sweep_quietly

ORPHAN_AGE_S = 8 * DAY_S
"""Older than any open task can be idle plus any retention by default; younger objects may belong to a task to be."""
OVERDUE_S = 600.0
NAMED_MAX = 5
"""How much of what cannot be opened is named; all of it is counted."""
STUCK_MAX = 20
"""As many tasks whose orphans cannot be removed end the walk: then it is the store that fails."""


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
    """Ids of completed tasks whose object is gone, or cannot be opened."""
    rows_damaged: list[str] = field(default_factory=list)
    """Ids of tasks whose rows cannot be read. Their objects are kept."""
    unreadable: int = 0
    """Files and folders in the place of objects that cannot be opened or removed, or are no objects."""
    unreadable_named: list[str] = field(default_factory=list)
    """The first of them."""

    def pass_unreadable(self, key: str) -> None:
        """Note what the walk goes on behind."""
        self.unreadable += 1
        if len(self.unreadable_named) < NAMED_MAX:
            self.unreadable_named.append(key)


def reconcile_stores(
    ports: Ports, *, orphan_age_s: float = ORPHAN_AGE_S, on_step: Callable[[], object] = nothing
) -> Reconciliation:
    """Walk all rows and all objects once. Meant weekly; memory does not depend on their number.

    Gives every overdue row its step, removes objects and uploads of tasks
    without a row that are older than ``orphan_age_s``, and names completed
    tasks whose object is gone. Any number may run at once. A store that fails
    on the step of one row does not end the walk, nor does what cannot be opened
    or removed in the place of an object. What is old by the clock is
    believed: a caller whose clock may be wrong asks ``SweepMemory`` first.
    ``on_step`` is called before each row, object and upload.
    """
    report = Reconciliation()
    _walk_rows(ports, report, on_step)
    _remove_orphans(ports, report, on_step, older_than=ports.clock.now() - orphan_age_s)
    if report.unreadable:
        error = OutcomeUnknown(
            "files or folders in the place of objects cannot be opened or removed, or are no objects"
        )
        named = {"unreadable": report.unreadable, "unreadable_named": report.unreadable_named}
        ports.journal.record(Event.SYSTEM_ERROR, component="sweeper", error=error, **named)
    ports.journal.record(
        Event.SWEEP_FINISHED,
        reconciled_rows=report.rows,
        overdue=report.overdue,
        orphans_removed=report.orphans_removed,
        results_missing=len(report.results_missing),
        rows_damaged=len(report.rows_damaged),
        unreadable=report.unreadable,
    )
    return report


def _walk_rows(ports: Ports, report: Reconciliation, on_step: Callable[[], object]) -> None:
    memory = SweepMemory(trusts_clock=True)
    for task in ports.tasks.scan(lambda ref: report.rows_damaged.append(ref.task_id)):
        on_step()
        report.rows += 1
        now = ports.clock.now()
        if task.due_at < now - OVERDUE_S or (task.due_at > now and is_due(task, now=now, timings=ports.timings)):
            report.overdue += 1
            sweep_quietly(ports, task.ref, memory)
        elif task.state is State.COMPLETED:
            key = task.result_key
            if not is_result_of(owner_of_result(task), key):
                report.rows_damaged.append(task.task_id)
            elif not any(item.key == key for item in ports.objects.list(key, lambda _: None)):
                report.results_missing.append(task.task_id)


def _remove_orphans(ports: Ports, report: Reconciliation, on_step: Callable[[], object], *, older_than: float) -> None:
    owner: TaskRef | None = None  # of the objects before, which has a row; that one has none is not remembered
    remover = _Remover(report)
    for item in chain.from_iterable(
        ports.objects.list(prefix, report.pass_unreadable) for prefix in (INPUT_PREFIX, OUTPUT_PREFIX)
    ):
        on_step()
        report.objects += 1
        ref = parse_owner(item.key)
        if item.modified_at >= older_than or (ref is None and not is_shared_key(item.key)):
            continue
        # Right after the look: the key of a task that is gone may be opened anew.
        remove = partial(ports.objects.delete, [item.key])
        if ref is None:  # leads to a result whose time is over, or will soon be put again
            report.pointers_removed += remover.removes(item.key, item.key, remove)
        elif ref == owner or _has_row(ports, ref):
            owner = ref
        else:
            report.orphans_removed += remover.removes(ref, item.key, remove)
    # a composer that slept through the end of its task may have begun an upload that no row leads to
    for upload in ports.objects.list_uploads(OUTPUT_PREFIX):
        on_step()
        ref = parse_owner(upload.key)
        if ref is not None and upload.begun_at < older_than and not _has_row(ports, ref):
            abort = partial(ports.objects.abort_upload, upload)
            report.orphans_removed += remover.removes(ref, upload.key, abort)


class _Remover:
    """Goes on behind what cannot be removed, without trying each object of a task again; until it is too much."""

    def __init__(self, report: Reconciliation) -> None:
        self._report = report
        self._stuck: set[TaskRef | str] = set()

    def removes(self, whose: TaskRef | str, key: str, remove: Callable[[], object]) -> bool:
        if whose not in self._stuck:
            try:
                remove()
            except StoreError:
                self._stuck.add(whose)
                if len(self._stuck) >= STUCK_MAX:
                    raise
            else:
                return True
        self._report.pass_unreadable(key)
        return False


def _has_row(ports: Ports, ref: TaskRef) -> bool:
    """Whether there is a row, also one that cannot be read."""
    try:
        return ports.tasks.read(ref) is not None
    except SluiceError:
        return True
