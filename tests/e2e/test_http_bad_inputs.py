"""Rows 1 to 34 of the bad inputs, through HTTP: the code, the status, and that nothing changed where nothing may."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from sluice.domain.limits import Limits, Timings
from sluice.domain.task import State, Task
from sluice.ports.object_store import ObjectStore
from sluice.ports.task_store import TaskStore
from tests.support.canonical_rows import canonical_rows
from tests.support.fake_clock import FakeClock
from tests.support.http_client import ApiClient, HttpRelay, code_of, definition, http_relay, raw_exchange
from tests.support.watched_stores import CountedCalls, HeldUploads

ROWS = [[1, "a"], [2, "b"]]
UNKNOWN_ID = "a" * 26
FULL_WIDTH_ONE = "\uff11"


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpRelay]:
    with http_relay(tmp_path_factory.mktemp("relay")) as running:
        yield running


@pytest.fixture
def client(relay: HttpRelay) -> ApiClient:
    """A client of a tenant of its own."""
    relay.tenants += 1
    return relay.client(f"tenant-{relay.tenants}")


def row(client: ApiClient, task_id: str) -> Task:
    return client.relay.memory.row(task_id, client.tenant)


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, code_of(answer)) == (status, code)
    return dict(answer.json())


def test_row_01_two_opens_without_a_key_are_two_tasks(client: ApiClient) -> None:
    assert client.open() != client.open()


def test_row_02_a_hundred_opens_at_once_with_one_key_are_one_task(client: ApiClient) -> None:
    with ThreadPoolExecutor(20) as threads:
        opened = set(threads.map(lambda _: client.open(key="order-7"), range(100)))
    assert len(opened) == 1
    assert len(client.get("/v1/exports").json()["tasks"]) == 1


def test_row_02_an_open_sent_again_says_so(client: ApiClient) -> None:
    answers = [client.post("/v1/exports", json=definition(), headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers] == [None, "true"]
    assert answers[0].json() == answers[1].json()


def test_row_03_the_same_key_with_one_option_changed_is_refused(client: ApiClient) -> None:
    task_id = client.open(key="k")
    before = row(client, task_id)
    answer = client.post("/v1/exports", json=definition(options={"quote_all": True}), headers={"Idempotency-Key": "k"})
    refused(answer, 409, "IDEMPOTENCY_KEY_REUSED")
    assert row(client, task_id) == before


def test_row_04_the_key_of_a_deleted_task_makes_no_second_one(client: ApiClient) -> None:
    task_id = client.open(key="k")
    client.finish(task_id)
    assert client.delete(f"/v1/exports/{task_id}").status_code == 204
    answer = client.post("/v1/exports", json=definition(), headers={"Idempotency-Key": "k"})
    refused(answer, 410, "TASK_DELETED")


@pytest.mark.parametrize("key", ["", "x" * 256, "é" * 128], ids=["empty", "256 bytes", "256 bytes of UTF-8"])
def test_row_05_a_key_that_is_no_key_is_refused(client: ApiClient, key: str) -> None:
    answer = client.post("/v1/exports", json=definition(), headers={b"Idempotency-Key": key.encode()})
    refused(answer, 400, "INVALID_REQUEST")


@pytest.mark.parametrize("key", [b"a\xc2\x85b", b"\xff\xfe"], ids=["control", "not UTF-8"])
def test_row_05_a_key_with_control_characters_is_refused(client: ApiClient, key: bytes) -> None:
    answer = client.post("/v1/exports", json=definition(), headers={b"Idempotency-Key": key})
    refused(answer, 400, "INVALID_REQUEST")


def test_row_05_a_key_with_a_nul_is_no_http(client: ApiClient) -> None:
    head = b"POST /v1/exports HTTP/1.1\r\nHost: x\r\nIdempotency-Key: a\x00b\r\nContent-Length: 0\r\n\r\n"
    answer = raw_exchange(client.relay.port, [head])
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer


@pytest.mark.parametrize("file_format", ["xlsm", "../csv", "CSV ", "", 1, None])
def test_row_06_an_unknown_format_is_refused(client: ApiClient, file_format: object) -> None:
    refused(client.post("/v1/exports", json=definition(format=file_format)), 400, "UNSUPPORTED_FORMAT")


def test_row_07_no_columns_too_many_and_one(client: ApiClient) -> None:
    columns = [{"name": f"c{number}"} for number in range(16_385)]
    refused(client.post("/v1/exports", json=definition(columns=[])), 400, "INVALID_REQUEST")
    too_wide = client.post("/v1/exports", json=definition(format="xlsx", columns=columns))
    refused(too_wide, 400, "TOO_MANY_COLUMNS")
    assert client.post("/v1/exports", json=definition(columns=columns[:1])).status_code == 201


def test_row_08_duplicate_and_empty_names_are_taken_and_long_ones_refused(client: ApiClient) -> None:
    taken = client.open(columns=[{"name": "a"}, {"name": "a"}, {"name": ""}])
    assert client.put_rows(taken, 1, [["1", "2", "3"]]).status_code == 200
    client.finish(taken)
    text = client.relay.memory.file(taken, client.tenant).decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["a", "a", ""], ["1", "2", "3"]]
    refused(client.post("/v1/exports", json=definition(columns=[{"name": "x" * 300}])), 400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    "sequence", ["0", "-1", 2**31, 2**63, "1.5", "%221%22", "x", "+1", FULL_WIDTH_ONE, "1e0", "0x1"]
)
def test_row_09_a_sequence_that_no_batch_can_have_is_refused(client: ApiClient, sequence: object) -> None:
    task_id = client.open()
    before = row(client, task_id)
    refused(client.put_rows(task_id, sequence, ROWS), 400, "SEQ_OUT_OF_RANGE")
    assert row(client, task_id) == before


def test_row_10_batch_10001_is_refused(client: ApiClient) -> None:
    task_id = client.open()
    before = row(client, task_id)
    assert refused(client.put_rows(task_id, 10_001, ROWS), 413, "TOO_MANY_BATCHES")["batches_max"] == 10_000
    assert row(client, task_id) == before


def test_row_11_a_batch_without_rows_counts(client: ApiClient) -> None:
    task_id = client.open()
    assert client.put_rows(task_id, 1, []).json()["rows"] == 0
    assert client.close_task(task_id, batches=1, rows=0).status_code == 202


@pytest.mark.parametrize("bad", [[[1, "a"], [2]], [[1, "a"], [2, "b", "c"]], [[1, "a"], []]])
def test_row_12_a_row_of_another_width_is_refused(client: ApiClient, bad: list[list[object]]) -> None:
    task_id = client.open()
    before = row(client, task_id)
    facts = refused(client.put_rows(task_id, 1, bad), 400, "ROW_WIDTH_MISMATCH")
    assert (facts["row"], facts["cells"], facts["columns"]) == (2, len(bad[1]), 2)
    assert row(client, task_id) == before
    assert client.relay.memory.held(task_id, client.tenant) == []


@pytest.mark.parametrize(("over", "status"), [(0, 200), (1, 413)])
def test_rows_13_and_14_a_batch_at_the_limit_is_taken_and_one_byte_more_is_not(
    tmp_path: Path, over: int, status: int
) -> None:
    rows = [["1", "x" * 500]]
    limits = Limits(batch_bytes_max=len(canonical_rows(rows, 2)) - over)
    with http_relay(tmp_path, limits=limits) as relay:
        client = relay.client()
        answer = client.put_rows(client.open(), 1, rows)
    assert answer.status_code == status
    if over:
        assert code_of(answer) == "BATCH_TOO_LARGE"


def test_row_15_fifty_times_the_same_batch_at_once_is_one_batch(client: ApiClient) -> None:
    task_id = client.open()
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: client.put_rows(task_id, 1, ROWS), range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert sum(not answer.json()["replayed"] for answer in answers) == 1
    assert (row(client, task_id).batches_received, row(client, task_id).rows_received) == (1, 2)
    folder = f"{client.tenant}/{task_id}/c/"
    assert len([item for item in client.relay.memory.store.list("in/") if folder in item.key]) == 1


def test_row_16_a_taken_sequence_keeps_its_first_batch(client: ApiClient) -> None:
    task_id = client.open()
    first = client.put_rows(task_id, 1, ROWS).json()
    before = row(client, task_id)
    facts = refused(client.put_rows(task_id, 1, [[1, "a"], [2, "B"]]), 409, "BATCH_CONFLICT")
    assert facts["stored_sha256"] == first["sha256"]
    assert row(client, task_id) == before


def test_row_17_other_white_space_and_key_order_are_the_same_batch(client: ApiClient) -> None:
    task_id = client.open()
    first = client.put_rows(task_id, 1, ROWS).json()
    spellings = (
        b' [ [ 1 ,\n"a" ] , [2,"\\u0062"] ] ',
        b'[{"id":1,"name":"a"},{"name":"b","id":2}]',
        b'[{ "name" : "a", "id" :1},{"id":"2","name":"b"}]',
    )
    for body in spellings:
        answer = client.put_body(task_id, 1, body)
        assert answer.json() == {**first, "replayed": True}


def test_row_17_another_form_of_a_number_is_another_batch(client: ApiClient) -> None:
    task_id = client.open()
    assert client.put_body(task_id, 1, b'[[1,"a"]]').status_code == 200
    refused(client.put_body(task_id, 1, b'[[1.0,"a"]]'), 409, "BATCH_CONFLICT")


def test_row_18_a_body_without_its_checksum_is_not_stored(client: ApiClient) -> None:
    task_id = client.open()
    client.put_rows(task_id, 1, ROWS)
    before = row(client, task_id)
    answer = client.put_rows(task_id, 1, ROWS, X_Content_SHA256="0" * 64)
    refused(answer, 400, "CHECKSUM_MISMATCH")
    refused(client.put_rows(task_id, 2, ROWS, X_Content_SHA256="0" * 64), 400, "CHECKSUM_MISMATCH")
    refused(client.put_rows(task_id, 2, ROWS, X_Content_SHA256="tis no sum"), 400, "INVALID_REQUEST")
    assert row(client, task_id) == before


def test_row_19_batches_may_come_backwards(client: ApiClient) -> None:
    task_id = client.open()
    for sequence in (3, 2, 1):
        assert client.put_rows(task_id, sequence, [[sequence, "x"]]).status_code == 200
    client.finish(task_id)
    assert client.relay.memory.file(task_id, client.tenant) == b"\xef\xbb\xbfid,name\r\n1,x\r\n2,x\r\n3,x\r\n"


def test_row_20_a_gap_keeps_the_task_open(client: ApiClient) -> None:
    task_id = client.open()
    client.put_rows(task_id, 1, ROWS)
    client.put_rows(task_id, 200, ROWS)
    before = row(client, task_id)
    facts = refused(client.close_task(task_id), 409, "BATCHES_MISSING")
    assert (facts["missing"], facts["missing_count"]) == (list(range(2, 102)), 198)
    assert row(client, task_id) == before
    assert before.state is State.OPEN


@pytest.mark.parametrize(
    ("totals", "code"),
    [
        ({"batches": 1}, "BATCHES_EXTRA"),
        ({"batches": 2, "rows": 3}, "TOTALS_MISMATCH"),
        ({"rows": 5}, "TOTALS_MISMATCH"),
    ],
    ids=["row_21", "row_22 less", "row_22 more"],
)
def test_rows_21_and_22_wrong_totals_keep_the_task_open(client: ApiClient, totals: dict[str, int], code: str) -> None:
    task_id = client.open()
    client.put_rows(task_id, 1, ROWS)
    client.put_rows(task_id, 2, ROWS)
    before = row(client, task_id)
    refused(client.close_task(task_id, **totals), 409, code)
    assert row(client, task_id) == before


@pytest.mark.parametrize("body", [b'{"batches":"1"}', b'{"batches":-1}', b'{"rows":1.5}', b'{"row":1}', b"[1]", b"{"])
def test_row_22_totals_that_are_no_totals_are_refused(client: ApiClient, body: bytes) -> None:
    task_id = client.open()
    before = row(client, task_id)
    answer = client.post(f"/v1/exports/{task_id}/close", content=body, headers={"Content-Type": "application/json"})
    refused(answer, 400, "INVALID_REQUEST")
    assert row(client, task_id) == before


def test_rows_23_and_24_closing_again_needs_the_same_totals(client: ApiClient) -> None:
    task_id = client.open()
    client.put_rows(task_id, 1, ROWS)
    assert [client.close_task(task_id, batches=1).status_code for _ in range(2)] == [202, 202]
    refused(client.close_task(task_id, batches=2), 409, "ALREADY_CLOSED")
    assert client.post(f"/v1/exports/{task_id}/close").status_code == 202


def test_row_25_a_task_without_batches_becomes_a_file_with_its_header(client: ApiClient) -> None:
    task_id = client.open()
    assert client.close_task(task_id, batches=0, rows=0).status_code == 202
    assert client.finish(task_id)["state"] == "completed"
    assert client.relay.memory.file(task_id, client.tenant) == b"\xef\xbb\xbfid,name\r\n"


def test_row_26_a_batch_that_races_the_close_is_in_the_file_or_refused(client: ApiClient) -> None:
    with ThreadPoolExecutor(2) as threads:
        for _ in range(20):
            task_id = client.open()
            client.put_rows(task_id, 1, ROWS)
            put = threads.submit(client.put_rows, task_id, 2, [[3, "late"]])
            close = threads.submit(client.close_task, task_id)
            assert close.result().status_code == 202
            was_taken = put.result().status_code == 200
            client.finish(task_id)
            assert (b"late" in client.relay.memory.file(task_id, client.tenant)) == was_taken


def test_rows_27_and_28_after_the_close_only_what_is_held_is_taken(client: ApiClient) -> None:
    task_id = client.open()
    client.put_rows(task_id, 1, ROWS)
    client.finish(task_id)
    assert client.put_rows(task_id, 1, ROWS).json()["replayed"] is True
    refused(client.put_rows(task_id, 2, ROWS), 409, "TASK_CLOSED")
    refused(client.put_rows(task_id, 1, [[9, "z"]]), 409, "BATCH_CONFLICT")


CALLS = [
    ("GET", ""),
    ("GET", "?wait=1"),
    ("GET", "/events"),
    ("GET", "/file"),
    ("PUT", "/batches/1"),
    ("POST", "/close"),
    ("POST", "/render"),
    ("POST", "/cancel"),
    ("DELETE", ""),
]


def call(client: ApiClient, method: str, task_id: str, rest: str) -> httpx.Response:
    body = {"content": b"[]", "headers": {"Content-Type": "application/json"}} if rest == "/batches/1" else {}
    return client.request(method, f"/v1/exports/{task_id}{rest}", **cast(Any, body))


@pytest.mark.parametrize(("method", "rest"), CALLS)
def test_row_29_another_tenants_task_is_as_unknown_as_none(relay: HttpRelay, method: str, rest: str) -> None:
    owner, other = relay.client("owner"), relay.client("other")
    task_id = owner.open()
    before = row(owner, task_id)
    headers = {"X-Request-ID": "same"}
    other.headers.update(headers)
    theirs, nobodys = (call(other, method, one, rest) for one in (task_id, UNKNOWN_ID))
    refused(theirs, 404, "TASK_NOT_FOUND")
    assert theirs.content == nobodys.content
    assert {**theirs.headers, "date": ""} == {**nobodys.headers, "date": ""}
    assert row(owner, task_id) == before


ODD_IDS = [
    "..",
    "%2e%2e",
    "%2e%2e%2f%2e%2e",
    "a%2fb",
    "a%00b",
    UNKNOWN_ID.upper(),
    UNKNOWN_ID + "%0a",
    FULL_WIDTH_ONE * 26,
    "a" * 25,
    "a" * 27,
    "a" * 10_240,
    "%ff%fe",
    "%20",
    "stream",
]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HttpRelay, CountedCalls]]:
    calls: list[CountedCalls] = []

    def watch(tasks: TaskStore) -> TaskStore:
        calls.append(CountedCalls(tasks))
        return cast(TaskStore, calls[0])

    with http_relay(tmp_path_factory.mktemp("watched"), tasks=watch) as running:
        yield running, calls[0]


@pytest.mark.parametrize("task_id", ODD_IDS, ids=lambda text: text[:16])
def test_row_30_an_odd_task_id_reaches_no_store(watched: tuple[HttpRelay, CountedCalls], task_id: str) -> None:
    relay, calls = watched
    path = f"GET /v1/exports/{task_id} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode()
    key = relay.client().headers["Authorization"].encode()
    answer = raw_exchange(relay.port, [path + b"Authorization: " + key + b"\r\n\r\n"])
    assert answer.split(b" ")[1] in {b"404", b"400"}
    assert calls.calls == []


def test_row_30_a_task_id_that_could_be_one_does_reach_the_store(watched: tuple[HttpRelay, CountedCalls]) -> None:
    relay, calls = watched
    refused(relay.client().get(f"/v1/exports/{UNKNOWN_ID}"), 404, "TASK_NOT_FOUND")
    assert calls.calls == ["read"]
    calls.calls.clear()


@pytest.mark.parametrize(("method", "rest"), CALLS)
def test_row_30_no_call_takes_an_odd_task_id(client: ApiClient, method: str, rest: str) -> None:
    refused(call(client, method, "NOT-A-TASK", rest), 404, "TASK_NOT_FOUND")


@pytest.mark.parametrize("state", ["open", "sealed"])
def test_row_31_a_cancelled_task_never_gets_a_file(tmp_path: Path, state: str) -> None:
    with http_relay(tmp_path, paused=True) as relay:
        client = relay.client()
        task_id = client.open()
        client.put_rows(task_id, 1, ROWS)
        if state == "sealed":
            client.close_task(task_id)
        assert client.delete(f"/v1/exports/{task_id}").status_code == 204
        relay.memory.invoker.join()
        assert client.get(f"/v1/exports/{task_id}").json()["state"] == "cancelled"
        refused(client.get(f"/v1/exports/{task_id}/file"), 409, "CANCELLED")
        refused(client.put_rows(task_id, 2, ROWS), 409, "CANCELLED")
        refused(client.close_task(task_id), 409, "CANCELLED")


def test_row_31_a_task_cancelled_while_it_is_composed_never_gets_a_file(tmp_path: Path) -> None:
    held: list[HeldUploads] = []

    def hold(store: ObjectStore) -> ObjectStore:
        held.append(HeldUploads(store))
        return held[0]

    with http_relay(tmp_path, objects=hold) as relay:
        client = relay.client()
        task_id = client.open()
        client.close_task(task_id)
        assert held[0].reached.wait(10)
        assert client.get(f"/v1/exports/{task_id}").json()["status"] in {"PROCESSING", "UPLOADING"}
        assert client.delete(f"/v1/exports/{task_id}").status_code == 204
        held[0].release.set()
        relay.memory.invoker.join()
        assert client.get(f"/v1/exports/{task_id}").json()["state"] == "cancelled"


def test_row_32_cancelling_twice_is_one_cancel_and_a_finished_task_is_deleted(client: ApiClient) -> None:
    cancelled, finished = client.open(), client.open()
    assert [client.delete(f"/v1/exports/{cancelled}").status_code for _ in range(2)] == [204, 204]
    client.finish(finished)
    assert [client.delete(f"/v1/exports/{finished}").status_code for _ in range(2)] == [204, 204]
    refused(client.get(f"/v1/exports/{finished}"), 410, "TASK_DELETED")


def test_row_33_there_is_no_file_before_the_task_is_complete(tmp_path: Path) -> None:
    with http_relay(tmp_path, paused=True) as relay:
        client = relay.client()
        task_id = client.open()
        for state in ("open", "sealed"):
            answer = client.get(f"/v1/exports/{task_id}/file")
            assert refused(answer, 409, "NOT_READY")["state"] == state
            assert int(answer.headers["Retry-After"]) > 0
            client.close_task(task_id)


def test_row_34_there_is_no_file_after_its_retention(tmp_path: Path) -> None:
    clock = FakeClock()
    with http_relay(tmp_path, clock=clock, timings=Timings(retention_s=100)) as relay:
        client = relay.client()
        task_id = client.open()
        client.finish(task_id)
        link = client.get(f"/v1/exports/{task_id}/file?redirect=false").json()
        assert client.get(link["url"]).status_code == 200
        clock.advance(101)
        refused(client.get(f"/v1/exports/{task_id}/file"), 410, "EXPIRED")
        refused(client.get(link["url"]), 410, "EXPIRED")


def test_the_tasks_of_one_tenant_are_listed_page_by_page(client: ApiClient) -> None:
    opened = [client.open() for _ in range(5)]
    client.delete(f"/v1/exports/{opened[0]}")
    page = client.get("/v1/exports?limit=3").json()
    rest = client.get("/v1/exports", params={"limit": 3, "cursor": page["cursor"]}).json()
    assert {task["task_id"] for task in page["tasks"] + rest["tasks"]} == set(opened)
    assert rest["cursor"] is None
    assert [task["task_id"] for task in client.get("/v1/exports?state=cancelled").json()["tasks"]] == opened[:1]
    for query in ("limit=0", "limit=501", "limit=x", "state=lost", "cursor=%00"):
        refused(client.get(f"/v1/exports?{query}"), 400, "INVALID_REQUEST")


def test_a_field_nobody_knows_is_refused_and_named(client: ApiClient) -> None:
    body = definition(columns=[{"name": "a", "typ": "number"}])
    facts = refused(client.post("/v1/exports", json=body), 400, "INVALID_REQUEST")
    assert "typ" in facts["detail"]
    facts = refused(client.post("/v1/exports", json=definition(tenant="other")), 400, "INVALID_REQUEST")
    assert "tenant" in facts["detail"]


def test_a_body_that_is_no_json_is_refused(client: ApiClient) -> None:
    bodies = [b"", b"{", b"\xff", b'{"a":1,"a":2}', b"[" * 100_000, b'{"format":"\\ud800"}', b'"x"', b"NaN"]
    for body in bodies:
        answer = client.post("/v1/exports", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, body[:20]
    wrong = client.post("/v1/exports", content=json.dumps(definition()), headers={"Content-Type": "text/plain"})
    refused(wrong, 415, "UNSUPPORTED_ENCODING")
