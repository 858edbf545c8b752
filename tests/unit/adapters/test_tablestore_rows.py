"""Tasks, claims and attempts as columns: everything comes back, keys sort and tell whose they are."""

from __future__ import annotations

import hashlib
import math
import random

import msgspec
import pytest

from sluice.adapters.aliyun.tablestore.rows import (
    CLAIMS,
    LISTED_COLUMNS,
    TASK_COLUMNS,
    attempt_key,
    attempts_from,
    behind_task,
    claim_column,
    due_shard,
    listing_of,
    microseconds,
    read_attempt,
    read_claims,
    read_key,
    task_key,
    write_attempt,
    write_claim,
    write_fields,
    write_task,
)
from sluice.adapters.aliyun.tablestore.schema import DUE_SHARDS, LIVE_SHARDS, OTHER_SHARDS, TABLES, TASKS
from sluice.adapters.task_columns import decode_task
from sluice.domain.errors import SluiceError
from sluice.domain.keys import TENANT_ID
from sluice.domain.task import LIVE, Attempt, State, Task, TaskFields
from sluice.domain.timestamps import Time
from sluice.ports.store_errors import StoreRefused
from tests.contracts.task_builder import NOW, TENANT, a_claim, a_full_task, a_task

READ_COLUMNS_MAX = 128
"""What the service takes in one read by name."""
KINDS = {"STRING": str, "INTEGER": int}


def test_a_task_comes_back_column_by_column() -> None:
    for task in (a_task(), a_full_task()):
        assert decode_task(write_task(task)) == task


def test_every_column_keeps_one_type() -> None:
    """A zero that is an integer here and a float there would never be equal."""
    for columns in (write_task(a_task()), write_task(a_full_task())):
        for field in msgspec.structs.fields(Task):
            kind = {int: int, Time: float}.get(field.type, str)
            assert type(columns[field.name]) is kind, field.name


def test_an_update_keeps_the_types_too() -> None:
    fields: TaskFields = {"lease_until": 0, "due_at": 17, "state": State.FAILED}
    columns = write_fields(a_task().ref, State.COMPOSING, fields)
    assert {name: type(value) for name, value in columns.items()} == {
        "lease_until": float,
        "due_at": float,
        "due_shard": int,
        "due_us": int,
        "state": str,
        "state_listing": str,
    }


def test_a_field_that_no_transition_may_set_is_a_bug() -> None:
    with pytest.raises(ValueError):
        write_fields(a_task().ref, State.OPEN, {"rev": 1})  # type: ignore[typeddict-unknown-key]  # the bug


def test_the_columns_of_the_indexes_are_as_the_table_defines_them() -> None:
    columns = write_task(a_task())
    assert set(columns) == {*TASK_COLUMNS, *LISTED_COLUMNS} | {column.name for column in TASKS.indexed}
    for name, kind in TASKS.indexed:
        assert type(columns[name]) is KINDS[kind]


def test_every_index_is_made_of_columns_that_the_table_knows() -> None:
    for table in TABLES:
        known = {column.name for column in (*table.key, *table.indexed)}
        for index in table.indexes:
            assert set(index.key) <= known
            assert {column.name for column in table.key} <= set(index.key), "the row can be found"
            assert len(index.key) <= 4


def test_a_status_read_names_columns_and_no_claims() -> None:
    assert len(TASK_COLUMNS) <= READ_COLUMNS_MAX
    assert not [name for name in TASK_COLUMNS if CLAIMS[0] <= name < CLAIMS[1]]


def test_a_listing_names_the_same_but_the_parameters() -> None:
    assert len(LISTED_COLUMNS) <= READ_COLUMNS_MAX
    assert set(TASK_COLUMNS) ^ set(LISTED_COLUMNS) == {"params", "listed_params"}


def test_claims_come_back_and_nothing_else_is_one() -> None:
    claims = {sequence: a_claim(sequence, rows=sequence, size=2**40) for sequence in (1, 2, 99_999_999)}
    columns = {claim_column(sequence): write_claim(claim) for sequence, claim in claims.items()}
    assert read_claims(write_task(a_full_task()) | columns) == claims


