"""Reads: the columns that are asked for, filters over them, ranges in both directions, many rows at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from infra.emulators.tablestore import TablestoreServer, serving_tablestore
from tests.support.tablestore_client import Client, columns_of, connecting, create_table, key, ots, put

MIN, MAX = ots.INF_MIN, ots.INF_MAX
EQUAL = ots.ComparatorType.EQUAL
FORWARD, BACKWARD = "FORWARD", "BACKWARD"
LOWEST, HIGHEST = [("pk", MIN), ("sk", MIN)], [("pk", MAX), ("sk", MAX)]
INVALID = (400, "OTSParameterInvalid")


@pytest.fixture
def server() -> Iterator[TablestoreServer]:
    with serving_tablestore() as server:
        yield server


@pytest.fixture
def client(server: TablestoreServer) -> Iterator[Client]:
    with connecting(server) as client:
        create_table(client)
        yield client


def refusal(call: Any, *arguments: Any, **named: Any) -> tuple[int, str, str]:
    with pytest.raises(ots.OTSServiceError) as refused:
        call(*arguments, **named)
    return refused.value.http_status, refused.value.code, refused.value.message


def read(client: Client, task: str = "a", **asked: Any) -> dict[str, Any] | None:
    """Read one row, as ``asked``; the whole one unless asked otherwise."""
    _, row, _ = client.get_row("tasks", key(task), **({"max_version": 1} | asked))
    return None if row is None else {name: value for name, value, _ in row.attribute_columns}


def tasks_between(client: Client, direction: str, start: Any, end: Any, **asked: Any) -> list[str]:
    _, following, rows, _ = client.get_range("tasks", direction, start, end, **({"max_version": 1} | asked))
    assert following is None
    return [row.primary_key[0][1] for row in rows]


def single(column: str, value: Any, *, if_missing: bool = False) -> Any:
    return ots.SingleColumnCondition(column, value, EQUAL, if_missing)


def test_only_the_columns_that_are_asked_for_come(client: Client) -> None:
    put(client, "a", b=1, a=2, c=3)
    assert read(client, columns_to_get=["c", "a", "none"]) == {"a": 2, "c": 3}
    assert read(client, columns_to_get=[]) == {"a": 2, "b": 1, "c": 3}


def test_columns_come_in_the_order_of_their_names(client: Client) -> None:
    put(client, "a", b=1, a=2, C=3, _d=4)
    assert list(read(client) or {}) == ["C", "_d", "a", "b"]


def test_a_row_that_has_none_of_the_columns_is_none_unless_its_key_is_asked_for(client: Client) -> None:
    put(client, "a", b=1)
    assert read(client, columns_to_get=["none"]) is None
    assert read(client, columns_to_get=["none", "sk"]) == {}


def test_columns_are_read_by_their_range(client: Client) -> None:
    columns: dict[str, Any] = {f"c_{number:02d}": number for number in range(10)}
    put(client, "a", **columns, state=1)
    assert read(client, start_column="c_03", end_column="c_06") == {"c_03": 3, "c_04": 4, "c_05": 5}
    assert read(client, start_column="c_08") == {"c_08": 8, "c_09": 9, "state": 1}
    assert read(client, end_column="c_01") == {"c_00": 0}
    assert read(client, columns_to_get=["c_00", "c_04"], start_column="c_02", end_column="d") == {"c_04": 4}


def test_a_read_says_which_versions_it_wants(client: Client) -> None:
    refused = refusal(read, client, max_version=None)
    assert refused == (*INVALID, "No version condition is specified while querying row.")
    assert refusal(read, client, max_version=0)[:2] == INVALID


def test_versions_are_read_by_their_time(client: Client) -> None:
    create_table(client, "versions", versions_max=9)
    for at in (1_000, 2_000, 3_000):
        client.update_row("versions", ots.Row(key("a"), {"PUT": [("v", f"of {at}", at)]}), None)

    def times(**asked: Any) -> list[int]:
        _, row, _ = client.get_row("versions", key("a"), **({"max_version": None} | asked))
        return [] if row is None else [at for _, _, at in row.attribute_columns]

    assert times(max_version=2) == [3_000, 2_000]
    assert times(time_range=(1_000, 3_000)) == [2_000, 1_000]
    assert times(time_range=(1_000, 3_000), max_version=1) == [2_000]
    assert times(time_range=3_000) == [3_000]
    assert times(time_range=(4_000, 5_000)) == []


def test_a_filter_lets_a_row_through_or_not(client: Client) -> None:
    put(client, "a", state="OPEN", n=1)
    assert read(client, column_filter=single("state", "OPEN")) == {"state": "OPEN", "n": 1}
    assert read(client, column_filter=single("state", "DONE")) is None
    assert read(client, column_filter=single("none", 1)) is None
    assert read(client, column_filter=single("none", 1, if_missing=True)) == {"state": "OPEN", "n": 1}


def test_a_filter_sees_only_the_columns_that_are_read(client: Client) -> None:
    put(client, "a", state="OPEN", n=1)
    assert read(client, columns_to_get=["n"], column_filter=single("state", "OPEN")) is None
    assert read(client, columns_to_get=["n"], column_filter=single("state", "DONE", if_missing=True)) == {"n": 1}
    assert read(client, columns_to_get=["n", "state"], column_filter=single("state", "OPEN")) is not None


def test_a_row_of_ten_thousand_columns_is_read_whole_or_in_part(client: Client) -> None:
    for batch in range(10):
        changes = {"PUT": [(f"c_{batch}{number:03d}", "a" * 40) for number in range(1000)]}
        client.update_row("tasks", ots.Row(key("a"), changes), None)
    client.update_row("tasks", ots.Row(key("a"), {"PUT": [("state", "OPEN")]}), None)
    assert len(read(client) or {}) == 10_001
    assert read(client, columns_to_get=["state"]) == {"state": "OPEN"}
    assert len(read(client, start_column="c_3", end_column="c_4") or {}) == 1000


def test_a_range_goes_from_its_start_up_to_without_its_end(client: Client) -> None:
    for task in "edcba":
        put(client, task, n=1)
    assert tasks_between(client, FORWARD, LOWEST, HIGHEST) == list("abcde")
    assert tasks_between(client, FORWARD, key("b"), key("d")) == list("bc")
    assert tasks_between(client, FORWARD, key("b", MAX), key("d", MIN)) == ["c"]
    assert tasks_between(client, FORWARD, key("x"), key("y")) == []


def test_a_range_goes_backward_from_its_start_down_to_without_its_end(client: Client) -> None:
    for task in "edcba":
        put(client, task, n=1)
    assert tasks_between(client, BACKWARD, HIGHEST, LOWEST) == list("edcba")
    assert tasks_between(client, BACKWARD, key("d"), key("b")) == list("dc")
    assert tasks_between(client, BACKWARD, key("d", MIN), key("b", MAX)) == ["c"]


def test_keys_are_ordered_by_their_bytes(client: Client) -> None:
    tasks = ["", "A", "Z", "a", "aa", "b", "ä", "任务", "\U0001f4c4", "a\x00", "\uffff"]
    for task in tasks:
        put(client, task, n=1)
    assert tasks_between(client, FORWARD, LOWEST, HIGHEST) == sorted(tasks, key=str.encode)


def test_numbers_of_a_key_are_ordered_by_size(client: Client) -> None:
    free = ots.ReservedThroughput(ots.CapacityUnit(0, 0))
    client.create_table(ots.TableMeta("numbers", [("n", "INTEGER")]), ots.TableOptions(), free)
    numbers = [5, -1, 0, 2**62, -(2**63), 10, 2**63 - 1]
    for number in numbers:
        client.put_row("numbers", ots.Row([("n", number)], [("x", 1)]), ots.Condition("IGNORE"))
    _, _, rows, _ = client.get_range("numbers", FORWARD, [("n", MIN)], [("n", MAX)], max_version=1)
    assert [row.primary_key[0][1] for row in rows] == sorted(numbers)


@pytest.mark.parametrize("direction", [FORWARD, BACKWARD])
def test_a_range_is_read_page_by_page(client: Client, direction: str) -> None:
    for number in range(7):
        put(client, f"t{number}", n=1)
    start: Any
    start, end = (LOWEST, HIGHEST) if direction == FORWARD else (HIGHEST, LOWEST)
    pages = []
    while start is not None:
        _, start, rows, _ = client.get_range("tasks", direction, start, end, limit=3, max_version=1)
        pages.append([row.primary_key[0][1] for row in rows])
    expected = [["t0", "t1", "t2"], ["t3", "t4", "t5"], ["t6"]]
    assert pages == (expected if direction == FORWARD else [["t6", "t5", "t4"], ["t3", "t2", "t1"], ["t0"]])


def test_a_page_that_ends_with_the_range_has_no_next(client: Client) -> None:
    for number in range(6):
        put(client, f"t{number}", n=1)
    _, following, rows, _ = client.get_range("tasks", FORWARD, LOWEST, HIGHEST, limit=6, max_version=1)
    assert (len(rows), following) == (6, None)
    _, following, rows, _ = client.get_range("tasks", FORWARD, LOWEST, key("t5"), limit=5, max_version=1)
    assert (len(rows), following) == (5, None)


def test_a_filter_over_a_range_leaves_rows_out_and_the_limit_counts_those_that_come(client: Client) -> None:
    for number in range(10):
        put(client, f"t{number}", odd=number % 2)
    odd = single("odd", 1)
    assert tasks_between(client, FORWARD, LOWEST, HIGHEST, column_filter=odd) == ["t1", "t3", "t5", "t7", "t9"]
    _, following, rows, _ = client.get_range("tasks", FORWARD, LOWEST, HIGHEST, None, 2, odd, 1)
    assert [row.primary_key[0][1] for row in rows] == ["t1", "t3"]
    assert following == key("t4")


def test_a_range_shows_the_columns_that_are_asked_for_and_the_rows_that_have_them(client: Client) -> None:
    put(client, "a", state="OPEN", n=1)
    put(client, "b", n=2)
    assert tasks_between(client, FORWARD, LOWEST, HIGHEST, columns_to_get=["state"]) == ["a"]
    _, _, rows, _ = client.get_range("tasks", FORWARD, LOWEST, HIGHEST, ["n"], max_version=1)
    assert [[column[:2] for column in row.attribute_columns] for row in rows] == [[("n", 1)], [("n", 2)]]


def test_one_read_looks_at_five_thousand_rows_at_most(client: Client) -> None:
    for batch in range(26):
        client.batch_write_row(batch_of(*[putting(f"t{batch:02d}{number:03d}") for number in range(200)]))
    _, following, rows, _ = client.get_range("tasks", FORWARD, LOWEST, HIGHEST, max_version=1)
    assert (len(rows), following) == (5000, key("t25000"))
    none = single("none", 1)
    _, following, rows, _ = client.get_range("tasks", FORWARD, LOWEST, HIGHEST, column_filter=none, max_version=1)
    assert (rows, following) == ([], key("t25000")), "an empty page is not yet the end"
    cost = ots.CapacityUnit(0, 0)
    assert sum(1 for _ in client.xget_range("tasks", FORWARD, LOWEST, HIGHEST, cost, max_version=1)) == 5200


def test_one_read_stops_after_four_megabytes(client: Client) -> None:
    for task in "abcd":
        put(client, task, large=bytearray(2 * 1024 * 1024))
    _, following, rows, _ = client.get_range("tasks", FORWARD, LOWEST, HIGHEST, max_version=1)
    assert (len(rows), following) == (2, key("c"))


@pytest.mark.parametrize(
    ("direction", "start", "end", "message"),
    [
        (FORWARD, key("b"), key("a"), "Begin key must less than end key in FORWARD"),
        (FORWARD, key("a"), key("a"), "Begin key must less than end key in FORWARD"),
        (FORWARD, HIGHEST, LOWEST, "Begin key must less than end key in FORWARD"),
        (BACKWARD, key("a"), key("b"), "Begin key must more than end key in BACKWARD"),
        (BACKWARD, key("a"), key("a"), "Begin key must more than end key in BACKWARD"),
    ],
    ids=["forward", "forward nothing", "forward all", "backward", "backward nothing"],
)
def test_a_range_the_wrong_way_round_is_refused(
    client: Client, direction: str, start: Any, end: Any, message: str
) -> None:
    assert refusal(client.get_range, "tasks", direction, start, end, max_version=1) == (*INVALID, message)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_at_least_one(client: Client, limit: int) -> None:
    refused = refusal(client.get_range, "tasks", FORWARD, LOWEST, HIGHEST, limit=limit, max_version=1)
    assert refused == (*INVALID, "The limit must be greater than 0.")


def test_a_range_s_ends_have_every_column_of_the_key(client: Client) -> None:
    refused = refusal(client.get_range, "tasks", FORWARD, [("pk", MIN)], HIGHEST, max_version=1)
    assert refused[:2] == (400, "OTSInvalidPK")


def batch_of(*items: Any) -> Any:
    request = ots.BatchWriteRowRequest()
    request.add(ots.TableInBatchWriteRowItem("tasks", list(items)))
    return request


def putting(task: str, condition: str = "IGNORE", **columns: Any) -> Any:
    return ots.PutRowItem(ots.Row(key(task), list(columns.items())), ots.Condition(condition))


def test_a_batch_does_each_row_by_itself(client: Client) -> None:
    put(client, "there", n=1)
    update = ots.UpdateRowItem(ots.Row(key("counted"), {"INCREMENT": [("n", 7)]}), ots.Condition("IGNORE"))
    delete = ots.DeleteRowItem(ots.Row(key("none")), ots.Condition("EXPECT_EXIST"))
    done = client.batch_write_row(batch_of(putting("new", n=2), putting("there", "EXPECT_NOT_EXIST"), update, delete))
    done_well = done.get_succeed_of_put(), done.get_succeed_of_update(), done.get_succeed_of_delete()
    assert [len(items) for items in done_well] == [1, 1, 0]
    for failed in done.get_failed_of_put(), done.get_failed_of_delete():
        assert [item.error_code for item in failed] == ["OTSConditionCheckFail"]
        assert failed[0].error_message == "Condition check failed."
    assert [columns_of(client, task) for task in ("new", "there", "counted")] == [{"n": 2}, {"n": 1}, {"n": 7}]


def test_a_batch_to_a_table_that_is_not_there_fails_row_by_row(client: Client) -> None:
    client.delete_table("tasks")
    done = client.batch_write_row(batch_of(putting("a"), putting("b")))
    assert [item.error_code for item in done.get_failed_of_put()] == ["OTSObjectNotExist"] * 2


def test_a_batch_does_the_same_row_in_order_but_not_under_conditions(client: Client) -> None:
    done = client.batch_write_row(batch_of(putting("a", n=1), putting("a", n=2)))
    assert done.is_all_succeed()
    assert columns_of(client, "a") == {"n": 2}
    refused = refusal(client.batch_write_row, batch_of(putting("b"), putting("b", "EXPECT_EXIST")))
    assert refused == (*INVALID, "Repeated rows do not support row exist expectation check in BatchModify.")
    assert columns_of(client, "b") is None


def test_a_batch_that_is_too_much_is_refused_whole(client: Client) -> None:
    assert client.batch_write_row(batch_of(*[putting(f"t{number}") for number in range(200)])).is_all_succeed()
    refused = refusal(client.batch_write_row, batch_of(*[putting(f"u{number}") for number in range(201)]))
    assert refused == (*INVALID, "Rows count exceeds the upper limit: 200.")
    large = bytearray(1024 * 1024)
    refused = refusal(client.batch_write_row, batch_of(*[putting(task, large=large) for task in "abcd"]))
    assert refused[2].startswith("The total data size of BatchWriteRow request exceeds the limit, limit size: 4194304")
    assert columns_of(client, "a") is None


def test_a_batch_of_nothing_is_refused(client: Client) -> None:
    refused = refusal(client.batch_write_row, ots.BatchWriteRowRequest())
    assert refused == (*INVALID, "No row is specified in BatchWriteRow.")
    refused = refusal(client.batch_write_row, batch_of())
    assert refused == (*INVALID, "No operation is specified for table: 'tasks'.")
    refused = refusal(client.batch_get_row, ots.BatchGetRowRequest())
    assert refused == (*INVALID, "No row specified in the request of BatchGetRow.")


def read_many(client: Client, keys: list[Any], **asked: Any) -> list[Any]:
    request = ots.BatchGetRowRequest()
    request.add(ots.TableInBatchGetRowItem("tasks", keys, **({"max_version": 1} | asked)))
    return list(client.batch_get_row(request).get_result_by_table("tasks"))


def test_many_rows_are_read_at_once(client: Client) -> None:
    put(client, "a", n=1, more=2)
    put(client, "b", n=3)
    rows = read_many(client, [key("b"), key("none"), key("a")], columns_to_get=["n"])
    assert [item.is_ok for item in rows] == [True, True, True]
    assert [item.row and [column[:2] for column in item.row.attribute_columns] for item in rows] == [
        [("n", 3)],
        None,
        [("n", 1)],
    ]


def test_one_wrong_key_does_not_spoil_the_others(client: Client) -> None:
    put(client, "a", n=1)
    rows = read_many(client, [key("a"), [("pk", "a")]])
    assert [item.is_ok for item in rows] == [True, False]
    assert rows[1].error_code == "OTSInvalidPK"


def test_a_hundred_rows_are_the_most_that_are_read_at_once(client: Client) -> None:
    assert len(read_many(client, [key(f"t{number}") for number in range(100)])) == 100
    refused = refusal(read_many, client, [key(f"t{number}") for number in range(101)])
    assert refused == (*INVALID, "Rows count exceeds the upper limit: 100.")


def test_many_rows_that_are_too_large_together_are_refused_whole(client: Client) -> None:
    for task in "abc":
        put(client, task, large=bytearray(2 * 1024 * 1024 - 100), small=1)
    assert len(read_many(client, [key("a"), key("b")])) == 2
    keys = [key(task) for task in "abc"]
    refused = refusal(read_many, client, keys)
    assert refused[:2] == INVALID
    assert refused[2].startswith("The total data size of BatchGetRow request exceeds the limit, limit size: 4194304")
    assert len(read_many(client, keys, columns_to_get=["small"])) == 3
