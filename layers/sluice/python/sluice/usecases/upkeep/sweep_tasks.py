"""Repair whatever was lost: triggers, leases, idle tasks, files past their time, garbage."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple, assert_never

from sluice.domain.attempts import backoff_s, due_latest, is_due, is_leased
from sluice.domain.errors import SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef, TaskRef
from sluice.domain.lifecycle import (
    Guard,
    Transition,
    bury,
    expire_idle,
    expire_result,
    next_garbage_round,
    open_until,
    put_off,
    settled_upkeep,
    trigger_again,
    wait_free,
)
from sluice.domain.limits import DAY_S, Timings
from sluice.domain.reading import dataset_facts
from sluice.domain.shared_result import is_needed, keep_on
from sluice.domain.task import State, Task, TaskFields
from sluice.ports.bundle import Ports
from sluice.ports.clock import Clock
from sluice.ports.log_context import bound_context
from sluice.ports.pool import nothing
from sluice.ports.task_store import DueTasks
from sluice.usecases.apply_transition import apply_transition
from sluice.usecases.reading.read_task import note_task
from sluice.usecases.upkeep.collect_garbage import collect_garbage, is_named_by_others

SWEEP_MAX = 500
SWEEPS_AT_ONCE_MAX = 10
"""Full sweeps that follow one another without a pause, so that none takes a processor for ever."""
CLOCK_PROOF_S = 300.0
"""For how long the wall clock keeps pace with the monotonic one before something is deleted on its word."""
FAILING_MAX = 10_000
"""Tasks that one process remembers to have failed at."""


class Swept(StrEnum):
    """What the sweeper did with a task that was due."""

    NOTHING = "nothing"
    IDLE_EXPIRED = "idle_expired"
    LOST_TRIGGER = "lost_trigger"
    LAPSED_LEASE = "lapsed_lease"
    RESULT_EXPIRED = "result_expired"
    GARBAGE = "garbage"
    TOMBSTONE = "tombstone"
    REMOVED = "removed"
    ERROR = "error"


class _Failing(NamedTuple):
    """A task that a sweep could not move on, as its process remembers it."""

    failures: int
    again_at: float
    """Monotonic; 0 where the row itself says when."""


class SweepMemory:
    """What the sweeps of one process know of each other. Used by one thread at a time.

    A task whose row cannot be read or written cannot be put off there. It
    would be the most overdue at every sweep; so it waits here, and takes
    no turn of another.

    Nothing is deleted on the word of one reading of the wall clock: it has to
    keep pace with the monotonic one over ``CLOCK_PROOF_S`` of sweeps, and after
    a jump for as long as it jumped, at most a day.
    """

    def __init__(
        self,
        *,
        trusts_clock: bool = False,
        queued: Callable[[], Collection[TaskRef]] = tuple,
        leave_s: float = 0,
    ) -> None:
        """``trusts_clock`` where the platform answers for it, or a caller knows what it does.

        ``queued`` are the tasks that wait for a composer of this process. Each that is due is left for
        ``leave_s``, so that another process, whose composers may be free, finds it due too.
        """
        self._look_at_queue = queued
        self._queued: frozenset[TaskRef] = frozenset()
        self._leave_s = leave_s
        self._left: dict[TaskRef, float] = {}
        """Until when queued tasks are left, monotonic."""
        self._failing: OrderedDict[TaskRef, _Failing] = OrderedDict()
        self._doubted: dict[TaskRef, float] = {}
        """Tasks whose time may be over, and when they are looked at again, monotonic."""
        self._trusts_clock = trusts_clock
        self._seen: tuple[float, float] | None = None
        """Both clocks at the last look."""
        self._doubts_until = 0.0
        """Monotonic."""

    def __len__(self) -> int:
        """How many tasks the last look at each could not move on."""
        return len(self._failing)

    @property
    def waiting(self) -> int:
        """How many tasks may be due and have no turn yet."""
        return len(self._failing) + len(self._doubted) + len(self._queued)

    def look_around(self, clock: Clock, timings: Timings) -> None:
        """Compare the clocks, and see what is queued. To be called at each sweep."""
        self._queued = frozenset(self._look_at_queue())
        self._left = {ref: until for ref, until in self._left.items() if ref in self._queued}
        now, monotonic = clock.now(), clock.monotonic()
        if self._seen is None:
            self._doubts_until = monotonic + CLOCK_PROOF_S
        else:
            jump_s = abs((now - self._seen[0]) - (monotonic - self._seen[1]))
            if jump_s > timings.skew_s:
                doubt_s = min(max(jump_s, CLOCK_PROOF_S), DAY_S)
                self._doubts_until = max(self._doubts_until, monotonic + doubt_s)
        self._seen = now, monotonic
        self._doubted = {ref: again_at for ref, again_at in self._doubted.items() if again_at > monotonic}

    def believes_clock(self, clock: Clock) -> bool:
        """Whether something may be deleted because its time is over."""
        return self._trusts_clock or (self._seen is not None and clock.monotonic() >= self._doubts_until)

    def doubt(self, ref: TaskRef) -> None:
        """Leave a task whose time seems to be over until the clock has proved itself."""
        self._doubted[ref] = self._doubts_until

    def waits(self, ref: TaskRef, *, monotonic: float) -> bool:
        """Whether it is too early to try the task again."""
        known = self._failing.get(ref)
        if ref in self._queued and monotonic < self._left.setdefault(ref, monotonic + self._leave_s):
            return True
        self._left.pop(ref, None)
        return ref in self._doubted or (known is not None and monotonic < known.again_at)

    def failed(self, ref: TaskRef, *, monotonic: float, timings: Timings, is_put_off: bool) -> None:
        """Remember a failure; unless the row ``is_put_off``, the task waits by what is remembered."""
        known = self._failing.pop(ref, None)
        failures = 1 + (known.failures if known else 0)
        again_at = 0 if is_put_off else monotonic + backoff_s(failures, timings)
        self._failing[ref] = _Failing(failures, again_at)
        while len(self._failing) > FAILING_MAX:
            self._failing.popitem(last=False)

    def succeeded(self, ref: TaskRef) -> None:
        self._failing.pop(ref, None)


def sweep_tasks(
    ports: Ports,
    *,
    limit: int = SWEEP_MAX,
    until: float | None = None,
    memory: SweepMemory | None = None,
    is_watched: bool = True,
    on_step: Callable[[], object] = nothing,
) -> Counter[Swept]:
    """Look at every task that is due, at most ``limit``, and none after ``until``; returns what was done.

    ``until`` is by the monotonic clock. What is left is due at the next sweep.

    Half of the turns are those of tasks that have ended or are idle, whatever
    waits for a composer, and the other way round; tenants take turns in both.
    So nothing that one tenant piles up keeps the service from tidying up.

    Any number of sweepers may run at once: the index only proposes, each task
    is read again, and every step is one conditional update. Whatever goes wrong
    with one task does not keep the others from their turn: it is recorded, and
    the task is put off for longer each time, in its row or in ``memory``, which
    a process hands from sweep to sweep. ``is_watched``: an alert waits for the
    line of each sweep, so that one which found nothing is of interest too.
    ``on_step`` is called before each task.
    """
    memory = SweepMemory(trusts_clock=True) if memory is None else memory
    memory.look_around(ports.clock, ports.timings)
    started, now = ports.clock.monotonic(), ports.clock.now()
    done: Counter[Swept] = Counter()
    due = ports.tasks.due(now, limit=limit + memory.waiting, latest=due_latest(now, ports.timings))
    has_turn = DueTasks(*([ref for ref in refs if not memory.waits(ref, monotonic=started)] for refs in due))
    for ref in has_turn.alternating(limit):
        if until is not None and ports.clock.monotonic() >= until:
            break
        on_step()
        done[sweep_quietly(ports, ref, memory)] += 1
    ports.journal.record(
        Event.SWEEP_FINISHED,
        swept={what.value: count for what, count in sorted(done.items())},
        put_off=len(memory),
        of_interest=is_watched or len(memory) > 0 or any(what is not Swept.NOTHING for what in done),
        duration_s=ports.clock.monotonic() - started,
    )
    return done


def was_full(done: Counter[Swept], *, limit: int = SWEEP_MAX) -> bool:
    """Whether a sweep had as many tasks as it may, so that more may be due, and moved some of them on."""
    return done.total() >= limit and any(what not in {Swept.NOTHING, Swept.ERROR} for what in done)


def sweep_quietly(ports: Ports, ref: TaskRef, memory: SweepMemory) -> Swept:
    """As ``sweep_task``; whatever fails is recorded, the task is put off, and the caller goes on with the next."""
    with bound_context(task_id=ref.task_id, component="sweeper"):
        try:
            done = sweep_task(ports, ref, memory)
        except Exception as error:  # noqa: BLE001 - one error that was not foreseen must not cost all others their turn
            ports.journal.record(Event.SYSTEM_ERROR, task_id=ref.task_id, error=error)
            reason = error.code.value if isinstance(error, SluiceError) else type(error).__name__
            is_put_off = put_off_quietly(ports, ref, reason)
            monotonic = ports.clock.monotonic()
            memory.failed(ref, monotonic=monotonic, timings=ports.timings, is_put_off=is_put_off)
            return Swept.ERROR
        memory.succeeded(ref)
        return done


def put_off_quietly(ports: Ports, ref: TaskRef, reason: str) -> bool:
    """Write into the row when to look at it again, and why. False: it cannot be read or written either."""
    try:
        task = ports.tasks.read(ref)
        if task is not None:
            apply_transition(ports, ref, put_off(task, reason, now=ports.clock.now(), timings=ports.timings))
    except Exception:  # noqa: BLE001 - the first error is recorded already
        return False
    return True


def _take(ports: Ports, task: Task, step: Transition) -> bool:
    """Take a step of the sweeper. Failures before it are over then."""
    fields = TaskFields(**{**step.fields, **settled_upkeep(task)})
    return apply_transition(ports, task.ref, replace(step, fields=fields))


def sweep_task(ports: Ports, ref: TaskRef, memory: SweepMemory) -> Swept:
    """Take one task one step further, if it is due, and the clock is to be believed where the step rests on it."""
    task, now = ports.tasks.read(ref), ports.clock.now()
    if task is None or not is_due(task, now=now, timings=ports.timings):
        return Swept.NOTHING
    note_task(task)
    if _rests_on_the_clock(task, now=now) and not memory.believes_clock(ports.clock):
        memory.doubt(ref)
        return Swept.NOTHING
    match task.state:
        case State.OPEN:
            return _expire_idle(ports, task)
        case State.WAITING | State.READING | State.SEALED | State.COMPOSING:
            return _trigger(ports, task)
        case State.COMPLETED | State.FAILED | State.CANCELLED | State.EXPIRED:
            return _tend_ended(ports, task)
        case _:
            assert_never(task.state)


def _rests_on_the_clock(task: Task, *, now: float) -> bool:
    """Whether the step that is due takes something from a task's owner for no other reason than the time."""
    if task.state is State.OPEN or not task.params:
        return True
    if task.shared_with and task.state is not State.COMPLETED:
        return not is_needed(task, now=now)
    return task.state in {State.COMPLETED, State.FAILED} and now >= task.expires_at and not task.deleted_at