def test_keys_of_a_task_lie_together_attempts_first() -> None:
    ref, other = a_task().ref, a_task("other").ref
    keys = [attempts_from(ref), attempt_key(ref, 1), attempt_key(ref, 12), task_key(ref), behind_task(ref)]
    assert keys == sorted(keys)
    assert {read_key(key) for key in keys} == {ref}
    assert not [key for key in (task_key(other), attempt_key(other, 1)) if keys[0] <= key < keys[-1]]


def test_a_partition_begins_with_a_spreading_digest() -> None:
    ref = a_task().ref
    expected = hashlib.sha256(f"{ref.tenant}\0{ref.task_id}".encode()).hexdigest()[:4]
    assert task_key(ref)[0] == ("pk", f"{expected}#{TENANT}")


@pytest.mark.parametrize("state", State)
def test_tasks_are_spread_over_all_shards_of_their_kind(state: State) -> None:
    shards = [due_shard(a_task(str(number)).ref, state) for number in range(800)]
    assert set(shards) == set(LIVE_SHARDS if state in LIVE else OTHER_SHARDS)
    assert max(shards.count(shard) for shard in set(shards)) < 2 * 800 / DUE_SHARDS


def test_times_as_keys_keep_their_order() -> None:
    chance = random.Random(1)
    times = sorted([0.0, NOW, math.nextafter(NOW, math.inf), *(chance.uniform(0, 4e9) for _ in range(1_000))])
    keys = [microseconds(time_s) for time_s in times]
    assert keys == sorted(keys)
    assert all(abs(key / 1_000_000 - time_s) < 1e-6 for key, time_s in zip(keys, times, strict=True))


def test_parts_of_a_listing_are_not_mistaken_for_each_other() -> None:
    parts = [
        listing_of(tenant, state=state, gone=gone)
        for tenant in (TENANT, a_task(tenant="globex").tenant)
        for state in (None, *State)
        for gone in (False, True)
    ]
    assert len(set(parts)) == len(parts)
    assert not TENANT_ID.fullmatch(f"{TENANT}#open"), "no tenant has the separator in its name"


@pytest.mark.parametrize(
    "damage",
    [{"state": "asleep"}, {"rev": "1"}, {"created_at": None}, {"params": "{"}, {"sheet_rows": "x"}, {"warnings": "[]"}],
)
def test_a_damaged_row_is_refused_and_not_guessed(damage: dict[str, object]) -> None:
    with pytest.raises(SluiceError, match="TASK_DAMAGED"):
        decode_task(write_task(a_task()) | damage)
    columns: dict[str, object] = dict(write_task(a_task()))
    name = next(iter(damage))
    del columns[name]
    if name in {"state", "created_at"}:  # the others have a default, as a column that a later release adds
        with pytest.raises(SluiceError, match="TASK_DAMAGED"):
            decode_task(columns)


def test_the_error_about_a_damaged_row_names_the_column_and_not_what_is_in_it() -> None:
    with pytest.raises(SluiceError) as caught:
        decode_task(write_task(a_task()) | {"state": "asleep"})
    assert caught.value.facts == {"column": "state"}


@pytest.mark.parametrize("value", ["", "sha", "sha:1", "sha:1:x", "sha:1:2:x", "sha:1:2:3:4"])
def test_a_damaged_claim_is_refused(value: str) -> None:
    with pytest.raises(StoreRefused, match="c_00000001"):
        read_claims({"c_00000001": value})


def test_an_attempt_comes_back() -> None:
    attempt = Attempt(epoch=3, owner="me", started_at=NOW, ended_at=NOW + 1, outcome="failed", error="值", rows_done=9)
    columns = write_attempt(attempt)
    assert read_attempt(columns) == attempt
    begun = write_attempt(Attempt(epoch=3, owner="me", started_at=17))
    assert {name: type(value) for name, value in begun.items()} == {
        name: type(value) for name, value in columns.items()
    }, "a time is a float before it is known too"
