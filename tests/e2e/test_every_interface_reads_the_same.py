"""One table through every interface: the same refusal at the same place, or the same batches.

HTTP as a stream, HTTP as one batch, ``sluice export`` alone and ``sluice export --server``.
Decision 0024 has the answers where they once differed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from sluice.cli.export.local_export import export_locally
from sluice.cli.export.params_from_flags import make_params
from sluice.cli.export.progress import NoProgress
from sluice.cli.export.table_input import InputOptions, open_table
from sluice.cli.failures import describe
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskId, TaskRef, TenantId
from sluice.domain.schema import ColumnType
from sluice.tables.readers.kinds import TableKind
from tests.support.command_line import sluice
from tests.support.http_client import ApiClient, HttpRelay, http_relay

CSV, NDJSON = TableKind.CSV, TableKind.NDJSON
MEDIA = {CSV: "text/csv", NDJSON: "application/x-ndjson"}
BATCHED = {"batch", "batch_row", "accepted", "option"}
"""Facts that tell of the interface's batches, and those that repeat what the others say."""
PROBLEM_KEYS = {"type", "title", "status", "detail", "code", "who", "retryable", "request_id"}
LONG = 12_000
"""Rows of a table of many batches."""


@dataclass(frozen=True)
class Table:
    """A small input. Types say what its columns are called, where it does not say so itself."""

    kind: TableKind
    body: bytes
    types: dict[str, str] = field(default_factory=dict)
    has_header: bool = True
    null_value: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of it: a refusal, or the digests of the batches in order."""

    code: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    batches: tuple[str, ...] = ()


def refusal(code: ErrorCode, **facts: Any) -> Outcome:
    return Outcome(code.value, facts)


AB = {"a": "string", "b": "string"}
INVALID, WIDTH = ErrorCode.INVALID_REQUEST, ErrorCode.ROW_WIDTH_MISMATCH
REFUSED: dict[str, tuple[Table, Outcome]] = {
    "blank lines before the header": (Table(CSV, b"\n\na,b\n1,2\n", AB), refusal(INVALID, field="header", line=1)),
    "nothing": (Table(CSV, b"", AB), refusal(INVALID, field="header", line=1)),
    "a number of 5,000 digits": (
        Table(NDJSON, b'{"a":1}\n{"a":' + b"7" * 5_000 + b"}\n", {"a": "string"}),
        refusal(INVALID, row=2, line=2),
    ),
    "an array in a cell": (
        Table(NDJSON, b'{"a":1,"b":2}\n\n{"a":1,"b":[2]}\n', AB),
        refusal(ErrorCode.INVALID_VALUE, row=2, line=3, column="b"),
    ),
    "a short row after a long one": (
        Table(CSV, b'a,b\n"x\ny",1\n\n2\n', AB),
        refusal(WIDTH, row=2, line=5, cells=1, columns=2),
    ),
    "an array of another width": (
        Table(NDJSON, b"[1,2]\n[1,2,3]\n", AB),
        refusal(WIDTH, row=2, line=2, cells=3, columns=2),
    ),
    "a value of another type": (
        Table(CSV, b'a,b\n"1\n",x\ntwo,y\n', {"a": "string", "b": "number"}),
        refusal(ErrorCode.INVALID_VALUE, row=1, line=2, column="b", column_type="number"),
    ),
    "a value of another type far down": (
        Table(CSV, b"a,b\n" + b"1,2\n" * 2_500 + b"1,x\n", {"a": "number", "b": "number"}),
        refusal(ErrorCode.INVALID_VALUE, row=2_501, line=2_502, column="b", column_type="number"),
    ),
    "half a surrogate pair": (
        Table(NDJSON, b'["a","b"]\n["x","\\ud800"]\n', AB),
        refusal(ErrorCode.INVALID_TEXT, row=2, line=2, column="b"),
    ),
    "a name that no column has": (
        Table(NDJSON, b'{"a":1,"b":2}\n{"a":1,"c":2}\n', AB),
        refusal(INVALID, row=2, line=2, keys=["c"]),
    ),
    "a name that comes twice": (
        Table(NDJSON, b'{"a":1}\n{"a":1,"a":2}\n', {"a": "string"}),
        refusal(INVALID, row=2, line=2),
    ),
    "arrays and objects": (Table(NDJSON, b'{"a":1}\n[1]\n', {"a": "string"}), refusal(INVALID, row=2, line=2)),
    "no number": (Table(NDJSON, b'{"a":1}\n{"a":NaN}\n', {"a": "string"}), refusal(INVALID, row=2, line=2)),
    "half a line": (
        Table(NDJSON, b'{"a":1}\n{"a":\n1}\n', {"a": "string"}),
        refusal(INVALID, row=2, line=2, position=5),
    ),
    "two values on a line": (
        Table(NDJSON, b"[1]\n[1][2]\n", {"a": "string"}),
        refusal(INVALID, row=2, line=2, position=3),
    ),
    "a byte order mark in the middle": (
        Table(NDJSON, b'{"a":1}\n\xef\xbb\xbf{"a":1}\n', {"a": "string"}),
        refusal(INVALID, row=2, line=2, position=0),
    ),
    "no UTF-8 in CSV": (Table(CSV, b"a,b\n1,2\n1,\xff\n", AB), refusal(ErrorCode.INVALID_TEXT, row=2, line=3)),
    "no UTF-8 in JSON": (
        Table(NDJSON, b'{"a":1}\n{"a":"\xff"}\n', {"a": "string"}),
        refusal(ErrorCode.INVALID_TEXT, row=2, line=2),
    ),
    "a quote that is never closed": (Table(CSV, b'a,b\n1,2\n3,"4\n5,6\n', AB), refusal(INVALID, row=2, line=3)),
    "text after a quote": (Table(CSV, b'a,b\n1,"2"x\n', AB), refusal(INVALID, row=1, line=2)),
    "a carriage return in a line": (Table(CSV, b"a,b\n1,2\r3,4\n", AB), refusal(INVALID, row=1, line=2)),
    "a workbook": (
        Table(CSV, b"PK\x03\x04\x14\x00", AB),
        refusal(ErrorCode.UNSUPPORTED_ENCODING, found="an Excel workbook, or another ZIP archive"),
    ),
    "UTF-16": (Table(CSV, "\ufeffa,b\n".encode("utf-16-le"), AB), refusal(ErrorCode.INVALID_TEXT, row=1, line=1)),
    "a page of an error": (
        Table(NDJSON, b"<!DOCTYPE html><p>502", AB),
        refusal(ErrorCode.UNSUPPORTED_ENCODING, found="a page in HTML or XML, perhaps that of an error"),
    ),
    "a short row below Excel's line": (
        Table(CSV, b"sep=;\na;b\n1;2\n3\n", AB),
        refusal(WIDTH, row=2, line=4, cells=1, columns=2),
    ),
    "gzip where rows are expected": (
        Table(CSV, b"a,b\n\x1f\x8b\x08,2\n", AB),
        refusal(ErrorCode.INVALID_TEXT, row=1, line=2),
    ),
}
UNNAMED: dict[str, tuple[Table, Outcome]] = {
    "a header that is blank": (Table(CSV, b"\na,b\n"), refusal(INVALID, field="header", line=1)),
    "arrays": (Table(NDJSON, b"[1,2]\n"), refusal(INVALID, field="columns")),
    "an object without names": (Table(NDJSON, b"{}\n"), refusal(INVALID, field="columns")),
    "JSON that is said to be CSV": (
        Table(CSV, b'[{"a":1}]'),
        refusal(ErrorCode.UNSUPPORTED_ENCODING, found="json"),
    ),
    "no rows": (Table(NDJSON, b"\n"), refusal(INVALID, field="columns")),
}
TAKEN: dict[str, tuple[Table, int]] = {
    "a table": (Table(CSV, b'a,b\r\n1,"x, ""y""\r\nz"\r\n,\r\n', {"a": "number", "b": "string"}), 1),
    "a byte order mark": (Table(CSV, b"\xef\xbb\xbfa,b\n1,2\n", AB), 1),
    "blank lines between rows": (Table(CSV, b"a,b\n\n1,2\n\n\n3,4\n\n", AB), 1),
    "a blank line of one column": (Table(CSV, b"a\n1\n\n3\n", {"a": "string"}), 1),
    "no header": (Table(CSV, b"1,2\n", AB, has_header=False), 1),
    "a text that means null": (Table(CSV, b"a,b\nNULL,x\n,NULL\n", AB, null_value="NULL"), 1),
    "a text that means null only in CSV": (Table(NDJSON, b'["NULL",null]\n', AB, null_value="NULL"), 1),
    "digits, words and gaps": (Table(NDJSON, b'{"b":1.10,"a":-0}\n\r\n{"a":true}\n{"a":"","b":null}\n', AB), 1),
    "a number of 4,300 digits": (Table(NDJSON, b"[" + b"7" * 4_300 + b"]\n", {"a": "string"}), 1),
    "no rows": (Table(CSV, b"a,b\n", AB), 0),
    "semicolons": (Table(CSV, b"a;b\n1,5;2\n", AB), 1),
    "Excel's line of the delimiter": (Table(CSV, b'sep=;\r\na;b\r\n1;"2;3"\r\n', AB), 1),
    "tabs without a header": (Table(CSV, b"1\t2\n3\t4\n", AB, has_header=False), 1),
    "12,000 rows": (Table(CSV, b"a,b\n" + b"1,x\n" * LONG, AB), 12),
    "12,000 lines": (Table(NDJSON, b'{"a":1,"b":"x"}\n' * LONG, AB), 12),
    "rows of 100 kB": (Table(CSV, b"a\n" + (b"x" * 100_000 + b"\n") * 7, {"a": "string"}), 3),
}


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpRelay]:
    with http_relay(tmp_path_factory.mktemp("relay")) as running:
        yield running


@pytest.fixture
def client(relay: HttpRelay) -> ApiClient:
    """A client of a tenant of its own."""
    relay.tenants += 1
    return relay.client(f"tenant-{relay.tenants}")


def answered(client: ApiClient, answer: httpx.Response) -> Outcome:
    if answer.is_error:
        problem = answer.json()
        return Outcome(
            problem["code"], {name: value for name, value in problem.items() if name not in PROBLEM_KEYS | BATCHED}
        )
    return stored(client)


def stored(client: ApiClient) -> Outcome:
    memory = client.relay.memory
    memory.invoker.join()
    task = memory.only_row(client.tenant)
    claimed = memory.tasks.read_claims(TaskRef(TenantId(client.tenant), TaskId(task.task_id)))
    assert claimed is not None
    return Outcome(batches=tuple(claimed.claims[sequence].sha for sequence in sorted(claimed.claims)))


def content_type_of(table: Table) -> str:
    return MEDIA[table.kind] + ("" if table.has_header else "; header=absent")


def through_the_stream(client: ApiClient, table: Table, **headers: str) -> Outcome:
    columns = ",".join(f"{name}:{kind}" for name, kind in table.types.items())
    query = f"&columns={quote(columns)}" if columns else ""
    query += f"&null_value={table.null_value}" if table.null_value else ""
    answer = client.post(
        f"/v1/exports/stream?format=csv&filename=out.csv{query}",
        content=table.body,
        headers={"Content-Type": content_type_of(table), **headers},
    )
    return answered(client, answer)


def through_one_batch(client: ApiClient, table: Table) -> Outcome:
    columns = [{"name": name, "type": kind} for name, kind in table.types.items()]
    options = {"null_value": table.null_value} if table.null_value else {}
    task_id = client.open(format="csv", columns=columns, options=options)
    answer = client.put_body(task_id, 1, table.body, content_type_of(table))
    return answered(client, answer)


def options_of(table: Table) -> InputOptions:
    names = () if table.kind is CSV and table.has_header else tuple(table.types)
    return InputOptions(table.kind, columns=names)


class ListedChunks(NoProgress):
    """Notes the digests of the stored batches when composing begins; the store is gone when the file is there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.batches: tuple[str, ...] = ()

    def stage(self, title: str, total: float | None) -> None:
        if title == "writing":
            names = sorted(path.name for path in self._folder.glob(".sluice-*/objects/**/*.chunk*"))
            self.batches = tuple(name.partition("-")[2].partition(".")[0] for name in names)


