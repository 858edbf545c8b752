"""Rendering again sends nothing, so what bounds its files is how many are kept of one export's rows."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from sluice.domain.attempts import COMPOSE
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import ManifestRef, TaskRef, TenantId, parse_owner
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.renders import NEVER_MADE_S
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State, Task
from sluice.ports.bundle import Ports
from sluice.ports.store_errors import OutcomeUnknown
from sluice.ports.task_store import TaskStore
from sluice.tables.batch import Batch
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.lease import acquire
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.cancel_export import cancel_export, delete_export
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import Opened, OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from sluice.usecases.sending.render_again import RenderRequest, render_again
from sluice.usecases.upkeep.sweep_tasks import SweepMemory, sweep_tasks
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports

ACME = TenantId("acme")
PARAMS = ExportParams(columns=(ColumnSpec("a"),), format=ExportFormat.CSV, filename="a")
A_COPY = RenderRequest(options=ExportOptions(reuse=False))
RENDERS_MAX = 3


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ports(clock: FakeClock) -> Ports:
    return replace(memory_ports(clock), limits=Limits(renders_max=RENDERS_MAX))


def sealed(ports: Ports, tenant: TenantId = ACME) -> TaskRef:
    ref = open_export(ports, tenant, OpenRequest(PARAMS)).task.ref
    put_batch(ports, ParamsCache(ports), ref, sequence=1, batch=Batch.of_rows([("x",)], 1))
    return close_export(ports, ref, CloseRequest(batches=1)).ref


def row(ports: Ports, ref: TaskRef) -> Task:
    task = ports.tasks.read(ref)
    assert task is not None
    return task


def composed(ports: Ports, ref: TaskRef) -> TaskRef:
    compose_export(ports, ManifestRef(ref, row(ports, ref).man_sha))
    assert row(ports, ref).state is State.COMPLETED
    return ref


def files(ports: Ports) -> int:
    return sum(parse_owner(item.key) is not None for item in ports.objects.list("out/"))


def rendered(ports: Ports, source: TaskRef, request: RenderRequest = A_COPY) -> TaskRef:
    return render_again(ports, source, request).task.ref


def refused(ports: Ports, source: TaskRef, request: RenderRequest = A_COPY) -> SluiceError:
    rows = sum(1 for _ in ports.tasks.scan())
    with pytest.raises(SluiceError) as refusal:
        render_again(ports, source, request)
    assert sum(1 for _ in ports.tasks.scan()) == rows, "it made nothing"
    return refusal.value


def test_an_export_that_is_rendered_again_and_again_has_so_many_files_and_no_more(ports: Ports) -> None:
    source = composed(ports, sealed(ports))
    for _ in range(RENDERS_MAX):
        composed(ports, rendered(ports, source))
    for _ in range(3):
        refusal = refused(ports, source)
        assert refusal.code is ErrorCode.QUOTA_EXCEEDED
        assert refusal.facts == {"renders_max": RENDERS_MAX, "retry_after_s": 60}
        assert "concurrency.renders_max" in refusal.detail
    assert files(ports) == 1 + RENDERS_MAX
    composed(ports, rendered(ports, composed(ports, sealed(ports))))  # another export's rows are none of these


def test_renders_of_renders_are_renders_of_the_same_rows(ports: Ports) -> None:
    source = composed(ports, sealed(ports))
    for _ in range(RENDERS_MAX):
        source = composed(ports, rendered(ports, source))
    assert refused(ports, source).code is ErrorCode.QUOTA_EXCEEDED


def test_a_render_that_is_deleted_cancelled_or_expired_gives_its_place_back(ports: Ports, clock: FakeClock) -> None:
    source = composed(ports, sealed(ports))
    kept = [rendered(ports, source) for _ in range(RENDERS_MAX)]
    refused(ports, source)
    delete_export(ports, composed(ports, kept[0]))
    cancel_export(ports, kept[1])
    kept[:2] = [rendered(ports, source) for _ in range(2)]
    refused(ports, source)
    for ref in kept:
        composed(ports, ref)
    clock.advance(ports.timings.retention_s / 2)
    again = composed(ports, sealed(ports))
    clock.advance(ports.timings.retention_s / 2 + 1)
    sweep_tasks(ports, memory=SweepMemory(trusts_clock=True))
    assert refused(ports, source).code is ErrorCode.EXPIRED
    for _ in range(RENDERS_MAX):
        rendered(ports, again)


def test_a_failed_render_keeps_its_place_since_it_keeps_its_manifest(ports: Ports) -> None:
    source = sealed(ports)
    narrow = replace(ports, limits=Limits(renders_max=RENDERS_MAX, result_bytes_max=1))
    for _ in range(RENDERS_MAX):
        ref = rendered(ports, source)
        compose_export(narrow, ManifestRef(ref, row(ports, ref).man_sha))
        assert row(ports, ref).state is State.FAILED
    assert refused(ports, source).code is ErrorCode.QUOTA_EXCEEDED


def test_a_render_that_is_asked_for_again_under_its_key_takes_no_second_place(ports: Ports) -> None:
    source = composed(ports, sealed(ports))
    keyed = [A_COPY._replace(idempotency_key=str(number)) for number in range(RENDERS_MAX)]
    made = [rendered(ports, source, request) for request in keyed]
    again = [render_again(ports, source, request) for request in keyed]
    assert again == [Opened(row(ports, ref), replayed=True) for ref in made]
    assert sorted(row(ports, source).renders) == sorted(ref.task_id for ref in made)


def test_a_call_that_was_cut_off_between_its_place_and_its_row_has_it_for_a_while(
    ports: Ports, clock: FakeClock
) -> None:
    source = composed(ports, sealed(ports))

    def lost(task: Task) -> bool:
        raise OutcomeUnknown(task.task_id)

    cut_off = replace(ports, tasks=cast("TaskStore", Changed(ports.tasks, create=lost)))
    keyed = A_COPY._replace(idempotency_key="0")
    for request in (keyed, A_COPY, A_COPY):
        with pytest.raises(OutcomeUnknown):
            render_again(cut_off, source, request)
    assert refused(ports, source).code is ErrorCode.QUOTA_EXCEEDED
    rendered(ports, source, keyed)  # its own place
    clock.advance(NEVER_MADE_S)
    for _ in range(RENDERS_MAX - 1):
        rendered(ports, source)
    assert refused(ports, source).code is ErrorCode.QUOTA_EXCEEDED


class Changed:
    """A store of rows with some methods of the test's own."""

    def __init__(self, tasks: object, **methods: object) -> None:
        self.__dict__ |= methods
        self._tasks = tasks

    def __getattr__(self, name: str) -> object:
        return getattr(self._tasks, name)


