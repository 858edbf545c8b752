"""Nothing that one tenant piles up keeps a sweep from the tasks of others, nor work that waits from tidying up."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import cast

from sluice.app.functions.event_function import FunctionCall
from sluice.app.functions.sweep import sweep
from sluice.app.one_machine import SweeperLoop
from sluice.domain.keys import TaskRef, TenantId
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State
from sluice.ports.bundle import Ports
from sluice.tables.batch import Batch
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.cancel_export import cancel_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from sluice.usecases.upkeep.sweep_tasks import SWEEP_MAX, SWEEPS_AT_ONCE_MAX, SweepMemory, Swept, sweep_tasks
from tests.contracts.task_builder import TENANT, a_task
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports

OTHER = TenantId("globex")
PARAMS = ExportParams(columns=(ColumnSpec("a"),), format=ExportFormat.CSV, filename="a.csv")
INTERVAL_S = 5.0


def pile_up(ports: Ports, count: int, state: State) -> list[TaskRef]:
    """So many tasks of one tenant in ``state``, overdue for longer than anything else."""
    now = ports.clock.now()
    tasks = [
        a_task(f"{state} {number}", state=state, man_sha="a" * 16, sealed_at=now, finished_at=now, due_at=1 + number)
        for number in range(count)
    ]
    for task in tasks:
        ports.tasks.create(task)
    return [task.ref for task in tasks]


def cancelled(ports: Ports, tenant: TenantId = OTHER) -> TaskRef:
    ref = open_export(ports, tenant, OpenRequest(PARAMS)).task.ref
    put_batch(ports, ParamsCache(ports), ref, sequence=1, batch=Batch.of_rows([("x",)], 1))
    cancel_export(ports, ref)
    return ref


def files(ports: Ports, ref: TaskRef) -> list[str]:
    return [item.key for item in ports.objects.list("") if ref.task_id in item.key]


def test_what_was_cancelled_goes_while_more_exports_wait_than_a_sweep_takes() -> None:
    ports = memory_ports(FakeClock())
    pile_up(ports, 30, State.SEALED)
    theirs, mine = cancelled(ports), cancelled(ports, TENANT)
    assert sweep_tasks(ports, limit=10) == {Swept.LOST_TRIGGER: 8, Swept.GARBAGE: 2}
    assert (files(ports, theirs), files(ports, mine)) == ([], [])


def test_the_cancelled_exports_of_one_tenant_leave_turns_to_those_of_another() -> None:
    ports = memory_ports(FakeClock())
    pile_up(ports, 30, State.CANCELLED)
    theirs = cancelled(ports)
    assert sweep_tasks(ports, limit=4) == {Swept.GARBAGE: 4}
    assert files(ports, theirs) == []


def test_a_waiting_export_has_its_turn_beside_the_backlogs_of_another_tenant() -> None:
    ports = memory_ports(FakeClock())
    for state in (State.SEALED, State.CANCELLED):
        pile_up(ports, 30, state)
    waits = a_task("waits", tenant=OTHER, state=State.SEALED, man_sha="a" * 16, sealed_at=1, due_at=100)
    ports.tasks.create(waits)
    assert sweep_tasks(ports, limit=4) == {Swept.LOST_TRIGGER: 2, Swept.GARBAGE: 2}
    after = ports.tasks.read(waits.ref)
    assert after is not None
    assert after.due_at > ports.clock.now(), "it was looked at"


def test_a_sweep_that_is_cut_off_has_taken_both_kinds() -> None:
    clock = FakeClock()
    ports = memory_ports(clock)
    for state in (State.SEALED, State.CANCELLED):
        pile_up(ports, 30, state)
    done = sweep_tasks(ports, until=clock.monotonic() + 4, on_step=lambda: clock.advance(1))
    assert done == {Swept.LOST_TRIGGER: 2, Swept.GARBAGE: 2}


def test_exports_in_the_queue_take_no_turn_of_either_kind() -> None:
    ports = memory_ports(FakeClock())
    waiting = pile_up(ports, 30, State.SEALED)
    pile_up(ports, 30, State.CANCELLED)
    memory = SweepMemory(trusts_clock=True, queued=lambda: waiting[:20], leave_s=60)
    assert sweep_tasks(ports, limit=10, memory=memory) == {Swept.LOST_TRIGGER: 5, Swept.GARBAGE: 5}


def the_loop(ports: Ports) -> SweeperLoop:
    return SweeperLoop(ports, interval_s=INTERVAL_S, tidy=lambda: None, memory=SweepMemory(trusts_clock=True))


def test_a_sweep_that_was_full_is_followed_by_the_next_at_once() -> None:
    ports = memory_ports(FakeClock())
    pile_up(ports, 2 * SWEEP_MAX + 1, State.CANCELLED)
    loop, pauses = the_loop(ports), []
    for _ in range(3):
        loop.sweep()
        pauses.append(loop.pause_s)
    assert pauses == [0, 0, INTERVAL_S]
    swept = Counter(task.gc_round for task in ports.tasks.scan())
    assert swept == {1: 2 * SWEEP_MAX + 1}


def test_one_process_sweeps_so_often_without_a_pause_and_no_oftener() -> None:
    clock = FakeClock()
    ports = memory_ports(clock)
    pile_up(ports, SWEEP_MAX, State.SEALED)
    loop, pauses = the_loop(ports), []
    for _ in range(2 * SWEEPS_AT_ONCE_MAX):
        loop.sweep()
        pauses.append(loop.pause_s)
        clock.advance(ports.timings.trigger_grace_s + 1)  # all are due again
    assert pauses == 2 * [*(SWEEPS_AT_ONCE_MAX - 1) * [0], INTERVAL_S]


def test_a_call_of_the_sweepers_function_sweeps_until_nothing_is_due() -> None:
    ports = memory_ports(FakeClock())
    pile_up(ports, 2 * SWEEP_MAX + 1, State.CANCELLED)
    platform = SimpleNamespace(function=SimpleNamespace(ports=ports), event="", stop_at=None)
    assert sweep(cast("FunctionCall", platform)) == {"swept": {"garbage": 2 * SWEEP_MAX + 1}}


def test_a_full_sweep_that_moved_nothing_is_followed_by_a_pause() -> None:
    ports = memory_ports(FakeClock())
    for number in range(SWEEP_MAX):
        ports.tasks.create(a_task(str(number), state=State.CANCELLED, due_at=1, params=None))
    loop = SweeperLoop(ports, interval_s=INTERVAL_S, tidy=lambda: None, memory=SweepMemory())
    loop.sweep()  # the end of a tombstone rests on a clock that it has not yet come to believe
    assert loop.pause_s == INTERVAL_S
