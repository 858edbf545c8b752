"""A whole table in one request: cut the same wherever the network cuts it, sealed only when all of it came."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sluice.api.http.bodies.body import BodyTimeouts
from sluice.domain.events import Event
from sluice.domain.limits import KIB, MIB, Limits
from sluice.domain.task import State
from tests.support.http_client import ApiClient, HttpRelay, code_of, http_relay
from tests.support.http_process import http_process

HEADER = ["id", "name", "note"]
ROWS = [[str(number), f"näme {number}", f'a "note",\r\nwith 数 {number}'] for number in range(2_500)]


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpRelay]:
    with http_relay(tmp_path_factory.mktemp("relay"), body_timeouts=BodyTimeouts(idle_s=0.5)) as running:
        yield running


@pytest.fixture
def client(relay: HttpRelay) -> ApiClient:
    """A client of a tenant of its own."""
    relay.tenants += 1
    return relay.client(f"tenant-{relay.tenants}")


def as_csv(rows: list[list[str]], header: list[str] | None = HEADER) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows] if header else rows)
    return text.getvalue().encode()


def send(
    client: ApiClient, body: Any, content_type: str = "text/csv", *, query: str = "", **headers: str
) -> httpx.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(
        f"/v1/exports/stream?format=csv&filename=orders{query}",
        content=body,
        headers={"Content-Type": content_type, **sent},
    )


def rows_of(client: ApiClient, answer: httpx.Response) -> list[list[str]]:
    """The rows of the file that the stream became."""
    assert answer.status_code == 202, answer.text
    client.relay.memory.invoker.join()
    text = client.relay.memory.file(answer.json()["task_id"], client.tenant).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline="")))


def only_state(client: ApiClient) -> State:
    return client.relay.memory.only_row(client.tenant).state


def test_a_table_in_one_request_becomes_a_file(client: ApiClient) -> None:
    answer = send(client, as_csv(ROWS))
    task = answer.json()
    assert (task["rows_received"], task["batches"], task["filename"]) == (2_500, 3, "orders.csv")
    assert answer.headers["Location"] == f"/v1/exports/{task['task_id']}"
    assert int(answer.headers["Retry-After"]) > 0
    assert rows_of(client, answer) == [HEADER, *ROWS]


@pytest.mark.parametrize("piece_bytes", [1_021, 3])
def test_the_batches_are_the_same_however_the_network_cuts_the_body(client: ApiClient, piece_bytes: int) -> None:
    rows = ROWS if piece_bytes > 3 else ROWS[:40]
    body = as_csv(rows)
    pieces = (body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes))
    whole = send(client, body, Idempotency_Key="k")
    again = send(client, pieces, Idempotency_Key="k")
    assert again.json()["task_id"] == whole.json()["task_id"]
    assert rows_of(client, again) == [HEADER, *rows]


def test_ndjson_of_arrays_and_of_objects(client: ApiClient) -> None:
    arrays = b"\n".join(json.dumps(row).encode() for row in ROWS)
    objects = b"\r\n\r\n".join(json.dumps(dict(zip(HEADER, row, strict=True))).encode() for row in ROWS) + b"\n"
    kind = "application/x-ndjson"
    expected = [HEADER, *ROWS]
    assert rows_of(client, send(client, arrays, kind, query="&columns=id:number,name,note")) == expected
    assert rows_of(client, send(client, objects, kind)) == expected
    assert rows_of(client, send(client, objects, kind, query="&columns=id,name&columns=note")) == expected
    refused(client, send(client, arrays, kind), 400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'[{"a":1,"b":"x"},{"a":2,"b":"y"}]'),
        ("application/json", b'[\n  {"a": 1, "b": "x"},\n  {"b": "y", "a": 2}\n]\n'),
        ("text/csv", b"sep=;\na;b\n1;x\n2;y\n"),
        ("text/tab-separated-values", b"a\tb\n1\tx\n2\ty\n"),
        ('text/csv; delimiter=";"', b"a;b\n1;x\n2;y\n"),
        ("text/csv; delimiter=tab; charset=utf-8", b"a\tb\n1\tx\n2\ty\n"),
    ],
)
def test_a_table_may_be_an_array_or_have_another_delimiter(client: ApiClient, content_type: str, body: bytes) -> None:
    assert rows_of(client, send(client, body, content_type)) == [["a", "b"], ["1", "x"], ["2", "y"]]


def test_types_are_detected_when_that_is_asked_for(client: ApiClient) -> None:
    body = b"id;at;n\n007;2025-03-14;1\n" + b"8;2025-03-15;2.5\n" * 1_500 + b"9;;n/a\n"
    answer = client.post(
        "/v1/exports/stream?format=jsonl&infer=true", content=body, headers={"Content-Type": "text/csv"}
    )
    assert answer.status_code == 202, answer.text
    client.relay.memory.invoker.join()
    lines = client.relay.memory.file(answer.json()["task_id"], client.tenant).splitlines()
    assert json.loads(lines[0]) == {"id": "007", "at": "2025-03-14", "n": 1}
    assert json.loads(lines[-1]) == {"id": "9", "at": None, "n": "n/a"}
    columns = client.relay.memory.row(answer.json()["task_id"], client.tenant).live_params.columns
    assert [column.type.value for column in columns] == ["string", "date", "number"]


def test_a_delimiter_that_is_none_is_refused(client: ApiClient) -> None:
    refused(client, send(client, b"a\n", "text/csv; delimiter=ab"), 415, "UNSUPPORTED_ENCODING")


def refused(client: ApiClient, answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, code_of(answer)) == (status, code)
    return dict(answer.json())


def test_declared_columns_check_the_header_and_the_values(client: ApiClient) -> None:
    body = as_csv([["1", "a", "b"], ["x", "a", "b"]])
    facts = refused(client, send(client, body, query="&columns=id:number,name,note"), 400, "INVALID_VALUE")
    assert (facts["row"], facts["column"]) == (2, "id")
    assert only_state(client) is State.CANCELLED
    refused(client, send(client, body, query="&columns=id,name,not"), 400, "INVALID_REQUEST")
    refused(client, send(client, body, query="&columns=id:numeral,name"), 400, "INVALID_REQUEST")


def test_the_row_of_an_error_is_counted_from_the_start_of_the_body(client: ApiClient) -> None:
    rows = [*ROWS[:2_100], ["only one"], *ROWS]
    facts = refused(client, send(client, as_csv(rows)), 400, "ROW_WIDTH_MISMATCH")
    assert facts["row"] == 2_101


def test_a_header_that_is_absent_needs_columns(client: ApiClient) -> None:
    body = as_csv(ROWS[:3], header=None)
    refused(client, send(client, body, "text/csv; header=absent"), 400, "INVALID_REQUEST")
    answer = send(client, body, "text/csv; header=absent", query="&columns=id,name,note")
    assert rows_of(client, answer) == [HEADER, *ROWS[:3]]


def test_an_empty_body_is_refused_and_a_header_alone_is_a_table(client: ApiClient) -> None:
    refused(client, send(client, b""), 400, "INVALID_REQUEST")
    refused(client, send(client, b"", query="&columns=id"), 400, "INVALID_REQUEST")
    assert rows_of(client, send(client, b"id,name")) == [["id", "name"]]
    answer = send(client, b"", "text/csv; header=absent", query="&columns=id,name")
    assert rows_of(client, answer) == [["id", "name"]]
    assert rows_of(client, send(client, b"\n", "application/x-ndjson", query="&columns=id")) == [["id"]]


@pytest.mark.parametrize("piece_bytes", [1, 2, 100])
def test_row_59_a_byte_order_mark_is_no_part_of_the_first_name(client: ApiClient, piece_bytes: int) -> None:
    body = "\ufeffid,name\r\n1,\ufeffx\r\n".encode()
    pieces = (body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes))
    answer = send(client, pieces, query="&columns=id:number,name")
    assert rows_of(client, answer) == [["id", "name"], ["1", "\ufeffx"]]


def test_a_table_of_one_column_keeps_its_empty_rows(client: ApiClient) -> None:
    answer = send(client, b'a\r\n1\r\n\r\n""\r\n2')
    assert rows_of(client, answer) == [["a"], ["1"], [""], [""], ["2"]]


def test_options_come_as_parameters_and_a_misspelt_one_is_refused(client: ApiClient) -> None:
    answer = send(client, b"a,b\n1,NULL\n", query="&csv_bom=false&line_ending=lf&null_value=NULL&csv_delimiter=%3B")
    assert rows_of(client, answer) == [["a;b"], ["1;"]]
    for query in ("&csv_bomb=false", "&csv_bom=perhaps", "&excel_start_row=1.5", "&csv_bom=true&csv_bom=false"):
        assert refused(client, send(client, b"a\n", query=query), 400, "INVALID_REQUEST")["field"] is not None
    wrong = client.post("/v1/exports/stream?format=pdf", content=b"a\n", headers={"Content-Type": "text/csv"})
    refused(client, wrong, 400, "UNSUPPORTED_FORMAT")
    refused(client, send(client, b"[]", "application/x-protobuf"), 415, "UNSUPPORTED_ENCODING")


def test_a_packed_table_is_unpacked_on_the_way(client: ApiClient) -> None:
    body = gzip.compress(as_csv(ROWS))
    checksum = hashlib.sha256(body).hexdigest()
    answer = send(client, body, Content_Encoding="gzip", X_Content_SHA256=checksum)
    assert rows_of(client, answer) == [HEADER, *ROWS]
    refused(client, send(client, body[:-4], Content_Encoding="gzip"), 400, "INVALID_REQUEST")
    refused(client, send(client, body), 415, "UNSUPPORTED_ENCODING")
    refused(client, send(client, gzip.compress(body), Content_Encoding="gzip"), 415, "UNSUPPORTED_ENCODING")


def test_a_table_without_its_checksum_is_not_sealed(client: ApiClient) -> None:
    refused(client, send(client, as_csv(ROWS), X_Content_SHA256="0" * 64), 400, "CHECKSUM_MISMATCH")
    assert only_state(client) is State.CANCELLED


def test_a_table_of_other_rows_than_expected_is_not_sealed(client: ApiClient) -> None:
    answer = send(client, as_csv(ROWS[:3]), query="&expected_rows=4")
    facts = refused(client, answer, 409, "TOTALS_MISMATCH")
    assert (facts["rows_received"], facts["rows_expected"]) == (3, 4)
    assert only_state(client) is State.CANCELLED
    assert rows_of(client, send(client, as_csv(ROWS[:4]), query="&expected_rows=4")) == [HEADER, *ROWS[:4]]


def half_a_body(client: ApiClient, *, key: str = "") -> socket.socket:
    """A connection on which a header, 1,500 rows and half a row were sent."""
    body = as_csv(ROWS[:1_500]) + b"1500,half a r"
    lines = [
        "POST /v1/exports/stream?format=csv HTTP/1.1",
        "Host: x",
        f"Authorization: {client.headers['Authorization']}",
        "Content-Type: text/csv",
        f"Content-Length: {len(body) + 1_000}",
        *([f"Idempotency-Key: {key}"] if key else []),
    ]
    connection = socket.create_connection(("127.0.0.1", client.relay.port), timeout=10)
    connection.sendall("\r\n".join((*lines, "", "")).encode() + body)
    return connection


def wait_for(condition: Any) -> None:
    give_up_at = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_a_sender_that_goes_away_seals_nothing(client: ApiClient) -> None:
    with half_a_body(client):
        wait_for(lambda: client.get("/v1/exports").json()["tasks"])
    wait_for(lambda: only_state(client) is State.CANCELLED)
    assert client.relay.memory.only_row(client.tenant).batches_received == 1


def test_a_sender_that_falls_silent_is_answered_and_seals_nothing(client: ApiClient) -> None:
    with half_a_body(client) as connection:
        assert connection.recv(65_536).startswith(b"HTTP/1.1 408 ")
    assert only_state(client) is State.CANCELLED
    assert client.relay.memory.journal.of(Event.STREAM_ERROR)


def test_under_a_key_a_broken_body_sent_again_continues_the_same_export(client: ApiClient) -> None:
    with half_a_body(client, key="k") as connection:
        assert connection.recv(65_536).startswith(b"HTTP/1.1 408 ")
    assert only_state(client) is State.OPEN
    answer = client.post(
        "/v1/exports/stream?format=csv",
        content=as_csv(ROWS),
        headers={"Content-Type": "text/csv", "Idempotency-Key": "k"},
    )
    assert rows_of(client, answer) == [HEADER, *ROWS]
    other = client.post(
        "/v1/exports/stream?format=csv",
        content=as_csv(ROWS[:10]),
        headers={"Content-Type": "text/csv", "Idempotency-Key": "k"},
    )
    refused(client, other, 409, "BATCH_CONFLICT")


def test_one_row_larger_than_a_batch_is_refused(tmp_path: Path) -> None:
    with http_relay(tmp_path, limits=Limits(batch_bytes_max=64 * KIB)) as relay:
        client = relay.client()
        fits = as_csv([["1", "a", "x" * 40_000]] * 5)
        assert len(rows_of(client, send(client, fits))) == 6
        for body in (as_csv([["1", "a", "x" * 70_000]]), b'a,b\n1,"never closed\n' + b"2,3\n" * 100_000):
            refused(client, send(client, body), 413, "BATCH_TOO_LARGE")
        long_line = b'["' + b"x" * 300_000
        answer = send(client, long_line, "application/x-ndjson", query="&columns=a")
        refused(client, answer, 413, "BATCH_TOO_LARGE")


@pytest.mark.memory
@pytest.mark.slow
def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    line = b"1,2025-03-14,some text that is not very long,12.50,yes,another text\r\n"

    def body(size: int) -> Iterator[bytes]:
        yield b"a,b,c,d,e,f\r\n"
        block = line * 1_000
        for _ in range(size // len(block)):
            yield block

    with (
        http_process(tmp_path, stores="directory") as process,
        httpx.Client(verify=False, base_url=f"http://127.0.0.1:{process.port}", timeout=60) as client,
    ):
        peaks = []
        for size in (2 * MIB, 16 * MIB):
            answer = client.post(
                "/v1/exports/stream?format=csv", content=body(size), headers={"Content-Type": "text/csv"}
            )
            assert answer.status_code == 202, answer.text
            peaks.append(process.peak_bytes())
    assert peaks[1] - peaks[0] <= 4 * MIB


def test_a_stream_that_was_refused_says_so_in_the_status_and_can_be_continued(client: ApiClient) -> None:
    path = "/v1/exports/stream?format=csv&columns=id:number,name"
    headers = {"Content-Type": "text/csv", "Idempotency-Key": "broken-then-mended"}
    lines = [f"{row},name" for row in range(30_000)]
    broken = "\n".join(["id,name", *lines, "no number,name"])
    assert code_of(client.post(path, content=broken.encode(), headers=headers)) == "INVALID_VALUE"
    (listed,) = client.get("/v1/exports").json()["tasks"]
    shown = client.get(f"/v1/exports/{listed['task_id']}").json()
    assert (shown["state"], shown["status"]) == ("open", "PROCESSING")
    refusal = shown["refusal"]
    assert refusal["code"] == "INVALID_VALUE"
    assert "row: 30001" in refusal["message"]
    assert "column: id" in refusal["message"]
    assert "no number" not in str(shown)
    assert refusal["stored"] == [[1, shown["batches"]]]
    assert refusal["open_until"] > shown["created_at"]
    assert (listed["refusal"]["code"], listed["refusal"]["stored"]) == ("INVALID_VALUE", None)
    mended = "\n".join(["id,name", *lines])
    client.post(path, content=mended.encode(), headers=headers).raise_for_status()
    assert client.finish(listed["task_id"])["refusal"] is None
