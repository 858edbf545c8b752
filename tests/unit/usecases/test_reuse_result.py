"""An export whose content an earlier one had is completed with that one's file, and no end of either takes it early."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import cast

import msgspec
import pytest

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef, TaskId, TaskRef, TenantId, parse_owner
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.domain.shared_result import SHARED_MAX, share
from sluice.domain.task import State, Task
from sluice.ports.bundle import Ports
from sluice.ports.object_store import ObjectStore
from sluice.ports.store_errors import NoSuchObject, OutcomeUnknown
from sluice.ports.task_store import TaskStore
from sluice.tables.batch import Batch
from sluice.usecases.apply_transition import apply_transition
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.composing.reuse_result import find_result
from sluice.usecases.lease import Outcome
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.reading.make_link import make_link
from sluice.usecases.sending.cancel_export import delete_export
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from sluice.usecases.upkeep.reconcile_stores import reconcile_stores
from sluice.usecases.upkeep.sweep_tasks import SweepMemory, Swept, sweep_task, sweep_tasks
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports
from tests.support.recorded_journal import RecordedJournal

COLUMNS = (ColumnSpec("n", ColumnType.NUMBER), ColumnSpec("s"))
PARAMS = ExportParams(format=ExportFormat.XLSX, filename="report.xlsx", columns=COLUMNS)
ROWS = (("1", "a"), ("2", "=b"))
ACME = TenantId("acme")
HOUR_S = 3_600


class Exports:
    """Makes exports over ports in memory and lets time pass."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.ports = memory_ports(self.clock)

    def make(
        self, params: ExportParams = PARAMS, rows: Sequence[tuple[str, ...]] = ROWS, tenant: TenantId = ACME
    ) -> Task:
        """A completed export of one batch."""
        task = open_export(self.ports, tenant, OpenRequest(params)).task
        put_batch(self.ports, ParamsCache(self.ports), task.ref, sequence=1, batch=Batch.of_rows(rows, len(rows[0])))
        sealed = close_export(self.ports, task.ref, CloseRequest())
        assert compose_export(self.ports, ManifestRef(sealed.ref, sealed.man_sha)) is Outcome.COMPLETED
        return self.row(task)

    def row(self, task: Task) -> Task:
        found = self.ports.tasks.read(task.ref)
        assert found is not None
        return found

    def has_file(self, task: Task) -> bool:
        try:
            return self.ports.objects.head(task.result_key).size == task.result_size
        except NoSuchObject:
            return False

    def sweep(self, seconds: float = 0) -> None:
        """Let time pass and every task that is due get its steps."""
        self.clock.advance(seconds)
        while set(sweep_tasks(self.ports, memory=SweepMemory(trusts_clock=True))) - {Swept.NOTHING}:
            pass

    def reused(self) -> int:
        journal = self.ports.journal
        assert isinstance(journal, RecordedJournal)
        return sum(entry.event is Event.RESULT_REUSED for entry in journal.entries)


def with_options(**options: object) -> ExportParams:
    return msgspec.structs.replace(PARAMS, options=msgspec.convert(options, ExportOptions))


def results(ports: Ports) -> list[str]:
    return [item.key for item in ports.objects.list("out/") if parse_owner(item.key)]


def test_the_second_export_of_one_content_has_the_first_ones_file_with_its_own_name_link_and_end() -> None:
    exports = Exports()
    first = exports.make()
    exports.clock.advance(HOUR_S)
    second = exports.make(msgspec.structs.replace(PARAMS, filename="again.xlsx"))
    assert results(exports.ports) == [first.result_key]
    assert (second.state, second.result_key, second.result_of) == (State.COMPLETED, first.result_key, first.task_id)
    same = ("result_size", "result_sha256", "result_crc64", "result_rows", "warnings")
    assert [getattr(second, name) for name in same] == [getattr(first, name) for name in same]
    assert second.expires_at == first.expires_at + HOUR_S
    assert "again.xlsx" in make_link(exports.ports, second.ref).url
    assert exports.reused() == 1


