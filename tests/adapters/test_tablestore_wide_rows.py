"""Listings and walks hold no columns of tables, and no answer they ask for is larger than the service gives."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import msgspec

from infra.emulators.faults import Hold
from infra.emulators.tablestore import Fault, TablestoreServer
from sluice.adapters.aliyun.tablestore.client import ROWS_PER_BATCH_READ, Change, TablestoreClient
from sluice.adapters.aliyun.tablestore.conditions import any_row
from sluice.adapters.aliyun.tablestore.rows import LISTED_BYTES_MAX, task_key
from sluice.adapters.aliyun.tablestore.tasks import TablestoreTasks
from sluice.domain.keys import task_id_from_key
from sluice.domain.lifecycle import Guard
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, TableSpec
from sluice.domain.shared_result import SHARED_MAX
from sluice.domain.task import Attempt, State, Task
from tests.contracts.task_builder import NOW, TENANT, a_task, widest_params
from tests.support.tablestore_tables import TIMEOUT_S, access_to, drop_column

LIMITS = Limits()


def fill(tasks: TablestoreTasks, count: int, params: ExportParams, **changes: object) -> list[Task]:
    """Make so many tasks, and give them newest first, as a listing has them."""
    made = [a_task(str(number), created_at=NOW + number, params=params, **changes) for number in range(count)]
    for task in made:
        assert tasks.create(task)
    return [msgspec.structs.replace(task, params=params.without_columns()) for task in made[::-1]]


def sheets_named(names: list[str]) -> ExportParams:
    sheets = tuple(TableSpec(name, (ColumnSpec("a"),)) for name in names)
    return ExportParams(format=ExportFormat.XLSX, filename="a.xlsx", sheets=sheets)


def listed(ots: TablestoreServer, tasks: TablestoreTasks, limit: int) -> tuple[list[Task], list[str]]:
    """A page, and what it asked of the service."""
    ots.requests.clear()
    page = tasks.page(TENANT, state=None, limit=limit, cursor="")
    assert page.damaged == []
    return page.tasks, [request.operation for request in ots.requests]


def test_a_page_of_the_widest_tables_costs_what_one_of_narrow_tables_does(
    ots: TablestoreServer, tasks: TablestoreTasks
) -> None:
    made = fill(tasks, 4, widest_params())
    assert listed(ots, tasks, 10) == (made, ["GetRange", "BatchGetRow"])
    assert [request for request in ots.requests if "params" in request.columns] == []


def test_rows_of_an_older_release_are_read_one_at_a_time(ots: TablestoreServer, tasks: TablestoreTasks) -> None:
    made = fill(tasks, 4, widest_params())
    for task in made[1:]:
        drop_column(access_to(ots), task.ref, "listed_params")
    assert listed(ots, tasks, 10) == (made, ["GetRange", "BatchGetRow", "GetRow", "GetRow", "GetRow"])


def test_a_row_of_an_older_release_that_goes_meanwhile_is_left_out(
    ots: TablestoreServer, tasks: TablestoreTasks
) -> None:
    made = fill(tasks, 2, widest_params())
    drop_column(access_to(ots), made[0].ref, "listed_params")
    hold = Hold()
    ots.faults.add(Fault(hold, operation="GetRow"))
    with ThreadPoolExecutor(1) as threads:
        page = threads.submit(tasks.page, TENANT, state=None, limit=10, cursor="")
        hold.wait_reached()
        assert tasks.remove(made[0].ref, Guard(state=State.OPEN))
        hold.release()
        assert page.result().tasks == made[1:]
        assert page.result().damaged == []


def test_what_lists_show_of_a_hundred_rows_is_always_one_answer(ots: TablestoreServer, tasks: TablestoreTasks) -> None:
    name, least = "\U0001f600", sheets_named([])
    free = LISTED_BYTES_MAX - len(least.encode().encode()) - 100
    sheet = len(msgspec.json.encode(TableSpec(f"{10:03d}{name * 30}", ()))) + 1
    longest = sheets_named([f"{number:03d}{name * 30}" for number in range(free // sheet)])
    assert LISTED_BYTES_MAX * 0.9 < len(longest.without_columns().encode().encode()) <= LISTED_BYTES_MAX
    others = {task_id_from_key(TENANT, str(number)): NOW + number for number in range(LIMITS.renders_max + SHARED_MAX)}
    shared, renders = dict(list(others.items())[:SHARED_MAX]), dict(list(others.items())[SHARED_MAX:])
    made = fill(tasks, ROWS_PER_BATCH_READ, longest, shared_with=shared, renders=renders, last_error="x" * 4_000)
    assert listed(ots, tasks, ROWS_PER_BATCH_READ) == (made, ["GetRange", "BatchGetRow"])


def test_a_walk_over_the_widest_tables_costs_what_one_over_narrow_ones_does(
    ots: TablestoreServer, tasks: TablestoreTasks
) -> None:
    made = fill(tasks, 4, widest_params())
    tasks.log_attempt(made[0].ref, Attempt(epoch=1, owner="me", started_at=NOW))
    for older in (0, 2):
        for task in made[:older]:
            drop_column(access_to(ots), task.ref, "listed_params")
        ots.requests.clear()
        assert sorted(tasks.scan(), key=lambda task: -task.created_at) == made
        assert sorted(request.operation for request in ots.requests) == ["GetRange", *["GetRow"] * older]
        assert [request.operation for request in ots.requests if "params" in request.columns] == ["GetRow"] * older


def test_rows_with_more_to_show_are_read_one_at_a_time(ots: TablestoreServer, tasks: TablestoreTasks) -> None:
    name = "\U0001f600" * (LIMITS.column_name_chars_max - 3)
    made = fill(tasks, 50, sheets_named([f"{number:03d}{name}" for number in range(LIMITS.sheets_max)]))
    assert listed(ots, tasks, 50) == (made, ["GetRange", "BatchGetRow", *["GetRow"] * 50])


def test_a_list_names_the_row_of_which_it_cannot_read_what_it_shows(
    ots: TablestoreServer, tasks: TablestoreTasks
) -> None:
    (task,) = fill(tasks, 1, widest_params())
    with closing(TablestoreClient(access_to(ots), timeout_s=TIMEOUT_S)) as client:
        client.update(task_key(task.ref), Change({"listed_params": "{"}), any_row())
    page = tasks.page(TENANT, state=None, limit=10, cursor="")
    assert (page.tasks, page.damaged) == ([], [task.task_id])
    assert tasks.read(task.ref) is not None
