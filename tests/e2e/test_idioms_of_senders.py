"""What PHP and databases write as a matter of course is taken: empty arrays, bare names, letters, zero dates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.http_client import ApiClient, http_relay


@pytest.fixture
def client(tmp_path: Path) -> Iterator[ApiClient]:
    with http_relay(tmp_path) as relay:
        yield relay.client()


def opened(client: ApiClient, **body: Any) -> str:
    answer = client.post("/v1/exports", json={"format": "jsonl", "filename": "out", **body})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["task_id"])


def lines_of(client: ApiClient, task_id: str) -> list[dict[str, Any]]:
    client.relay.memory.invoker.join()
    return [json.loads(line) for line in client.relay.memory.file(task_id, client.tenant).splitlines()]


def test_an_empty_array_is_an_object_where_only_an_object_may_stand(client: ApiClient) -> None:
    task_id = opened(client, columns=["id", {"name": "n", "type": "number"}], options=[])
    assert client.put_rows(task_id, 1, [["a", 1]]).status_code == 200
    assert client.post(f"/v1/exports/{task_id}/close", json=[]).status_code == 202
    client.relay.memory.invoker.join()
    assert lines_of(client, task_id) == [{"id": "a", "n": 1}]
    assert client.post(f"/v1/exports/{task_id}/render", json={"format": "csv", "options": []}).status_code == 201
    again = opened(client, columns=["id"])
    assert client.post(f"/v1/exports/{again}/close", json={"batches": 0, "sheets": []}).status_code == 202


@pytest.mark.parametrize("body", [{"format": [], "columns": ["id"]}, {"format": "csv", "columns": [7]}, [1]])
def test_no_other_array_is_taken_for_an_object(client: ApiClient, body: Any) -> None:
    assert client.post("/v1/exports", json=body).status_code == 400


def test_sheets_take_bare_names_too(client: ApiClient) -> None:
    body = {"format": "xlsx", "filename": "o", "sheets": [{"name": "A", "columns": ["id"]}]}
    assert client.post("/v1/exports", json=body).status_code == 201


@pytest.mark.parametrize("kind", ["jsonl", "csv", "xlsx"])
def test_a_zero_date_becomes_null_and_is_counted(client: ApiClient, kind: str) -> None:
    columns = [{"name": "at", "type": "date"}, {"name": "n", "type": "number"}, {"name": "b", "type": "boolean"}]
    task_id = opened(client, format=kind, columns=columns, options={"on_invalid": "null"})
    rows = [["0000-00-00", "n/a", "t"], ["2025-03-14", 2, "maybe"], [None, "", "N"]]
    assert client.put_rows(task_id, 1, rows).status_code == 200
    task = client.finish(task_id)
    assert {"kind": "invalid_as_null", "count": 3} in task["warnings"]
    if kind == "jsonl":
        assert lines_of(client, task_id) == [
            {"at": None, "n": None, "b": True},
            {"at": "2025-03-14", "n": 2, "b": None},
            {"at": None, "n": None, "b": False},
        ]
    if kind == "csv":
        text = client.relay.memory.file(task_id, client.tenant).decode("utf-8-sig")
        assert text.splitlines() == ["at,n,b", ",,true", "2025-03-14,2,", ",,false"]


@pytest.mark.parametrize(
    ("kind", "options", "invalid"),
    [
        ("parquet", {}, "n/a"),
        ("csv", {}, "1\x002"),
        ("csv", {"csv_encoding": "gb2312"}, "7 \U0001f600"),
        ("xlsx", {}, "x" * 40_000),
    ],
)
def test_what_becomes_null_is_stored_though_the_file_could_not_have_it(
    client: ApiClient, kind: str, options: dict[str, str], invalid: str
) -> None:
    columns = [{"name": "n", "type": "number"}, {"name": "s"}]
    task_id = opened(client, format=kind, columns=columns, options={"on_invalid": "null", **options})
    assert client.put_rows(task_id, 1, [["1", "a"], [invalid, "b"]]).status_code == 200
    assert client.finish(task_id)["warnings"] == [{"kind": "invalid_as_null", "count": 1}]
    surrogate = client.put_rows(opened(client, format=kind, columns=columns), 1, [["\ud800", "b"]])
    assert (surrogate.status_code, surrogate.json()["code"]) == (400, "INVALID_TEXT")


def test_the_stored_rows_stay_so_another_file_may_keep_them_as_text(client: ApiClient) -> None:
    task_id = opened(client, columns=[{"name": "at", "type": "date"}], options={"on_invalid": "null"})
    assert client.put_rows(task_id, 1, [["0000-00-00"]]).status_code == 200
    client.finish(task_id)
    body = {"format": "jsonl", "options": {"on_invalid": "text"}}
    made = client.post(f"/v1/exports/{task_id}/render", json=body).json()["task_id"]
    assert lines_of(client, made) == [{"at": "0000-00-00"}]


def test_false_that_php_wrote_as_the_empty_text_is_counted_in_a_boolean_column_alone(client: ApiClient) -> None:
    columns = [{"name": "b", "type": "boolean"}, {"name": "s"}, {"name": "p", "type": "boolean", "format": "yes/"}]
    task_id = opened(client, columns=columns)
    assert client.put_rows(task_id, 1, [["", "", ""], ["1", "", ""], [None, "", ""]]).status_code == 200
    assert client.finish(task_id)["warnings"] == [{"kind": "boolean_empty", "count": 1}]


@pytest.mark.parametrize("batches", [[[["t"], ["f"]]], [[["t"]], [["f"]]], [[["true"], ["t"], ["f"], ["false"]]]])
def test_letters_are_booleans_and_become_words_in_csv(client: ApiClient, batches: list[list[list[str]]]) -> None:
    task_id = opened(client, format="csv", columns=[{"name": "b", "type": "boolean"}])
    for sequence, rows in enumerate(batches, 1):
        assert client.put_rows(task_id, sequence, rows).status_code == 200
    client.finish(task_id)
    text = client.relay.memory.file(task_id, client.tenant).decode("utf-8-sig")
    assert set(text.split()[1:]) == {"true", "false"}
