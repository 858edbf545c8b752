"""Where types are detected, a late value is what was sent: by every interface, from every kind of table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pyarrow.parquet as pq
import pytest

from sluice.client import Client
from sluice.proto import export_pb2 as pb
from sluice.proto.export_pb2_grpc import ExportServiceStub
from tests.support.command_line import sluice
from tests.support.http_calls import CALLER
from tests.support.running_service import ServiceProcess, serving

NAMES = ["n", "price", "day", "at", "paid"]
FIRST = ["7", "1.10", "2024-02-29", "2025-03-14T09:26:53Z", "True"]
LATE = [
    ["1E5", "2.5", "2025-03-14T23:00:00-08:00", "2025-03-14T09:26:53+08:00", "on"],
    ["+4915123", "+3.00", "20250314", "2025-03-14", "1"],
    ["007", "3", "2025-02-29", "2025-03-14T09:26:53", "t"],
    ["1.10", "1e2", "14.03.2025", "2025-03-14 09:26Z", "YES"],
    [" 8", "-0.00", "n/a", "now", "tRUE"],
]
ROWS = [*[FIRST] * 1_500, *LATE, FIRST]
ODD = sum(map(len, LATE))
READ_FIRST = {"n": 7, "price": 1.1, "day": "2024-02-29", "at": "2025-03-14T09:26:53Z", "paid": True}


def as_csv(delimiter: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([NAMES, *ROWS])
    return text.getvalue().encode()


OBJECTS = [json.dumps(dict(zip(NAMES, row, strict=True))) for row in ROWS]
TABLES = {
    "csv": ("text/csv", as_csv(",")),
    "tsv": ("text/tab-separated-values", as_csv("\t")),
    "ndjson": ("application/x-ndjson", "\n".join(OBJECTS).encode()),
    "json": ("application/json", f"[{','.join(OBJECTS)}]".encode()),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with serving(tmp_path_factory.mktemp("service") / "data") as running:
        yield running


def is_what_was_sent(lines: bytes, warnings: dict[str, int]) -> None:
    read = [json.loads(line) for line in lines.splitlines()]
    assert read[0] == read[-1] == READ_FIRST
    assert [list(row.values()) for row in read[1_500:-1]] == LATE
    assert warnings == {"invalid_as_text": ODD}


def finished(service: ServiceProcess, task_id: str) -> tuple[bytes, dict[str, int]]:
    with Client(service.url) as client:
        export = client.export(task_id)
        done = export.wait()
        return CALLER.get(export.link().url).content, dict(done.warnings)


Sender = Callable[[ServiceProcess, str, Path], tuple[bytes, dict[str, int]]]


def by_command(*more: str) -> Sender:
    def send(service: ServiceProcess, kind: str, folder: Path) -> tuple[bytes, dict[str, int]]:
        (folder / f"rows.{kind}").write_bytes(TABLES[kind][1])
        arguments = [one.format(url=service.url) for one in more]
        done = sluice("export", folder / f"rows.{kind}", "-o", folder / "out.jsonl", "--json", *arguments)
        return (folder / "out.jsonl").read_bytes(), json.loads(done.stdout)["warnings"]

    return send


def by_stream(service: ServiceProcess, kind: str, folder: Path) -> tuple[bytes, dict[str, int]]:
    del folder
    media, body = TABLES[kind]
    address = f"{service.url}/v1/exports/stream?format=jsonl&infer=true"
    answer = CALLER.post(address, content=body, headers={"Content-Type": media})
    assert answer.status_code == 202, answer.text
    return finished(service, answer.json()["task_id"])


SENDERS = {"alone": by_command(), "to a service": by_command("--server", "{url}"), "in one request": by_stream}


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize("kind", TABLES)
def test_a_late_value_is_what_was_sent(service: ServiceProcess, kind: str, sender: str, tmp_path: Path) -> None:
    is_what_was_sent(*SENDERS[sender](service, kind, tmp_path))


COLUMNS: list[dict[str, Any]] = [
    {"name": "n", "type": "number"},
    {"name": "price", "type": "number", "format": "0.00"},
    {"name": "day", "type": "date"},
    {"name": "at", "type": "datetime", "format": 'yyyy-mm-dd hh:mm:ss"Z"'},
    {"name": "paid", "type": "boolean"},
]
DETECTED = [column | {"detected": True} for column in COLUMNS]
OPTIONS: dict[str, Any] = {"on_invalid": "text"}


def by_client(service: ServiceProcess) -> str:
    with Client(service.url) as client:
        export = client.open(format="jsonl", columns=DETECTED, options=OPTIONS)
        return str(export.send([ROWS]).task_id)


def by_grpc(service: ServiceProcess) -> str:
    def requests() -> Iterator[pb.ExportRequest]:
        kinds = {"type": "data_type"}
        columns = [
            pb.ColumnDefinition(**{kinds.get(name, name): value for name, value in column.items()})
            for column in (one | {"type": f"DATA_TYPE_{one['type'].upper()}"} for one in DETECTED)
        ]
        options = pb.FormatOptions(**OPTIONS)
        metadata = pb.ExportMetadata(format=pb.FORMAT_JSONL, columns=columns, options=options, totals_follow=True)
        yield pb.ExportRequest(metadata=metadata)
        yield pb.ExportRequest(batch=pb.DataBatch(records=[pb.Record(values=row) for row in ROWS]))
        yield pb.ExportRequest(close=pb.CloseTotals(batches=1, records=len(ROWS)))

    with grpc.insecure_channel(service.grpc_target) as channel:
        stub: Any = ExportServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        return str([*stub.StreamExport(requests())][-1].task_id)


@pytest.mark.parametrize("send", [by_client, by_grpc])
def test_a_sender_that_detects_types_itself_can_say_so(
    service: ServiceProcess, send: Callable[[ServiceProcess], str]
) -> None:
    is_what_was_sent(*finished(service, send(service)))


def test_a_file_that_is_rendered_again_in_another_format_has_it_too(service: ServiceProcess) -> None:
    options = OPTIONS | {"formula_guard": "off", "csv_bom": False}
    with Client(service.url) as client:
        again = client.export(by_client(service)).render(format="csv", options=options)
    file, warnings = finished(service, again.id)
    assert list(csv.reader(io.StringIO(file.decode(), newline=""))) == [NAMES, *ROWS]
    assert warnings == {"invalid_as_text": ODD}


TYPED = [["7", "2024-02-29", "true"], ["8", "2025-03-14", "false"]]
TYPES = {"n": "string", "day": "date32[day]", "paid": "bool"}
"""As Parquet has them: numbers whose type was detected are texts as sent."""


def types_of(file: bytes) -> dict[str, str]:
    schema = pq.read_schema(io.BytesIO(file))
    return {field.name: str(field.type) for field in schema}


@pytest.mark.parametrize("first", ["csv", "xlsx", "jsonl"])
def test_rows_that_are_rendered_again_as_parquet_keep_the_types_that_were_detected(
    service: ServiceProcess, first: str, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("".join(",".join(row) + "\n" for row in [list(TYPES), *TYPED]))
    address = f"{service.url}/v1/exports/stream?format={first}&infer=true"
    answer = CALLER.post(address, content=rows.read_bytes(), headers={"Content-Type": "text/csv"}).json()
    by_cli = sluice("export", rows, "-o", tmp_path / f"out.{first}", "--json", "--server", service.url)
    with Client(service.url) as client:
        for task_id in (answer["task_id"], json.loads(by_cli.stdout)["task_id"]):
            client.export(task_id).wait()
            again = client.export(task_id).render(format="parquet")
            file, warnings = finished(service, again.id)
            assert (types_of(file), warnings) == (TYPES, {})


@pytest.mark.parametrize(
    ("more", "kinds"), [("&on_invalid=text", {"string"}), ("&on_invalid=null", set(TYPES.values()))]
)
def test_what_a_sender_says_of_invalid_values_holds_for_later_renders(
    service: ServiceProcess, more: str, kinds: set[str]
) -> None:
    body = "".join(",".join(row) + "\n" for row in [list(TYPES), *TYPED]).encode()
    address = f"{service.url}/v1/exports/stream?format=csv&infer=true{more}"
    task_id = CALLER.post(address, content=body, headers={"Content-Type": "text/csv"}).json()["task_id"]
    with Client(service.url) as client:
        client.export(task_id).wait()
        file, _ = finished(service, client.export(task_id).render(format="parquet").id)
    assert set(types_of(file).values()) == kinds


def texts_of(path: Path) -> Sequence[Sequence[str]]:
    return list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))


def test_every_text_of_a_hundred_thousand_rows_comes_back(tmp_path: Path) -> None:
    rows = [LATE[number % len(LATE)] if number >= 1_000 and number % 997 == 0 else FIRST for number in range(100_000)]
    rows.append(LATE[0])
    text = io.StringIO()
    csv.writer(text).writerows([NAMES, *rows])
    (tmp_path / "rows.csv").write_bytes(text.getvalue().encode())
    done = sluice(
        *("export", tmp_path / "rows.csv", "-o", tmp_path / "out.csv", "--json"), *("--options", "formula_guard=off")
    )
    assert texts_of(tmp_path / "out.csv") == [NAMES, *rows]
    odd = sum(len(NAMES) for row in rows if row is not FIRST)
    assert json.loads(done.stdout)["warnings"] == {"invalid_as_text": odd}
