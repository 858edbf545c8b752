"""Conditions say everything they must, arrive in the request, and are spelled in one place only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import sluice.adapters.aliyun.tablestore.conditions as conditions_module
from infra.emulators.tablestore import TablestoreServer, serving_tablestore
from infra.emulators.tablestore.messages import filter_pb as filters
from infra.emulators.tablestore.messages import pb as messages
from infra.emulators.tablestore.plainbuffer_reading import read_value
from sluice.adapters.aliyun.tablestore.tasks import TablestoreTasks
from sluice.domain.lifecycle import Guard
from sluice.domain.task import Attempt, State
from tests.contracts.task_builder import NOW, a_claim, a_task
from tests.support.tablestore_tables import open_tasks

TASK = a_task()


class Comparison(NamedTuple):
    """One column's condition, as it is on the wire."""

    column: str
    value: object
    holds_if_missing: bool


def equal(column: str, value: object) -> Comparison:
    return Comparison(column, value, holds_if_missing=False)


def missing(column: str) -> Comparison:
    return Comparison(column, "", holds_if_missing=True)


def comparisons(spelled: bytes) -> Iterator[Comparison]:
    """Take a condition apart; it may only consist of ANDs of two, which is all that the service takes."""
    condition = filters.Filter.FromString(spelled)
    if condition.type == filters.FT_COMPOSITE_COLUMN_VALUE:
        both = filters.CompositeColumnValueFilter.FromString(condition.filter)
        assert (both.combinator, len(both.sub_filters)) == (filters.LO_AND, 2)
        for each in both.sub_filters:
            yield from comparisons(each.SerializeToString())
        return
    assert condition.type == filters.FT_SINGLE_COLUMN_VALUE
    single = filters.SingleColumnValueFilter.FromString(condition.filter)
    assert (single.comparator, single.latest_version_only) == (filters.CT_EQUAL, True)
    yield Comparison(single.column_name, read_value(single.column_value), not single.filter_if_missing)


def compared(condition: Any) -> set[Comparison]:
    return set(comparisons(condition.column_condition)) if condition.HasField("column_condition") else set()


@pytest.fixture
def ots() -> Iterator[TablestoreServer]:
    with serving_tablestore() as ots:
        yield ots


@pytest.fixture
def tasks(ots: TablestoreServer) -> Iterator[TablestoreTasks]:
    with closing(open_tasks(ots)) as tasks:
        yield tasks


GUARDS = {
    "state": (Guard(state=State.SEALED), {equal("state", "sealed")}),
    "state and rev": (Guard(state=State.OPEN, rev=7), {equal("state", "open"), equal("rev", 7)}),
    "state and epoch": (Guard(state=State.COMPOSING, epoch=0), {equal("state", "composing"), equal("epoch", 0)}),
    "all three": (
        Guard(state=State.OPEN, rev=0, epoch=3),
        {equal("state", "open"), equal("rev", 0), equal("epoch", 3)},
    ),
}
EXIST, NOT_EXIST, ANY = messages.EXPECT_EXIST, messages.EXPECT_NOT_EXIST, messages.IGNORE


@pytest.mark.parametrize("name", GUARDS)
def test_an_update_carries_its_whole_guard(ots: TablestoreServer, tasks: TablestoreTasks, name: str) -> None:
    guard, expected = GUARDS[name]
    tasks.update(TASK.ref, guard, {"owner": "me"})
    condition = ots.requests[-1].message.condition
    assert (condition.row_existence, compared(condition)) == (EXIST, expected)


@pytest.mark.parametrize("name", GUARDS)
def test_a_removal_carries_its_whole_guard(ots: TablestoreServer, tasks: TablestoreTasks, name: str) -> None:
    guard, expected = GUARDS[name]
    tasks.create(a_task(state=guard.state, rev=guard.rev or 0, epoch=guard.epoch or 0))
    assert tasks.remove(TASK.ref, guard)
    condition = ots.requests[-1].message.condition
    assert ots.requests[-1].operation == "DeleteRow"
    assert (condition.row_existence, compared(condition)) == (EXIST, expected)


WRITES: dict[str, tuple[Callable[[TablestoreTasks], object], int, set[Comparison]]] = {
    "claim": (
        lambda tasks: tasks.claim(TASK.ref, a_claim(12), at=NOW, due_at=NOW),
        EXIST,
        {equal("state", "open"), missing("c_00000012")},
    ),
    "create": (lambda tasks: tasks.create(TASK), NOT_EXIST, set()),
    "log": (lambda tasks: tasks.log_attempt(TASK.ref, Attempt(epoch=1, owner="me", started_at=NOW)), ANY, set()),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_carries_its_condition(ots: TablestoreServer, tasks: TablestoreTasks, name: str) -> None:
    write, existence, expected = WRITES[name]
    write(tasks)
    condition = ots.requests[-1].message.condition
    assert (condition.row_existence, compared(condition)) == (existence, expected)


def test_claims_are_forgotten_only_of_a_row_that_is_there(ots: TablestoreServer, tasks: TablestoreTasks) -> None:
    task = a_task("forgetful")
    tasks.create(task)
    tasks.claim(task.ref, a_claim(1), at=NOW, due_at=NOW)
    tasks.forget_claims(task.ref)
    condition = ots.requests[-1].message.condition
    assert (condition.row_existence, compared(condition)) == (EXIST, set())


def test_no_other_module_spells_a_condition() -> None:
    here = Path(conditions_module.__file__)
    spelling = re.compile(r"ColumnCondition|sdk\.Condition|RowExistenceExpectation|pass_if_missing")
    found = {path.name for path in here.parents[3].rglob("*.py") if spelling.search(path.read_text())}
    assert found == {here.name}
