"""A workbook says what it is: whose rows, which of them, of which moment, for whom, and no other export is given it."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import msgspec
import openpyxl
import pytest

from sluice import __version__
from sluice.domain.dataset import Dataset
from sluice.domain.keys import ManifestRef, TaskRef, TenantId
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, ColumnType, TableSpec
from sluice.domain.secret import Secret
from sluice.domain.task import State, Task
from sluice.domain.timestamps import iso_time
from sluice.domain.user import User
from sluice.ports.bundle import Ports
from sluice.tables.batch import Batch
from sluice.tables.formats import WRITER_VERSION
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.pulling.make_params import ChosenColumn, DateRange, PullRequest
from sluice.usecases.pulling.open_pull import Caller, open_pull
from sluice.usecases.pulling.read_source import read_source
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from sluice.usecases.sending.render_again import RenderRequest, render_again
from sluice.usecases.work_off import read_and_compose
from tests.support.fake_clock import FakeClock
from tests.support.listed_source import Killed, ListedSource
from tests.support.memory_ports import memory_ports

XLSX = ExportFormat.XLSX
ACME = TenantId("acme")
ANN = Caller(ACME, User(name="=ann", attributes={"tenant": "acme"}))
DATASET = msgspec.convert(
    {
        "dataset": "orders",
        "source": {"connection": "app", "table": "orders", "key": ["id"]},
        "columns": [
            {"name": "id", "type": "number", "label": "Order id"},
            {"name": "email", "mask": "email", "unmask_with": "orders:pii"},
            {"name": "card", "mask": "hash", "hash_key": "cards"},
        ],
        "rows": {"tenant_id": ":user.tenant"},
        "filters": {"ids": "id", "date": "created_at", "equals": ["state"]},
    },
    Dataset,
)


class World:
    """A service in memory over one table, and its clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.source = ListedSource([(str(number), f"u{number}@example.com") for number in range(1, 8)])
        self.ports: Ports = replace(memory_ports(self.clock), open_source=lambda _: self.source)
        self.opened_at = ""

    def open(self, dataset: Dataset = DATASET, **asked: Any) -> TaskRef:
        columns = (ChosenColumn("id"), ChosenColumn("email", "E-mail"))
        request = PullRequest(**{"format": XLSX, "columns": columns, **asked})
        self.opened_at = iso_time(self.clock.now())
        opening = OpenRequest(ExportParams(format=XLSX, filename=""))
        return open_pull(self.ports, ANN, dataset, request, opening, in_background=True).opened.task.ref

    def send(self, *, tables: int = 1, rows: int = 2, **options: Any) -> Task:
        columns = (ColumnSpec("n", ColumnType.NUMBER),)
        sheets = tuple(TableSpec(f"S{number}", columns) for number in range(tables)) if tables > 1 else ()
        params = ExportParams(
            format=XLSX,
            filename="r",
            columns=() if sheets else columns,
            sheets=sheets,
            options=ExportOptions(**options),
        )
        task = open_export(self.ports, ACME, OpenRequest(params)).task
        for sequence in range(1, tables + 1 if rows else 1):
            batch = Batch.of_rows([["1"]] * rows, 1)
            put_batch(self.ports, ParamsCache(self.ports), task.ref, sequence=sequence, batch=batch, sheet=sequence - 1)
        self.clock.advance(5)
        return self.compose(close_export(self.ports, task.ref, CloseRequest()).ref)

    def task(self, ref: TaskRef) -> Task:
        found = self.ports.tasks.read(ref)
        assert found is not None
        return found

    def compose(self, ref: TaskRef) -> Task:
        compose_export(self.ports, ManifestRef(ref, self.task(ref).man_sha))
        assert self.task(ref).state is State.COMPLETED
        return self.task(ref)

    def render(self, task: Task, **changes: Any) -> Task:
        return self.compose(render_again(self.ports, task.ref, RenderRequest(**changes)).task.ref)

    def file(self, task: Task) -> bytes:
        return b"".join(self.ports.objects.read_range(task.result_key, 0, task.result_size))

    def about(self, task: Task | TaskRef) -> list[tuple[Any, ...]]:
        if isinstance(task, TaskRef):
            read_and_compose(self.ports, task)
            task = self.task(task)
        assert task.state is State.COMPLETED, task.last_error
        *_, last = openpyxl.load_workbook(io.BytesIO(self.file(task))).worksheets
        assert last.title == "About"
        return [tuple(row) for row in last.iter_rows(min_row=2, values_only=True)]


@pytest.fixture
def world() -> World:
    return World()


