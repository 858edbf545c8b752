"""Who waits for the file of a dataset over gRPC keeps no place that another call needs."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import grpc
import msgspec
import pytest

from sluice.api.auth import Principal, Shares
from sluice.api.grpc.call import LIST_WAIT_S, GrpcCall
from sluice.api.grpc.server import GrpcLimits
from sluice.api.grpc.waits import MARGIN_S_MAX, wait_for_end, wait_for_file
from sluice.api.service import LISTS_OF_TENANT
from sluice.domain.api_key import Scope
from sluice.domain.dataset import Dataset
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TenantId
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State, Task
from sluice.proto import export_pb2 as pb
from sluice.usecases.sending.open_export import OpenRequest, open_export
from tests.support.fake_clock import FakeClock
from tests.support.grpc_client import GrpcClient, serving
from tests.support.listed_source import ListedSource
from tests.support.memory_service import MemoryService

ORDERS = msgspec.convert(
    {
        "dataset": "orders",
        "source": {"connection": "app", "table": "orders", "key": ["id"]},
        "columns": [{"name": "id"}],
        "limits": {"per_user_hour": 0},
    },
    Dataset,
)
CALLS = 10
WAITS = 2
"""A fifth of them."""


@contextmanager
def offered(memory: MemoryService, *tenants: str) -> Iterator[list[GrpcClient]]:
    """Orders for the users of some tenants; nothing is read of them before the invoker is released."""
    ports = replace(memory.ports, open_source=lambda _: ListedSource([("1",), ("2",)]))
    memory.ports = memory.invoker.ports = ports
    memory.service = replace(memory.service, ports=ports, datasets=lambda: {"orders": ORDERS})
    with serving(memory, limits=GrpcLimits(calls_max=CALLS, tenant_share=1)) as target:
        clients = [GrpcClient(target, memory.token(tenant, Scope.ACT_FOR)) for tenant in tenants]
        for client in clients:
            client.metadata = (*client.metadata, ("sluice-user", "ann"))
        try:
            yield clients
        finally:
            for client in clients:
                client.close()


def export(client: GrpcClient, key: str = "") -> pb.DatasetExport:
    request = pb.ExportDatasetRequest(query=pb.DatasetQuery(dataset="orders", format=pb.FORMAT_CSV), request_id=key)
    found: pb.DatasetExport = client.call("ExportDataset", request, timeout=60)
    return found


def test_more_than_a_fifth_of_the_calls_do_not_wait_and_all_others_are_answered(tmp_path: Path) -> None:
    memory = MemoryService(tmp_path, paused=True)
    with offered(memory, "acme", "globex") as (acme, globex), ThreadPoolExecutor(CALLS) as pool:
        asked: list[Future[Any]] = [pool.submit(export, acme, str(number)) for number in range(CALLS)]
        answered: set[Future[Any]] = set()
        while len(answered) < CALLS - WAITS:
            answered = wait(asked, timeout=60, return_when=FIRST_COMPLETED).done
            assert answered, "those that find no place to wait are answered"
            answered = {one for one in asked if one.done()}
        assert {one.result().export.state for one in answered} == {"waiting"}
        assert globex.call("DescribeDataset", pb.DatasetRequest(dataset="orders")).name == "orders"
        assert export(globex).export.state == "waiting"
        assert sum(not one.done() for one in asked) == WAITS
        memory.invoker.release()
        late = [one.result(60) for one in asked if one not in answered]
        assert [(one.export.state, one.export.records_processed) for one in late] == [("completed", 2)] * WAITS
        first = export(acme, "0")
        assert first.replayed
        assert first.export.oss_url


class Context:
    """What gRPC says of a call of a deadline."""

    def __init__(self, remaining_s: float) -> None:
        self.remaining_s = remaining_s
        self.is_here = True

    def time_remaining(self) -> float:
        return self.remaining_s

    def add_callback(self, _: object) -> bool:
        return self.is_here

    def is_active(self) -> bool:
        return self.is_here


def call_of(memory: MemoryService, context: Context, waits: Shares, tenant: str = "acme") -> GrpcCall:
    principal = Principal(tenant=TenantId(tenant), key_id="k", scopes=frozenset({Scope.ACT_FOR}))
    ring = SimpleNamespace(authenticate=lambda _: principal)
    service = replace(memory.service, access=cast(Any, SimpleNamespace(ring=ring)))
    return GrpcCall(
        service=service,
        principal=principal,
        context=cast(grpc.ServicerContext, context),
        decoding=cast(Any, None),
        taking=cast(Any, None),
        file_waits=waits,
        request_id="r",
    )


@pytest.fixture
def memory(tmp_path: Path) -> MemoryService:
    return MemoryService(tmp_path, clock=FakeClock(), paused=True)


def opened(memory: MemoryService) -> Task:
    params = ExportParams(format=ExportFormat.CSV, filename="a", columns=(ColumnSpec("a"),))
    return open_export(memory.ports, TenantId("acme"), OpenRequest(params)).task


@pytest.mark.parametrize(
    ("remaining_s", "within_s", "waited_s"), [(5, 30, 4.5), (60, 30, 30), (31, 30, 30), (30, 30, 29)]
)
def test_the_answer_comes_within_the_time_of_its_tier_and_before_the_call_s_deadline(
    memory: MemoryService, remaining_s: float, within_s: float, waited_s: float
) -> None:
    waits = Shares(1, share=1, what="waits")
    call = call_of(memory, Context(remaining_s), waits)
    began = memory.clock.monotonic()
    task = wait_for_file(call, opened(memory), within_s=within_s)
    assert task.state is State.OPEN
    assert memory.clock.monotonic() - began == pytest.approx(waited_s)
    assert waited_s <= max(remaining_s - MARGIN_S_MAX, remaining_s * 0.9)
    waits.take(call.principal)  # the place was given back


def test_who_has_gone_waits_no_longer(memory: MemoryService) -> None:
    context = Context(60)
    context.is_here = False
    began = memory.clock.monotonic()
    assert wait_for_end(call_of(memory, context, Shares(1, what="waits")), opened(memory)).state is State.OPEN
    assert memory.clock.monotonic() == began


def test_a_tenant_has_two_calls_at_a_database_and_another_is_not_kept_waiting(memory: MemoryService) -> None:
    waits = Shares(1, what="waits")
    busy, other = (call_of(memory, Context(60), waits, tenant) for tenant in ("busy", "other"))
    places = [memory.service.sources.take(busy.principal) for _ in range(LISTS_OF_TENANT)]
    with pytest.raises(SluiceError) as refused:
        busy.run_on_source(lambda _: None)
    assert refused.value.code is ErrorCode.QUEUE_FULL
    assert memory.clock.monotonic() == pytest.approx(LIST_WAIT_S, abs=0.2)
    assert other.run_on_source(lambda _: "read") == "read"
    places.pop()()
    assert busy.run_on_source(lambda _: "read") == "read"
