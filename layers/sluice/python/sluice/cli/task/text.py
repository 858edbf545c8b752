"""A task's report as a page for a person, and a list of tasks as a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import typer

from sluice.cli.formatting import Styled, counted, lines_of, printable, size, span, when
from sluice.cli.task.report import AttemptReport, TaskReport
from sluice.cli.task.steps import OVERDUE_S
from sluice.domain.task import State, Task
from sluice.tables.formats import filename_of

_NAME_CHARS_MAX = 40
_COLORS = {State.COMPLETED: typer.colors.GREEN, State.FAILED: typer.colors.RED}


def page_of(report: TaskReport) -> str:
    """All that is known of a task. Colours are for ``typer.echo``, which drops them unless on a terminal."""
    return "\n".join([*lines_of(list(_facts(report))), *_attempts(report.attempts)])


def _facts(report: TaskReport) -> Iterator[tuple[str, str]]:
    yield "Task", f"{report.task_id} of tenant {report.tenant}"
    yield "State", colored(report.state, f", since {report.since} ({span(report.since_s)})")
    yield "Next", f"{report.next.who} {report.next.what}"
    due = f"the sweeper checks it at {report.next.due_at}"
    if report.next.overdue_s:
        due = (
            f"the sweeper should have checked it at {report.next.due_at}, {span(report.next.overdue_s)} ago: "
            "is a service running over this directory?"
        )
    yield "Due", due
    if report.upkeep is not None:
        failures = counted(report.upkeep.failures, "time")
        yield "", f"tried in vain {failures} in a row, the last ended with: {report.upkeep.error}; see the log"
    yield from _error(report)
    yield from _content(report)
    yield from _composing(report)
    yield from _result(report)
    yield "Times", _times(report)
    if report.client_request_id:
        yield "Request", report.client_request_id


def _error(report: TaskReport) -> Iterator[tuple[str, str]]:
    if report.error is None:
        return
    again = "a retry may help" if report.error.retryable else "a retry alone does not help"
    yield "Error", f"{report.error.code}: {report.error.detail}"
    if report.error.detail != report.error.meaning:
        yield "", report.error.meaning
    yield "", f"who must act: {report.error.who}; {again} (sluice explain {report.error.code})"


def _content(report: TaskReport) -> Iterator[tuple[str, str]]:
    if report.format is not None:
        yield "File", f"{report.format}, {counted(report.columns or 0, 'column')}, {report.filename or ''}"
    if report.source_task:
        yield "Source", f"renders the rows of task {report.source_task}"
    batches = report.batches
    of_total = "" if batches.total is None else f" of {batches.total}"
    yield "Batches", f"{batches.received}{of_total} received, {counted(report.rows_received, 'row')}"
    if batches.missing_count:
        listed = ", ".join(map(str, batches.missing))
        more = (
            ""
            if batches.missing_count == len(batches.missing)
            else f" and {batches.missing_count - len(batches.missing)} more"
        )
        yield "", f"missing below the highest: {listed}{more}"
    for name, rows in report.sheets.items():
        yield "", f"sheet {name}: {counted(rows, 'row')}"


def _composing(report: TaskReport) -> Iterator[tuple[str, str]]:
    if report.owner is None:
        return
    eta = "" if report.eta_seconds is None else f", about {span(report.eta_seconds)} to go"
    left_s = report.lease_left_s or 0
    left = f"{span(left_s)} left" if left_s >= 0 else f"lapsed {span(-left_s)} ago"
    yield "Composer", f"attempt {report.epoch}, owner {report.owner}, lease until {report.lease_until} ({left})"
    yield "", f"{report.phase}: {counted(report.rows_written, 'row')} written ({report.progress_percent} %){eta}"


def _result(report: TaskReport) -> Iterator[tuple[str, str]]:
    if report.result is None:
        return
    yield "Result", f"{counted(report.result.rows, 'row')}, {counted(report.result.bytes, 'byte')}"
    yield "", f"sha256 {report.result.sha256}"
    if report.warnings:
        yield "Warnings", ", ".join(f"{kind} {count:,}" for kind, count in sorted(report.warnings.items()))


def _times(report: TaskReport) -> str:
    times = {
        "created": report.created_at,
        "last batch": report.last_batch_at,
        "sealed": report.sealed_at,
        "finished": report.finished_at,
        "expires": report.expires_at,
        "deleted": report.deleted_at,
    }
    return ", ".join(f"{name} {at}" for name, at in times.items() if at)


def _attempts(attempts: list[AttemptReport]) -> Iterator[str]:
    yield f"Attempts  {len(attempts) or 'none'}"
    rows = [
        (
            f"  {one.epoch}",
            one.started_at or "",
            "" if one.duration_s is None else f"{one.duration_s:.1f} s",
            one.outcome,
            f"{counted(one.rows_done, 'row')}, {counted(one.parts_done, 'part')}",
            f"{one.error.code}: {one.error.detail}" if one.error else "",
        )
        for one in attempts
    ]
    yield from lines_of(rows)


def table_of(tasks: Iterable[Task], now: float) -> str:
    """One line for each task."""
    head = ("TASK", "TENANT", "STATE", "FORMAT", "ROWS", "SIZE", "CREATED", "FILE", "NOTE")
    rows = [
        (
            task.task_id,
            task.tenant,
            task.state,
            task.params.format if task.params else "",
            f"{task.rows_received:,}",
            size(task.result_size) if task.state is State.COMPLETED else "",
            when(task.created_at, now),
            short(filename_of(task)) if task.params else "",
            _note(task, now),
        )
        for task in tasks
    ]
    return "\n".join(lines_of([head, *rows])) if rows else "There are no tasks."


def colored(state: str, more: str = "") -> Styled:
    """A state in its colour, whatever a service or a row calls it, and more behind it."""
    color = _COLORS.get(State(state)) if state in set(State) else None
    return Styled(typer.style(printable(state), fg=color, bold=True) + printable(more))


def short(name: str) -> str:
    """A file's name for one cell of a line; the page of the task has all of it."""
    shown = printable(name)
    return shown if len(shown) <= _NAME_CHARS_MAX else f"{shown[: _NAME_CHARS_MAX - 1]}…"


def _note(task: Task, now: float) -> str:
    if task.deleted_at:
        return "deleted"
    if now - task.due_at > OVERDUE_S:
        return f"the sweeper is {span(now - task.due_at)} late"
    return "" if task.state in {State.COMPLETED, State.CANCELLED, State.EXPIRED} else task.last_error_code