def test_a_render_whose_row_cannot_be_read_keeps_its_place(ports: Ports) -> None:
    source = composed(ports, sealed(ports))
    damaged, *others = [rendered(ports, source) for _ in range(RENDERS_MAX)]

    def read(ref: TaskRef) -> Task | None:
        if ref == damaged:
            raise SluiceError(ErrorCode.TASK_DAMAGED)
        return ports.tasks.read(ref)

    beside = replace(ports, tasks=cast("TaskStore", Changed(ports.tasks, read=read)))
    assert refused(beside, source).code is ErrorCode.QUOTA_EXCEEDED
    cancel_export(ports, others[0])
    rendered(beside, source)


def test_an_operator_makes_a_file_again_whatever_its_tenant_keeps(ports: Ports) -> None:
    source = composed(ports, sealed(ports))
    for _ in range(RENDERS_MAX):
        rendered(ports, source)
    kept = row(ports, source).renders
    composed(ports, rendered(ports, source, RenderRequest(is_repair=True)))
    assert row(ports, source).renders == kept


def test_an_export_that_is_being_written_is_rendered_between_two_heartbeats(ports: Ports) -> None:
    source = sealed(ports)
    lease = acquire(ports, COMPOSE, row(ports, source))
    assert lease is not None
    first = rendered(ports, source)
    assert list(row(ports, source).renders) == [first.task_id]
    assert row(ports, source).state is State.COMPOSING
    assert row(ports, source).epoch == lease.epoch


def test_nothing_is_rendered_whose_rows_have_ended(ports: Ports) -> None:
    source = composed(ports, sealed(ports))
    first = composed(ports, rendered(ports, source))
    delete_export(ports, source)
    refusal = refused(ports, first)
    assert (refusal.code, refusal.facts) == (ErrorCode.EXPIRED, {"source_task": source.task_id})


def test_nothing_is_rendered_while_as_many_exports_of_the_tenant_wait_as_it_may_have_open(ports: Ports) -> None:
    ports = replace(ports, limits=Limits(open_tasks_max=2))
    source = composed(ports, sealed(ports))
    waiting = [rendered(ports, source) for _ in range(2)]
    refusal = refused(ports, source)
    assert (refusal.code, refusal.facts) == (ErrorCode.QUOTA_EXCEEDED, {"open_tasks_max": 2, "retry_after_s": 60})
    other = composed(ports, sealed(ports, TenantId("other")))
    rendered(ports, other)
    composed(ports, waiting[0])
    rendered(ports, source)