@pytest.mark.parametrize(
    ("params", "rows", "tenant"),
    [
        (PARAMS, (("1", "a"), ("2", "=c")), ACME),
        (PARAMS, (("1", "a"), ("2", None)), ACME),
        (PARAMS, ROWS, TenantId("other")),
        (with_options(header=False), ROWS, ACME),
        (with_options(reuse=False), ROWS, ACME),
        (msgspec.structs.replace(PARAMS, format=ExportFormat.CSV), ROWS, ACME),
        (msgspec.structs.replace(PARAMS, columns=(ColumnSpec("n"), ColumnSpec("s"))), ROWS, ACME),
    ],
)
def test_whatever_else_a_file_depends_on_makes_another_file(
    params: ExportParams, rows: Sequence[tuple[str, ...]], tenant: TenantId
) -> None:
    exports = Exports()
    exports.make()
    assert exports.make(params, rows, tenant).result_of == ""
    assert exports.reused() == 0


def test_a_file_that_was_made_to_be_no_other_exports_is_found_by_none() -> None:
    exports = Exports()
    exports.make(with_options(reuse=False))
    assert exports.make().result_of == ""


def test_an_archive_is_another_file_under_another_name_since_its_workbooks_are_named_by_it() -> None:
    exports = Exports()
    params = with_options(workbook_rows_max=10_000)
    rows = [(str(number), "x") for number in range(10_001)]
    exports.make(params, rows)
    renamed = msgspec.structs.replace(params, filename="renamed.xlsx")
    assert exports.make(renamed, rows).result_of == ""
    assert exports.make(renamed, rows).result_of != ""


def test_where_links_cannot_name_a_download_only_an_export_of_the_same_name_has_the_file() -> None:
    class Nameless:
        names_downloads = False

        def mint_link(self, key: str, *, filename: str, expires_at: float, task_id: str = "") -> str:
            raise NotImplementedError

    exports = Exports()
    exports.ports = replace(exports.ports, links=Nameless())
    exports.make()
    assert exports.make(msgspec.structs.replace(PARAMS, filename="again.xlsx")).result_of == ""
    assert exports.make().result_of != ""


def test_another_limit_of_the_service_makes_another_file() -> None:
    exports = Exports()
    exports.make()
    exports.ports = replace(exports.ports, limits=Limits(sheet_rows_max=10))
    assert exports.make().result_of == ""


@pytest.mark.parametrize("ends", ["expires", "is deleted"])
def test_the_file_outlives_the_export_that_made_it_until_no_export_needs_it(ends: str) -> None:
    exports = Exports()
    first = exports.make()
    exports.clock.advance(HOUR_S)
    second = exports.make()
    if ends == "is deleted":
        delete_export(exports.ports, first.ref)
        exports.sweep()
    exports.sweep(first.expires_at - exports.clock.now() + 60)
    assert exports.row(first).state is State.EXPIRED
    exports.sweep(exports.ports.timings.link_s + 60)
    assert exports.row(second).state is State.COMPLETED
    assert exports.has_file(second)
    exports.sweep(2 * HOUR_S)
    assert exports.row(second).state is State.EXPIRED
    assert not exports.has_file(second)
    exports.sweep(HOUR_S * 24 * 30)
    assert not exports.ports.tasks.read(first.ref), "and its row is removed in the end"


def test_an_export_that_is_deleted_gives_the_file_back() -> None:
    exports = Exports()
    first, second, third = exports.make(), exports.make(), exports.make()
    delete_export(exports.ports, first.ref)
    delete_export(exports.ports, second.ref)
    exports.sweep()
    assert list(exports.row(first).shared_with) == [third.task_id]
    assert exports.has_file(third)
    delete_export(exports.ports, third.ref)
    exports.sweep()
    exports.sweep()
    assert results(exports.ports) == []


def test_a_result_whose_time_is_over_or_whose_owner_is_deleted_is_not_shared_any_more() -> None:
    exports = Exports()
    first = exports.make()
    exports.clock.advance(first.expires_at - exports.clock.now())
    second = exports.make()
    assert second.result_of == ""
    delete_export(exports.ports, second.ref)
    third = exports.make()
    assert third.result_of == ""
    assert exports.make().result_of == third.task_id


