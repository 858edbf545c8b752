"""The use cases over Tablestore: right whichever one answer is lost, and as sparing with calls as promised."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count

import pytest

from infra.emulators.tablestore import (
    Action,
    CorruptAnswer,
    DoLater,
    DropAnswer,
    DropBefore,
    Fault,
    Refuse,
    TablestoreServer,
    serving_tablestore,
)
from sluice.adapters.aliyun.tablestore.tasks import TablestoreTasks
from sluice.adapters.memory.store import MemoryStore
from sluice.adapters.retrying import RetryingTasks
from sluice.adapters.workers.no_composers import NoComposers
from sluice.domain.keys import ManifestRef, TaskRef, TenantId, is_shared_key
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State, Task
from sluice.ports.bundle import Ports
from sluice.tables.batch import Batch, Cells
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.lease import Outcome
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.reading.read_task import read_status
from sluice.usecases.sending.cancel_export import cancel_export
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from sluice.usecases.upkeep.sweep_tasks import Swept, sweep_tasks
from tests.support.fake_clock import FakeClock, SeededRandomness
from tests.support.recorded_journal import RecordedJournal
from tests.support.tablestore_tables import access_to, freeze_indexes, open_tasks

PARAMS = ExportParams(format=ExportFormat.CSV, filename="orders", columns=(ColumnSpec("id"), ColumnSpec("名称")))
KEY = "the-senders-key"
_tenants = count()

LOSSES: dict[str, Callable[[], Action]] = {
    "drop before": DropBefore,
    "drop after": DropAnswer,
    "wrong answer": CorruptAnswer,
    "conflict": lambda: Refuse("OTSRowOperationConflict"),
    "timed out but done": lambda: Refuse("OTSTimeout", before=False),
}


class World:
    """One tenant's service over the stand-in; its objects are in memory, and its clock stands still."""

    def __init__(self, ots: TablestoreServer, tasks: TablestoreTasks) -> None:
        self.ots = ots
        self.bare = tasks
        self.tenant = TenantId(f"tenant-{next(_tenants)}")
        self.clock = FakeClock()
        self.store = MemoryStore(clock=self.clock)
        composers = NoComposers()
        self.ports = Ports(
            objects=self.store,
            tasks=RetryingTasks(tasks, clock=self.clock, randomness=SeededRandomness()),
            links=self.store,
            invoker=composers,
            admission=composers,
            clock=self.clock,
            randomness=SeededRandomness(),
            journal=RecordedJournal(),
        )
        self.params_cache = ParamsCache(self.ports)

    def open(self) -> TaskRef:
        return open_export(self.ports, self.tenant, OpenRequest(PARAMS, KEY)).task.ref

    def put(self, ref: TaskRef, sequence: int) -> None:
        put_batch(self.ports, self.params_cache, ref, sequence=sequence, batch=batch_of(sequence))

    def close(self, ref: TaskRef) -> Task:
        return close_export(self.ports, ref, CloseRequest(batches=2, rows=6))

    def compose(self, task: Task) -> Outcome:
        return compose_export(self.ports, ManifestRef(task.ref, task.man_sha))

    def row(self, ref: TaskRef) -> Task:
        task = self.bare.read(ref)
        assert task is not None
        return task

    def complete(self) -> TaskRef:
        """Send a table and have its file made."""
        ref = self.open()
        self.put(ref, 2)
        self.put(ref, 1)
        assert self.compose(self.close(ref)) is Outcome.COMPLETED
        return ref

    def cancel(self) -> TaskRef:
        """Send half a table and think better of it."""
        ref = self.open()
        self.put(ref, 1)
        assert cancel_export(self.ports, ref).state is State.CANCELLED
        return ref

    def check_complete(self, ref: TaskRef) -> None:
        """Everything once: the batches, the attempt, the file."""
        task = self.row(ref)
        assert (task.state, task.epoch, task.total_batches, task.total_rows) == (State.COMPLETED, 1, 2, 6)
        assert (task.batches_received, task.rows_received) == (2, 6)
        assert [attempt.epoch for attempt in self.bare.read_attempts(ref)] == [1]
        lines = self.store.get(task.result_key).decode("utf-8-sig").splitlines()
        assert lines == ["id,名称", *(f"{sequence}-{row},值" for sequence in (1, 2) for row in range(3))]
        assert [item.key for item in self.store.list("out/") if not is_shared_key(item.key)] == [task.result_key]

    def check_cancelled(self, ref: TaskRef) -> None:
        task = self.row(ref)
        assert (task.state, task.batches_received, task.rows_received) == (State.CANCELLED, 1, 3)
        assert list(self.store.list("out/")) == []