def _expire_idle(ports: Ports, task: Task) -> Swept:
    """End a task that was never closed."""
    now = ports.clock.now()
    if not _take(ports, task, expire_idle(task, now=now)):
        return Swept.NOTHING
    ports.journal.record(
        Event.TASK_EXPIRED,
        task_id=task.task_id,
        tenant=task.tenant,
        reason="open too long" if now >= open_until(task.created_at, ports.timings) else "idle",
        from_state="open",
    )
    return Swept.IDLE_EXPIRED


def _trigger(ports: Ports, task: Task) -> Swept:
    """Ask for a worker, because the trigger was lost or a lease lapsed; and look again later, in case it is lost too.

    A task whose attempts died so often that the next has to wait is looked at when its pause is over.
    """
    now = ports.clock.now()
    if task.state in {State.READING, State.COMPOSING} and is_leased(task, now=now, timings=ports.timings):
        apply_transition(ports, task.ref, wait_free(task, timings=ports.timings))
        return Swept.NOTHING
    if not apply_transition(ports, task.ref, trigger_again(task, now=now, timings=ports.timings)):
        return Swept.NOTHING
    ports.invoker.invoke(ManifestRef(task.ref, task.man_sha), epoch=task.epoch + 1)
    return Swept.LOST_TRIGGER if task.state in {State.WAITING, State.SEALED} else Swept.LAPSED_LEASE


