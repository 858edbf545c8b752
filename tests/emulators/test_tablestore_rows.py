"""Rows: what is put is what is read, conditions decide, changes are whole, limits hold."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import pytest

from infra.emulators.tablestore import TablestoreServer, serving_tablestore
from tests.support.tablestore_client import Client, Signing, columns_of, connecting, create_table, key, ots, put

IGNORE, EXIST, NOT_EXIST = "IGNORE", "EXPECT_EXIST", "EXPECT_NOT_EXIST"
EQUAL, NOT_EQUAL = ots.ComparatorType.EQUAL, ots.ComparatorType.NOT_EQUAL
AND, OR, NOT = ots.LogicalOperator.AND, ots.LogicalOperator.OR, ots.LogicalOperator.NOT
FAILED = (403, "OTSConditionCheckFail", "Condition check failed.")


@pytest.fixture
def server() -> Iterator[TablestoreServer]:
    with serving_tablestore() as server:
        yield server


@pytest.fixture
def client(server: TablestoreServer) -> Iterator[Client]:
    with connecting(server) as client:
        create_table(client)
        yield client


def update(client: Client, task: str, changes: dict[str, Any], condition: Any = None) -> None:
    client.update_row("tasks", ots.Row(key(task), changes), condition)


def refusal(call: Any, *arguments: Any) -> tuple[int, str, str]:
    with pytest.raises(ots.OTSServiceError) as refused:
        call(*arguments)
    return refused.value.http_status, refused.value.code, refused.value.message


def single(column: str, value: Any, comparator: Any = EQUAL, *, if_missing: bool = False, **others: Any) -> Any:
    return ots.SingleColumnCondition(column, value, comparator, if_missing, **others)


def joined(operator: Any, *parts: Any) -> Any:
    whole = ots.CompositeColumnCondition(operator)
    for part in parts:
        whole.add_sub_condition(part)
    return whole


def under(columns: Any, row: str = IGNORE) -> Any:
    return ots.Condition(row, columns)


VALUES: dict[str, Any] = {
    "text": "任务 \U0001f4c4 \r\n\t\x00",
    "empty": "",
    "zero": 0,
    "smallest": -(2**63),
    "largest": 2**63 - 1,
    "real": 0.1,
    "tiny": 5e-324,
    "negative_zero": -0.0,
    "true": True,
    "false": False,
    "bytes": bytearray(b"\x00\xff" * 50),
    "no_bytes": bytearray(),
}


@pytest.mark.parametrize("signing", ["v2", "v4"])
def test_every_value_comes_back_as_it_was_put(server: TablestoreServer, signing: Signing) -> None:
    with connecting(server, signing=signing) as client:
        create_table(client)
        put(client, "a", **VALUES)
        read = columns_of(client, "a")
    assert read == VALUES
    assert {name: type(value) for name, value in read.items()} == {name: type(value) for name, value in VALUES.items()}
    assert math.copysign(1, read["negative_zero"]) == -1


def test_keys_of_every_kind_find_their_row_and_only_theirs(client: Client) -> None:
    kinds = [("s", "STRING"), ("i", "INTEGER"), ("b", "BINARY")]
    free = ots.ReservedThroughput(ots.CapacityUnit(0, 0))
    client.create_table(ots.TableMeta("kinds", kinds), ots.TableOptions(), free)
    for text, number, data in (("ä", -1, b""), ("ä", 1, b""), ("ä", 1, b"\x00"), ("", 1, b"")):
        place = [("s", text), ("i", number), ("b", bytearray(data))]
        client.put_row("kinds", ots.Row(place, [("spelled", repr((text, number, data)))]), under(None))
    place = [("s", "ä"), ("i", 1), ("b", bytearray(b"\x00"))]
    _, row, _ = client.get_row("kinds", place, max_version=1)
    assert row.primary_key == place
    assert row.attribute_columns[0][1] == repr(("ä", 1, b"\x00"))


def test_a_put_replaces_the_whole_row(client: Client) -> None:
    put(client, "a", state="OPEN", more=1)
    put(client, "a", state="DONE")
    assert columns_of(client, "a") == {"state": "DONE"}


def test_a_row_may_be_its_key_alone(client: Client) -> None:
    assert columns_of(client, "a") is None
    put(client, "a")
    assert columns_of(client, "a") == {}


def test_a_deleted_row_is_gone_and_deleting_it_again_is_harmless(client: Client) -> None:
    put(client, "a", state="OPEN")
    for _ in range(2):
        client.delete_row("tasks", ots.Row(key("a")), under(None))
        assert columns_of(client, "a") is None


def test_existence_decides_over_puts(client: Client) -> None:
    row = ots.Row(key("a"), [("state", "OPEN")])
    assert refusal(client.put_row, "tasks", row, under(None, EXIST)) == FAILED
    client.put_row("tasks", row, under(None, NOT_EXIST))
    assert refusal(client.put_row, "tasks", ots.Row(key("a"), [("state", "NEW")]), under(None, NOT_EXIST)) == FAILED
    assert columns_of(client, "a") == {"state": "OPEN"}
    client.put_row("tasks", ots.Row(key("a"), [("state", "NEW")]), under(None, EXIST))
    assert columns_of(client, "a") == {"state": "NEW"}


def test_existence_decides_over_updates_and_deletes(client: Client) -> None:
    assert refusal(update, client, "a", {"PUT": [("state", "X")]}, under(None, EXIST)) == FAILED
    assert refusal(client.delete_row, "tasks", ots.Row(key("a")), under(None, EXIST)) == FAILED
    assert columns_of(client, "a") is None
    put(client, "a", state="OPEN")
    update(client, "a", {"PUT": [("state", "X")]}, under(None, EXIST))
    assert columns_of(client, "a") == {"state": "X"}
    client.delete_row("tasks", ots.Row(key("a")), under(None, EXIST))
    assert columns_of(client, "a") is None


def test_only_puts_may_expect_that_there_is_no_row(client: Client) -> None:
    refused = refusal(update, client, "a", {"PUT": [("state", "X")]}, under(None, NOT_EXIST))
    assert refused == (400, "OTSParameterInvalid", "Invalid condition: EXPECT_NOT_EXIST while updating row.")
    refused = refusal(client.delete_row, "tasks", ots.Row(key("a")), under(None, NOT_EXIST))
    assert refused == (400, "OTSParameterInvalid", "Invalid condition: EXPECT_NOT_EXIST while deleting row.")


PRESENT: dict[str, Any] = {"state": "OPEN", "n": 5, "f": 1.5, "y": True, "b": bytearray(b"\x05")}
GREATER, AT_LEAST = ots.ComparatorType.GREATER_THAN, ots.ComparatorType.GREATER_EQUAL
LESS, AT_MOST = ots.ComparatorType.LESS_THAN, ots.ComparatorType.LESS_EQUAL
CONDITIONS = {
    "equal": (single("state", "OPEN"), True),
    "equal to another": (single("state", "DONE"), False),
    "not equal": (single("state", "DONE", NOT_EQUAL), True),
    "not not equal": (single("state", "OPEN", NOT_EQUAL), False),
    "greater": (single("n", 4, GREATER), True),
    "not greater": (single("n", 5, GREATER), False),
    "at least": (single("n", 5, AT_LEAST), True),
    "not at least": (single("n", 6, AT_LEAST), False),
    "less": (single("n", 6, LESS), True),
    "not less": (single("n", 5, LESS), False),
    "at most": (single("n", 5, AT_MOST), True),
    "not at most": (single("n", 4, AT_MOST), False),
    "real": (single("f", 1.25, GREATER), True),
    "boolean": (single("y", True), True),
    "other boolean": (single("y", False), False),
    "bytes": (single("b", bytearray(b"\x05")), True),
    "other bytes": (single("b", bytearray(b"\x06"), AT_LEAST), False),
    "number as a text": (single("n", "5"), False),
    "boolean as a number": (single("y", 1), False),
    "another type is not equal": (single("n", "5", NOT_EQUAL), True),
    "column of the key": (single("pk", "a"), True),
    "missing": (single("none", 1), False),
    "missing, and passed": (single("none", 1, if_missing=True), True),
    "missing is not even unequal": (single("none", 1, NOT_EQUAL), False),
    "and": (joined(AND, single("n", 5), single("state", "OPEN"), single("f", 1.5)), True),
    "not and": (joined(AND, single("n", 5), single("state", "DONE")), False),
    "or": (joined(OR, single("n", 6), single("state", "OPEN")), True),
    "not or": (joined(OR, single("n", 6), single("state", "DONE")), False),
    "not": (joined(NOT, single("n", 6)), True),
    "not not": (joined(NOT, single("n", 5)), False),
    "nested": (joined(AND, joined(NOT, single("n", 6)), joined(OR, single("n", 6), single("y", True))), True),
}


@pytest.mark.parametrize(("condition", "holds"), CONDITIONS.values(), ids=CONDITIONS)
def test_a_condition_on_columns_decides(client: Client, condition: Any, *, holds: bool) -> None:
    put(client, "a", **PRESENT)
    if holds:
        update(client, "a", {"PUT": [("more", 1)]}, under(condition, EXIST))
    else:
        assert refusal(update, client, "a", {"PUT": [("more", 1)]}, under(condition, EXIST)) == FAILED
    read = columns_of(client, "a")
    assert read == (PRESENT | {"more": 1} if holds else PRESENT)


@pytest.mark.parametrize("holds", [True, False])
def test_a_condition_decides_over_puts_and_deletes_too(client: Client, *, holds: bool) -> None:
    condition = under(single("state", "OPEN" if holds else "DONE"))
    put(client, "a", state="OPEN")
    put(client, "b", state="OPEN")
    replacing = ots.Row(key("a"), [("state", "NEW")])
    if holds:
        client.put_row("tasks", replacing, condition)
        client.delete_row("tasks", ots.Row(key("b")), condition)
    else:
        assert refusal(client.put_row, "tasks", replacing, condition) == FAILED
        assert refusal(client.delete_row, "tasks", ots.Row(key("b")), condition) == FAILED
    assert columns_of(client, "a") == {"state": "NEW" if holds else "OPEN"}
    assert columns_of(client, "b") == (None if holds else {"state": "OPEN"})


def test_a_missing_row_has_no_columns(client: Client) -> None:
    assert refusal(update, client, "a", {"PUT": [("x", 1)]}, under(single("state", "OPEN"))) == FAILED
    assert columns_of(client, "a") is None
    update(client, "a", {"PUT": [("x", 1)]}, under(single("state", "OPEN", if_missing=True)))
    assert columns_of(client, "a") == {"x": 1}


def test_passing_if_missing_is_what_the_sdk_does_unless_told(client: Client) -> None:
    put(client, "a", state="OPEN")
    update(client, "a", {"PUT": [("x", 1)]}, under(ots.SingleColumnCondition("fence", 7, EQUAL)))
    assert columns_of(client, "a") == {"state": "OPEN", "x": 1}


def test_a_condition_looks_at_the_latest_version_unless_told(client: Client) -> None:
    create_table(client, "versions", versions_max=2)
    old, new = ("v", "old", 1_000), ("v", "new", 2_000)
    client.put_row("versions", ots.Row(key("a"), [old, new]), under(None))
    changes = ots.Row(key("a"), {"PUT": [("x", 1)]})
    assert refusal(client.update_row, "versions", changes, under(single("v", "old"))) == FAILED
    client.update_row("versions", changes, under(single("v", "old", latest_version_only=False)))


def test_thirty_two_conditions_are_the_most(client: Client) -> None:
    put(client, "a", n=1)
    update(client, "a", {"PUT": [("x", 1)]}, under(joined(AND, *[single("n", 1)] * 32)))
    refused = refusal(update, client, "a", {"PUT": [("x", 2)]}, under(joined(AND, *[single("n", 1)] * 33)))
    assert refused == (400, "OTSParameterInvalid", "The count of filter exceeds the max: 32.")


def test_a_column_s_being_there_is_a_condition(client: Client) -> None:
    there = ots.SingleColumnRegexCondition("state", ots.ComparatorType.EXIST)
    missing = ots.SingleColumnRegexCondition("state", ots.ComparatorType.NOT_EXIST)
    put(client, "a", state="")
    put(client, "b", other="")
    for task, holds, fails in (("a", there, missing), ("b", missing, there)):
        update(client, task, {"PUT": [("x", 1)]}, under(holds))
        assert refusal(update, client, task, {"PUT": [("x", 2)]}, under(fails)) == FAILED


@pytest.mark.parametrize(("operator", "parts"), [(AND, 1), (OR, 1), (AND, 0), (NOT, 2), (NOT, 0)])
def test_conditions_are_joined_by_two_and_turned_round_one_by_one(client: Client, operator: Any, parts: int) -> None:
    condition = under(joined(operator, *[single("n", 1)] * parts))
    refused = refusal(update, client, "a", {"PUT": [("x", 1)]}, condition)
    assert refused[:2] == (400, "OTSParameterInvalid")
    assert "operator: the number of sub-filters must be" in refused[2]


def test_a_condition_of_a_kind_that_is_not_served_says_so(client: Client) -> None:
    rule = ots.RegexRule("n=([0-9]+)", ots.CastType.VT_INTEGER)
    condition = under(ots.SingleColumnRegexCondition("text", EQUAL, 5, rule))
    put(client, "a", text="n=5")
    assert refusal(update, client, "a", {"PUT": [("x", 1)]}, condition)[1] == "OTSUnsupportOperation"


def test_one_update_does_all_of_its_changes(client: Client) -> None:
    put(client, "a", state="OPEN", n=1, gone="x", kept="")
    changes = {"PUT": [("state", "DONE"), ("new", 1.5)], "INCREMENT": [("n", 4), ("rev", 1)], "DELETE_ALL": ["gone"]}
    update(client, "a", changes)
    assert columns_of(client, "a") == {"state": "DONE", "n": 5, "rev": 1, "new": 1.5, "kept": ""}


def test_an_update_that_fails_at_one_change_does_none(client: Client) -> None:
    put(client, "a", state="OPEN", n="text")
    changes = {"PUT": [("state", "DONE")], "INCREMENT": [("n", 1)]}
    assert refusal(update, client, "a", changes)[:2] == (400, "OTSParameterInvalid")
    assert columns_of(client, "a") == {"state": "OPEN", "n": "text"}


def test_an_update_makes_a_row_unless_it_only_deletes(client: Client) -> None:
    update(client, "a", {"INCREMENT": [("n", -3)]})
    assert columns_of(client, "a") == {"n": -3}
    update(client, "b", {"DELETE_ALL": ["n"]})
    assert columns_of(client, "b") is None


def test_a_row_without_columns_is_still_a_row(client: Client) -> None:
    put(client, "a", n=1)
    update(client, "a", {"DELETE_ALL": ["n"]})
    assert columns_of(client, "a") == {}


def test_an_increment_beyond_the_range_of_integers_is_refused(client: Client) -> None:
    put(client, "a", n=2**63 - 1)
    assert refusal(update, client, "a", {"INCREMENT": [("n", 1)]})[:2] == (400, "OTSParameterInvalid")
    assert columns_of(client, "a") == {"n": 2**63 - 1}


def test_versions_are_kept_newest_first_and_no_more_than_the_table_says(client: Client) -> None:
    create_table(client, "versions", versions_max=2)
    for at, value in ((2_000, "b"), (1_000, "a"), (3_000, "c")):
        client.update_row("versions", ots.Row(key("a"), {"PUT": [("v", value, at)]}), None)
    assert versions(client) == [("c", 3_000), ("b", 2_000)]
    client.update_row("versions", ots.Row(key("a"), {"DELETE": [("v", None, 3_000)]}), None)
    assert versions(client) == [("b", 2_000)]


def test_a_version_that_is_written_again_is_replaced(client: Client) -> None:
    create_table(client, "versions", versions_max=2)
    for value in "ab":
        client.update_row("versions", ots.Row(key("a"), {"PUT": [("v", value, 1_000)]}), None)
    assert versions(client) == [("b", 1_000)]


def versions(client: Client) -> list[tuple[Any, int]]:
    _, row, _ = client.get_row("versions", key("a"), max_version=5)
    return [(value, at) for _, value, at in row.attribute_columns]


def test_a_version_without_a_time_is_of_now(client: Client) -> None:
    before = time.time_ns() // 1_000_000
    put(client, "a", v=1)
    _, row, _ = client.get_row("tasks", key("a"), max_version=1)
    assert before <= row.attribute_columns[0][2] <= time.time_ns() // 1_000_000


def test_a_version_too_far_from_now_is_refused(client: Client) -> None:
    client.update_table("tasks", ots.TableOptions(None, None, 86_400), None)
    changes = {"PUT": [("v", 1, 1_000)]}
    assert refusal(update, client, "a", changes) == (400, "OTSParameterInvalid", "Invalid timestamp. Cell: v.")


def test_a_number_that_the_service_chooses_is_told(client: Client) -> None:
    meta = ots.TableMeta("numbered", [("pk", "STRING"), ("n", "INTEGER", ots.PK_AUTO_INCR)])
    client.create_table(meta, ots.TableOptions(), ots.ReservedThroughput(ots.CapacityUnit(0, 0)))
    numbers = []
    for _ in range(3):
        row = ots.Row([("pk", "a"), ("n", ots.PK_AUTO_INCR)], [("x", 1)])
        _, given = client.put_row("numbered", row, under(None), ots.ReturnType.RT_PK)
        numbers.append(given.primary_key[1][1])
    assert numbers == sorted(set(numbers))
    _, row, _ = client.get_row("numbered", [("pk", "a"), ("n", numbers[1])], max_version=1)
    assert row is not None
    refused = refusal(client.put_row, "tasks", ots.Row(key("a", ots.PK_AUTO_INCR), []), under(None))
    assert refused[:2] == (400, "OTSParameterInvalid")


def test_a_key_unlike_the_table_s_is_refused(client: Client) -> None:
    for place, message in (
        ([("pk", "a")], "Validate PK size fail. Input: 1, Meta: 2."),
        ([("pk", "a"), ("other", "T")], "Validate PK name fail. Input: other, Meta: sk."),
        ([("sk", "T"), ("pk", "a")], "Validate PK name fail. Input: sk, Meta: pk."),
        ([("pk", "a"), ("sk", 1)], "Validate PK type fail. Input: INTEGER, Meta: STRING."),
    ):
        expected = (400, "OTSInvalidPK", message)
        assert refusal(client.put_row, "tasks", ots.Row(place, [("x", 1)]), under(None)) == expected
        assert refusal(lambda place=place: client.get_row("tasks", place, max_version=1)) == expected
        assert refusal(client.delete_row, "tasks", ots.Row(place), under(None)) == expected


def test_a_key_has_no_bounds(client: Client) -> None:
    place = key("a", ots.INF_MIN)
    assert refusal(client.put_row, "tasks", ots.Row(place, [("x", 1)]), under(None))[:2] == (400, "OTSInvalidPK")


@pytest.mark.parametrize("name", ["1st", "with-hyphen", "ä", "", "c" * 256])
def test_a_column_s_name_is_made_of_letters_digits_and_underscores(client: Client, name: str) -> None:
    assert refusal(update, client, "a", {"PUT": [(name, 1)]})[:2] == (400, "OTSParameterInvalid")


def test_a_column_is_not_named_like_one_of_the_key(client: Client) -> None:
    refused = refusal(update, client, "a", {"PUT": [("sk", "x")]})
    assert refused[2] == "Duplicated attribute column name with primary key column: 'sk'."


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_refused(client: Client, number: float) -> None:
    assert refusal(update, client, "a", {"PUT": [("x", number)]})[:2] == (400, "OTSParameterInvalid")


def test_a_key_value_has_at_most_1_kb(client: Client) -> None:
    put(client, "ä" * 512)
    refused = refusal(put, client, "ä" * 512 + "a")
    message = "The length of primary key column: 'pk' exceeds the MaxLength: 1024 with CurrentLength: 1025."
    assert refused == (400, "OTSParameterInvalid", message)


def test_a_request_changes_at_most_1024_columns_and_a_row_may_have_more(client: Client) -> None:
    for batch in range(3):
        update(client, "a", {"PUT": [(f"c_{batch}_{number}", number) for number in range(1024)]})
    message = "The number of attribute columns exceeds the limit, limit count: 1024, column count: 1025."
    refused = (400, "OTSParameterInvalid", message)
    assert refusal(update, client, "a", {"PUT": [(f"d{number}", 1) for number in range(1025)]}) == refused
    assert refusal(update, client, "a", {"DELETE_ALL": [f"c_0_{number}" for number in range(1025)]}) == refused
    columns: dict[str, Any] = {f"d{number}": 1 for number in range(1025)}
    assert refusal(lambda: put(client, "b", **columns)) == refused
    assert len(columns_of(client, "a") or {}) == 3 * 1024


def test_a_cell_has_at_most_2_mb_and_a_request_at_most_4(client: Client) -> None:
    most = bytearray(2 * 1024 * 1024)
    put(client, "a", one=most)
    assert columns_of(client, "a") == {"one": most}
    assert "exceeded the MaxLength: 2097152" in refusal(lambda: put(client, "b", one=most + b"x"))[2]
    refused = refusal(lambda: put(client, "b", one=most, two=most))
    assert refused[:2] == (400, "OTSParameterInvalid")
    assert refused[2].startswith("The total data size of PutRow request exceeds the limit, limit size: 4194304")
    assert columns_of(client, "b") is None


def test_an_update_without_changes_is_none(client: Client) -> None:
    refused = refusal(update, client, "a", {})
    assert refused == (400, "OTSParameterInvalid", "Invalid update row request: missing cells in request.")


def test_what_a_call_costs_grows_with_what_it_writes_or_reads(client: Client) -> None:
    small, _ = client.put_row("tasks", ots.Row(key("a"), [("x", "a" * 100)]), under(None))
    large, _ = client.put_row("tasks", ots.Row(key("a"), [("x", "a" * 9000), ("y", 1)]), under(None))
    assert (small.write, large.write) == (1, 3)
    whole, _, _ = client.get_row("tasks", key("a"), max_version=1)
    part, _, _ = client.get_row("tasks", key("a"), ["y"], max_version=1)
    none, _, _ = client.get_row("tasks", key("none"), max_version=1)
    assert (whole.read, part.read, none.read) == (3, 1, 1)
