"""What Tablestore's failures come to, each at each call: repeated until right, or said to be unknown; nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import NamedTuple

import pytest

from infra.emulators.tablestore import (
    Action,
    CorruptAnswer,
    CutAnswer,
    DoLater,
    DropAnswer,
    DropBefore,
    Fault,
    Hold,
    Refuse,
    TablestoreServer,
    serving_tablestore,
)
from sluice.adapters.aliyun.tablestore.client import TablestoreClient
from sluice.adapters.aliyun.tablestore.rows import task_key
from sluice.adapters.aliyun.tablestore.tasks import TablestoreTasks
from sluice.adapters.retrying import RetryingTasks
from sluice.domain.attempts import LeaseEnds
from sluice.domain.lifecycle import Guard
from sluice.domain.task import Attempt, State, Task
from sluice.ports.store_errors import OutcomeUnknown, StoreRefused
from sluice.ports.task_store import TaskStore
from tests.contracts.task_builder import NOW, TENANT, a_claim, a_task
from tests.support.fake_clock import FakeClock, SeededRandomness
from tests.support.tablestore_tables import TABLE, TIMEOUT_S, access_to, open_tasks

ATTEMPT = Attempt(epoch=1, owner="me", started_at=NOW)
OPEN = Guard(state=State.OPEN)
SHORT_TIMEOUT_S = 1.0
"""Where a call is to run into it; elsewhere it is as long as usual, for a busy machine."""


class Prepared(NamedTuple):
    """A store behind the stand-in, and an open task in it with one claim and one attempt."""

    ots: TablestoreServer
    bare: TablestoreTasks
    retrying: RetryingTasks
    clock: FakeClock
    task: Task
    other: Task
    """One that does not exist yet."""


@pytest.fixture(scope="module")
def ots() -> Iterator[TablestoreServer]:
    with serving_tablestore() as ots:
        open_tasks(ots).close()
        yield ots


@pytest.fixture
def prepared(ots: TablestoreServer, request: pytest.FixtureRequest) -> Iterator[Prepared]:
    timeout_s = SHORT_TIMEOUT_S if "slow" in request.node.name else TIMEOUT_S
    clock, name = FakeClock(), request.node.name
    task, other = a_task(name, due_at=NOW), a_task(f"other {name}")
    with closing(open_tasks(ots)) as calm:
        calm.create(task)
        calm.claim(task.ref, a_claim(1), at=NOW, due_at=NOW)
        calm.log_attempt(task.ref, ATTEMPT)
    with closing(TablestoreTasks(access_to(ots), timeout_s=timeout_s)) as bare:
        ots.requests.clear()
        yield Prepared(ots, bare, RetryingTasks(bare, clock=clock, randomness=SeededRandomness()), clock, task, other)
        ots.faults.clear()
        bare.remove(task.ref, OPEN)
        bare.remove(other.ref, OPEN)


class Call(NamedTuple):
    """One way to use the store, and what comes of it, as another call shows."""

    operation: str
    make: Callable[[TaskStore, Prepared], object]
    answer: object
    requests: int = 1


REPEATED = {
    "read": Call("GetRow", lambda s, p: _rev(s.read(p.task.ref)), 1),
    "read_claims": Call("GetRow", lambda s, p: _claims(s, p.task), {1: a_claim(1)}),
    "read_claim": Call("GetRow", lambda s, p: s.read_claim(p.task.ref, 1), a_claim(1)),
    "read_attempts": Call("GetRange", lambda s, p: s.read_attempts(p.task.ref), [ATTEMPT]),
    "page": Call("GetRange", lambda s, p: p.task.ref in _listed(s), True, requests=2),
    "page rows": Call("BatchGetRow", lambda s, p: p.task.ref in _listed(s), True, requests=2),
    "count": Call("GetRange", lambda s, _: s.count(TENANT, State.OPEN) >= 1, True),
    "count leased": Call("GetRange", lambda s, _: s.count_leased(TENANT, LeaseEnds(0, NOW)), 0),
    "due": Call("GetRange", lambda s, p: p.task.ref in s.due(NOW, limit=1000).others, True, requests=16),
    "log_attempt": Call("PutRow", lambda s, p: s.log_attempt(p.task.ref, ATTEMPT), None),
    "forget_claims": Call("UpdateRow", lambda s, p: s.forget_claims(p.task.ref), None, requests=2),
}


class Write(NamedTuple):
    """A conditional write, and how to see whether it happened."""

    operation: str
    make: Callable[[TaskStore, Prepared], bool]
    happened: Callable[[TaskStore, Prepared], bool]


MADE_ONCE = {
    "create": Write("PutRow", lambda s, p: s.create(p.other), lambda s, p: s.read(p.other.ref) == p.other),
    "claim": Write(
        "UpdateRow",
        lambda s, p: s.claim(p.task.ref, a_claim(2, rows=5, size=6), at=NOW + 1, due_at=NOW + 2),
        lambda s, p: _both(s.read_claim(p.task.ref, 2) is not None, _rev(s.read(p.task.ref)) == 2),
    ),
    "update": Write(
        "UpdateRow",
        lambda s, p: s.update(p.task.ref, Guard(state=State.OPEN, rev=1), {"owner": "me", "epoch": 1}),
        lambda s, p: _both(_row(s, p.task).owner == "me", _row(s, p.task).epoch == 1, _rev(s.read(p.task.ref)) == 2),
    ),
    "remove": Write("DeleteRow", lambda s, p: s.remove(p.task.ref, OPEN), lambda s, p: s.read(p.task.ref) is None),
}

FAULTS: dict[str, Callable[[], Action]] = {
    "drop before": DropBefore,
    "drop after": DropAnswer,
    "cut answer": CutAnswer,
    "wrong sum": lambda: CorruptAnswer("md5"),
    "wrong body": lambda: CorruptAnswer("body"),
    "wrong signature": lambda: CorruptAnswer("signature"),
    "wrong date": lambda: CorruptAnswer("date"),
    "slow before": Hold,
    "slow after": lambda: Hold(before=False),
    "busy": lambda: Refuse("OTSServerBusy"),
    "throttled": lambda: Refuse("OTSQuotaExhausted"),
    "flow control": lambda: Refuse("OTSFlowControl"),
    "no capacity": lambda: Refuse("OTSCapacityUnitExhausted"),
    "conflict": lambda: Refuse("OTSRowOperationConflict"),
    "timed out": lambda: Refuse("OTSTimeout"),
    "but done": lambda: Refuse("OTSTimeout", before=False),
    "unavailable": lambda: Refuse("OTSServerUnavailable"),
    "moving": lambda: Refuse("OTSPartitionUnavailable"),
    "not ready": lambda: Refuse("OTSTableNotReady"),
    "broken": lambda: Refuse("OTSInternalServerError"),
}
DONE = (
    "drop after",
    "cut answer",
    "wrong sum",
    "wrong body",
    "wrong signature",
    "wrong date",
    "slow after",
    "but done",
)
"""The faults after which the service has done what it was asked."""
EVERYWHERE = ("drop before", "drop after", "wrong sum", "slow before", "slow after", "busy", "but done")
"""Met at every call; the others, which differ only in the words of the answer, at one read and one write."""
THROTTLES = ("busy", "throttled", "flow control", "no capacity", "moving", "not ready")
REFUSALS = ("OTSAuthFailed", "OTSObjectNotExist", "OTSParameterInvalid", "OTSInvalidPK")


def at_each_of(names: Iterable[str], *, example: str) -> list[tuple[str, str]]:
    """Give which call meets which fault."""
    return [(name, fault) for name in names for fault in FAULTS if fault in EVERYWHERE or name == example]


@pytest.mark.parametrize(("name", "fault_name"), at_each_of(REPEATED, example="read"))
def test_a_call_that_may_be_repeated_succeeds_after_a_fault(prepared: Prepared, name: str, fault_name: str) -> None:
    call = REPEATED[name]
    fault = prepared.ots.faults.add(Fault(FAULTS[fault_name](), operation=call.operation))
    answer = call.make(prepared.retrying, prepared)
    _let_go(fault.action)
    assert answer == call.answer
    assert fault.met == 1
    repeated = len(prepared.ots.requests) - call.requests
    assert repeated <= call.requests, "one more round, and no hidden request"


@pytest.mark.parametrize(("name", "fault_name"), at_each_of(MADE_ONCE, example="claim"))
def test_a_conditional_write_is_unknown_after_a_fault_and_was_made_once(
    prepared: Prepared, name: str, fault_name: str
) -> None:  # C21: done or not, and never half
    write = MADE_ONCE[name]
    fault = prepared.ots.faults.add(Fault(FAULTS[fault_name](), operation=write.operation))
    with pytest.raises(OutcomeUnknown):
        write.make(prepared.retrying, prepared)
    assert [request.operation for request in prepared.ots.requests].count(write.operation) == 1
    if not isinstance(fault.action, Hold):
        assert write.happened(prepared.bare, prepared) == (fault_name in DONE)
    _let_go(fault.action)


@pytest.mark.parametrize("name", MADE_ONCE)
def test_a_write_may_land_after_its_caller_gave_it_up(prepared: Prepared, name: str) -> None:
    write, later = MADE_ONCE[name], DoLater()
    prepared.ots.faults.add(Fault(later, operation=write.operation))
    with pytest.raises(OutcomeUnknown):
        write.make(prepared.bare, prepared)
    assert not write.happened(prepared.bare, prepared)
    later.release()
    later.wait_done()
    assert write.happened(prepared.bare, prepared)


@pytest.mark.parametrize("fault_name", THROTTLES)
def test_a_service_that_is_too_busy_is_left_alone_for_a_while(prepared: Prepared, fault_name: str) -> None:  # C24
    prepared.ots.faults.add(Fault(FAULTS[fault_name](), operation="GetRow"))
    with pytest.raises(OutcomeUnknown) as caught:
        prepared.bare.read(prepared.task.ref)
    assert caught.value.retry_after_s > 0
    prepared.ots.faults.add(Fault(FAULTS[fault_name](), operation="GetRow"))
    prepared.retrying.read(prepared.task.ref)
    assert prepared.clock.slept[0] >= caught.value.retry_after_s


@pytest.mark.parametrize(
    ("name", "code"),
    [*((name, "OTSNoPermissionAccess") for name in [*REPEATED, *MADE_ONCE]), *(("claim", code) for code in REFUSALS)],
)
def test_a_refusal_is_told_at_once_with_the_services_words(prepared: Prepared, name: str, code: str) -> None:
    call: Call | Write = REPEATED[name] if name in REPEATED else MADE_ONCE[name]
    prepared.ots.faults.add(Fault(Refuse(code, "No entry."), operation=call.operation, times=None))
    with pytest.raises(StoreRefused, match=f"{code}: No entry") as caught:
        call.make(prepared.retrying, prepared)
    assert caught.value.code == code
    assert caught.value.request_id
    assert [request.operation for request in prepared.ots.requests].count(call.operation) == 1


def test_a_condition_that_fails_is_a_no_and_no_error(prepared: Prepared) -> None:
    assert not prepared.bare.create(prepared.task)
    assert not prepared.bare.claim(prepared.task.ref, a_claim(1), at=NOW, due_at=NOW)
    assert not prepared.bare.update(prepared.task.ref, Guard(state=State.SEALED), {})
    assert {request.code for request in prepared.ots.requests} == {"OTSConditionCheckFail"}


def test_a_row_that_fails_in_a_batch_is_not_taken_for_missing(ots: TablestoreServer) -> None:
    """The service answers a batch with success and each row with an error of its own."""
    nowhere = access_to(ots, table=f"{TABLE}_elsewhere")
    with closing(TablestoreClient(nowhere, timeout_s=TIMEOUT_S)) as client:
        with pytest.raises(StoreRefused, match="OTSObjectNotExist"):
            client.read_many([task_key(a_task().ref)], columns=["state"])
        with pytest.raises(StoreRefused, match="OTSObjectNotExist"):
            client.delete_many([task_key(a_task().ref)])


def test_a_host_that_is_not_there_is_asked_once(prepared: Prepared) -> None:
    """The SDK's HTTP library would try a connection four times, each with the whole time-out."""
    with serving_tablestore() as gone:
        access = access_to(gone)
    with closing(TablestoreTasks(access, timeout_s=TIMEOUT_S)) as tasks, pytest.raises(OutcomeUnknown) as caught:
        tasks.read(prepared.task.ref)
    assert type(caught.value.__cause__).__name__ == "NewConnectionError", "with retries it is a MaxRetryError"


