"""No user of an application takes what its tenant's others need, and what a call asks for is counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from sluice.api.auth import USERS, Principal, Shares
from sluice.api.http.bodies.body import BodyBudget
from sluice.domain.api_key import Scope
from sluice.domain.dataset import Dataset
from sluice.domain.errors import SluiceError
from sluice.domain.keys import TenantId
from sluice.domain.limits import MIB
from sluice.domain.pulled import Cursor
from sluice.domain.user import User
from sluice.ports.source import Slices
from tests.support.http_client import http_relay
from tests.support.listed_source import ListedSource

WAIT_S = 60


def caller_of(tenant: int) -> Principal:
    return Principal(tenant=TenantId(f"t{tenant}"), key_id="key", scopes=frozenset())


def user_of(name: str) -> Principal:
    return Principal(tenant=TenantId("t0"), key_id=USERS, scopes=frozenset(), user=User(name=name))


def filled(shares: Shares, principal: Principal) -> int:
    """How many times a caller that asks until it is refused may take one more."""
    taken = 0
    with suppress(SluiceError):
        while True:
            shares.add(principal)
            taken += 1
    return taken


def test_users_of_a_tenant_leave_half_of_its_share_to_its_others() -> None:
    shares = Shares(48, what="calls")
    taken = [filled(shares, one) for one in (user_of("mallory"), user_of("ann"), caller_of(0))]
    assert taken == [12, 6, 6], "of 24 that their tenant may have"
    shares.remove(user_of("ann"), 6)
    with pytest.raises(SluiceError, match="as one user may") as refused:
        shares.add(user_of("mallory"))
    assert (refused.value.code, refused.value.facts["user_max"]) == ("QUEUE_FULL", 9)
    shares.add(user_of("bob"), 3)
    assert filled(shares, caller_of(1)) == 13, "other tenants have half of the rest"


def test_a_user_has_room_for_what_a_caller_needs_at_once() -> None:
    shares = Shares(64, what="bytes of bodies", least=8)
    shares.add(user_of("ann"), 16)
    shares.add(user_of("bob"), 8)
    with pytest.raises(SluiceError):
        shares.add(user_of("bob"), 1)


class SlowTable(ListedSource):
    """A table whose rows come once they may."""

    def __init__(self) -> None:
        super().__init__([("1",)])
        self.asked, self.may_come = threading.Semaphore(0), threading.Event()

    @contextmanager
    def reading(self, after: Cursor | None = None, until: Cursor | None = None) -> Iterator[Slices]:
        self.asked.release()
        assert self.may_come.wait(WAIT_S)
        with super().reading(after, until) as slices:
            yield slices


def test_what_a_call_asks_of_a_table_is_counted_for_as_long_as_it_is_held(tmp_path: Path) -> None:
    orders = {
        "dataset": "orders",
        "source": {"connection": "app", "table": "orders", "key": ["id"]},
        "columns": [{"name": "id"}],
        "filters": {"ids": "id"},
    }
    table = SlowTable()
    how = {"datasets": {"orders": msgspec.convert(orders, Dataset)}, "open_source": lambda _: table}
    with http_relay(tmp_path, **how) as relay, ThreadPoolExecutor() as pool:
        resources = relay.app.state.resources
        relay.app.state.resources = replace(resources, body_budget=BodyBudget(3 * MIB))
        client = relay.client(scope=Scope.ACT_FOR)
        client.headers["Sluice-User"] = "ann"
        body = {"format": "csv", "scope": "selected", "ids": list(range(4_000))}
        previews = [pool.submit(client.post, "/v1/datasets/orders/preview", json=body) for _ in range(2)]
        for _ in previews:
            assert table.asked.acquire(timeout=WAIT_S)
        refused = client.post("/v1/datasets/orders/preview", json=body)
        assert (refused.status_code, refused.json()["code"]) == (503, "QUEUE_FULL")
        table.may_come.set()
        assert [preview.result().status_code for preview in previews] == [200, 200]
        assert client.post("/v1/datasets/orders/preview", json=body).status_code == 200
