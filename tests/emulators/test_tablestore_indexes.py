"""Secondary indexes: which rows are in them, how they follow the table, and how far behind."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import pytest

from infra.emulators.tablestore import TablestoreServer, serving_tablestore
from tests.support.tablestore_client import Client, columns_of, connecting, create_table, key, ots, put

GLOBAL, LOCAL = ots.SecondaryIndexType.GLOBAL_INDEX, ots.SecondaryIndexType.LOCAL_INDEX
MIN, MAX = ots.INF_MIN, ots.INF_MAX
WHOLE = (
    [("state", MIN), ("due", MIN), ("pk", MIN), ("sk", MIN)],
    [("state", MAX), ("due", MAX), ("pk", MAX), ("sk", MAX)],
)


@pytest.fixture
def server() -> Iterator[TablestoreServer]:
    with serving_tablestore() as server:
        yield server


@pytest.fixture
def client(server: TablestoreServer) -> Iterator[Client]:
    with connecting(server) as client:
        create_table(client, secondary_indexes=[ots.SecondaryIndexMeta("by_due", ["state", "due"], [])])
        yield client


def entries(client: Client, index: str = "by_due", start: Any = WHOLE[0], end: Any = WHOLE[1]) -> list[tuple[Any, ...]]:
    """Read the whole index, or a part of it: its keys without the sk."""
    _, following, rows, _ = client.get_range(index, "FORWARD", start, end, max_version=1)
    assert following is None
    return [tuple(value for _, value in row.primary_key[:3]) for row in rows]


def test_rows_stand_in_the_order_of_the_index(client: Client) -> None:
    put(client, "a", state="OPEN", due=3)
    put(client, "b", state="OPEN", due=-1)
    put(client, "c", state="DONE", due=2)
    assert entries(client) == [("DONE", 2, "c"), ("OPEN", -1, "b"), ("OPEN", 3, "a")]


def test_the_key_of_the_table_completes_the_key_of_the_index(client: Client) -> None:
    put(client, "a", state="OPEN", due=3)
    put(client, "b", state="OPEN", due=3)
    _, _, rows, _ = client.get_range("by_due", "FORWARD", *WHOLE, max_version=1)
    assert [row.primary_key for row in rows] == [
        [("state", "OPEN"), ("due", 3), ("pk", task), ("sk", "T")] for task in "ab"
    ]


@pytest.mark.parametrize(
    "columns",
    [
        {"state": "OPEN"},
        {"due": 1},
        {},
        {"state": "OPEN", "due": "1"},
        {"state": 1, "due": 1},
        {"state": "OPEN", "due": 1.0},
        {"state": "OPEN", "due": True},
    ],
    ids=repr,
)
def test_a_row_without_a_column_of_the_index_is_not_in_it(client: Client, columns: dict[str, Any]) -> None:
    put(client, "a", **columns, more=1)
    assert entries(client) == []
    assert columns_of(client, "a") == {**columns, "more": 1}


def test_an_update_moves_the_row(client: Client) -> None:
    put(client, "a", state="OPEN", due=3)
    client.update_row("tasks", ots.Row(key("a"), {"PUT": [("due", 9)]}), None)
    assert entries(client) == [("OPEN", 9, "a")]
    client.update_row("tasks", ots.Row(key("a"), {"INCREMENT": [("due", 1)]}), None)
    assert entries(client) == [("OPEN", 10, "a")]


def test_an_update_that_takes_a_column_away_takes_the_row_out(client: Client) -> None:
    put(client, "a", state="OPEN", due=3)
    client.update_row("tasks", ots.Row(key("a"), {"DELETE_ALL": ["due"]}), None)
    assert entries(client) == []
    client.update_row("tasks", ots.Row(key("a"), {"PUT": [("due", 4)]}), None)
    assert entries(client) == [("OPEN", 4, "a")]


def test_a_put_replaces_the_entry_and_a_delete_takes_it_out(client: Client) -> None:
    put(client, "a", state="OPEN", due=3)
    put(client, "a", state="DONE", due=1)
    assert entries(client) == [("DONE", 1, "a")]
    client.delete_row("tasks", ots.Row(key("a")), ots.Condition("IGNORE"))
    assert entries(client) == []


def test_a_refused_update_moves_nothing(client: Client) -> None:
    put(client, "a", state="OPEN", due=3)
    wrong = ots.SingleColumnCondition("state", "DONE", ots.ComparatorType.EQUAL, False)
    with pytest.raises(ots.OTSServiceError):
        client.update_row("tasks", ots.Row(key("a"), {"PUT": [("due", 9)]}), ots.Condition("IGNORE", wrong))
    assert entries(client) == [("OPEN", 3, "a")]


def test_a_part_of_an_index_is_read_by_its_first_columns(client: Client) -> None:
    for due in range(6):
        put(client, f"t{due}", state="OPEN", due=due)
    put(client, "z", state="SEALED", due=1)
    start = [("state", "OPEN"), ("due", 2), ("pk", MIN), ("sk", MIN)]
    end = [("state", "OPEN"), ("due", 4), ("pk", MIN), ("sk", MIN)]
    assert entries(client, start=start, end=end) == [("OPEN", 2, "t2"), ("OPEN", 3, "t3")]


def test_an_index_is_read_backward_and_page_by_page(client: Client) -> None:
    for due in range(5):
        put(client, f"t{due}", state="OPEN", due=due)
    start: Any
    end, start = WHOLE
    seen = []
    while start is not None:
        _, start, rows, _ = client.get_range("by_due", "BACKWARD", start, end, limit=2, max_version=1)
        seen.append([row.primary_key[1][1] for row in rows])
    assert seen == [[4, 3], [2, 1], [0]]


def test_an_index_holds_its_attributes_and_no_others(client: Client) -> None:
    client.create_secondary_index("tasks", ots.SecondaryIndexMeta("slim", ["due"], ["state"]), False)
    put(client, "a", state="OPEN", due=3, more="of it")
    place = [("due", 3), *key("a")]
    _, row, _ = client.get_row("slim", place, max_version=1)
    assert [(name, value) for name, value, _ in row.attribute_columns] == [("state", "OPEN")]
    _, row, _ = client.get_row("by_due", [("state", "OPEN"), *place], max_version=1)
    assert row.attribute_columns == []


def test_an_index_is_read_with_columns_and_filters_like_a_table(client: Client) -> None:
    client.create_secondary_index("tasks", ots.SecondaryIndexMeta("wide", ["pk", "sk"], ["state", "due"]), False)
    put(client, "a", state="OPEN", due=1)
    put(client, "b", state="DONE", due=2)
    is_open = ots.SingleColumnCondition("state", "OPEN", ots.ComparatorType.EQUAL, False)
    bounds = key(MIN, MIN), key(MAX, MAX)
    _, _, rows, _ = client.get_range("wide", "FORWARD", *bounds, ["due"], max_version=1)
    assert [[column[:2] for column in row.attribute_columns] for row in rows] == [[("due", 1)], [("due", 2)]]
    _, _, rows, _ = client.get_range("wide", "FORWARD", *bounds, None, None, is_open, 1)
    assert [row.primary_key for row in rows] == [key("a")]


def test_an_index_cannot_be_written_to(client: Client) -> None:
    place = [("state", "OPEN"), ("due", 3), *key("a")]
    for write, row in (
        (client.put_row, ots.Row(place, [("x", 1)])),
        (client.update_row, ots.Row(place, {"PUT": [("x", 1)]})),
        (client.delete_row, ots.Row(place)),
    ):
        with pytest.raises(ots.OTSServiceError) as refused:
            write("by_due", row, ots.Condition("IGNORE"))
        assert refused.value.code == "OTSParameterInvalid"
        assert refused.value.message == "Can't write index table directly."


def test_an_index_made_later_knows_later_changes_only(client: Client) -> None:
    put(client, "old", due=1)
    client.create_secondary_index("tasks", ots.SecondaryIndexMeta("later", ["due"], []), False)
    put(client, "new", due=2)
    whole = [("due", MIN), ("pk", MIN), ("sk", MIN)], [("due", MAX), ("pk", MAX), ("sk", MAX)]
    assert entries(client, "later", *whole) == [(2, "new", "T")]
    client.update_row("tasks", ots.Row(key("old"), {"PUT": [("due", 3)]}), None)
    assert entries(client, "later", *whole) == [(2, "new", "T"), (3, "old", "T")]


def test_an_index_made_over_existing_rows_cannot_be_read_until_it_is_built(
    server: TablestoreServer, client: Client
) -> None:
    put(client, "old", due=1)
    whole = [("due", MIN), ("pk", MIN), ("sk", MIN)], [("due", MAX), ("pk", MAX), ("sk", MAX)]
    client.create_secondary_index("tasks", ots.SecondaryIndexMeta("at_once", ["due"], []), True)
    assert entries(client, "at_once", *whole) == [(1, "old", "T")]
    server.index_build_s = 3600
    client.create_secondary_index("tasks", ots.SecondaryIndexMeta("slow", ["due"], []), True)
    with pytest.raises(ots.OTSServiceError) as refused:
        entries(client, "slow", *whole)
    assert refused.value.message == "Disallow read index table in building base state"


def test_an_index_stays_behind_for_as_long_as_a_test_says(server: TablestoreServer, client: Client) -> None:
    put(client, "a", state="OPEN", due=1)
    assert entries(client) == [("OPEN", 1, "a")]
    server.index_lag_s = math.inf
    put(client, "a", state="OPEN", due=2)
    put(client, "b", state="OPEN", due=3)
    client.delete_row("tasks", ots.Row(key("a")), ots.Condition("IGNORE"))
    assert entries(client) == [("OPEN", 1, "a")], "the index shows what was"
    assert columns_of(client, "a") is None
    assert columns_of(client, "b") == {"state": "OPEN", "due": 3}, "the table shows what is"
    server.index_lag_s = 0
    assert entries(client) == [("OPEN", 3, "b")]


def test_an_index_catches_up_by_itself(server: TablestoreServer, client: Client) -> None:
    server.index_lag_s = 0.3
    put(client, "a", state="OPEN", due=1)
    before, at = entries(client), time.monotonic()
    while not entries(client):
        assert time.monotonic() - at < 30
        time.sleep(0.01)
    assert before == []
    assert entries(client) == [("OPEN", 1, "a")]


def test_a_local_index_never_stays_behind(server: TablestoreServer, client: Client) -> None:
    client.create_secondary_index("tasks", ots.SecondaryIndexMeta("near", ["pk", "due"], [], LOCAL), False)
    server.index_lag_s = math.inf
    put(client, "a", due=2)
    whole = [("pk", "a"), ("due", MIN), ("sk", MIN)], [("pk", "a"), ("due", MAX), ("sk", MAX)]
    assert entries(client, "near", *whole) == [("a", 2, "T")]


def test_a_batch_moves_its_rows(client: Client) -> None:
    request = ots.BatchWriteRowRequest()
    items = [
        ots.PutRowItem(ots.Row(key(task), [("state", "OPEN"), ("due", 1)]), ots.Condition("IGNORE")) for task in "ab"
    ]
    request.add(ots.TableInBatchWriteRowItem("tasks", items))
    assert client.batch_write_row(request).is_all_succeed()
    assert entries(client) == [("OPEN", 1, "a"), ("OPEN", 1, "b")]
