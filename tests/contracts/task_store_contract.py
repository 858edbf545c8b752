"""What every task store must do, one caller at a time. ``C…`` are the cases of the test plan."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sluice.domain.keys import TaskRef, TenantId
from sluice.domain.lifecycle import Guard
from sluice.domain.manifest import Claim
from sluice.domain.pulled import PastReading, Readings
from sluice.domain.reading import Reading
from sluice.domain.task import LIVE, Attempt, State, Task, TaskFields
from sluice.ports.task_store import ClaimedTask, DueTasks, TaskStore
from tests.contracts.opens_tasks import OpensTasks
from tests.contracts.task_builder import NOW, TENANT, a_claim, a_full_task, a_stranger, a_task, params_called

OTHER = TenantId("globex")


class TaskStoreContract(OpensTasks):
    """Adopt it by a subclass whose name begins with ``Test``."""

    claims_many = 10_000
    """As many as a task may have; a slow stand-in may take fewer."""

    def drop_column(self, store: TaskStore, ref: TaskRef, column: str) -> None:
        """Remove one column from a row behind the store's back."""
        pytest.skip("rows of this store always have all their columns")

    # Rows.

    def test_a_row_comes_back_as_it_was_created(self, store: TaskStore) -> None:
        for task in (a_task(), a_full_task()):
            assert store.create(task)
            assert store.read(task.ref) == task

    def test_a_row_that_does_not_exist_is_none(self, store: TaskStore) -> None:
        assert store.read(a_stranger()) is None
        assert store.read_claims(a_stranger()) is None
        assert store.read_claim(a_stranger(), 1) is None
        assert store.read_attempts(a_stranger()) == []

    def test_a_row_is_found_by_tenant_and_id_together(self, store: TaskStore) -> None:
        task = a_task()
        store.create(task)
        store.claim(task.ref, a_claim(1), at=NOW, due_at=NOW)
        foreign = TaskRef(OTHER, task.task_id)
        assert (store.read(foreign), store.read_claims(foreign), store.read_claim(foreign, 1)) == (None, None, None)
        assert not store.update(foreign, Guard(state=State.OPEN), {"state": State.CANCELLED})
        assert not store.claim(foreign, a_claim(2), at=NOW, due_at=NOW)
        assert not store.remove(foreign, Guard(state=State.OPEN))
        assert store.create(a_task(tenant=OTHER, task_id=task.task_id, params=params_called("theirs")))
        assert _read(store, task.ref).params == task.params

    def test_a_row_is_created_once(self, store: TaskStore) -> None:
        task = a_task()
        assert store.create(task)
        assert not store.create(task)
        assert not store.create(a_task(params=params_called("other"), due_at=0.0))
        assert store.read(task.ref) == task

    def test_long_and_odd_text_comes_back(self, store: TaskStore) -> None:
        task = a_task(
            params=params_called("报表 '\"\\\n\u2028\U0001f600" * 20_000), last_error="'; DROP TABLE tasks; --"
        )
        store.create(task)
        assert store.read(task.ref) == task

    # Claims.

    def test_a_claim_is_recorded_and_counted(self, store: TaskStore) -> None:
        task = a_task(rev=7)
        store.create(task)
        assert store.claim(task.ref, a_claim(3, rows=5, size=70), at=NOW + 1, due_at=NOW + 2)
        assert store.claim(task.ref, a_claim(1, rows=6, size=80), at=NOW + 3, due_at=NOW + 4)
        counted = msgspec.structs.replace(
            task,
            rev=9,
            batches_received=2,
            rows_received=11,
            bytes_received=150,
            last_batch_at=NOW + 3,
            due_at=NOW + 4,
        )
        claims = {3: a_claim(3, rows=5, size=70), 1: a_claim(1, rows=6, size=80)}
        assert store.read(task.ref) == counted
        assert store.read_claims(task.ref) == ClaimedTask(counted, claims)
        assert store.read_claim(task.ref, 3) == claims[3]
        assert store.read_claim(task.ref, 2) is None

    def test_a_claim_keeps_the_sheet_it_belongs_to(self, store: TaskStore) -> None:
        task = a_task()
        store.create(task)
        claims = {1: a_claim(1, sheet=3), 2: a_claim(2), 3: a_claim(3, sheet=99)}
        for claim in claims.values():
            assert store.claim(task.ref, claim, at=NOW, due_at=NOW)
        held = store.read_claims(task.ref)
        assert held is not None
        assert held.claims == claims
        assert store.read_claim(task.ref, 1) == claims[1]

    @pytest.mark.parametrize("again", [a_claim(1), a_claim(1, sha="f" * 32), a_claim(1, rows=0)])
    def test_a_sequence_is_claimed_once(self, store: TaskStore, again: Claim) -> None:
        task = a_task()
        store.create(task)
        assert store.claim(task.ref, a_claim(1), at=NOW, due_at=NOW)
        before = store.read_claims(task.ref)
        assert not store.claim(task.ref, again, at=NOW + 9, due_at=NOW + 9)
        assert store.read_claims(task.ref) == before

    @pytest.mark.parametrize("state", [state for state in State if state != State.OPEN])
    def test_only_an_open_task_takes_a_claim(self, store: TaskStore, state: State) -> None:
        task = a_task(state=state)
        store.create(task)
        assert not store.claim(task.ref, a_claim(1), at=NOW, due_at=NOW)
        assert store.read_claims(task.ref) == ClaimedTask(task, {})

    def test_a_reader_s_claim_says_how_far_was_read_and_extends_its_lease(self, store: TaskStore) -> None:
        task = a_task(state=State.READING, epoch=3, rev=7, lease_until=NOW, cursor="[1]")
        store.create(task)
        reading = Reading(3, '[2, "值"]', lease_until=NOW + 45, due_at=NOW + 50, read_at=NOW - 1)
        assert store.claim(task.ref, a_claim(4, rows=5, size=70), at=NOW + 1, due_at=NOW + 50, reading=reading)
        counted = msgspec.structs.replace(
            task,
            rev=8,
            batches_received=1,
            rows_received=5,
            bytes_received=70,
            last_batch_at=NOW + 1,
            due_at=NOW + 50,
            lease_until=NOW + 45,
            cursor='[2, "值"]',
            read_at=NOW - 1,
        )
        assert store.read_claims(task.ref) == ClaimedTask(counted, {4: a_claim(4, rows=5, size=70)})
        assert not store.claim(task.ref, a_claim(4), at=NOW, due_at=NOW, reading=reading), "the sequence is taken"

    @pytest.mark.parametrize("epoch", [2, 4])
    @pytest.mark.parametrize("state", State)
    def test_a_reader_that_lost_its_lease_adds_nothing(self, store: TaskStore, state: State, epoch: int) -> None:
        task = a_task(state=state, epoch=3, cursor="[1]")
        store.create(task)
        is_its_own = state is State.READING
        reading = Reading(epoch if is_its_own else 3, "[9]", lease_until=NOW, due_at=NOW)
        assert not store.claim(task.ref, a_claim(1), at=NOW, due_at=NOW, reading=reading)
        assert store.read_claims(task.ref) == ClaimedTask(task, {})

    def test_claims_of_a_reading_that_was_begun_anew_are_not_valid(self, store: TaskStore) -> None:
        task = a_task(state=State.READING, epoch=1)
        store.create(task)
        for sequence in (1, 2, 3):
            reading = Reading(1, f"[{sequence}]", lease_until=NOW, due_at=NOW)
            assert store.claim(task.ref, a_claim(sequence), at=NOW, due_at=NOW, reading=reading)
        anew: TaskFields = {
            "first_sequence": 3, "cursor": "", "batches_received": 0, "rows_received": 0, "bytes_received": 0,
        }  # fmt: skip
        assert store.update(task.ref, Guard(state=State.READING, epoch=1), anew)
        read = store.read_claims(task.ref)
        assert read is not None
        assert (read.task.first_sequence, read.task.rows_received, read.task.cursor) == (3, 0, "")
        assert [claim.sequence for claim in read.valid()] == [3]

    def test_claims_of_readings_that_are_over_are_valid_beside_those_of_the_one_under_way(
        self, store: TaskStore
    ) -> None:
        task = a_task(state=State.READING, epoch=1)
        store.create(task)
        for sequence in range(1, 7):
            assert store.claim(task.ref, a_claim(sequence), at=NOW, due_at=NOW, reading=Reading(1, "[1]", NOW, NOW))
        past = (PastReading(NOW, 1, 1, 10, 1000), PastReading(NOW, 2, 0, 0, 0), PastReading(NOW, 3, 2, 20, 2000))
        step: TaskFields = {"first_sequence": 6, "readings": Readings("[9]", ("[99]",), past)}
        assert store.update(task.ref, Guard(state=State.READING, epoch=1), step)
        read = store.read_claims(task.ref)
        assert read is not None
        assert read.task.readings == step["readings"]
        assert sorted(claim.sequence for claim in read.valid()) == [1, 3, 4, 6]

    def test_no_task_takes_no_claim(self, store: TaskStore) -> None:
        assert not store.claim(a_stranger(), a_claim(1), at=NOW, due_at=NOW)
        store.create(a_task("nobody"))
        assert store.read_claim(a_stranger(), 1) is None

    @pytest.mark.slow
    def test_a_task_holds_as_many_claims_as_it_may(self, store: TaskStore) -> None:  # C23
        task = a_task()
        store.create(task)
        claims = {number: a_claim(number) for number in range(1, self.claims_many + 1)}
        for claim in claims.values():
            assert store.claim(task.ref, claim, at=NOW, due_at=NOW)
        held = store.read_claims(task.ref)
        assert held is not None
        assert held.claims == claims
        assert held.task.batches_received == held.task.rev == self.claims_many

    def test_forgotten_claims_are_gone_and_the_row_stays(self, store: TaskStore) -> None:
        tasks = [a_task("one"), a_task("two")]
        for task in tasks:
            store.create(task)
            store.claim(task.ref, a_claim(1), at=NOW, due_at=NOW)
        for _ in range(2):
            store.forget_claims(tasks[0].ref)
        held, other = (store.read_claims(task.ref) for task in tasks)
        assert held is not None
        assert other is not None
        assert (held.claims, held.task.batches_received, other.claims) == ({}, 1, {1: a_claim(1)})
        store.forget_claims(a_stranger())

    # Updates.

    @pytest.mark.parametrize(
        ("guard", "holds"),
        [
            (Guard(state=State.COMPOSING), True),
            (Guard(state=State.COMPOSING, rev=5), True),
            (Guard(state=State.COMPOSING, epoch=2), True),
            (Guard(state=State.COMPOSING, rev=5, epoch=2), True),
            (Guard(state=State.OPEN), False),
            (Guard(state=State.SEALED, rev=5, epoch=2), False),
            (Guard(state=State.COMPOSING, rev=4), False),
            (Guard(state=State.COMPOSING, rev=6), False),
            (Guard(state=State.COMPOSING, rev=0), False),
            (Guard(state=State.COMPOSING, epoch=1), False),
            (Guard(state=State.COMPOSING, epoch=0), False),
            (Guard(state=State.COMPOSING, rev=5, epoch=3), False),
            (Guard(state=State.COMPOSING, rev=4, epoch=2), False),
        ],
    )
    def test_a_row_is_changed_only_as_the_guard_says(self, store: TaskStore, guard: Guard, holds: bool) -> None:  # noqa: FBT001 -- a case of the table
        task = a_task(state=State.COMPOSING, rev=5, epoch=2)  # C20
        store.create(task)
        changed = msgspec.structs.replace(task, rev=6, owner="me", rows_done=3)
        assert store.update(task.ref, guard, {"owner": "me", "rows_done": 3}) == holds
        assert store.read(task.ref) == (changed if holds else task)

    @pytest.mark.parametrize(
        ("guard", "holds"), [(Guard(state=State.OPEN, rev=0), True), (Guard(state=State.OPEN, rev=1), False)]
    )
    def test_a_row_is_removed_only_as_the_guard_says(self, store: TaskStore, guard: Guard, holds: bool) -> None:  # noqa: FBT001 -- a case of the table
        task = a_task()
        store.create(task)
        assert store.remove(task.ref, guard) == holds
        assert store.read(task.ref) == (None if holds else task)

    def test_every_field_that_a_transition_may_set_is_set(self, store: TaskStore) -> None:
        task, full = a_task(), a_full_task()
        fields: Any = {name: getattr(full, name) for name in sorted(TaskFields.__optional_keys__)}
        store.create(task)
        assert store.update(task.ref, Guard(state=State.OPEN), fields)
        assert store.read(task.ref) == msgspec.structs.replace(task, **fields, rev=1)

    def test_an_update_of_nothing_still_raises_rev(self, store: TaskStore) -> None:
        task = a_task(rev=3)
        store.create(task)
        assert store.update(task.ref, Guard(state=State.OPEN), {})
        assert store.read(task.ref) == msgspec.structs.replace(task, rev=4)

    def test_the_fence_itself_can_be_moved(self, store: TaskStore) -> None:
        task = a_task(state=State.SEALED)
        store.create(task)
        acquire = Guard(state=State.SEALED, epoch=0)
        assert store.update(task.ref, acquire, {"state": State.COMPOSING, "epoch": 1})
        assert not store.update(task.ref, acquire, {"state": State.COMPOSING, "epoch": 1})
        assert (_read(store, task.ref).state, _read(store, task.ref).epoch) == (State.COMPOSING, 1)

    def test_no_row_is_updated_or_removed(self, store: TaskStore) -> None:
        assert not store.update(a_stranger(), Guard(state=State.OPEN), {"owner": "me"})
        assert not store.remove(a_stranger(), Guard(state=State.OPEN))
        assert store.read(a_stranger()) is None

    @pytest.mark.parametrize("column", ["state", "rev", "epoch"])
    def test_a_column_that_is_missing_never_equals_anything(self, store: TaskStore, column: str) -> None:  # C19
        task = a_task()
        store.create(task)
        self.drop_column(store, task.ref, column)
        guard = Guard(state=State.OPEN, rev=0, epoch=0)
        assert not store.update(task.ref, guard, {"owner": "me"})
        assert not store.remove(task.ref, guard)
        assert column != "state" or not store.claim(task.ref, a_claim(1), at=NOW, due_at=NOW)

    def test_removing_a_row_removes_its_claims_and_attempts(self, store: TaskStore) -> None:
        task, neighbour = a_task(), a_task("neighbour")
        for each in (task, neighbour):
            store.create(each)
            store.claim(each.ref, a_claim(1), at=NOW, due_at=NOW)
            store.log_attempt(each.ref, Attempt(epoch=1, owner="me", started_at=NOW))
        assert store.remove(task.ref, Guard(state=State.OPEN, rev=1))
        assert store.create(task)
        assert store.read_claims(task.ref) == ClaimedTask(task, {})
        assert store.read_attempts(task.ref) == []
        assert store.read_claim(neighbour.ref, 1) == a_claim(1)
        assert len(store.read_attempts(neighbour.ref)) == 1

    # Proposals.

    def test_due_rows_come_most_overdue_first(self, store: TaskStore) -> None:
        for name, due_at in (("b", NOW - 1), ("a", NOW - 2), ("now", NOW), ("later", NOW + 0.5)):
            store.create(a_task(name, due_at=due_at))
        refs = [a_task(name).ref for name in ("a", "b", "now")]
        self.soon(lambda: store.due(NOW, limit=10), DueTasks([], refs))
        self.soon(lambda: store.due(NOW, limit=2), DueTasks([], refs[:2]))
        self.soon(lambda: store.due(NOW - 3, limit=10), DueTasks([], []))

    def test_rows_that_wait_for_a_composer_and_all_others_hide_none_of_each_other(self, store: TaskStore) -> None:
        live, others = LIVE, {State.OPEN, *(state for state in State if state.terminal)}
        for number in range(3):
            for state in State:
                store.create(a_task(f"{state} {number}", state=state, due_at=NOW - 100 + number))
        self.soon(lambda: [len(refs) for refs in store.due(NOW, limit=100)], [3 * len(live), 3 * len(others)])
        for limit in (1, 4):
            due = store.due(NOW, limit=limit)
            assert (len(due.live), len(due.others)) == (limit, limit)
        assert {_read(store, ref).state for ref in store.due(NOW, limit=100).live} == live
        assert {_read(store, ref).state for ref in store.due(NOW, limit=100).others} == others

    def test_a_row_changes_its_kind_with_its_state(self, store: TaskStore) -> None:
        task = a_task(due_at=NOW)
        store.create(task)
        steps = (State.SEALED, State.COMPOSING, State.SEALED, State.CANCELLED)
        for before, after in zip((State.OPEN, *steps), steps, strict=False):
            assert store.update(task.ref, Guard(state=before), {"state": after})
            is_live = after is not State.CANCELLED
            expected = DueTasks([task.ref], []) if is_live else DueTasks([], [task.ref])
            self.soon(lambda: store.due(NOW, limit=10), expected)

    def test_tenants_take_turns_however_much_of_one_is_due(self, store: TaskStore) -> None:
        for state in (State.SEALED, State.CANCELLED):
            for number in range(12):
                store.create(a_task(f"{state} {number}", state=state, due_at=NOW - 100 + number))
            for number in range(2):
                store.create(a_task(f"{state} {number}", tenant=OTHER, state=state, due_at=NOW - 2 + number))
        self.soon(lambda: [len(refs) for refs in store.due(NOW, limit=100)], [14, 14])
        for state, refs in zip((State.SEALED, State.CANCELLED), store.due(NOW, limit=14), strict=True):
            mine = [a_task(f"{state} {number}").ref for number in range(12)]
            theirs = [a_task(f"{state} {number}", tenant=OTHER).ref for number in range(2)]
            assert refs == [mine[0], theirs[0], mine[1], theirs[1], *mine[2:]]

    def test_a_row_is_due_when_it_says_so_now(self, store: TaskStore) -> None:
        task = a_task(due_at=NOW)
        none, one = DueTasks([], []), DueTasks([], [task.ref])
        store.create(task)
        store.claim(task.ref, a_claim(1), at=NOW, due_at=NOW + 10)
        self.soon(lambda: store.due(NOW + 9, limit=10), none)
        self.soon(lambda: store.due(NOW + 10, limit=10), one)
        store.update(task.ref, Guard(state=State.OPEN), {"due_at": NOW + 20})
        self.soon(lambda: store.due(NOW + 19, limit=10), none)
        self.soon(lambda: store.due(NOW + 20, limit=10), one)

    def test_a_scan_sees_every_row_once(self, store: TaskStore) -> None:
        tasks = [a_task(str(number), tenant=(TENANT, OTHER)[number % 2]) for number in range(601)]
        tasks.append(a_task("tombstone", state=State.EXPIRED, params=None))
        for task in tasks:
            store.create(task)
        assert sorted(store.scan(), key=_ref) == sorted(tasks, key=_ref)

    def test_a_scan_goes_on_while_rows_change(self, store: TaskStore) -> None:
        tasks = [a_task(str(number)) for number in range(10)]
        for task in tasks:
            store.create(task)
        scanned = []
        for task in store.scan():
            store.update(task.ref, Guard(state=State.OPEN), {"state": State.CANCELLED})
            scanned.append(task.ref)
        assert sorted(scanned) == sorted(task.ref for task in tasks)

    # The attempt log.

    def test_attempts_come_back_by_epoch(self, store: TaskStore) -> None:
        attempts = [Attempt(epoch=epoch, owner=f"owner {epoch}", started_at=NOW + epoch) for epoch in (10, 2, 1)]
        for attempt in attempts:
            store.log_attempt(a_task().ref, attempt)
        assert store.read_attempts(a_task().ref) == attempts[::-1]
        assert store.read_attempts(a_task("other").ref) == []

    def test_the_last_entry_of_an_attempt_stays(self, store: TaskStore) -> None:
        begun = Attempt(epoch=1, owner="me", started_at=NOW)
        ended = Attempt(
            epoch=1,
            owner="me",
            started_at=NOW,
            ended_at=NOW + 1,
            outcome="failed",
            error_code="INTERNAL",
            error="报表 broke",
            rows_done=7,
            parts_done=2,
        )
        for attempt in (begun, ended, ended):
            store.log_attempt(a_task().ref, attempt)
        assert store.read_attempts(a_task().ref) == [ended]


def _read(store: TaskStore, ref: TaskRef) -> Task:
    task = store.read(ref)
    assert task is not None
    return task


def _ref(task: Task) -> TaskRef:
    return task.ref
