"""The same call of the same user under the same key is the same export, whatever has become of the dataset."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from sluice.domain.dataset import Dataset
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TenantId
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.task import State
from sluice.domain.user import User
from sluice.ports.bundle import Ports
from sluice.usecases.pulling.make_params import ChosenColumn, DateRange, PullRequest
from sluice.usecases.pulling.open_pull import Asked, Caller, open_pull
from sluice.usecases.sending.open_export import OpenRequest, open_export
from tests.support.fake_clock import FakeClock
from tests.support.listed_source import ListedSource
from tests.support.memory_ports import memory_ports

BEFORE: dict[str, Any] = {
    "dataset": "orders",
    "source": {"connection": "app", "table": "orders", "key": ["id"]},
    "columns": [
        {"name": "id", "type": "number"},
        {"name": "email", "mask": "email", "unmask_with": "orders:pii"},
        {"name": "cost", "permission": "orders:cost"},
    ],
    "permission": "orders:read",
    "rows": {"region": ":user.region"},
    "filters": {"ids": "id", "date": "created_at", "equals": ["state"]},
}
AFTER: dict[str, dict[str, Any]] = {
    "a label": {"columns": [{**BEFORE["columns"][0], "label": "No."}, *BEFORE["columns"][1:]]},
    "a column more": {"columns": [*BEFORE["columns"], {"name": "paid"}]},
    "another table": {"source": {"connection": "app", "table": "orders2", "key": ["id"]}},
    "fewer filters": {"filters": {}},
    "how long it is kept": {"expires_s": 60},
    "rows for all": {"rows": {}},
    "fewer rows": {"limits": {"rows": 1, "ids": 1}},
}
ASKED: dict[str, Any] = {
    "format": ExportFormat.CSV,
    "ids": (1, 2, "3"),
    "filters": {"state": ("open", "paid")},
    "date": DateRange("2026-01-01", None),
    "filename": "mine / all",
}
ALL = ("orders:read", "orders:pii", "orders:cost")


@pytest.fixture
def ports() -> Ports:
    return replace(memory_ports(FakeClock()), open_source=lambda _: ListedSource([("1", "a@b.c", "2")]))


def ask(
    ports: Ports, *permissions: str, dataset: dict[str, Any] | None = None, region: str = "n", **asked: Any
) -> Asked:
    user = User(name="ann", permissions=frozenset(permissions or ALL), attributes={"region": region})
    return open_pull(
        ports,
        Caller(TenantId("acme"), user),
        msgspec.convert(BEFORE | (dataset or {}), Dataset),
        PullRequest(**{**ASKED, **asked}),
        OpenRequest(ExportParams(format=ExportFormat.CSV, filename=""), idempotency_key="once"),
        in_background=False,
    )


@pytest.mark.parametrize("change", AFTER)
def test_it_is_the_same_export_after_the_dataset_was_edited(ports: Ports, change: str) -> None:
    first = ask(ports)
    again = ask(ports, dataset=AFTER[change])
    assert again.opened.replayed
    assert again.opened.task.params == first.opened.task.params, "it goes on as it began"
    assert len(list(ports.tasks.scan())) == 1


def test_the_order_of_filters_and_the_kind_of_a_number_are_no_difference(ports: Ports) -> None:
    ask(ports)
    assert ask(ports, ids=("1", 2, 3)).opened.replayed


OTHERS: dict[str, dict[str, Any]] = {
    "another format": {"format": ExportFormat.XLSX},
    "other ids": {"ids": (1, 2)},
    "all rows": {"ids": None},
    "another filter": {"filters": {"state": ("open",)}},
    "other days": {"date": DateRange("2026-01-02", None)},
    "other columns": {"columns": (ChosenColumn("id"),)},
    "another header": {"columns": (ChosenColumn("id", "x"), ChosenColumn("email"), ChosenColumn("cost"))},
    "another name": {"filename": "yours"},
    "another option": {"options": ExportOptions(timezone="Asia/Shanghai")},
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_call_under_the_key_is_refused(ports: Ports, other: str) -> None:
    ask(ports)
    with pytest.raises(SluiceError) as refused:
        ask(ports, **OTHERS[other])
    assert refused.value.code is ErrorCode.IDEMPOTENCY_KEY_REUSED


FEWER: dict[str, dict[str, Any]] = {
    "a column less": {"columns": BEFORE["columns"][:2]},
    "a mask": {"columns": [*BEFORE["columns"][:2], {"name": "cost", "mask": "last4"}]},
    "rows of fewer users": {"rows": {"region": ":user.region", "owner": "ann"}},
}


@pytest.mark.parametrize("change", FEWER)
def test_no_key_gives_what_the_dataset_no_longer_gives(ports: Ports, change: str) -> None:
    ask(ports)
    with pytest.raises(SluiceError) as refused:
        ask(ports, dataset=FEWER[change])
    assert refused.value.code is ErrorCode.IDEMPOTENCY_KEY_REUSED


@pytest.mark.parametrize("lost", ["orders:pii", "orders:cost"])
def test_no_key_gives_a_user_what_the_user_may_no_longer_have(ports: Ports, lost: str) -> None:
    ask(ports)
    with pytest.raises(SluiceError) as refused:
        ask(ports, *(name for name in ALL if name != lost))
    assert refused.value.code is ErrorCode.IDEMPOTENCY_KEY_REUSED
    with pytest.raises(SluiceError) as refused:
        ask(ports, region="s")
    assert refused.value.code is ErrorCode.IDEMPOTENCY_KEY_REUSED


def test_what_a_user_may_besides_makes_no_difference(ports: Ports) -> None:
    ask(ports)
    assert ask(ports, *ALL, "more").opened.replayed


def test_a_render_under_the_key_is_not_the_export(ports: Ports) -> None:
    ask(ports)
    (task,) = ports.tasks.scan()
    assert task.params is not None
    rendered = msgspec.structs.replace(task.params, source_task=task.task_id)
    open_export(ports, TenantId("acme"), OpenRequest(rendered, idempotency_key="twice"))
    with pytest.raises(SluiceError) as refused:
        open_pull(
            ports,
            Caller(TenantId("acme"), User(name="ann", permissions=frozenset(ALL), attributes={"region": "n"})),
            msgspec.convert(BEFORE, Dataset),
            PullRequest(**ASKED),
            OpenRequest(task.params, idempotency_key="twice"),
            in_background=False,
        )
    assert refused.value.code is ErrorCode.IDEMPOTENCY_KEY_REUSED


def test_the_rows_of_a_finished_export_are_not_counted_again(ports: Ports) -> None:
    task = ask(ports).opened.task
    done = msgspec.structs.replace(task, state=State.COMPLETED, result_rows=50_000)
    source = ListedSource([])
    stored = replace(ports, open_source=lambda _: source, tasks=OneTask(done))  # type: ignore[arg-type]  # enough of it
    assert ask(stored).wait_s == msgspec.convert(BEFORE, Dataset).tiers.waited_timeout_s
    assert source.counted == []


class OneTask:
    """Implements what a replay reads of ``TaskStore``."""

    def __init__(self, task: Any) -> None:
        self.read = lambda _: task