@pytest.mark.parametrize("harm", ["gone", "other bytes"])
def test_a_result_that_is_not_what_its_row_says_is_not_shared(harm: str) -> None:
    exports = Exports()
    first = exports.make()
    if harm == "gone":
        exports.ports.objects.delete([first.result_key])
    else:
        exports.ports.objects.put(first.result_key, b"x" * first.result_size)
    second = exports.make()
    assert second.result_of == ""
    assert exports.has_file(second)


@pytest.mark.parametrize("pointer", [b"", b"no task id", b"\xff" * 26, b"z" * 26, b"../../etc/passwd"])
def test_a_pointer_that_leads_nowhere_is_passed_over(pointer: bytes) -> None:
    exports = Exports()
    exports.make()
    [key] = [item.key for item in exports.ports.objects.list("out/") if not parse_owner(item.key)]
    exports.ports.objects.put(key, pointer)
    assert exports.make().result_of == ""


def test_a_pointer_to_an_export_of_other_rows_as_after_a_backup_was_put_back_is_passed_over() -> None:
    exports = Exports()
    exports.make()
    [key] = [item.key for item in exports.ports.objects.list("out/") if not parse_owner(item.key)]
    other = exports.make(rows=(("8", "x"), ("9", "y"), ("10", "z")))
    exports.ports.objects.put(key, other.task_id.encode())
    again = exports.make()
    assert (again.result_of, again.result_rows) == ("", len(ROWS))
    assert exports.make().result_of == again.task_id


def test_so_many_exports_share_a_file_and_the_next_one_makes_the_file_that_later_ones_share() -> None:
    exports = Exports()
    first = exports.make()
    for number in range(SHARED_MAX):
        source = exports.row(first)
        assert apply_transition(exports.ports, first.ref, share(source, TaskId(f"{number:026}"), until=1e12))
    second = exports.make()
    assert second.result_of == ""
    assert exports.make().result_of == second.task_id


class UnansweringStore(ForwardingStore):
    """Gives no answer to calls for pointers."""

    def __init__(self, store: ObjectStore, call: str) -> None:
        super().__init__(store)
        self._call = call

    def put(self, key: str, data: bytes, **named: object) -> None:
        if "/shared/" in key and self._call == "put":
            raise OutcomeUnknown("no answer")
        super().put(key, data)

    def get(self, key: str) -> bytes:
        if "/shared/" in key and self._call == "get":
            raise OutcomeUnknown("no answer")
        return super().get(key)


@pytest.mark.parametrize("call", ["put", "get"])
def test_a_store_that_does_not_answer_costs_no_export_anything_but_the_sharing(call: str) -> None:
    exports = Exports()
    exports.ports = replace(exports.ports, objects=UnansweringStore(exports.ports.objects, call))
    assert exports.make().result_of == ""
    assert exports.make().result_of == ""
    assert len(results(exports.ports)) == 2


def test_a_share_whose_export_never_names_it_ends_by_itself() -> None:
    exports = Exports()
    first = exports.make()
    until = first.expires_at + HOUR_S
    assert apply_transition(exports.ports, first.ref, share(first, TaskId("a" * 26), until=until))
    exports.sweep(first.expires_at - exports.clock.now() + exports.ports.timings.link_s + 60)
    assert exports.has_file(first)
    exports.sweep(HOUR_S)
    assert not exports.has_file(first)


def test_a_clock_that_is_not_believed_takes_no_shared_file() -> None:
    exports = Exports()
    first = exports.make()
    second = exports.make()
    delete_export(exports.ports, first.ref)
    exports.sweep()
    exports.clock.advance(400 * 24 * HOUR_S)
    sweep_tasks(exports.ports, memory=SweepMemory())
    assert exports.has_file(second)


