"""A user opens so many exports of a dataset within an hour, and no more."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from sluice.domain.dataset import Dataset
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TenantId
from sluice.domain.limits import HOUR_S
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.user import User
from sluice.ports.bundle import Ports
from sluice.usecases.pulling.count_pulls import PreviewCounts, count_pulls
from sluice.usecases.pulling.make_params import PullRequest
from sluice.usecases.pulling.open_pull import Asked, Caller, open_pull, preview_pull
from sluice.usecases.reading.read_task import PAGE_MAX
from sluice.usecases.sending.open_export import OpenRequest, open_export
from tests.support.fake_clock import FakeClock
from tests.support.listed_source import ListedSource
from tests.support.memory_ports import memory_ports
from tests.support.recorded_journal import RecordedJournal

ORDERS = msgspec.convert(
    {
        "dataset": "orders",
        "source": {"connection": "app", "table": "orders", "key": ["id"]},
        "columns": [{"name": "id"}],
        "rows": {"owner": ":user.id"},
        "tiers": {"direct_rows": 1, "waited_rows": 3, "direct_timeout_s": 5, "waited_timeout_s": 50},
    },
    Dataset,
)
LINES = msgspec.structs.replace(ORDERS, dataset="lines")
ASKED = PullRequest(format=ExportFormat.CSV)
PUSHED = ExportParams(format=ExportFormat.CSV, filename="orders", columns=(ColumnSpec("id"),))
ACME = TenantId("acme")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def source() -> ListedSource:
    return ListedSource([("1",), ("2",)])


@pytest.fixture
def ports(clock: FakeClock, source: ListedSource) -> Ports:
    return replace(memory_ports(clock), open_source=lambda _: source)


def caller(name: str = "ann", tenant: TenantId = ACME) -> Caller:
    return Caller(tenant, User(name=name, attributes={"id": name, "tenant": tenant}))


def ask(ports: Ports, who: Caller | None = None, dataset: Dataset = ORDERS, key: str | None = None) -> Asked:
    request = OpenRequest(PUSHED, idempotency_key=key)
    return open_pull(ports, who or caller(), dataset, ASKED, request, in_background=False)


def refused(ports: Ports, who: Caller | None = None, dataset: Dataset = ORDERS, key: str | None = None) -> SluiceError:
    with pytest.raises(SluiceError) as caught:
        ask(ports, who, dataset, key)
    return caught.value


def test_the_eleventh_within_an_hour_is_refused_and_says_when_to_come_again(ports: Ports, clock: FakeClock) -> None:
    for _ in range(10):
        ask(ports)
        clock.advance(60)
    error = refused(ports)
    assert (error.code, error.facts) == (
        ErrorCode.RATE_LIMITED,
        {"per_user_hour": 10, "retry_after_s": HOUR_S - 600 + 1},
    )
    clock.advance(HOUR_S - 600)
    assert refused(ports).facts["retry_after_s"] == 1
    clock.advance(1)
    ask(ports)
    assert refused(ports).facts["retry_after_s"] == 60
    clock.advance(HOUR_S + 1)
    assert [ask(ports) for _ in range(10)]


def test_what_is_refused_counts_for_nothing(ports: Ports, clock: FakeClock) -> None:
    for _ in range(10):
        ask(ports)
    clock.advance(HOUR_S)
    assert {refused(ports).code for _ in range(20)} == {ErrorCode.RATE_LIMITED}
    clock.advance(1)
    ask(ports)


def test_other_users_datasets_tenants_and_what_is_pushed_are_not_counted(ports: Ports) -> None:
    for _ in range(10):
        ask(ports)
        ask(ports, caller("bob"))
        ask(ports, dataset=LINES)
        ask(ports, caller(tenant=TenantId("globex")))
        open_export(ports, ACME, OpenRequest(PUSHED))
    assert count_pulls(ports, ACME, caller().user, "orders", since=0) == [ports.clock.now()] * 10
    for who, dataset in (
        (caller(), ORDERS),
        (caller("bob"), ORDERS),
        (caller(), LINES),
        (caller(tenant=TenantId("globex")), ORDERS),
    ):
        assert refused(ports, who, dataset).code is ErrorCode.RATE_LIMITED
    ask(ports, caller("Ann"))


def test_rows_that_an_export_has_are_not_counted_again_in_another_format(ports: Ports) -> None:
    first = ask(ports).opened.task
    assert first.params is not None
    rendered = msgspec.structs.replace(first.params, source_task=first.task_id)
    assert not open_export(ports, ACME, OpenRequest(rendered)).replayed
    assert count_pulls(ports, ACME, caller().user, "orders", since=0) == [ports.clock.now()]


def test_a_replay_under_its_key_is_free_and_a_new_key_is_not(ports: Ports, clock: FakeClock) -> None:
    first = ask(ports, key="once")
    for _ in range(20):
        again = ask(ports, key="once")
        assert again.opened.replayed
        assert again.opened.task.task_id == first.opened.task.task_id
    for number in range(9):
        ask(ports, key=str(number))
    assert ask(ports, key="once").opened.replayed
    assert refused(ports, key="another").code is ErrorCode.RATE_LIMITED
    of_bob = ask(ports, caller("bob"), key="once").opened
    assert (of_bob.replayed, of_bob.task.task_id != first.opened.task.task_id) == (False, True)
    clock.advance(HOUR_S + 1)
    assert not ask(ports, key="another").opened.replayed


def test_a_bound_of_none_is_no_bound(ports: Ports) -> None:
    limits = msgspec.structs.replace(ORDERS.limits, per_user_hour=0)
    for _ in range(30):
        ask(ports, dataset=msgspec.structs.replace(ORDERS, limits=limits))


def test_they_are_counted_over_pages(ports: Ports, clock: FakeClock) -> None:
    ask(ports)
    clock.advance(1)
    for _ in range(PAGE_MAX + 10):
        open_export(ports, ACME, OpenRequest(PUSHED))
    assert len(count_pulls(ports, ACME, caller().user, "orders", since=0)) == 1


@pytest.mark.parametrize(("rows", "wait_s"), [(0, 5), (1, 5), (2, 50), (3, 50), (4, 0), (400, 0)])
def test_a_file_is_waited_for_by_how_many_rows_it_has_and_no_more_are_counted(
    ports: Ports, source: ListedSource, rows: int, wait_s: float
) -> None:
    source.rows = [(str(number),) for number in range(rows)]
    assert ask(ports).wait_s == wait_s
    assert source.counted == [4]


def test_what_is_opened_and_shown_is_recorded_and_no_value_with_it(ports: Ports, source: ListedSource) -> None:
    ask(ports)
    assert preview_pull(ports, PreviewCounts(), caller(), ORDERS, ASKED, 1) == (["id"], [("1",)])
    assert isinstance(ports.journal, RecordedJournal)
    opened, shown = ports.journal.of(Event.DATASET_ASKED)
    assert (opened["what"], opened["outcome"], opened["columns"]) == ("export", "opened", ["id"])
    assert (shown["what"], shown["outcome"], shown["rows"]) == ("preview", "shown", 1)
    assert source.counted == [4]


def seen(ports: Ports, counts: PreviewCounts, who: Caller | None = None, dataset: Dataset = ORDERS) -> None:
    preview_pull(ports, counts, who or caller(), dataset, ASKED, 1)


def previews(most: int) -> Dataset:
    limits = msgspec.structs.replace(ORDERS.limits, previews_per_user_hour=most)
    return msgspec.structs.replace(ORDERS, limits=limits)


def test_a_user_sees_so_many_previews_of_a_dataset_within_an_hour(ports: Ports, clock: FakeClock) -> None:
    counts, few = PreviewCounts(), previews(3)
    for _ in range(3):
        seen(ports, counts, dataset=few)
        clock.advance(60)
    for who, dataset in ((caller("bob"), few), (caller(tenant=TenantId("globex")), few), (caller(), LINES)):
        seen(ports, counts, who, dataset)
    with pytest.raises(SluiceError) as refused:
        seen(ports, counts, dataset=few)
    assert (refused.value.code, refused.value.facts) == (
        ErrorCode.RATE_LIMITED,
        {"previews_per_user_hour": 3, "retry_after_s": HOUR_S - 180 + 1},
    )
    clock.advance(HOUR_S - 180)
    for _ in range(3):
        seen(ports, counts, dataset=few)
    assert ask(ports).opened.task.task_id, "an export is no preview"


def test_a_preview_that_is_refused_counts_for_nothing_and_a_bound_of_none_is_none(ports: Ports) -> None:
    counts, few = PreviewCounts(), previews(1)
    for _ in range(3):
        with pytest.raises(SluiceError) as refused:
            preview_pull(ports, counts, caller(), few, PullRequest(format=ExportFormat.CSV, filters={"x": "1"}), 1)
        assert refused.value.code is ErrorCode.INVALID_REQUEST
    seen(ports, counts, dataset=few)
    for _ in range(3):
        seen(ports, PreviewCounts(users_max=1), dataset=previews(0))


def test_previews_of_the_users_that_were_seen_last_are_remembered_and_no_more(ports: Ports) -> None:
    counts, few = PreviewCounts(users_max=2), previews(1)
    for name in ("ann", "bob", "eve"):
        seen(ports, counts, caller(name), few)
    seen(ports, counts, caller("ann"), few)
    with pytest.raises(SluiceError):
        seen(ports, counts, caller("eve"), few)
