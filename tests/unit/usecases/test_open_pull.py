"""For how long a caller waits for the file of a table, by how many rows there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import msgspec
import pytest

from sluice.domain.dataset import Dataset, DatasetColumn, Filters, TableSource, Tiers
from sluice.domain.errors import SluiceError
from sluice.domain.keys import TenantId
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.pulled import Cursor
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State
from sluice.domain.user import User
from sluice.ports.bundle import Ports
from sluice.ports.source import Slice, Slices, SourceColumn, SourceError, SourceUnavailable
from sluice.usecases.pulling.count_pulls import PreviewCounts
from sluice.usecases.pulling.make_params import ChosenColumn, PullRequest
from sluice.usecases.pulling.open_pull import Asked, Caller, facts_of, open_pull, preview_pull
from sluice.usecases.sending.open_export import OpenRequest, open_export
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports

DATASET = Dataset(
    dataset="orders",
    source=TableSource(connection="app", table="orders", key=("id",)),
    columns=(DatasetColumn(name="id"),),
    tiers=Tiers(direct_rows=10, waited_rows=100, direct_timeout_s=3, waited_timeout_s=50),
)
REQUEST = PullRequest(format=ExportFormat.CSV)


class CountedTable:
    """Implements ``Source`` of so many rows, or an error."""

    def __init__(self, rows: int | Exception) -> None:
        self.rows = rows
        self.limits: list[int] = []

    def count(self, limit: int) -> int:
        self.limits.append(limit)
        if isinstance(self.rows, Exception):
            raise self.rows
        return min(self.rows, limit)

    def describe(self) -> tuple[SourceColumn, ...]:
        raise NotImplementedError

    def plan(self, splits: int, rows_min: int) -> tuple[Cursor, ...]:
        raise NotImplementedError

    def interrupt(self) -> None:
        """Nothing here takes its time."""

    @contextmanager
    def reading(self, after: Cursor | None = None, until: Cursor | None = None) -> Iterator[Slices]:
        yield Slices(1, iter(()))


def asked(
    table: CountedTable,
    ports: Ports,
    *,
    dataset: Dataset = DATASET,
    request: PullRequest = REQUEST,
    in_background: bool = False,
) -> Asked:
    return open_pull(
        replace(ports, open_source=lambda _: table),
        Caller(TenantId("acme"), User(name="ann")),
        dataset,
        request,
        OpenRequest(ExportParams(format=ExportFormat.CSV, filename="")),
        in_background=in_background,
    )


@pytest.mark.parametrize(
    ("rows", "wait_s"),
    [(0, 3), (10, 3), (11, 50), (100, 50), (101, 0), (10**9, 0), (SourceUnavailable("slow"), 0)],
)
def test_few_rows_are_waited_for_and_what_takes_long_to_count_is_not(rows: int | Exception, wait_s: float) -> None:
    table = CountedTable(rows)
    found = asked(table, memory_ports(FakeClock()))
    assert (found.wait_s, found.opened.task.state) == (wait_s, State.WAITING)
    assert table.limits == [101], "no more are counted than the answer takes"


@pytest.mark.parametrize(("answer_s", "wait_s"), [(60, 50), (20, 20)])
def test_no_file_is_waited_for_longer_than_the_platform_lets_an_answer_take(answer_s: float, wait_s: float) -> None:
    ports = memory_ports(FakeClock())
    ports = replace(ports, timings=msgspec.structs.replace(ports.timings, answer_s=answer_s))
    assert asked(CountedTable(100), ports).wait_s == wait_s


def test_nothing_is_counted_for_what_comes_in_the_background() -> None:
    table = CountedTable(5)
    assert asked(table, memory_ports(FakeClock()), in_background=True).wait_s == 0
    never = replace_tiers(direct_rows=0, waited_rows=0)
    assert asked(table, memory_ports(FakeClock()), dataset=never).wait_s == 0
    assert table.limits == []


def replace_tiers(**changes: int) -> Dataset:
    return Dataset(dataset=DATASET.dataset, source=DATASET.source, columns=DATASET.columns, tiers=Tiers(**changes))


def test_a_table_that_is_not_as_it_is_defined_is_refused_before_anything_is_opened() -> None:
    ports = memory_ports(FakeClock())
    with pytest.raises(SluiceError) as refused:
        asked(CountedTable(SourceError("column secret-name is gone")), ports)
    assert refused.value.code == "SOURCE_INVALID"
    assert "secret-name" not in f"{refused.value} {refused.value.facts}"
    assert list(ports.tasks.scan()) == []


class OddTable(CountedTable):
    """Holds a text that is no UTF-8, as SQLite may."""

    @contextmanager
    def reading(self, after: Cursor | None = None, until: Cursor | None = None) -> Iterator[Slices]:
        yield Slices(1, iter([Slice([["fine", "a\udcff"]], 2, ("2",))]))


def test_a_preview_names_the_place_of_a_text_that_is_no_utf_8() -> None:
    ports = replace(memory_ports(FakeClock()), open_source=lambda _: OddTable(2))
    with pytest.raises(SluiceError) as refused:
        preview_pull(ports, PreviewCounts(), Caller(TenantId("acme"), User(name="ann")), DATASET, REQUEST, 20)
    assert (refused.value.code, refused.value.facts) == ("INVALID_TEXT", {"row": 2, "column": "id"})


def test_ids_that_are_too_long_together_are_named_as_what_is_too_long() -> None:
    by_id = Dataset(dataset="orders", source=DATASET.source, columns=DATASET.columns, filters=Filters(ids="id"))
    long = PullRequest(format=ExportFormat.CSV, ids=tuple(f"{number:01000}" for number in range(2_000)))
    with pytest.raises(SluiceError) as refused:
        asked(CountedTable(5), memory_ports(FakeClock()), dataset=by_id, request=long)
    assert (refused.value.code, refused.value.facts["field"]) == ("INVALID_REQUEST", "ids")


class LongTable(CountedTable):
    """Rows whose texts take a mebibyte each."""

    @contextmanager
    def reading(self, after: Cursor | None = None, until: Cursor | None = None) -> Iterator[Slices]:
        yield Slices(1, (self.part(number) for number in range(100)))

    read = 0

    def part(self, number: int) -> Slice:
        self.read += 1
        return Slice([["名" * 349_500]], 1, (str(number),))


def test_a_preview_is_one_message_and_says_how_to_make_it_smaller() -> None:
    ports = replace(memory_ports(FakeClock()), open_source=lambda _: LongTable(3))
    caller = Caller(TenantId("acme"), User(name="ann"))
    _, rows = preview_pull(ports, PreviewCounts(), caller, DATASET, REQUEST, 2)
    assert len(rows) == 2
    with pytest.raises(SluiceError) as refused:
        preview_pull(ports, PreviewCounts(), caller, DATASET, REQUEST, 3)
    assert (refused.value.code, refused.value.facts) == ("INVALID_REQUEST", {"field": "rows", "row": 3})
    long = LongTable(100)
    with pytest.raises(SluiceError):
        preview_pull(replace(ports, open_source=lambda _: long), PreviewCounts(), caller, DATASET, REQUEST, 100)
    assert long.read == 3, "no more rows are held than a preview may have"


def test_a_user_s_key_is_none_of_its_tenant_s_and_none_of_another_user_s() -> None:
    ports = replace(memory_ports(FakeClock()), open_source=lambda _: CountedTable(3))
    params = ExportParams(format=ExportFormat.CSV, filename="orders", columns=(ColumnSpec("id"),))
    request = OpenRequest(params, idempotency_key="orders-2026-12")
    acme = TenantId("acme")
    of_users = {
        open_pull(ports, Caller(acme, User(name=name)), DATASET, REQUEST, request, in_background=True).opened.task.ref
        for name in ("ann", "bob", "ann")
    }
    assert len(of_users) == 2
    pushed = open_export(ports, acme, request)
    assert (pushed.replayed, pushed.task.state) == (False, State.OPEN)
    assert pushed.task.ref not in of_users


def test_names_that_a_caller_makes_up_make_no_long_line_in_the_audit() -> None:
    names = [f"{number}\x07" * 40 for number in range(5_000)]
    request = PullRequest(
        format=ExportFormat.CSV, columns=tuple(map(ChosenColumn, names)), filters=dict.fromkeys(names, 1)
    )
    facts = facts_of(Caller(TenantId("acme"), User(name="ann")), "orders", request)
    assert len(str(facts)) < 20_000
    assert str(facts).count("… 5000 names") == 2


def test_a_preview_is_refused_for_what_an_export_would_be_refused_for() -> None:
    ports = replace(memory_ports(FakeClock()), open_source=lambda _: CountedTable(3))
    long = PullRequest(format=ExportFormat.CSV, columns=(ChosenColumn("id", "x" * 100_000),))
    with pytest.raises(SluiceError) as refused:
        preview_pull(ports, PreviewCounts(), Caller(TenantId("acme"), User(name="ann")), DATASET, long, 3)
    assert (refused.value.code, refused.value.facts["field"]) == ("INVALID_REQUEST", "columns[0].name")
