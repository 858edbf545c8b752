"""Each step of a task's life as what it is: a pure function of a row and the time."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isfunction
from typing import Any, get_type_hints

import msgspec
import pytest

from sluice.adapters.memory.tasks import MemoryTasks
from sluice.domain import lifecycle, reading, shared_result
from sluice.domain.attempts import (
    COMPOSE,
    PULL,
    STORE_FAULTS,
    ComposeProgress,
    Failure,
    backoff_s,
    died,
    free_at,
    has_attempts_left,
    is_leased,
    strikes_after,
)
from sluice.domain.keys import TaskId, TaskRef, TenantId
from sluice.domain.lifecycle import TRANSITIONS, Fence, Guard, IllegalTransition, Transition, check
from sluice.domain.limits import Timings
from sluice.domain.manifest import Claim, Manifest
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, TableSpec
from sluice.domain.task import LIVE, Phase, Result, State, Task, TaskFields
from sluice.ports.store_errors import OutcomeUnknown, StoreFull, StoreRefused

NOW = 1_700_000_000.0
TIMINGS = Timings(gc_delays_s=(100, 1_000))
REF = TaskRef(TenantId("acme"), TaskId("a" * 26))
OTHER = TaskId("b" * 26)
PARAMS = ExportParams(format=ExportFormat.CSV, filename="a.csv", columns=(ColumnSpec("a"),))
SHEETS = ExportParams(
    format=ExportFormat.XLSX,
    filename="a.xlsx",
    sheets=(TableSpec("one", PARAMS.columns), TableSpec("two", PARAMS.columns)),
)
CLAIMS = (Claim(1, "b" * 32, 10, 100, 1), Claim(2, "c" * 32, 5, 50))
MANIFEST = Manifest.seal(REF, CLAIMS)
SPAN = reading.ReadSpan(NOW - 9, NOW - 1)
RESULT = Result("out/key", 9, "sha", "crc", 15, {"b": 2, "a": 1}, "content")
FAILURE = Failure("CHUNK_MISSING", "gone")
PROGRESS = ComposeProgress(7, 2, Phase.UPLOADING)

Step = Callable[[Task], Transition]


def row(state: State, **changes: Any) -> Task:
    """A row in ``state`` as it may have come there an hour ago."""
    opened = lifecycle.open_task(REF, PARAMS, now=NOW - 3600, timings=TIMINGS)
    fields: dict[str, Any] = {"state": state, "rev": 7, "epoch": 3, "owner": "other"}
    if state.terminal:
        fields |= {"finished_at": NOW - 60, "expires_at": NOW + 500}
    return msgspec.structs.replace(opened, **(fields | changes))


def next_round(task: Task) -> Transition:
    step = lifecycle.next_garbage_round(task, now=NOW, timings=TIMINGS)
    assert step is not None
    return step


STEPS: dict[str, tuple[Step, tuple[State, ...]]] = {
    "seal": (lambda task: lifecycle.seal(task, MANIFEST, now=NOW, timings=TIMINGS), (State.OPEN,)),
    "cancel": (
        lambda task: lifecycle.cancel(task, now=NOW, timings=TIMINGS),
        (State.OPEN, *sorted(LIVE)),
    ),
    "delete": (
        lambda task: lifecycle.delete(task, now=NOW),
        (State.COMPLETED, State.FAILED, State.CANCELLED, State.EXPIRED),
    ),
    "acquire": (
        lambda task: lifecycle.acquire(COMPOSE, task, owner="me", now=NOW, timings=TIMINGS),
        (State.SEALED, State.COMPOSING),
    ),
    "read_anew": (
        lambda task: reading.read_anew(
            msgspec.structs.replace(task, batches_received=2), epoch=task.epoch, now=NOW, timings=TIMINGS
        ),
        (State.READING,),
    ),
    "plan_readings": (
        lambda task: reading.plan_readings(task, [(5,), ("b", 7)], epoch=task.epoch, now=NOW, timings=TIMINGS),
        (State.READING,),
    ),
    "end_reading": (
        lambda task: reading.end_reading(
            msgspec.structs.replace(task, batches_received=2, cursor="[4]"),
            epoch=task.epoch,
            now=NOW,
            timings=TIMINGS,
        ),
        (State.READING,),
    ),
    "seal_read": (
        lambda task: reading.seal_read(task, MANIFEST, SPAN, epoch=task.epoch, now=NOW, timings=TIMINGS),
        (State.READING,),
    ),
    "hand_over": (lambda task: reading.hand_over(task.epoch, now=NOW), (State.READING,)),
    "begin_to_read": (
        lambda task: lifecycle.acquire(PULL, task, owner="me", now=NOW, timings=TIMINGS),
        (State.WAITING, State.READING),
    ),
    "stop_to_read": (
        lambda task: lifecycle.release(PULL, task.epoch, FAILURE, strikes=2, now=NOW, timings=TIMINGS),
        (State.READING,),
    ),
    "heartbeat": (
        lambda task: lifecycle.heartbeat(COMPOSE, task.epoch, PROGRESS, now=NOW, timings=TIMINGS),
        (State.COMPOSING,),
    ),
    "release": (
        lambda task: lifecycle.release(
            COMPOSE,
            task.epoch,
            FAILURE,
            strikes=2,
            now=NOW,
            timings=TIMINGS,
            kept={"room_needed": 9, "full_since": NOW},
        ),
        (State.COMPOSING,),
    ),
    "release_dead": (
        lambda task: lifecycle.release_dead(COMPOSE, task, FAILURE, alone=True, now=NOW),
        (State.COMPOSING,),
    ),
    "complete": (
        lambda task: lifecycle.complete(task.epoch, RESULT, parts=4, now=NOW, timings=TIMINGS),
        (State.COMPOSING,),
    ),
    "fail": (
        lambda task: lifecycle.fail(Guard(state=task.state, epoch=task.epoch), FAILURE, now=NOW, timings=TIMINGS),
        tuple(sorted(LIVE)),
    ),
    "postpone": (lambda task: lifecycle.postpone(task, now=NOW), (State.WAITING, State.SEALED)),
    "trigger_again": (lambda task: lifecycle.trigger_again(task, now=NOW, timings=TIMINGS), tuple(sorted(LIVE))),
    "wait_free": (lambda task: lifecycle.wait_free(task, timings=TIMINGS), (State.READING, State.COMPOSING)),
    "make_due": (lambda task: lifecycle.make_due(task, now=NOW), tuple(sorted(LIVE))),
    "expire_idle": (lambda task: lifecycle.expire_idle(task, now=NOW), (State.OPEN,)),
    "expire_result": (lambda _: lifecycle.expire_result(now=NOW, timings=TIMINGS), (State.COMPLETED,)),
    "next_garbage_round": (next_round, (State.COMPLETED, State.FAILED, State.CANCELLED, State.EXPIRED)),
    "stays": (
        lambda task: lifecycle.stays(task, {"due_at": NOW}),
        tuple(state for state in State if (state, state) in TRANSITIONS),
    ),
    "share": (lambda task: shared_result.share(task, OTHER, until=NOW + 9), (State.COMPLETED,)),
    "keep_on": (lambda task: shared_result.keep_on(task, until=NOW + 9), (State.EXPIRED,)),
    "give_back": (
        lambda task: shared_result.give_back(task, OTHER, now=NOW),
        (State.COMPLETED, State.EXPIRED),
    ),
    "put_off": (lambda task: lifecycle.put_off(task, "StoreRefused", now=NOW, timings=TIMINGS), tuple(State)),
    "bury": (
        lambda task: lifecycle.bury(task, now=NOW, timings=TIMINGS),
        (State.FAILED, State.CANCELLED, State.EXPIRED),
    ),
}
"""Every step of a row that exists, and the states in which it may be taken."""

CASES = [
    pytest.param(name, state, id=f"{name} from {state}") for name, (_, states) in STEPS.items() for state in states
]


def test_every_step_is_in_the_table_above() -> None:
    made = {
        name
        for name, value in (vars(lifecycle) | vars(reading) | vars(shared_result)).items()
        if isfunction(value) and not name.startswith("_") and get_type_hints(value).get("return") in STEP_TYPES
    }
    assert made | {"begin_to_read", "stop_to_read"} == STEPS.keys()


STEP_TYPES = (Transition, Transition | None)


def test_every_legal_step_is_taken_by_a_function_and_every_function_takes_legal_ones() -> None:
    taken = {(step.guard.state, step.target) for make, states in STEPS.values() for step in map(make, map(row, states))}
    new = {
        (None, lifecycle.open_task(REF, PARAMS, now=NOW, timings=TIMINGS).state),
        (None, reading.open_waiting(REF, PARAMS, now=NOW, timings=TIMINGS).state),
        (None, lifecycle.open_sealed(REF, PARAMS, MANIFEST, now=NOW, timings=TIMINGS).state),
    }
    assert taken | new == TRANSITIONS.keys()


def test_each_step_demands_the_fence_that_the_protocol_page_gives_it() -> None:
    """The page's table in other words: what a concurrent step must have changed for this one to be refused."""
    rev, epoch = Fence(rev=True), Fence(epoch=True)
    by_both = {(state, State.CANCELLED) for state in (State.OPEN, *LIVE)}
    by_rev = {(State.OPEN, State.OPEN), (State.OPEN, State.SEALED), (State.OPEN, State.EXPIRED)}
    by_rev |= {(state, state) for state in State if state.terminal}
    by_nothing = {(None, State.OPEN), (None, State.WAITING), (None, State.SEALED), (State.COMPLETED, State.EXPIRED)}
    for step, fence in TRANSITIONS.items():
        expected = rev if step in by_rev else Fence() if step in by_nothing else epoch
        assert fence == (Fence(rev=True, epoch=True) if step in by_both else expected), step


