"""Tables and indexes as a whole: made, described, changed, dropped; and what the service would not make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from infra.emulators.tablestore import TablestoreServer, serving_tablestore
from tests.support.tablestore_client import Client, columns_of, connecting, create_table, key, ots, put

STRING, INTEGER = "STRING", "INTEGER"
FREE = ots.ReservedThroughput(ots.CapacityUnit(0, 0))


@pytest.fixture
def server() -> Iterator[TablestoreServer]:
    with serving_tablestore() as server:
        yield server


@pytest.fixture
def client(server: TablestoreServer) -> Iterator[Client]:
    with connecting(server) as client:
        yield client


def make(client: Client, name: str = "tasks", **given: Any) -> None:
    """Create a table with ``primary``, ``defined``, ``options`` and ``indexes`` as given."""
    client.create_table(
        ots.TableMeta(name, given.get("primary", [("pk", STRING)]), given.get("defined", [])),
        given.get("options", ots.TableOptions()),
        given.get("throughput", FREE),
        given.get("indexes", []),
    )


def refusal(call: Any, *arguments: Any) -> tuple[int, str, str]:
    with pytest.raises(ots.OTSServiceError) as refused:
        call(*arguments)
    return refused.value.http_status, refused.value.code, refused.value.message


def test_a_table_is_described_as_it_was_made(client: Client) -> None:
    primary = [("a", STRING), ("b", INTEGER), ("c", "BINARY"), ("d", INTEGER, ots.PK_AUTO_INCR)]
    defined = [("t", STRING), ("i", INTEGER), ("f", "DOUBLE"), ("y", "BOOLEAN"), ("z", "BINARY")]
    index = ots.SecondaryIndexMeta("by_t", ["t", "i"], ["f", "y", "z"])
    make(client, primary=primary, defined=defined, options=ots.TableOptions(-1, 1, 1000, True), indexes=[index])
    described = client.describe_table("tasks")
    assert described.table_meta.schema_of_primary_key == primary
    assert described.table_meta.defined_columns == defined
    options = described.table_options
    assert (options.time_to_live, options.max_version, options.max_time_deviation) == (-1, 1, 1000)
    assert [vars(found) for found in described.secondary_indexes] == [vars(index)]


def test_an_index_is_listed_and_described_like_a_table(client: Client) -> None:
    make(client, defined=[("t", STRING), ("i", INTEGER)], indexes=[ots.SecondaryIndexMeta("by_t", ["t"], ["i"])])
    assert client.list_table() == ("by_t", "tasks")
    described = client.describe_table("by_t")
    assert described.table_meta.schema_of_primary_key == [("t", STRING), ("pk", STRING)]
    assert described.table_meta.defined_columns == [("i", INTEGER)]


@pytest.mark.parametrize("name", ["tasks", "by_t"])
def test_a_name_is_taken_by_tables_and_indexes_alike(client: Client, name: str) -> None:
    make(client, defined=[("t", STRING)], indexes=[ots.SecondaryIndexMeta("by_t", ["t"], [])])
    taken = (409, "OTSObjectAlreadyExist", "Requested table already exists.")
    assert refusal(make, client, name) == taken
    again = ots.SecondaryIndexMeta(name, ["t"], [])
    assert refusal(client.create_secondary_index, "tasks", again, False) == taken


def test_what_is_not_there_is_named_so(client: Client) -> None:
    missing = (404, "OTSObjectNotExist", "Requested table does not exist.")
    assert refusal(client.describe_table, "tasks") == missing
    assert refusal(client.delete_table, "tasks") == missing
    assert refusal(client.update_table, "tasks", ots.TableOptions(), None) == missing
    assert refusal(client.create_secondary_index, "tasks", ots.SecondaryIndexMeta("by_t", ["t"], []), False) == missing
    assert refusal(put, client, "a") == missing
    assert refusal(columns_of, client, "a") == missing


def test_a_deleted_table_is_gone_with_its_rows_and_its_indexes(client: Client) -> None:
    for _ in range(2):
        create_table(client, secondary_indexes=[ots.SecondaryIndexMeta("by_due", ["due"], [])])
        assert columns_of(client, "a") is None
        put(client, "a", due=1)
        client.delete_table("tasks")
        assert client.list_table() == ()


def test_options_change_one_by_one(client: Client) -> None:
    make(client, options=ots.TableOptions(-1, 3, 1000))
    changed = client.update_table("tasks", ots.TableOptions(86_400, None, None), None)
    assert changed.table_options.time_to_live == 86_400
    described = client.describe_table("tasks").table_options
    assert (described.time_to_live, described.max_version, described.max_time_deviation) == (86_400, 3, 1000)


def test_throughput_changes(client: Client) -> None:
    make(client)
    changed = client.update_table("tasks", None, ots.ReservedThroughput(ots.CapacityUnit(5, 7)))
    assert vars(changed.reserved_throughput_details.capacity_unit) == {"read": 5, "write": 7}


def test_a_table_that_forbids_updates_refuses_them(client: Client) -> None:
    create_table(client)
    client.update_table("tasks", ots.TableOptions(None, None, None, False), None)
    put(client, "a", state="OPEN")
    refused = refusal(client.update_row, "tasks", ots.Row(key("a"), {"PUT": [("state", "X")]}), None)
    assert refused[:2] == (400, "OTSParameterInvalid")


UNMADE_TABLES: dict[str, dict[str, Any]] = {
    "name starts with a digit": {"name": "1st"},
    "name with a hyphen": {"name": "with-hyphen"},
    "name of 256 letters": {"name": "t" * 256},
    "no key": {"primary": []},
    "key of five columns": {"primary": [(name, STRING) for name in "abcde"]},
    "key with a column twice": {"primary": [("a", STRING), ("a", STRING)]},
    "key of booleans": {"primary": [("a", "BOOLEAN")]},
    "key column with a space": {"primary": [("a b", STRING)]},
    "first key column automatic": {"primary": [("a", INTEGER, ots.PK_AUTO_INCR)]},
    "text automatic": {"primary": [("a", STRING), ("b", STRING, ots.PK_AUTO_INCR)]},
    "two automatic": {"primary": [("a", STRING), ("b", INTEGER, ots.PK_AUTO_INCR), ("c", INTEGER, ots.PK_AUTO_INCR)]},
    "33 defined columns": {"defined": [(f"c{number}", STRING) for number in range(33)]},
    "defined column of the key": {"defined": [("pk", STRING)]},
    "life of nothing": {"options": ots.TableOptions(0, 1)},
    "life of an hour": {"options": ots.TableOptions(3600, 1)},
    "no versions": {"options": ots.TableOptions(-1, 0)},
    "deviation below nothing": {"options": ots.TableOptions(-1, 1, -1)},
    "throughput below nothing": {"throughput": ots.ReservedThroughput(ots.CapacityUnit(-1, 0))},
}


@pytest.mark.parametrize("given", UNMADE_TABLES.values(), ids=UNMADE_TABLES)
def test_a_table_that_the_service_would_not_make(client: Client, given: dict[str, Any]) -> None:
    assert refusal(lambda: make(client, **given))[:2] == (400, "OTSParameterInvalid")
    assert client.list_table() == ()


UNMADE_INDEXES: dict[str, dict[str, Any]] = {
    "unknown column": {"keys": ["unknown"]},
    "no column": {"keys": []},
    "column of doubles": {"keys": ["f"]},
    "column twice": {"keys": ["s", "s"]},
    "five columns": {"keys": ["s", "i", "j", "k", "pk"]},
    "unknown attribute": {"keys": ["s"], "attributes": ["unknown"]},
    "attribute of its key": {"keys": ["s"], "attributes": ["s"]},
    "attribute of the table's key": {"keys": ["s"], "attributes": ["pk"]},
    "local with another first column": {"keys": ["s"], "kind": ots.SecondaryIndexType.LOCAL_INDEX},
    "table with versions": {"keys": ["s"], "options": ots.TableOptions(-1, 2)},
    "table with a life and updates": {"keys": ["s"], "options": ots.TableOptions(2 * 365 * 86_400, 1)},
    "name with a space": {"keys": ["s"], "name": "no good"},
}


@pytest.mark.parametrize("given", UNMADE_INDEXES.values(), ids=UNMADE_INDEXES)
def test_an_index_that_the_service_would_not_make(client: Client, given: dict[str, Any]) -> None:
    defined = [("s", STRING), ("i", INTEGER), ("j", INTEGER), ("k", INTEGER), ("f", "DOUBLE")]
    index = ots.SecondaryIndexMeta(
        given.get("name", "by_s"),
        given["keys"],
        given.get("attributes", []),
        given.get("kind", ots.SecondaryIndexType.GLOBAL_INDEX),
    )
    options = given.get("options", ots.TableOptions())
    refused = (400, "OTSParameterInvalid")
    assert refusal(lambda: make(client, defined=defined, options=options, indexes=[index]))[:2] == refused
    assert client.list_table() == (), "a table whose index is refused is not made either"
    make(client, defined=defined, options=options)
    assert refusal(client.create_secondary_index, "tasks", index, False)[:2] == refused


def test_an_index_may_have_a_table_with_a_life_that_forbids_updates(client: Client) -> None:
    index = ots.SecondaryIndexMeta("by_s", ["s"], [])
    make(client, defined=[("s", STRING)], options=ots.TableOptions(86_400, 1, None, False), indexes=[index])
    assert "by_s" in client.list_table()


@pytest.mark.parametrize(
    "options", [ots.TableOptions(None, 2), ots.TableOptions(86_400, None)], ids=["versions", "life"]
)
def test_a_table_with_an_index_keeps_the_options_that_indexes_need(client: Client, options: Any) -> None:
    create_table(client, secondary_indexes=[ots.SecondaryIndexMeta("by_due", ["due"], [])])
    assert refusal(client.update_table, "tasks", options, None)[:2] == (400, "OTSParameterInvalid")


def test_five_indexes_are_the_most(client: Client) -> None:
    create_table(client)
    for number in range(5):
        client.create_secondary_index("tasks", ots.SecondaryIndexMeta(f"i{number}", ["due"], []), False)
    sixth = ots.SecondaryIndexMeta("i5", ["due"], [])
    assert refusal(client.create_secondary_index, "tasks", sixth, False)[:2] == (403, "OTSQuotaExhausted")


def test_sixty_four_tables_are_the_most(client: Client) -> None:
    for number in range(64):
        make(client, f"t{number}")
    assert refusal(make, client, "t64") == (403, "OTSQuotaExhausted", "Number of tables exceeded the quota.")


def test_a_dropped_index_is_gone(client: Client) -> None:
    create_table(client, secondary_indexes=[ots.SecondaryIndexMeta("by_due", ["due"], [])])
    client.delete_secondary_index("tasks", "by_due")
    assert client.list_table() == ("tasks",)
    assert refusal(client.delete_secondary_index, "tasks", "by_due")[:2] == (404, "OTSObjectNotExist")


def test_a_new_table_is_not_ready_for_as_long_as_a_test_says(server: TablestoreServer, client: Client) -> None:
    server.table_ready_s = 3600
    create_table(client)
    server.table_ready_s = 0
    assert client.describe_table("tasks").table_meta.table_name == "tasks"
    assert refusal(put, client, "a") == (404, "OTSTableNotReady", "The table is not ready.")
    assert refusal(columns_of, client, "a")[:2] == (404, "OTSTableNotReady")
    create_table(client, "others")
    put(client, "a", "others")