def through_the_command_line(folder: Path, table: Table) -> Outcome:
    source, output, chunks = folder / "in", folder / "out.csv", ListedChunks(folder)
    source.write_bytes(table.body)
    try:
        with open_table(source, options_of(table)) as rows:
            types = [json.dumps(table.types)] if table.types else []
            params = make_params(
                output, rows.columns, types=types, options=(), format_name=None, null_value=table.null_value
            )
            export_locally(rows, params, output=output, progress=chunks)
    except SluiceError as error:
        return Outcome(error.code.value, {name: fact for name, fact in error.facts.items() if name not in BATCHED})
    return Outcome(batches=chunks.batches)


def arguments_of(folder: Path, table: Table) -> list[str | Path]:
    source = folder / "in"
    source.write_bytes(table.body)
    names = options_of(table).columns
    null = ["--null-value", table.null_value] if table.null_value else []
    types = ["--types", json.dumps(table.types)] if table.types else []
    columns = ["--columns", ",".join(names)] if names else []
    return ["export", source, "-o", folder / "out.csv", "--input-format", table.kind.value, *types, *columns, *null]


def through_a_server(client: ApiClient, folder: Path, table: Table, *, key: str = "") -> Outcome:
    sluice(*arguments_of(folder, table), *server_of(client), *(["--idempotency-key", key] if key else []))
    return stored(client)


