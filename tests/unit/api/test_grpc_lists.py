"""A tenant reads few lists at a time over gRPC, whatever it asks for, as over HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Semaphore
from typing import cast

import grpc
import pytest

from sluice.api.auth import Principal, Shares
from sluice.api.grpc.call import LIST_WAIT_S, GrpcCall
from sluice.api.grpc.messages import Turn
from sluice.api.grpc.receive_deadline import ReceiveDeadline
from sluice.api.service import LISTS_OF_TENANT
from sluice.domain.api_key import Scope
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TenantId
from tests.support.fake_clock import FakeClock
from tests.support.memory_service import MemoryService


class Caller:
    """What gRPC says of who called."""

    def __init__(self) -> None:
        self.is_here = True

    def is_active(self) -> bool:
        return self.is_here


class StoppedClock(FakeClock):
    """Who sleeps by it does so until ``release``; ``asleep`` counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep = Semaphore(0)
        self.release = Event()

    def sleep(self, seconds: float) -> None:
        del seconds
        self.asleep.release()
        assert self.release.wait(60)


def principal_of(tenant: str) -> Principal:
    return Principal(tenant=TenantId(tenant), key_id="k", scopes=frozenset({Scope.READ}))


def list_of(memory: MemoryService, tenant: str, caller: Caller | None = None) -> GrpcCall:
    called, principal = caller or Caller(), principal_of(tenant)
    return GrpcCall(
        service=memory.service,
        principal=principal,
        context=cast(grpc.ServicerContext, called),
        decoding=Turn(memory.service.decoding, principal, is_active=called.is_active),
        taking=ReceiveDeadline(timeout_s=60, clock=memory.clock).wait(lambda: None),
        file_waits=Shares(10, what="calls that wait for a file"),
        request_id="req-1",
    )


def test_more_lists_of_a_tenant_wait_and_another_tenant_is_answered(tmp_path: Path) -> None:
    clock = StoppedClock()
    memory = MemoryService(tmp_path, clock=clock)
    going = Semaphore(0)

    def work() -> str:
        going.release()
        assert clock.release.wait(60)
        return "read"

    with ThreadPoolExecutor(8) as pool:
        lists = [pool.submit(list_of(memory, "lister").run_listing, work) for _ in range(8)]
        for _ in range(LISTS_OF_TENANT):
            assert going.acquire(timeout=60)
        for _ in range(8 - LISTS_OF_TENANT):
            assert clock.asleep.acquire(timeout=60)  # each of the others has found no turn
        assert not going.acquire(blocking=False)
        assert list_of(memory, "other").run_listing(lambda: "read") == "read"
        clock.release.set()
        assert [one.result(60) for one in lists] == ["read"] * 8


@pytest.mark.parametrize("leaves", [False, True], ids=["until its time is over", "until its caller has gone"])
def test_a_list_waits_no_longer_than_it_may(tmp_path: Path, *, leaves: bool) -> None:
    clock, caller = FakeClock(), Caller()
    memory = MemoryService(tmp_path, clock=clock)
    give_back = [memory.service.lists.take(principal_of("lister")) for _ in range(LISTS_OF_TENANT)]
    caller.is_here = not leaves

    with pytest.raises(SluiceError) as refused:
        list_of(memory, "lister", caller).run_listing(lambda: "read")

    assert refused.value.code is ErrorCode.QUEUE_FULL
    assert clock.monotonic() == pytest.approx(0 if leaves else LIST_WAIT_S, abs=0.2)
    give_back.pop()()
    assert list_of(memory, "lister").run_listing(lambda: "read") == "read"


def test_a_list_that_fails_gives_its_turn_back(tmp_path: Path) -> None:
    memory = MemoryService(tmp_path, clock=FakeClock())

    def fail() -> str:
        raise SluiceError(ErrorCode.INVALID_REQUEST)

    for _ in range(LISTS_OF_TENANT + 1):
        with pytest.raises(SluiceError) as failed:
            list_of(memory, "lister").run_listing(fail)
        assert failed.value.code is ErrorCode.INVALID_REQUEST
