"""A table that is cut, by the network or within itself, is never taken for a whole one.

That is over HTTP and at the command line. Of gRPC, whose messages can be cut without a trace, there is a file of its
own; of senders that fall silent instead, see `test_http_bad_bodies.py` and `test_http_stream.py`.
"""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.support.command_line import sluice
from tests.support.running_service import ServiceProcess, eventually, serving

CSV_ROWS = b"id,name\r\n" + b"".join(b'%d,"name, %d"\r\n' % (number, number) for number in range(3_000))
LINES = b"".join(b'{"id":%d,"name":"name %d"}\n' % (number, number) for number in range(3_000))
ARRAY = b"[" + LINES.rstrip(b"\n").replace(b"\n", b",\n") + b"]"
COLUMNS = ["id", "name"]
CSV, NDJSON, JSON = "text/csv", "application/x-ndjson", "application/json"


class Table(NamedTuple):
    media: str
    body: bytes
    is_packed: bool = False


def cut(media: str, body: bytes, at: int) -> Table:
    return Table(media, body[:at])


def packed(media: str, body: bytes, at: int) -> Table:
    return Table(media, gzip.compress(body)[:at], is_packed=True)


CUT_WITHIN = {
    "CSV within a quoted cell": cut(CSV, CSV_ROWS, -5),
    "CSV within a row": cut(CSV, CSV_ROWS, CSV_ROWS.rindex(b',"')),
    "NDJSON within a text": cut(NDJSON, LINES, -5),
    "NDJSON within a number": cut(NDJSON, LINES, LINES.rindex(b",")),
    "NDJSON behind a name": cut(NDJSON, LINES, LINES.rindex(b'"name')),
    "NDJSON behind a brace": cut(NDJSON, LINES, LINES.rindex(b'"id')),
    "JSON without its bracket": cut(JSON, ARRAY, -1),
    "JSON behind a comma": cut(JSON, ARRAY, ARRAY.rindex(b",\n") + 1),
    "JSON between two rows": cut(JSON, ARRAY, ARRAY.rindex(b",\n")),
    "JSON within a row": cut(JSON, ARRAY, -6),
    "gzip without its trailer": packed(CSV, CSV_ROWS, -8),
    "gzip within its trailer": packed(NDJSON, LINES, -1),
    "gzip within its data": packed(JSON, ARRAY, 3_000),
    "gzip within its head": packed(CSV, CSV_ROWS, 9),
}
"""Each arrives in good order: only what is in it tells."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with serving(tmp_path_factory.mktemp("service") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def client(service: ServiceProcess) -> Iterator[httpx.Client]:
    with httpx.Client(verify=False, base_url=service.url, trust_env=False, timeout=30) as made:
        yield made


def headers_of(table: Table) -> dict[str, str]:
    return {"Content-Type": table.media} | ({"Content-Encoding": "gzip"} if table.is_packed else {})


def states(client: httpx.Client) -> dict[str, str]:
    return {task["task_id"]: task["state"] for task in client.get("/v1/exports?limit=500").json()["tasks"]}


def made_since(client: httpx.Client, before: dict[str, str]) -> set[str]:
    """The states of exports that are new."""
    return {state for task_id, state in states(client).items() if task_id not in before}


def stored(client: httpx.Client, task_id: str) -> int:
    return int(client.get(f"/v1/exports/{task_id}/batches").json()["batches"])


@pytest.mark.parametrize("case", CUT_WITHIN)
def test_a_table_that_ends_within_itself_is_refused_as_a_stream(client: httpx.Client, case: str) -> None:
    table, before = CUT_WITHIN[case], states(client)
    answer = client.post("/v1/exports/stream?format=csv", content=table.body, headers=headers_of(table))
    assert (answer.status_code, answer.json()["retryable"]) == (400, False)
    assert made_since(client, before) <= {"cancelled"}
    kept = client.post(
        "/v1/exports/stream?format=csv", content=table.body, headers=headers_of(table) | {"Idempotency-Key": case}
    )
    assert kept.status_code == 400
    assert made_since(client, before) <= {"cancelled", "open"}


@pytest.mark.parametrize("case", CUT_WITHIN)
def test_a_table_that_ends_within_itself_is_refused_as_a_batch(client: httpx.Client, case: str) -> None:
    table = CUT_WITHIN[case]
    task_id = client.post("/v1/exports", json={"format": "csv", "columns": COLUMNS}).json()["task_id"]
    answer = client.put(f"/v1/exports/{task_id}/batches/1", content=table.body, headers=headers_of(table))
    assert answer.status_code == 400
    assert stored(client, task_id) == 0


@pytest.mark.parametrize("case", CUT_WITHIN)
@pytest.mark.parametrize("where", ["alone", "to a service"])
def test_a_table_that_ends_within_itself_is_refused_by_the_command(
    service: ServiceProcess, client: httpx.Client, tmp_path: Path, case: str, where: str
) -> None:
    table, before = CUT_WITHIN[case], states(client)
    name = {CSV: "rows.csv", NDJSON: "rows.ndjson", JSON: "rows.json"}[table.media] + ".gz" * table.is_packed
    (tmp_path / name).write_bytes(table.body)
    more = ["--server", service.url] if where == "to a service" else []
    done = sluice("export", tmp_path / name, "-o", tmp_path / "out.csv", *more, exit_code=1)
    assert done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert made_since(client, before) <= {"cancelled"}


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


FRAMES = {
    "fewer bytes than its length": (f"Content-Length: {len(CSV_ROWS) + 1}", CSV_ROWS),
    "no length of its last chunk": ("Transfer-Encoding: chunked", chunk(CSV_ROWS)),
    "half a length of a chunk": ("Transfer-Encoding: chunked", chunk(CSV_ROWS) + b"1"),
    "half a chunk": ("Transfer-Encoding: chunked", chunk(CSV_ROWS)[: -len(b"\r\n") - 200]),
    "no line end behind the last chunk": ("Transfer-Encoding: chunked", chunk(CSV_ROWS) + b"0\r\n"),
}
"""The rows are whole, or end with a row: only what is around them tells."""


def exchange(service: ServiceProcess, start: str, frame: str, body: bytes) -> bytes:
    """Send a request that is cut there, with an ordinary end of the connection behind it."""
    head = f"{start}\r\nHost: 127.0.0.1:{service.http_port}\r\nContent-Type: text/csv\r\n{frame}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", service.http_port), timeout=30) as connection:
        connection.sendall(head + body)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while block := connection.recv(65_536):
                answer += block
        except ConnectionResetError:
            pass
    return answer


@pytest.mark.parametrize("frame", FRAMES)
def test_a_request_that_is_cut_is_neither_sealed_nor_stored(
    service: ServiceProcess, client: httpx.Client, frame: str
) -> None:
    task_id = client.post("/v1/exports", json={"format": "csv", "columns": COLUMNS}).json()["task_id"]
    before = states(client)
    for start in (
        "POST /v1/exports/stream?format=csv HTTP/1.1",
        f"PUT /v1/exports/{task_id}/batches/1 HTTP/1.1",
    ):
        answer = exchange(service, start, *FRAMES[frame])
        assert answer == b"" or int(answer.split(b" ", 2)[1]) in {400, 408}
    eventually(lambda: made_since(client, before) <= {"cancelled"})
    assert stored(client, task_id) == 0


def test_the_same_tables_whole_are_taken(client: httpx.Client) -> None:
    for media, body in ((CSV, CSV_ROWS), (NDJSON, LINES), (JSON, ARRAY)):
        for table in (Table(media, body), Table(media, gzip.compress(body), is_packed=True)):
            answer = client.post("/v1/exports/stream?format=csv", content=table.body, headers=headers_of(table))
            assert (answer.status_code, json.loads(answer.content)["rows_received"]) == (202, 3_000)