def server_of(client: ApiClient) -> list[str]:
    return ["--server", client.relay.url, "--token", client.headers["Authorization"].removeprefix("Bearer ")]


def facts_in(text: str) -> set[str]:
    """The facts that the command line shows below its sentence, in whichever order, without request and batch."""
    return {fact for fact in text.splitlines()[1].strip().split(", ") if not fact.startswith(("request ", "batch"))}


def facts_of(outcome: Outcome) -> set[str]:
    """How the command line shows the facts of such a refusal."""
    described = describe(SluiceError(ErrorCode(outcome.code), **outcome.facts))
    assert described is not None
    return facts_in(described.text)


@pytest.mark.parametrize("name", REFUSED)
def test_what_one_interface_refuses_every_one_refuses_alike(client: ApiClient, tmp_path: Path, name: str) -> None:
    table, expected = REFUSED[name]
    assert through_the_command_line(tmp_path, table) == expected
    assert through_the_stream(client, table) == expected
    assert through_one_batch(client, table) == expected
    done = sluice(*arguments_of(tmp_path, table), *server_of(client), exit_code=1)
    assert done.stderr.startswith(f"sluice: {expected.code}: ")
    assert facts_in(done.stderr) == facts_of(expected)


@pytest.mark.parametrize("name", UNNAMED)
def test_what_does_not_name_its_columns_is_refused_alike(client: ApiClient, tmp_path: Path, name: str) -> None:
    table, expected = UNNAMED[name]
    assert through_the_command_line(tmp_path, table) == expected
    assert through_the_stream(client, table) == expected
    done = sluice(*arguments_of(tmp_path, table), *server_of(client), exit_code=1)
    assert facts_in(done.stderr) == facts_of(expected)


