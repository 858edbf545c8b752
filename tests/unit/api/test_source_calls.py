"""A call that waits for a database has its time, and what no caller waits for any more is ended in the database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
from starlette.requests import ClientDisconnect, Request

from sluice.adapters.directory.key_file import KeyFile
from sluice.api.auth import KeyRing, OpenRing, Principal
from sluice.api.http.operation import HttpCall, HttpResources, NoQuery
from sluice.api.http.source_calls import run_on_source
from sluice.api.service import Service
from sluice.api.source_calls import SOURCE_S
from sluice.domain.keys import TenantId
from sluice.domain.pulled import Cursor, Pulled
from sluice.ports.bundle import Ports
from sluice.ports.source import SourceUnavailable
from tests.support.fake_clock import FakeClock
from tests.support.listed_source import ListedSource
from tests.support.memory_ports import memory_ports

ENDS_IN_S = 20
PULLED = Pulled(dataset="orders", version="1", connection="crm", table="orders", consistency="key")


class LockedSource(ListedSource):
    """Answers nothing until it is interrupted."""

    def __init__(self) -> None:
        super().__init__([])
        self.asked, self.interrupted = threading.Event(), threading.Event()

    def interrupt(self) -> None:
        self.interrupted.set()

    def reading(self, after: Cursor | None = None, until: Cursor | None = None) -> NoReturn:
        self.asked.set()
        assert self.interrupted.wait(ENDS_IN_S), "nothing ends what waits in the source"
        raise SourceUnavailable("it was interrupted")


class Waiter:
    """One call of a user, whose caller has not gone yet."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.source = FakeClock(), LockedSource()
        self.ports = replace(memory_ports(self.clock), open_source=lambda _: self.source)
        self.has_gone = threading.Event()
        ring = OpenRing(KeyRing(KeyFile(folder / "keys.json"), clock=self.clock, journal=self.ports.journal))
        self.resources = HttpResources(service=Service.over(self.ports, ring, rate_per_s=0, burst=0))

    async def _receive(self) -> dict[str, Any]:
        if not self.has_gone.is_set():
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def call(self, work: Callable[..., Any]) -> object:
        request = Request({"type": "http", "method": "POST"}, self._receive)
        principal = Principal(tenant=TenantId("acme"), key_id="k", scopes=frozenset())
        return await run_on_source(HttpCall(request, self.resources, principal, NoQuery()), work)


def read(ports: Ports) -> str:
    with pytest.raises(SourceUnavailable), ports.open_source(PULLED).reading():
        pass
    with pytest.raises(SourceUnavailable), ports.open_source(PULLED).reading():
        pass
    return "read"


@pytest.mark.parametrize("why", ["the caller goes", "the time is up", "the service stops"])
def test_what_no_caller_waits_for_any_more_is_interrupted(why: str, tmp_path: Path) -> None:
    waiter = Waiter(tmp_path)

    def end() -> None:
        assert waiter.source.asked.wait(ENDS_IN_S)
        if why == "the caller goes":
            waiter.has_gone.set()
        elif why == "the time is up":
            waiter.clock.advance(SOURCE_S)
        else:
            waiter.resources.closing.set()

    ending = threading.Thread(target=end)
    ending.start()
    assert asyncio.run(waiter.call(read)) == "read"
    ending.join()


def test_nothing_is_opened_for_a_caller_that_has_gone_before(tmp_path: Path) -> None:
    waiter = Waiter(tmp_path)
    waiter.has_gone.set()
    with pytest.raises(ClientDisconnect):
        asyncio.run(waiter.call(read))
    assert not waiter.source.asked.is_set()


def test_a_call_that_ends_in_time_interrupts_nothing(tmp_path: Path) -> None:
    waiter = Waiter(tmp_path)
    assert asyncio.run(waiter.call(lambda ports: ports.open_source(PULLED).count(3))) == 0
    assert not waiter.source.interrupted.is_set()
