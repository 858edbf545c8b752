"""Any history of requests by two tenants, with composers that pause and die, is answered as a small model says."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import ManifestRef, TaskRef, TenantId
from sluice.domain.task import State, Task
from sluice.usecases.reading.read_task import list_exports
from tests.support.simulation.actions import PARAMS, SHEETS, SHEETS_PARAMS, Action, Actions
from tests.support.simulation.actors import Actor
from tests.support.simulation.mutants import (
    Patch,
    acknowledges_any_claim,
    forgets_who_needs_chunks,
)
from tests.support.simulation.oracle import Content, Rows
from tests.support.simulation.seeds import is_scaled, runs_of
from tests.support.simulation.settling import settle
from tests.support.simulation.simulation import Simulation
from tests.support.simulation.world import TIMINGS

ACME, GLOBEX = TenantId("acme"), TenantId("globex")
TENANTS = st.sampled_from([ACME, GLOBEX])
KEYS = st.sampled_from(["order-1", "order-2"])
SHEETED = "sheeted"
VARIANTS = {"plain": PARAMS, "other": msgspec.structs.replace(PARAMS, filename="invoices"), SHEETED: SHEETS_PARAMS}
"""The last one declares two tables of equal columns."""
RENDERED = "rendered"
RUNNING = {State.OPEN, State.SEALED, State.COMPOSING}
OK = "ok"
HISTORIES = runs_of(600) // 4
STEPS = 50
ROUNDS_MAX = 6
ANSWERS = {
    ("open", "IDEMPOTENCY_KEY_REUSED"),
    ("put", OK),
    ("put", "BATCH_CONFLICT"),
    ("put", "TASK_CLOSED"),
    ("put", "CANCELLED"),
    ("close", OK),
    ("close", "BATCHES_MISSING"),
    ("close", "TOTALS_MISMATCH"),
    ("close", "ALREADY_CLOSED"),
    ("cancel", OK),
    ("read", OK),
    ("read", "NOT_READY"),
    ("render", OK),
    ("stranger", "TASK_NOT_FOUND"),
}
"""What the histories have to meet."""
IS_FIXED = not is_scaled()
"""The same histories every time, unless more are asked for."""


@dataclass(slots=True)
class Known:
    """What the model remembers of one task; its state is in the row, whose steps the oracle checks."""

    variant: str
    source: TaskRef | None = None
    batches: dict[int, Content] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(len(content.rows) for content in self.batches.values())

    @property
    def sheet_rows(self) -> dict[str, int] | None:
        """What the sender counted for each table, where there are several."""
        if self.variant != SHEETED:
            return None
        counted = dict.fromkeys(SHEETS, 0)
        for content in self.batches.values():
            counted[SHEETS[content.sheet]] += len(content.rows)
        return counted


def rows_of(ref: TaskRef, sequence: int, letter: str) -> Rows:
    """Rows that say whose they are; batch 3 has none."""
    return tuple((str(sequence), f"{ref.tenant} {letter}{row}") for row in range(3 - sequence))


def ended_code(task: Task) -> ErrorCode | None:
    """What a task that is over says to whoever asks something of it."""
    if task.deleted_at:
        return ErrorCode.TASK_DELETED
    return {State.CANCELLED: ErrorCode.CANCELLED, State.EXPIRED: ErrorCode.EXPIRED}.get(task.state)


class ExportLifecycle(RuleBasedStateMachine):
    """The core behind simulated stores, driven in-process; the oracle watches every write."""

    tasks: Bundle[TaskRef] = Bundle("tasks")
    paused: Bundle[Actor] = Bundle("paused")

    answers: ClassVar[set[tuple[str, str]]] = set()
    """Every kind of request that was made, with every kind of answer it got."""

    def __init__(self) -> None:
        super().__init__()
        self.sim = Simulation()
        self.actions = Actions(self.sim)
        self.known: dict[TaskRef, Known] = {}
        self.refs: dict[tuple[TenantId, str], TaskRef] = {}

    def ask(self, name: str, action: Action) -> tuple[str, Any]:
        """Make one request; ("ok", answer) or (code, facts)."""
        actor = self.sim.finish(self.sim.spawn(name, action))
        if actor.error is None:
            self.answers.add((name, OK))
            return OK, actor.result
        assert isinstance(actor.error, SluiceError), actor.error
        self.answers.add((name, actor.error.code.value))
        return actor.error.code.value, actor.error.facts

    def row(self, ref: TaskRef) -> Task | None:
        return self.sim.world.tasks.read(ref)

    # Making tasks.

    @initialize(target=tasks)
    def begin(self) -> Any:
        return self.open(ACME, "order-0", "plain")

    @rule(target=tasks, tenant=TENANTS, key=KEYS, variant=st.sampled_from(sorted(VARIANTS)))
    def open_task(self, tenant: TenantId, key: str, variant: str) -> Any:
        return self.open(tenant, key, variant)

    def open(self, tenant: TenantId, key: str, variant: str) -> Any:
        expected = self.expect_made(tenant, key, Known(variant))
        answered = self.ask("open", self.actions.open(key, params=VARIANTS[variant], tenant=tenant))
        return self.made(tenant, key, Known(variant), expected=expected, answered=answered)

    @rule(target=tasks, source=tasks, key=KEYS)
    def render_again(self, source: TaskRef, key: str) -> Any:
        task = self.row(source)
        known = Known(RENDERED, self.root_of(source))
        expected: str = self.refuses_to_render(task) or self.expect_made(source.tenant, key, known)
        sent, made = self.row(self.root_of(source)), self.refs.get((source.tenant, key))
        if expected == OK and (made is None or self.row(made) is None) and (sent is None or ended_code(sent)):
            expected = ErrorCode.EXPIRED
        if expected == OK:
            root = self.known[self.root_of(source)]
            known.batches = dict(root.batches)
        answered = self.ask("render", self.actions.render(source, key))
        return self.made(source.tenant, key, known, expected=expected, answered=answered)

    def root_of(self, ref: TaskRef) -> TaskRef:
        known = self.known.get(ref)
        return ref if known is None or known.source is None else known.source

    def refuses_to_render(self, task: Task | None) -> str | None:
        if task is None:
            return ErrorCode.TASK_NOT_FOUND
        if task.state is State.OPEN and not task.deleted_at:
            return ErrorCode.NOT_READY
        return ended_code(task) or (None if task.params else ErrorCode.TASK_CLOSED)

    def expect_made(self, tenant: TenantId, key: str, known: Known) -> str:
        ref = self.refs.get((tenant, key))
        task = self.row(ref) if ref is not None else None
        if ref is None or task is None:
            return OK
        if task.deleted_at or not task.params:
            return ErrorCode.TASK_DELETED
        same = (self.known[ref].variant, self.known[ref].source) == (known.variant, known.source)
        return OK if same else ErrorCode.IDEMPOTENCY_KEY_REUSED

    def made(self, tenant: TenantId, key: str, known: Known, *, expected: str, answered: tuple[str, Any]) -> Any:
        if known.variant == RENDERED and expected in {OK, ErrorCode.EXPIRED} and answered[0] == ErrorCode.CHUNK_MISSING:
            # The source is a task rendered from another whose time is over, and its own manifest is gone.
            return multiple()
        assert answered[0] == expected
        if expected != OK:
            return multiple()
        ref: TaskRef = answered[1]
        assert ref.tenant == tenant
        assert self.refs.setdefault((tenant, key), ref) == ref
        task = self.row(ref)
        assert task is not None
        if ref not in self.known or task.rev == 0:
            self.known[ref] = known
        return ref

    # Sending.

    @rule(ref=tasks, sequence=st.integers(1, 3), letter=st.sampled_from("ab"), sheet=st.integers(0, 1))
    def put(self, ref: TaskRef, sequence: int, letter: str, sheet: int) -> None:
        rows = rows_of(ref, sequence, letter)
        content = Content(rows, sheet if self.known[ref].variant == SHEETED else 0)
        expected = self.expect_put(ref, sequence, content)
        answered, replayed = self.ask("put", self.actions.put(ref, sequence, rows, sheet=content.sheet))
        assert answered in expected
        if answered == OK:
            batches = self.known[ref].batches
            assert replayed is (sequence in batches)
            batches[sequence] = content

    def expect_put(self, ref: TaskRef, sequence: int, content: Content) -> set[str]:
        task, known = self.row(ref), self.known[ref]
        if task is None:
            return {ErrorCode.TASK_NOT_FOUND}
        if known.source is not None:  # what a relay remembers of the task is enough for a no
            return {ErrorCode.TASK_CLOSED, ended_code(task) or ErrorCode.TASK_CLOSED}
        over = ended_code(task)
        if over is not None:
            return {over}
        held = known.batches.get(sequence) if task.params else None
        if held is not None:
            return {OK if held == content else ErrorCode.BATCH_CONFLICT}
        return {OK if task.state is State.OPEN else ErrorCode.TASK_CLOSED}

    @rule(ref=tasks, off=st.sampled_from([None, -1, 0, 0, 0, 1]), rows_off=st.sampled_from([None, 0, 0, 1]))
    def close(self, ref: TaskRef, off: int | None, rows_off: int | None) -> None:
        known = self.known[ref]
        last = max(self.known[ref].batches, default=0)
        given = None if off is None else max(last + off, 0)
        expected = self.expect_close(ref, given, rows_off)
        rows_given = None if rows_off is None else known.rows + rows_off
        sheets = None if rows_off is None else known.sheet_rows
        action = self.actions.close(ref, batches=given, rows=rows_given, sheets=sheets)
        answered, facts = self.ask("close", action)
        assert answered == expected
        if expected == ErrorCode.BATCHES_MISSING:
            assert facts["missing"] == self.missing(ref, last if given is None else given)

    def missing(self, ref: TaskRef, last: int) -> list[int]:
        return [sequence for sequence in range(1, last + 1) if sequence not in self.known[ref].batches]

    def expect_close(self, ref: TaskRef, given: int | None, rows_off: int | None) -> str:
        task, held = self.row(ref), self.known[ref].batches
        if task is None:
            return ErrorCode.TASK_NOT_FOUND
        if ended := ended_code(task):
            return ended
        last = max(held, default=0) if given is None else given
        if task.state is not State.OPEN:
            batches_differ = given is not None and given != len(held)
            return ErrorCode.ALREADY_CLOSED if batches_differ or rows_off else OK
        if self.missing(ref, last):
            return ErrorCode.BATCHES_MISSING
        if max(held, default=0) > last:
            return ErrorCode.BATCHES_EXTRA
        return ErrorCode.TOTALS_MISMATCH if rows_off else OK

    @rule(ref=tasks, batches=st.integers(0, 3))
    def send_and_close(self, ref: TaskRef, batches: int) -> None:
        """What a sender does when nothing goes wrong."""
        for sequence in range(1, batches + 1):
            self.put(ref, sequence, "a", sequence % 2)
        self.close(ref, 0, 0)

    @rule(ref=tasks, how=st.sampled_from(["cancel", "delete", *["leave it"] * 6]))
    def end(self, ref: TaskRef, how: str) -> None:
        if how == "cancel":
            self.cancel(ref)
        if how == "delete":
            self.delete(ref)

    def cancel(self, ref: TaskRef) -> None:
        task = self.row(ref)
        answered, _ = self.ask("cancel", self.actions.cancel(ref))
        if task is None:
            expected = ErrorCode.TASK_NOT_FOUND.value
        elif task.deleted_at or task.state is State.EXPIRED:
            expected = ended_code(task) or ""
        elif task.state in RUNNING or task.state is State.CANCELLED:
            expected = OK
        else:
            completed = task.state is State.COMPLETED
            expected = ErrorCode.ALREADY_COMPLETED if completed else ErrorCode.TASK_CLOSED
        assert answered == expected
        if answered == OK:
            assert self.sim.state(ref) == State.CANCELLED

    def delete(self, ref: TaskRef) -> None:
        task = self.row(ref)
        answered, _ = self.ask("delete", self.actions.delete(ref))
        assert answered == (OK if task else ErrorCode.TASK_NOT_FOUND)
        after = self.row(ref)
        if task is not None and after is not None:
            assert after.deleted_at or after.state is State.CANCELLED

    # Reading.

    @rule(ref=tasks)
    def read(self, ref: TaskRef) -> None:
        """The status and the link; the oracle compares the bytes."""
        task = self.row(ref)
        answered, _ = self.ask("read", self.actions.read(ref))
        if task is None:
            assert answered == ErrorCode.TASK_NOT_FOUND
        elif over := ended_code(task):
            assert answered == over
        elif task.state is State.FAILED:
            assert answered == task.last_error_code
        elif task.state is State.COMPLETED:
            # The one thing that time decides between two sweeps.
            assert answered == (OK if self.sim.world.time.now() < task.expires_at else ErrorCode.EXPIRED)
        else:
            assert answered == ErrorCode.NOT_READY

    @rule(ref=tasks, action=st.sampled_from(["put", "close", "cancel", "delete", "read", "render"]))
    def be_a_stranger(self, ref: TaskRef, action: str) -> None:
        """The other tenant knows the task's id: it is told that there is none, and nothing changes."""
        stranger = TaskRef(GLOBEX if ref.tenant == ACME else ACME, ref.task_id)
        before = self.row(ref)
        work = {
            "put": self.actions.put(stranger, 1, rows_of(stranger, 1, "x")),
            "close": self.actions.close(stranger, batches=None, rows=None),
            "cancel": self.actions.cancel(stranger),
            "delete": self.actions.delete(stranger),
            "read": self.actions.read(stranger),
            "render": self.actions.render(stranger, "stolen"),
        }[action]
        assert self.ask("stranger", work) == (ErrorCode.TASK_NOT_FOUND, {})
        assert self.row(ref) == before
        assert self.row(stranger) is None

    # What the sender does not see.

    @precondition(lambda self: self.sim.world.triggers.waiting)
    @rule()
    def compose(self) -> None:
        """A composer answers the oldest bell, undisturbed."""
        if self.sim.world.triggers.waiting:
            trigger = self.sim.world.triggers.waiting.pop(0)
            self.sim.finish(self.sim.spawn("compose", self.actions.compose(trigger)))

    @rule(target=paused, ref=tasks, calls=st.integers(1, 20), stale=st.booleans())
    def begin_to_compose(self, ref: TaskRef, calls: int, stale: bool) -> Any:  # noqa: FBT001 - drawn by Hypothesis
        """A composer starts, on a late or stale bell, and is not heard of again for a while."""
        task = self.row(ref)
        if task is None:
            return multiple()
        sha = "0" * 32 if stale else task.man_sha
        actor = self.sim.spawn("compose", self.actions.compose(ManifestRef(ref, sha)))
        self.sim.advance(actor, calls)
        return multiple() if actor.done else actor

    @rule(actor=paused, calls=st.integers(1, 20))
    def go_on(self, actor: Actor, calls: int) -> None:
        self.sim.advance(actor, calls)

    @rule(actor=consumes(paused))
    def kill(self, actor: Actor) -> None:
        if not actor.done:
            self.sim.kill(actor)

    @rule(ref=tasks, attempts=st.integers(1, TIMINGS.attempts_max))
    def wear_out(self, ref: TaskRef, attempts: int) -> None:
        """One composer after the other takes the task and is killed."""
        for _ in range(attempts):
            task = self.row(ref)
            if task is not None:
                self.sim.lapse()
                actor = self.sim.spawn("compose", self.actions.compose(ManifestRef(ref, task.man_sha)))
                self.sim.advance(actor, 4)
                self.kill(actor)

    @rule(ref=tasks)
    def release(self, ref: TaskRef) -> None:
        """A supervisor frees the task of a composer that it believes dead."""
        task = self.row(ref)
        answered, freed = self.ask("release", self.actions.release(ref))
        if task is not None and not task.deleted_at:
            assert (answered, freed) == (OK, task.state is State.COMPOSING)

    @rule()
    def sweep(self) -> None:
        self.sim.finish(self.sim.spawn("sweep", self.actions.sweep()))

    @rule(seconds=st.sampled_from([1, *[TIMINGS.lease_s, 60] * 3, TIMINGS.idle_s / 2, TIMINGS.retention_s / 2]))
    def wait(self, seconds: float) -> None:
        self.sim.pass_time(seconds)

    @rule(ref=tasks)
    def wait_until_due(self, ref: TaskRef) -> None:
        """Let the time come that the row waits for, whatever it is, and sweep."""
        task = self.row(ref)
        if task is not None and task.state is not State.OPEN:
            self.sim.pass_time(max(task.due_at - self.sim.world.time.now(), 0) + 1)
            self.sweep()

    @precondition(lambda self: any(not task.params for task in self.sim.world.tasks.scan()))
    @rule()
    def wait_for_the_tombstone(self) -> None:
        self.sim.pass_time(TIMINGS.tombstone_s)

    # At all times.

    @invariant()
    def committed_files_stand(self) -> None:
        self.sim.oracle.committed_files_stand()

    @invariant()
    def a_tenant_sees_its_own_tasks_and_no_others(self) -> None:
        for tenant in (ACME, GLOBEX):
            _, page = self.ask("list", partial(list_exports, self.sim.world.ports(), tenant))
            all_rows = [task for task in self.sim.world.tasks.scan() if task.tenant == tenant and task.params]
            rows = [task for task in all_rows if not task.deleted_at]
            assert sorted(task.task_id for task in page.tasks) == sorted(task.task_id for task in rows)

    def teardown(self) -> None:
        """Left alone, everything comes to rest, with nothing lost and nothing left over."""
        settle(self.sim, is_tidy=False)


def run_histories(histories: int, *, is_fixed: bool = IS_FIXED, **choices: Any) -> None:
    given = settings(max_examples=histories, stateful_step_count=STEPS, derandomize=is_fixed, database=None, **choices)
    run_state_machine_as_test(ExportLifecycle, settings=given)


@pytest.mark.slow
@pytest.mark.timeout(120 if IS_FIXED else 0)  # who asks for more runs also waits for them
def test_any_history_is_answered_as_the_model_says() -> None:
    ExportLifecycle.answers.clear()
    run_histories(HISTORIES)
    for _ in range(ROUNDS_MAX):  # what is drawn depends on which modules are loaded, so some may not have come up
        if ExportLifecycle.answers >= ANSWERS:
            break
        run_histories(HISTORIES, is_fixed=False)
    assert ExportLifecycle.answers >= ANSWERS


@pytest.mark.parametrize("mistake", [acknowledges_any_claim, forgets_who_needs_chunks])
def test_a_wrong_answer_is_noticed(mistake: Patch) -> None:
    with mistake(), pytest.raises(AssertionError):
        run_histories(500, phases=[Phase.generate], print_blob=False)