def _tend_ended(ports: Ports, task: Task) -> Swept:
    """Collect an ended task's garbage, round by round; then its result, its parameters, its row."""
    now = ports.clock.now()
    if not task.params:
        gone = ports.tasks.remove(task.ref, Guard(state=task.state, rev=task.rev))
        return Swept.REMOVED if gone else Swept.NOTHING
    if task.state is State.COMPLETED and now >= task.expires_at:  # the objects go at the next look
        if not _take(ports, task, expire_result(now=now, timings=ports.timings)):
            return Swept.NOTHING
        ports.journal.record(
            Event.TASK_EXPIRED,
            task_id=task.task_id,
            tenant=task.tenant,
            reason="retention",
            from_state="completed",
            **dataset_facts(task),
        )
        return Swept.RESULT_EXPIRED
    is_over = task.state is State.EXPIRED and not is_needed(task, now=now)
    if is_over and is_named_by_others(ports, task):  # whose own end the sweeper has not come to yet
        kept = keep_on(task, until=now + ports.timings.link_s)
        return Swept.GARBAGE if _take(ports, task, kept) else Swept.NOTHING
    collect_garbage(ports, task)
    again = next_garbage_round(task, now=now, timings=ports.timings)
    if again is not None:
        return Swept.GARBAGE if _take(ports, task, again) else Swept.NOTHING
    ports.tasks.forget_claims(task.ref)
    _take(ports, task, bury(task, now=ports.clock.now(), timings=ports.timings))
    return Swept.TOMBSTONE