@pytest.mark.parametrize("name", TAKEN)
def test_what_one_interface_takes_becomes_the_same_batches_in_every_one(
    relay: HttpRelay, tmp_path: Path, name: str
) -> None:
    table, batches = TAKEN[name]
    relay.tenants += 3
    clients = [relay.client(f"tenant-{relay.tenants - number}") for number in range(3)]
    expected = through_the_stream(clients[0], table)
    assert len(expected.batches) == batches, expected
    assert through_the_command_line(tmp_path, table) == expected
    assert through_a_server(clients[1], tmp_path, table) == expected
    if batches == 1:
        assert through_one_batch(clients[2], table) == expected


def test_the_same_rows_are_the_same_batches_however_they_are_written(relay: HttpRelay) -> None:
    as_csv, _ = TAKEN["12,000 rows"]
    as_lines, _ = TAKEN["12,000 lines"]
    assert through_the_stream(relay.client("csv"), as_csv) == through_the_stream(relay.client("lines"), as_lines)


def test_a_table_that_went_through_one_interface_goes_on_through_another_under_its_key(
    client: ApiClient, tmp_path: Path
) -> None:
    table, _ = TAKEN["12,000 rows"]
    streamed = through_the_stream(client, table, **{"Idempotency-Key": "one-table"})
    assert through_a_server(client, tmp_path, table, key="one-table") == streamed
    assert client.relay.memory.only_row(client.tenant).total_rows == LONG


def test_every_type_may_be_asked_for_everywhere(client: ApiClient, tmp_path: Path) -> None:
    types = {f"c{number}": kind.value for number, kind in enumerate(ColumnType)}
    table = Table(CSV, f"{','.join(types)}\nx,1,2025-01-01,2025-01-01,yes\n".encode(), types)
    assert through_the_command_line(tmp_path, table) == through_the_stream(client, table)