def test_the_weekly_walk_counts_a_shared_result_as_there_and_removes_old_pointers() -> None:
    exports = Exports()
    exports.make()
    exports.make()
    report = reconcile_stores(exports.ports)
    assert (report.results_missing, report.rows_damaged, report.pointers_removed) == ([], [], 0)
    exports.clock.advance(9 * 24 * HOUR_S)
    assert reconcile_stores(exports.ports).pointers_removed == 1
    assert [item.key for item in exports.ports.objects.list("out/") if not parse_owner(item.key)] == []


def test_a_row_that_names_a_result_of_another_task_without_sharing_it_is_damaged() -> None:
    exports = Exports()
    first, second = exports.make(), exports.make(rows=(("3", "c"),))
    fields = {"result_key": first.result_key, "state": State.COMPLETED}
    exports.ports.tasks.update(second.ref, share(second, first.task_id, until=1).guard, fields)  # type: ignore[arg-type]
    assert reconcile_stores(exports.ports).rows_damaged == [second.task_id]


def test_the_end_of_an_export_that_shared_a_file_shortens_no_memory_of_the_one_that_made_it() -> None:
    """The sweeper was away while both ended, and buries the owner first."""
    exports = Exports()
    first, second = exports.make(), exports.make()
    exports.clock.advance(second.expires_at - exports.clock.now() + 30 * 60)
    sweep_task(exports.ports, second.ref, SweepMemory(trusts_clock=True))
    for _ in range(9):
        sweep_task(exports.ports, first.ref, SweepMemory(trusts_clock=True))
        exports.clock.advance(HOUR_S)
    assert exports.row(first).params is None, "a tombstone"
    exports.sweep(HOUR_S)
    assert exports.row(second).state is not State.COMPLETED
    exports.sweep(exports.ports.timings.tombstone_s - 2 * 24 * HOUR_S)
    assert exports.ports.tasks.read(first.ref) is not None


def test_an_export_whose_owner_s_row_is_damaged_ends_all_the_same() -> None:
    class Unreadable:
        """The owner's row cannot be read."""

        def __init__(self, tasks: TaskStore) -> None:
            self._tasks = tasks

        def __getattr__(self, name: str) -> object:
            return getattr(self._tasks, name)

        def read(self, ref: TaskRef) -> Task | None:
            if ref == first.ref:
                raise SluiceError(ErrorCode.TASK_DAMAGED)
            return self._tasks.read(ref)

    exports = Exports()
    first, second = exports.make(), exports.make()
    exports.ports = replace(exports.ports, tasks=cast("TaskStore", Unreadable(exports.ports.tasks)))
    delete_export(exports.ports, second.ref)
    sweep_task(exports.ports, second.ref, SweepMemory(trusts_clock=True))
    assert [item.key for item in exports.ports.objects.list("in/") if second.task_id in item.key] == []


class SlowReads(ForwardingStore):
    """Reads a file byte by byte, and takes long for each."""

    def __init__(self, exports: Exports, seconds: float) -> None:
        super().__init__(exports.ports.objects)
        self._clock = exports.clock
        self._seconds = seconds

    def read_range(self, key: str, start: int, end: int) -> Generator[bytes]:
        for place in range(start, end):
            self._clock.advance(self._seconds)
            yield from super().read_range(key, place, place + 1)


def test_anothers_file_may_be_read_for_longer_than_an_attempt_may_stand_still() -> None:
    exports = Exports()
    params = msgspec.structs.replace(PARAMS, format=ExportFormat.JSONL)
    exports.make(params)
    exports.ports = replace(exports.ports, objects=SlowReads(exports, 0.9 * exports.ports.timings.attempt_max_s))
    exports.make(params)
    assert exports.reused() == 1


def test_an_attempt_whose_time_is_over_while_it_reads_anothers_file_begins_no_file_of_its_own() -> None:
    exports = Exports()
    first = exports.make()

    def is_over() -> None:
        raise SluiceError(ErrorCode.STORE_UNAVAILABLE)

    with pytest.raises(SluiceError, match="STORE_UNAVAILABLE"):
        find_result(
            exports.ports, msgspec.structs.replace(first, task_id="b" * 26), first.content_sha, on_block=is_over
        )