def test_a_user_s_file_says_whose_rows_it_has_which_of_them_and_for_whom(world: World) -> None:
    ids = (3, 4, "6", 3)
    ref = world.open(ids=ids, date=DateRange("2026-03-05", "2026-03-06"), filters={"state": ("paid", "open")})
    world.clock.advance(60)
    began = iso_time(world.clock.now())
    assert world.about(ref) == [
        ("File", "orders.xlsx", None),
        ("Dataset", "orders", None),
        ("Condition", "Order id", "is one of 3: 3, 4, 6"),
        ("Condition", "created_at", "from 2026-03-05"),
        ("Condition", "created_at", "before 2026-03-07"),
        ("Condition", "state", "is one of 2: paid, open"),
        ("Condition", None, "only rows that the dataset opens to this user"),
        ("Asked for by", "=ann", None),
        ("Tenant", "acme", None),
        ("Asked for at", world.opened_at, None),
        ("Rows read", "all of one moment", f"between {began} and {began}"),
        ("Rows asked for", "3", "one by one"),
        ("Rows found", "7", None),
        ("Rows in this file", "7", None),
        ("Export", ref.task_id, None),
        ("Made by", f"Sluice {__version__}", f"writer {WRITER_VERSION}"),
        ("Column", "Order id", "number, id of the table"),
        ("Column", "E-mail", "string, email of the table, masked: email"),
    ]


def test_of_many_values_their_number_is_said_and_the_first_ones(world: World) -> None:
    [line] = [line for line in world.about(world.open(ids=tuple(range(1_000)))) if line[0] == "Condition" and line[1]]
    assert line[2] == f"is one of 1,000: {', '.join(map(str, range(20)))}, …"


def test_the_name_of_a_hash_s_key_and_what_the_dataset_demands_are_not_said(world: World) -> None:
    world.ports = replace(world.ports, find_key=lambda _: Secret("a key of thirty-two bytes or more."))
    ref = world.open(columns=(ChosenColumn("id"), ChosenColumn("card")))
    pulled = world.task(ref).live_params.pulled
    assert pulled is not None
    assert pulled.masks == ("", "hash:cards")
    said = str(world.about(ref))
    assert "masked: hash'" in said
    assert "cards" not in said
    assert "tenant_id" not in said


def test_rows_of_several_moments_are_said_to_be_so_from_the_first_attempt_on(world: World) -> None:
    by_key = msgspec.structs.replace(DATASET, source=msgspec.structs.replace(DATASET.source, consistency="key"))
    ref = world.open(by_key)
    began = iso_time(world.clock.now())
    _die_after_a_slice(world, ref)
    [line] = [line for line in world.about(ref) if line[0] == "Rows read"]
    ended = iso_time(world.clock.now())
    assert began < ended
    assert line == ("Rows read", "of several moments, in the order of the key", f"between {began} and {ended}")


def test_rows_of_one_moment_are_those_of_the_attempt_that_read_them(world: World) -> None:
    ref = world.open()
    _die_after_a_slice(world, ref)
    began = iso_time(world.clock.now())
    [line] = [line for line in world.about(ref) if line[0] == "Rows read"]
    assert line == ("Rows read", "all of one moment", f"between {began} and {began}")


def test_what_is_sent_says_it_where_the_sender_asks_for_it(world: World) -> None:
    began = iso_time(world.clock.now())
    task = world.send(tables=2, about_sheet=True)
    assert world.about(task) == [
        ("File", "r.xlsx", None),
        ("Tenant", "acme", None),
        ("Asked for at", began, None),
        ("Rows sent", None, f"between {began} and {iso_time(world.clock.now())}"),
        ("Rows in this file", "4", None),
        ("Export", task.task_id, None),
        ("Made by", f"Sluice {__version__}", f"writer {WRITER_VERSION}"),
        ("Column", "n", "number, on S0"),
        ("Column", "n", "number, on S1"),
    ]
    assert ("Rows in this file", "0", None) in world.about(world.send(rows=0, about_sheet=True))
    plain = openpyxl.load_workbook(io.BytesIO(world.file(world.send())))
    assert plain.sheetnames == ["Sheet1"]


def test_a_file_that_says_what_it_is_is_given_to_no_other_export(world: World) -> None:
    first, second = (world.send(about_sheet=True) for _ in range(2))
    assert (first.content_sha, second.content_sha, second.result_of) == ("", "", "")
    assert ("Export", second.task_id, None) in world.about(second)
    without = [world.send(about_sheet=chosen) for chosen in (None, None)]
    assert without[1].result_of == without[0].task_id


def test_rows_of_a_dataset_that_are_rendered_again_say_whose_they_are_and_when_they_were_read(world: World) -> None:
    ref = world.open(format=ExportFormat.CSV)
    read_and_compose(world.ports, ref)
    source = world.task(ref)
    world.clock.advance(3_600)
    again = world.render(source, format=XLSX)
    said = world.about(again)
    assert ("Export", again.task_id, None) in said
    assert ("Rows of export", source.task_id, None) in said
    assert ("Dataset", "orders", None) in said
    read = f"between {iso_time(source.read_from)} and {iso_time(source.read_until)}"
    assert ("Rows read", "all of one moment", read) in said
    assert b"About" not in world.file(source)
    off = world.render(source, format=XLSX, options=ExportOptions(about_sheet=False))
    assert openpyxl.load_workbook(io.BytesIO(world.file(off))).sheetnames == ["Sheet1"]


def _die_after_a_slice(world: World, ref: TaskRef) -> None:
    world.source.fails[1] = Killed()
    with pytest.raises(Killed):
        read_source(world.ports, ref)
    timings = world.ports.timings
    world.clock.advance(timings.lease_s + timings.skew_s + 1)