@pytest.mark.parametrize(("name", "state"), CASES)
def test_a_step_carries_its_fence_with_the_values_that_were_read(name: str, state: State) -> None:
    task = row(state)
    step = STEPS[name][0](task)
    check(step)
    fence = TRANSITIONS[state, step.target]
    assert step.guard.state is state
    assert step.guard.rev in ({task.rev} if fence.rev else {None, task.rev})
    assert step.guard.epoch == (task.epoch if fence.epoch else None)


@pytest.mark.parametrize(("name", "state"), CASES)
def test_a_step_that_was_taken_shows_in_the_row_and_one_that_was_not_may_still_land(name: str, state: State) -> None:
    tasks, task = MemoryTasks(), row(state)
    tasks.create(task)
    step = STEPS[name][0](task)
    moved = step.target is not state or name in {"acquire", "begin_to_read", "heartbeat"}
    assert step.guard.fits(task)
    if name not in {"heartbeat", "delete"}:
        assert not step.is_mine(task)
    assert tasks.update(REF, step.guard, TaskFields(**step.fields, state=step.target))
    after = tasks.read(REF)
    assert after is not None
    assert step.is_mine(after)
    assert after.state is step.target
    if moved and name != "heartbeat":
        assert not step.guard.fits(after)


@pytest.mark.parametrize(
    ("guard", "target"),
    [
        (Guard(state=State.OPEN, rev=1, epoch=1), State.COMPLETED),
        (Guard(state=State.CANCELLED, rev=1, epoch=1), State.OPEN),
        (Guard(state=State.OPEN), State.SEALED),
        (Guard(state=State.OPEN, epoch=1), State.SEALED),
        (Guard(state=State.SEALED, rev=1), State.COMPOSING),
        (Guard(state=State.COMPOSING, rev=1), State.COMPLETED),
        (Guard(state=State.COMPOSING, epoch=1), State.CANCELLED),
        (Guard(state=State.OPEN, epoch=0), State.EXPIRED),
        (Guard(state=State.FAILED), State.FAILED),
    ],
)
def test_a_step_that_the_table_lacks_or_without_its_fence_is_refused(guard: Guard, target: State) -> None:
    with pytest.raises(IllegalTransition):
        check(Transition(guard=guard, target=target, fields={}, is_mine=lambda _: True))