def batch_of(sequence: int) -> Batch:
    ids = [f"{sequence}-{row}" for row in range(3)]
    return Batch(3, (Cells.of(ids), Cells.of(["值"] * 3)))


LIVES: dict[str, tuple[Callable[[World], TaskRef], Callable[[World, TaskRef], None]]] = {
    "completed": (World.complete, World.check_complete),
    "cancelled": (World.cancel, World.check_cancelled),
}


@pytest.fixture(scope="module")
def ots() -> Iterator[TablestoreServer]:
    with serving_tablestore() as ots:
        yield ots


@pytest.fixture(scope="module")
def tasks(ots: TablestoreServer) -> Iterator[TablestoreTasks]:
    with closing(open_tasks(ots)) as tasks:
        yield tasks


@pytest.fixture
def calls(ots: TablestoreServer) -> Iterator[Callable[[Callable[[], object]], list[str]]]:
    """Give what some action asks of Tablestore, in order."""

    def calls_of(action: Callable[[], object]) -> list[str]:
        ots.requests.clear()
        action()
        return [request.operation for request in ots.requests]

    yield calls_of
    ots.faults.clear()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("life", LIVES)
def test_whichever_answer_is_lost_the_end_is_right(
    ots: TablestoreServer, tasks: TablestoreTasks, life: str, loss: str
) -> None:
    live, check = LIVES[life]
    for place in count():
        world = World(ots, tasks)
        fault = ots.faults.add(Fault(LOSSES[loss](), after=place))
        ref = live(world)
        ots.faults.clear()
        check(world, ref)
        if not fault.met:
            assert place > 5, "each call of the life was lost once"
            return


@pytest.mark.parametrize("life", LIVES)
def test_a_write_that_lands_after_everything_changes_nothing(
    ots: TablestoreServer, tasks: TablestoreTasks, life: str
) -> None:
    """Each conditional write in turn was given up, made again, and happens once more at the very end."""
    live, check = LIVES[life]
    for place in count():
        world, later = World(ots, tasks), DoLater()
        fault = ots.faults.add(Fault(later, operation="UpdateRow", after=place))
        ref = live(world)
        later.release()
        if not fault.met:
            ots.faults.clear()
            assert place > 1
            return
        later.wait_done()
        check(world, ref)


def test_an_open_whose_answers_are_all_lost_made_one_task(ots: TablestoreServer, tasks: TablestoreTasks) -> None:
    world = World(ots, tasks)
    for _ in range(3):
        ots.faults.add(Fault(DropAnswer(), operation="PutRow"))
    opened = open_export(world.ports, world.tenant, OpenRequest(PARAMS, KEY))
    again = open_export(world.ports, world.tenant, OpenRequest(PARAMS, KEY))
    assert again == opened._replace(replayed=True)
    assert world.bare.count(world.tenant, State.OPEN) == 1


def test_a_batch_costs_one_update_and_a_status_one_read(
    ots: TablestoreServer, tasks: TablestoreTasks, calls: Callable[[Callable[[], object]], list[str]]
) -> None:
    world = World(ots, tasks)
    ref = world.open()
    world.put(ref, 1)
    assert calls(lambda: world.put(ref, 2)) == ["UpdateRow"]
    assert calls(lambda: read_status(world.ports, ref)) == ["GetRow"]
    assert not [column for column in ots.requests[-1].columns if column.startswith("c_")], "no claims"
    assert ots.requests[-1].columns, "or it would ask for all columns"


def test_the_sweeper_finds_what_the_index_shows_late() -> None:
    """The index only proposes: a task that has moved on is left alone, one it does not show yet waits."""
    with serving_tablestore() as ots, closing(open_tasks(ots)) as tasks:
        world = World(ots, tasks)
        freeze_indexes(ots, access_to(ots))
        ref = world.open()
        world.clock.advance(world.ports.timings.idle_s + 1)
        assert not sweep_tasks(world.ports), "the index does not show it yet"
        freeze_indexes(ots, access_to(ots))
        world.put(ref, 1)
        assert sweep_tasks(world.ports) == {Swept.NOTHING: 1}, "the index says it is idle, the row knows better"
        ots.index_lag_s = 0
        world.clock.advance(world.ports.timings.idle_s + 1)
        assert sweep_tasks(world.ports) == {Swept.IDLE_EXPIRED: 1}
        assert world.row(ref).state is State.EXPIRED