def test_attempts_go_before_the_row_so_that_a_crash_is_repaired(prepared: Prepared) -> None:
    prepared.ots.faults.add(Fault(DropBefore(), operation="DeleteRow"))
    with pytest.raises(OutcomeUnknown):
        prepared.bare.remove(prepared.task.ref, OPEN)
    assert prepared.bare.read_attempts(prepared.task.ref) == []
    assert prepared.bare.remove(prepared.task.ref, OPEN)


def test_a_table_that_is_not_there_is_named(ots: TablestoreServer) -> None:
    with closing(TablestoreTasks(access_to(ots, table=f"{TABLE}_elsewhere"), timeout_s=TIMEOUT_S)) as tasks:
        for call in (tasks.read, tasks.read_claims, tasks.forget_claims):
            with pytest.raises(StoreRefused, match="OTSObjectNotExist"):
                call(a_task().ref)


def _let_go(action: Action) -> None:
    """What was slow happens now, after its caller has gone on without it."""
    if isinstance(action, Hold):
        action.release()
        action.wait_done()


def _rev(task: Task | None) -> int | None:
    return None if task is None else task.rev


def _row(store: TaskStore, task: Task) -> Task:
    held = store.read(task.ref)
    assert held is not None
    return held


def _claims(store: TaskStore, task: Task) -> object:
    held = store.read_claims(task.ref)
    return None if held is None else held.claims


def _listed(store: TaskStore) -> list[object]:
    return [task.ref for task in store.page(TENANT, state=None, limit=1000, cursor="").tasks]


def _both(*signs: bool) -> bool:
    """All signs of a change together, or none: never half of it."""
    assert len(set(signs)) == 1
    return signs[0]
