"""What a row says of its way to the file: over the push, the queue, the composing, and after."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.domain.keys import TaskId, TenantId
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.progress import Status, eta_s, progress_percent, rows_expected, status_of
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import Phase, State, Task

OPENED_AT = 1_000.0


def row(state: State, *, expected: int | None = None, source: str = "", **fields: Any) -> Task:
    params = ExportParams(
        format=ExportFormat.CSV,
        filename="t.csv",
        columns=(ColumnSpec("a"),),
        expected_rows=expected,
        source_task=source,
    )
    return Task(
        tenant=TenantId("acme"),
        task_id=TaskId("a" * 26),
        state=state,
        params_sha=params.digest(),
        params=params,
        created_at=OPENED_AT,
        due_at=0,
        **fields,
    )


def announced(state: State, **fields: Any) -> Task:
    return row(state, expected=400, **fields)


CLOSED: dict[str, Any] = {"rows_received": 400, "total_rows": 400, "sealed_at": 1_100.0}


@pytest.mark.parametrize(
    ("task", "percent"),
    [
        (announced(State.OPEN), 0),
        (announced(State.OPEN, rows_received=100), 18.8),
        (announced(State.OPEN, rows_received=400), 75),
        (announced(State.OPEN, rows_received=900), 75),
        (announced(State.SEALED, **CLOSED), 75),
        (announced(State.SEALED, **{**CLOSED, "rows_received": 300, "total_rows": 300}), 75),
        (announced(State.COMPOSING, **CLOSED), 75),
        (announced(State.COMPOSING, rows_done=200, **CLOSED), 87.5),
        (announced(State.COMPOSING, rows_done=400, **CLOSED), 99),
        (announced(State.COMPLETED, rows_done=400, **CLOSED), 100),
        (announced(State.FAILED, rows_done=200, **CLOSED), 0),
        # Not announced: the push cannot be measured, and writing is the whole way.
        (row(State.OPEN, rows_received=100), 0),
        (row(State.OPEN, expected=0, rows_received=100), 0),
        (row(State.SEALED, **CLOSED), 0),
        (row(State.COMPOSING, rows_done=100, **CLOSED), 25),
        (row(State.COMPOSING), 0),
        # Rendered again from stored rows: there is no push.
        (row(State.SEALED, expected=400, source="b" * 26, **CLOSED), 0),
        (row(State.COMPOSING, expected=400, source="b" * 26, rows_done=100, **CLOSED), 25),
    ],
)
def test_the_way_is_weighed_over_push_and_composing(task: Task, percent: float) -> None:
    assert progress_percent(task) == percent


def test_the_percentage_never_falls_on_the_way_to_the_file() -> None:
    way = [announced(State.OPEN, rows_received=rows) for rows in range(0, 401, 25)]
    way.append(announced(State.SEALED, **CLOSED))
    way += [announced(State.COMPOSING, rows_done=rows, **CLOSED) for rows in range(0, 401, 25)]
    way.append(announced(State.COMPLETED, **CLOSED))
    percents = [progress_percent(task) for task in way]
    assert percents == sorted(percents)
    assert len(set(percents)) > 30


@pytest.mark.parametrize(
    ("task", "seconds"),
    [
        (announced(State.OPEN), None),
        (row(State.OPEN, rows_received=100), None),
        (announced(State.OPEN, rows_received=200), 167),  # 37.5 of 100 took 100 s
        (announced(State.SEALED, **CLOSED), None),  # how long the queue is, no row knows
        (announced(State.COMPOSING, started_at=1_090.0, rows_done=100, **CLOSED), 30),
        (announced(State.COMPLETED, **CLOSED), None),
    ],
)
def test_the_time_to_go_is_that_of_the_pace_so_far(task: Task, seconds: int | None) -> None:
    assert eta_s(task, OPENED_AT + 100) == seconds


def test_only_what_waits_for_a_composer_is_queued() -> None:
    assert {state: status_of(row(state)) for state in State} == {
        State.OPEN: Status.PROCESSING,
        State.WAITING: Status.QUEUED,
        State.READING: Status.PROCESSING,
        State.SEALED: Status.QUEUED,
        State.COMPOSING: Status.PROCESSING,
        State.COMPLETED: Status.COMPLETED,
        State.FAILED: Status.FAILED,
        State.CANCELLED: Status.CANCELLED,
        State.EXPIRED: Status.EXPIRED,
    }
    assert status_of(row(State.COMPOSING, phase=Phase.UPLOADING)) is Status.UPLOADING


def test_the_rows_to_come_are_those_announced_or_else_those_of_the_close() -> None:
    assert rows_expected(announced(State.OPEN)) == 400
    assert rows_expected(row(State.OPEN)) is None
    assert rows_expected(row(State.SEALED, **CLOSED)) == 400
    assert rows_expected(row(State.SEALED, sealed_at=1_100.0)) == 0
    assert rows_expected(row(State.OPEN, expected=0)) == 0
