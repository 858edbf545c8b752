"""One lease for every kind of work: composing, and a toy that shares nothing with it but the functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest

from sluice.adapters.memory.tasks import MemoryTasks
from sluice.domain import lifecycle
from sluice.domain.attempts import COMPOSE, Progress, WorkKind, has_attempts_left
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef
from sluice.domain.lifecycle import TRANSITIONS, Fence, Guard, Transition
from sluice.domain.task import State, Task, TaskFields
from sluice.ports.bundle import Ports
from sluice.ports.store_errors import OutcomeUnknown
from sluice.usecases import lease
from sluice.usecases.lease import Fenced, Lease
from sluice.usecases.upkeep.repair_task import release_lease
from tests.contracts.task_builder import a_task
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports
from tests.support.recorded_journal import RecordedJournal


@dataclass(slots=True)
class PullProgress:
    rows_done: int = 0

    def columns(self) -> TaskFields:
        return {"rows_done": self.rows_done}

    def kept(self) -> TaskFields:
        return {}


PULL = WorkKind(waiting=State.OPEN, running=State.COMPOSING, begin=PullProgress)
"""A toy: rows are fetched into an open task, which is sealed by its worker when there are no more."""
PULL_STEPS = dict.fromkeys([(State.OPEN, State.COMPOSING), (State.COMPOSING, State.OPEN)], Fence(epoch=True))


def pulled(attempt: Lease[Any]) -> Transition:
    return Transition(
        guard=attempt.guard,
        target=State.SEALED,
        fields={"total_rows": 5, "due_at": 7.0},
        is_mine=lambda row: row.state is State.SEALED,
    )


class Case:
    """A kind of work, and a row that waits for it."""

    def __init__(self, kind: WorkKind[Progress], columns: TaskFields) -> None:
        self.kind = kind
        self.first_columns = columns
        self.clock = FakeClock()
        self.ports = memory_ports(self.clock)
        self.ref = a_task().ref
        self.ports.tasks.create(a_task(state=kind.waiting, epoch=2, rows_done=99))

    def row(self) -> Task:
        task = self.ports.tasks.read(self.ref)
        assert task is not None
        return task

    def acquire(self) -> Lease[Progress]:
        attempt = lease.acquire(self.ports, self.kind, self.row())
        assert attempt is not None
        return attempt


@pytest.fixture(params=["compose", "pull"])
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Case:
    if request.param == "compose":
        return Case(COMPOSE, {"rows_done": 0, "parts_done": 0, "phase": "rendering"})
    for step, fence in PULL_STEPS.items():  # as a kind of the product enters its own
        monkeypatch.setitem(TRANSITIONS, step, fence)
    return Case(PULL, {"rows_done": 0})


def shown(task: Task, columns: TaskFields) -> dict[str, object]:
    return {name: getattr(task, name) for name in columns}


def test_an_attempt_is_the_only_one_and_begins_anew(case: Case) -> None:
    before, timings = case.row(), case.ports.timings
    attempt = case.acquire()
    after = case.row()
    assert (after.state, after.epoch, after.owner) == (case.kind.running, 3, attempt.owner)
    assert (attempt.epoch, attempt.guard) == (3, Guard(state=case.kind.running, epoch=3))
    assert shown(after, case.first_columns) == case.first_columns == attempt.progress.columns()
    assert after.lease_until == case.clock.now() + timings.lease_s
    assert after.due_at == after.lease_until + timings.skew_s
    assert lease.acquire(case.ports, case.kind, before) is None, "another one read the row before it was taken"
    assert [entry.epoch for entry in case.ports.tasks.read_attempts(case.ref)] == [3]


def test_a_heartbeat_is_made_when_it_is_due_and_extends_the_lease(case: Case) -> None:
    attempt = case.acquire()
    rev = case.row().rev
    lease.renew_if_due(case.ports, attempt)
    assert case.row().rev == rev
    case.clock.advance(case.ports.timings.heartbeat_s)
    lease.renew_if_due(case.ports, attempt)
    assert case.row().rev == rev + 1
    assert case.row().lease_until == case.clock.now() + case.ports.timings.lease_s
    lease.renew_if_due(case.ports, attempt)
    assert case.row().rev == rev + 1


def test_a_heartbeat_shows_the_progress_of_its_kind(case: Case) -> None:
    attempt: Lease[Any] = case.acquire()
    attempt.progress.rows_done = 4
    lease.heartbeat(case.ports, attempt)
    assert case.row().rows_done == 4


ENDINGS: dict[str, Callable[[Ports, Lease[Any]], object]] = {
    "heartbeat": lease.heartbeat,
    "release": lambda ports, attempt: lease.release(ports, attempt, OutcomeUnknown()),
    "fail": lambda ports, attempt: lease.fail(ports, attempt, SluiceError(ErrorCode.CHUNK_CORRUPT)),
    "end": lambda ports, attempt: lease.end(ports, attempt, pulled(attempt), outcome="done"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_worker_that_was_taken_over_can_do_nothing_to_the_row(case: Case, ending: str) -> None:
    zombie = case.acquire()
    case.acquire()
    before = case.row()
    with pytest.raises(Fenced):
        ENDINGS[ending](case.ports, zombie)
    assert case.row() == before


def test_a_worker_whose_row_was_cancelled_is_fenced(case: Case) -> None:
    attempt = case.acquire()
    cancelled = lifecycle.cancel(case.row(), now=case.clock.now(), timings=case.ports.timings)
    case.ports.tasks.update(case.ref, cancelled.guard, TaskFields(**cancelled.fields, state=cancelled.target))
    case.clock.advance(case.ports.timings.heartbeat_s)
    with pytest.raises(Fenced):
        lease.renew_if_due(case.ports, attempt)


def test_a_release_gives_the_row_back_with_its_reason_after_a_pause(case: Case) -> None:
    attempt = case.acquire()
    lease.release(case.ports, attempt, OutcomeUnknown("a vendor's text"))
    after = case.row()
    assert (after.state, after.epoch, after.lease_until) == (case.kind.waiting, 3, 0)
    assert (after.last_error_code, after.last_error) == (ErrorCode.STORE_UNAVAILABLE, "OutcomeUnknown")
    assert after.due_at == case.clock.now() + 4 * case.ports.timings.backoff_s
    logged = case.ports.tasks.read_attempts(case.ref)[0]
    assert (logged.outcome, logged.error_code, logged.ended_at) == ("released", "STORE_UNAVAILABLE", case.clock.now())
    assert case.acquire().epoch == 4


def test_an_attempt_ends_with_the_step_of_its_kind(case: Case) -> None:
    attempt = case.acquire()
    lease.end(case.ports, attempt, pulled(attempt), outcome="done")
    assert (case.row().state, case.row().total_rows, case.row().due_at) == (State.SEALED, 5, 7.0)
    assert case.ports.tasks.read_attempts(case.ref)[0].outcome == "done"


def test_a_permanent_failure_ends_the_task_and_is_said_once(case: Case) -> None:
    attempt = case.acquire()
    lease.fail(case.ports, attempt, SluiceError(ErrorCode.CHUNK_CORRUPT, sequence=2))
    after = case.row()
    assert (after.state, after.last_error_code) == (State.FAILED, ErrorCode.CHUNK_CORRUPT)
    assert "sequence: 2" in after.last_error
    assert case.ports.tasks.read_attempts(case.ref)[0].outcome == "failed"
    journal = case.ports.journal
    assert isinstance(journal, RecordedJournal)
    assert len(journal.of(Event.TASK_FAILED)) == 1


@pytest.mark.parametrize("moves", [True, False])
def test_an_attempt_that_moves_may_take_as_long_as_it_needs(case: Case, moves: bool) -> None:  # noqa: FBT001
    attempt = case.acquire()
    for done in range(10):
        case.clock.advance(case.ports.timings.attempt_max_s)
        if not moves:
            setattr(attempt.progress, next(iter(attempt.progress.columns())), done + 1)
        lease.renew_if_due(case.ports, attempt, moves=moves)
    case.clock.advance(case.ports.timings.attempt_max_s)
    lease.renew_if_due(case.ports, attempt)
    case.clock.advance(1)
    with pytest.raises(SluiceError, match=r"nothing of the file moved .* performance\.upload_timeout_s"):
        lease.renew_if_due(case.ports, attempt)


def test_an_attempt_ends_before_its_platform_ends_it_however_well_it_goes(case: Case) -> None:
    attempt = case.acquire()
    ports = replace(case.ports, timings=msgspec.structs.replace(case.ports.timings, attempt_total_s=60))
    case.clock.advance(60)
    lease.renew_if_due(ports, attempt, moves=True)
    case.clock.advance(1)
    with pytest.raises(SluiceError, match="the platform gives an attempt"):
        lease.renew_if_due(ports, attempt, moves=True)


def test_an_attempt_may_stand_still_only_so_long(case: Case) -> None:
    attempt = case.acquire()
    case.clock.jump(10 * case.ports.timings.attempt_max_s)
    lease.renew_if_due(case.ports, attempt)
    case.clock.advance(case.ports.timings.attempt_max_s + 1)
    with pytest.raises(SluiceError, match="nothing of the file moved"):
        lease.renew_if_due(case.ports, attempt)


def test_attempts_run_out_for_every_kind(case: Case) -> None:
    """Those that the task itself failed; that a store was away, or a service was killed, costs none."""
    timings = case.ports.timings
    for error, strikes in ((OutcomeUnknown(), 0), (RuntimeError(), 1), (RuntimeError(), 2), (OutcomeUnknown(), 2)):
        lease.release(case.ports, case.acquire(), error)
        assert case.row().strikes == strikes
    case.acquire()
    case.acquire()  # the one before was killed with its service
    assert (case.row().strikes, case.row().deaths) == (2, 1)
    assert has_attempts_left(case.row(), now=case.row().created_at, timings=timings)
    for _ in range(timings.attempts_max - 2):
        lease.release(case.ports, case.acquire(), RuntimeError())
    assert not has_attempts_left(case.row(), now=case.row().created_at, timings=timings)


def test_a_lease_is_given_back_for_the_attempt_that_is_named_and_no_other() -> None:
    case = Case(COMPOSE, {})
    attempt = case.acquire()
    assert not release_lease(case.ports, case.ref, owner="another")
    assert (case.row().state, case.row().owner) == (State.COMPOSING, attempt.owner)
    assert release_lease(case.ports, case.ref, owner=attempt.owner)
    assert (case.row().state, case.row().last_error_code) == (State.SEALED, ErrorCode.INTERNAL)
    assert not release_lease(case.ports, case.ref)


def test_a_heartbeat_without_an_answer_ends_nothing(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = case.acquire()
    case.clock.advance(case.ports.timings.heartbeat_s)

    def silent(_: MemoryTasks, ref: TaskRef, guard: Guard, fields: TaskFields) -> bool:
        raise OutcomeUnknown

    with monkeypatch.context() as patched:
        patched.setattr(MemoryTasks, "update", silent)
        lease.renew_if_due(case.ports, attempt)
    case.clock.advance(case.ports.timings.heartbeat_s)
    lease.renew_if_due(case.ports, attempt)
    assert case.row().lease_until == case.clock.now() + case.ports.timings.lease_s