def test_a_fence_of_zero_is_a_fence() -> None:
    check(lifecycle.acquire(COMPOSE, row(State.SEALED, epoch=0), owner="me", now=NOW, timings=TIMINGS))
    check(lifecycle.seal(row(State.OPEN, rev=0), MANIFEST, now=NOW, timings=TIMINGS))
    assert Fence() == Fence(rev=False, epoch=False)


def fields(name: str, task: Task) -> TaskFields:
    return STEPS[name][0](task).fields


NO_COLUMNS = {"params": PARAMS.without_columns()}
ENDED = {"lease_until": 0, "finished_at": NOW, "expires_at": NOW + TIMINGS.retention_s, "due_at": NOW}
LEASED = {"lease_until": NOW + TIMINGS.lease_s, "due_at": NOW + TIMINGS.lease_s + TIMINGS.skew_s}
REASON = {"last_error_code": "CHUNK_MISSING", "last_error": "gone"}


@pytest.mark.parametrize(
    ("name", "task", "expected"),
    [
        ("cancel", row(State.COMPOSING), ENDED | NO_COLUMNS),
        ("delete", row(State.COMPLETED, gc_round=2), {"deleted_at": NOW, "due_at": NOW, "gc_round": 0} | NO_COLUMNS),
        ("heartbeat", row(State.COMPOSING), {"rows_done": 7, "parts_done": 2, "phase": "uploading"} | LEASED),
        (
            "release",
            row(State.COMPOSING, epoch=3),
            REASON | {"lease_until": 0, "due_at": NOW + 60, "strikes": 3, "room_needed": 9, "full_since": NOW},
        ),
        (
            "release_dead",
            row(State.COMPOSING, rows_done=5, parts_done=2),
            REASON | {"lease_until": 0, "due_at": NOW, "deaths": 1, "died_at": "5 rows, 2 parts", "strikes": 0},
        ),
        ("fail", row(State.COMPOSING), REASON | ENDED),
        ("postpone", row(State.SEALED), {"due_at": NOW + 15}),
        ("trigger_again", row(State.SEALED), {"due_at": NOW + TIMINGS.trigger_grace_s}),
        ("make_due", row(State.COMPOSING), {"due_at": NOW}),
        ("expire_idle", row(State.OPEN), ENDED | {"expires_at": NOW} | NO_COLUMNS),
        ("expire_result", row(State.COMPLETED), {"gc_round": 0, "due_at": NOW + TIMINGS.link_s}),
        (
            "put_off",
            row(State.FAILED, due_at=NOW),
            {"due_at": NOW + TIMINGS.backoff_s, "upkeep_failures": 1, "upkeep_error": "StoreRefused"},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_step_writes(name: str, task: Task, expected: dict[str, object]) -> None:
    assert fields(name, task) == expected


def test_an_attempt_begins_with_no_progress_under_the_next_epoch_and_keeps_the_time_of_the_first() -> None:
    fresh: dict[str, object] = {"epoch": 4, "owner": "me", "rows_done": 0, "parts_done": 0, "phase": "rendering"}
    begun = row(State.COMPOSING, rows_done=9, parts_done=3, phase="uploading")
    death: dict[str, object] = {"deaths": 1, "died_at": "9 rows, 3 parts", "strikes": 0}
    assert fields("acquire", begun) == fresh | LEASED | {"started_at": NOW} | death
    assert fields("acquire", msgspec.structs.replace(begun, started_at=NOW - 5))["started_at"] == NOW - 5


def test_an_attempt_is_recognised_by_its_epoch_and_its_owner_together() -> None:
    step = STEPS["acquire"][0](row(State.SEALED, epoch=3))
    assert step.is_mine(row(State.COMPOSING, epoch=4, owner="me"))
    assert step.is_mine(row(State.FAILED, epoch=4, owner="me")), "however far the row has gone since"
    assert not step.is_mine(row(State.COMPOSING, epoch=4, owner="other"))
    assert not step.is_mine(row(State.COMPOSING, epoch=5, owner="me"))


def test_a_result_is_named_with_all_that_is_known_of_it() -> None:
    assert fields("complete", row(State.COMPOSING)) == ENDED | {
        "result_key": "out/key",
        "result_size": 9,
        "result_sha256": "sha",
        "result_crc64": "crc",
        "result_rows": 15,
        "result_of": "",
        "content_sha": "content",
        "warnings": {"b": 2, "a": 1},
        "rows_done": 15,
        "parts_done": 4,
    }
    assert not STEPS["complete"][0](row(State.COMPOSING)).is_mine(row(State.COMPLETED, result_key="out/other"))


@pytest.mark.parametrize(("params", "sheet_rows"), [(PARAMS, ()), (SHEETS, (5, 10))])
def test_a_seal_fixes_the_totals(params: ExportParams, sheet_rows: tuple[int, ...]) -> None:
    task = row(State.OPEN, params=params)
    assert fields("seal", task) == {
        "total_batches": 2,
        "total_rows": 15,
        "man_sha": fields("seal", row(State.OPEN))["man_sha"],
        "sheet_rows": sheet_rows,
        "sealed_at": NOW,
        "due_at": NOW + TIMINGS.trigger_grace_s,
        "last_error_code": "",
        "last_error": "",
    }
    sealed = lifecycle.open_sealed(REF, params, MANIFEST, now=NOW, timings=TIMINGS)
    assert {name: getattr(sealed, name) for name in fields("seal", task)} == fields("seal", task)
    assert (sealed.batches_received, sealed.rows_received, sealed.bytes_received) == (2, 15, 150)


def test_an_open_task_expires_when_it_is_idle_or_too_old() -> None:
    timings = Timings(idle_s=100, open_max_s=250)
    opened = lifecycle.open_task(REF, PARAMS, now=NOW, timings=timings, request_id="r", trace_parent="t")
    assert (opened.due_at, opened.created_at, opened.client_request_id, opened.trace_parent) == (
        NOW + 100,
        NOW,
        "r",
        "t",
    )
    assert lifecycle.idle_due_at(NOW, now=NOW + 120, timings=timings) == NOW + 220
    assert lifecycle.idle_due_at(NOW, now=NOW + 200, timings=timings) == NOW + 250
    assert lifecycle.open_until(NOW, timings) == NOW + 250


@pytest.mark.parametrize(
    ("gc_round", "deleted_at", "expected"),
    [
        (0, 0.0, {"gc_round": 1, "due_at": NOW - 60 + 100}),
        (1, 0.0, {"gc_round": 2, "due_at": NOW - 60 + 1_000}),
        (1, NOW - 5, {"gc_round": 2, "due_at": NOW - 5 + 1_000}),
        (2, 0.0, {"due_at": NOW + 500}),
        (2, NOW - 5, None),
    ],
)
def test_garbage_is_collected_round_by_round_and_once_more_at_the_end(
    gc_round: int, deleted_at: float, expected: dict[str, object] | None
) -> None:
    task = row(State.FAILED, gc_round=gc_round, deleted_at=deleted_at)
    step = lifecycle.next_garbage_round(task, now=NOW, timings=TIMINGS)
    assert (step and step.fields) == expected
    assert lifecycle.next_garbage_round(row(State.FAILED, gc_round=2), now=NOW + 500, timings=TIMINGS) is None


def test_a_tombstone_has_no_parameters_and_is_not_due_when_it_is_deleted() -> None:
    assert fields("bury", row(State.EXPIRED)) == {
        "params": None,
        "shared_with": {},
        "renders": {},
        "due_at": NOW + TIMINGS.tombstone_s,
    }
    assert fields("delete", row(State.EXPIRED, params=None)) == {"deleted_at": NOW}


# The row and what may be set of it.


def test_what_a_step_may_set_are_columns_of_the_row_with_their_types() -> None:
    columns, settable = get_type_hints(Task), get_type_hints(TaskFields)
    assert settable == {name: columns[name] for name in settable}


def test_some_step_sets_each_column_that_a_step_may_set() -> None:
    written = {name for make, states in STEPS.values() for state in states for name in make(row(state)).fields}
    assert written | {"state"} == TaskFields.__optional_keys__


# The rules of attempts.


def test_pauses_between_attempts_double_up_to_a_limit() -> None:
    pauses = [backoff_s(epoch, Timings(backoff_s=15, backoff_max_s=100)) for epoch in (1, 2, 3, 4, 5, 5_000)]
    assert pauses == [15, 30, 60, 100, 100, 100]


def test_a_lease_lasts_as_long_as_two_clocks_may_differ_about_it() -> None:
    task = row(State.COMPOSING, lease_until=NOW)
    assert is_leased(task, now=NOW + TIMINGS.skew_s, timings=TIMINGS)
    assert not is_leased(task, now=NOW + TIMINGS.skew_s + 0.001, timings=TIMINGS)


@pytest.mark.parametrize(
    ("changes", "now", "expected"),
    [
        ({"epoch": 5, "strikes": 5}, NOW, True),
        ({"epoch": 6, "strikes": 6}, NOW, False),
        ({"epoch": 6}, NOW, True),
        ({"epoch": 6}, NOW + TIMINGS.outage_s - 1, True),
        ({"epoch": 6}, NOW + TIMINGS.outage_s, False),
        ({"epoch": 5}, NOW + TIMINGS.outage_s, True),
        ({"epoch": 6, "full_since": NOW + 9}, NOW + TIMINGS.outage_s + 8, True),
        ({"epoch": 6, "full_since": NOW + 9}, NOW + TIMINGS.outage_s + 9, False),
        ({"epoch": 6, "full_since": NOW - 9}, NOW + TIMINGS.outage_s - 1, True),
        ({"epoch": 999}, NOW, True),
        ({"epoch": 1_000}, NOW, False),
    ],
)
def test_attempts_end_when_enough_count_against_the_task_or_the_time_for_others_is_over(
    changes: dict[str, Any],
    now: float,
    expected: bool,  # noqa: FBT001 -- a case of the table
) -> None:
    task = msgspec.structs.replace(row(State.SEALED, sealed_at=NOW), **changes)
    assert has_attempts_left(task, now=now, timings=TIMINGS) is expected


@pytest.mark.parametrize(
    ("summary", "strikes"), [("OutcomeUnknown", 1), ("StoreRefused", 1), ("InvalidParts", 2), ("RuntimeError", 2)]
)
def test_what_a_store_ended_does_not_count_against_the_task(summary: str, strikes: int) -> None:
    assert strikes_after(1, Failure("STORE_UNAVAILABLE", summary)) == strikes


def test_a_death_counts_if_the_worker_died_alone_and_where_the_one_before_died() -> None:
    task = row(State.COMPOSING, rows_done=100, parts_done=1)
    seen = []
    for alone, rows in [(True, 100), (True, 100), (True, 200), (False, 200), (False, 200), (True, 200)]:
        task = msgspec.structs.replace(task, rows_done=rows)
        task = msgspec.structs.replace(task, **died(task, alone=alone))
        seen.append((task.deaths, task.strikes))
    assert seen == [(1, 0), (2, 1), (1, 1), (2, 1), (3, 1), (4, 2)]


def test_deaths_at_one_place_give_the_others_longer_and_longer_without_the_task() -> None:
    """A task that takes the whole service with it must not keep it down."""
    task = row(State.COMPOSING, lease_until=NOW)
    pauses = []
    for _ in range(5):
        pauses.append(free_at(task, TIMINGS) - NOW - TIMINGS.skew_s)
        task = msgspec.structs.replace(task, **died(task, alone=False))
    assert pauses == [0, 0, TIMINGS.backoff_s, 2 * TIMINGS.backoff_s, 4 * TIMINGS.backoff_s]


def test_a_lease_further_ahead_than_any_can_be_has_lapsed() -> None:
    timings = Timings()
    ahead = 2 * (timings.lease_s + timings.skew_s)
    assert is_leased(row(State.COMPOSING, lease_until=NOW + ahead), now=NOW, timings=timings)
    assert not is_leased(row(State.COMPOSING, lease_until=NOW + ahead + 1), now=NOW, timings=timings)
    assert not is_leased(row(State.COMPOSING, lease_until=NOW + 3 * 3600), now=NOW, timings=timings)


def test_the_faults_of_stores_are_called_as_their_errors_are() -> None:
    assert {OutcomeUnknown.__name__, StoreRefused.__name__, StoreFull.__name__} == STORE_FAULTS
