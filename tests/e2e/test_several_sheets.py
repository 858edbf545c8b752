"""Several tables in one workbook, through HTTP and gRPC."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import grpc
import openpyxl
import pytest

from sluice.proto import export_pb2 as pb
from tests.support.grpc_client import serving_client
from tests.support.http_client import ApiClient, code_of, http_relay
from tests.support.memory_service import MemoryService

SHEETS: list[dict[str, Any]] = [
    {"name": "Orders", "columns": [{"name": "id", "type": "number"}]},
    {"name": "Lines & more", "columns": [{"name": "order", "type": "number"}, {"name": "article"}]},
]
ORDERS, LINES = (str(sheet["name"]) for sheet in SHEETS)


def values_in(data: bytes) -> dict[str, list[tuple[Any, ...]]]:
    book = openpyxl.load_workbook(io.BytesIO(data))
    return {sheet.title: list(sheet.iter_rows(values_only=True)) for sheet in book.worksheets}


def opened(client: ApiClient) -> str:
    answer = client.post("/v1/exports", json={"format": "xlsx", "filename": "shop", "sheets": SHEETS})
    assert answer.status_code == 201, answer.text
    assert answer.json()["sheets"] == [{"name": ORDERS, "rows": None}, {"name": LINES, "rows": None}]
    return str(answer.json()["task_id"])


def put(client: ApiClient, task_id: str, sequence: int, sheet: str, rows: object) -> int:
    path = f"/v1/exports/{task_id}/batches/{sequence}"
    answer = client.put(path, params={"sheet": sheet}, json=rows)
    return answer.status_code


def test_batches_name_their_sheet_over_http(tmp_path: Path) -> None:
    with http_relay(tmp_path) as relay:
        client = relay.client()
        task_id = opened(client)
        assert put(client, task_id, 2, LINES, [{"article": "tea", "order": 1}]) == 200
        assert put(client, task_id, 1, ORDERS, [[1], [2]]) == 200
        assert put(client, task_id, 3, LINES, [[2, "salt"]]) == 200
        assert put(client, task_id, 3, ORDERS, [[2]]) == 409
        wrong = client.post(f"/v1/exports/{task_id}/close", json={"sheets": {LINES: 3}})
        assert (wrong.status_code, code_of(wrong), wrong.json()["sheet"]) == (409, "TOTALS_MISMATCH", LINES)
        closed = client.post(f"/v1/exports/{task_id}/close", json={"rows": 4, "sheets": {LINES: 2, ORDERS: 2}})
        assert closed.status_code == 202
        assert closed.json()["sheets"] == [{"name": ORDERS, "rows": 2}, {"name": LINES, "rows": 2}]
        relay.memory.invoker.join()
        answer = client.get(f"/v1/exports/{task_id}/file", follow_redirects=True)
        assert values_in(answer.content) == {
            ORDERS: [("id",), (1,), (2,)],
            LINES: [("order", "article"), (1, "tea"), (2, "salt")],
        }


@pytest.mark.parametrize("sheet", ["", "orders", "Refunds"])
def test_a_batch_that_names_no_declared_sheet_is_refused_over_http(tmp_path: Path, sheet: str) -> None:
    with http_relay(tmp_path) as relay:
        client = relay.client()
        task_id = opened(client)
        answer = client.put(f"/v1/exports/{task_id}/batches/1", params={"sheet": sheet}, json=[[1]])
        assert (answer.status_code, code_of(answer), answer.json()["field"]) == (400, "INVALID_REQUEST", "sheet")
        assert client.get(f"/v1/exports/{task_id}").json()["batches"] == 0


def test_a_sheet_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    with http_relay(tmp_path) as relay:
        client = relay.client()
        task_id = opened(client)
        path = f"/v1/exports/{task_id}/batches/1?sheet=Orders&sheet=Orders"
        answer = client.put(path, json=[[1]])
        assert (answer.status_code, answer.json()["field"]) == (400, "sheet")
        assert client.get(f"/v1/exports/{task_id}").json()["batches"] == 0


def test_a_message_over_http_may_repeat_the_sheet_of_the_query_and_name_no_other(tmp_path: Path) -> None:
    with http_relay(tmp_path) as relay:
        client = relay.client()
        task_id = opened(client)
        for said, status in (("", 200), (ORDERS, 200), (LINES, 400)):
            body = pb.DataBatch(records=[pb.Record(values=["1"])], sheet=said).SerializeToString()
            answer = client.put(
                f"/v1/exports/{task_id}/batches/1",
                params={"sheet": ORDERS},
                content=body,
                headers={"Content-Type": "application/x-protobuf"},
            )
            assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"columns": [{"name": "id"}]}, "columns"),
        ({"format": "csv"}, "sheets"),
        ({"sheets": [*SHEETS, SHEETS[0]]}, "sheets[2].name"),
        ({"sheets": []}, "columns"),
    ],
)
def test_an_order_that_cannot_be_is_refused_over_http(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    with http_relay(tmp_path) as relay:
        order = {"format": "xlsx", "filename": "shop", "sheets": SHEETS, **changes}
        answer = relay.client().post("/v1/exports", json=order)
        assert (answer.status_code, answer.json().get("field")) == (400, field)


METADATA = pb.ExportMetadata(
    format=pb.FORMAT_EXCEL,
    filename="shop",
    sheets=[
        pb.SheetDefinition(name=ORDERS, columns=[pb.ColumnDefinition(name="id", data_type=pb.DATA_TYPE_NUMBER)]),
        pb.SheetDefinition(name=LINES, columns=[pb.ColumnDefinition(name=name) for name in ("order", "article")]),
    ],
)
MESSAGES = [
    pb.DataBatch(sheet=LINES, records=[pb.Record(values=["1", "tea"])]),
    pb.DataBatch(sheet=ORDERS, records=[pb.Record(values=["1"])]),
]


def test_a_stream_names_the_sheet_of_each_batch_over_grpc(tmp_path: Path) -> None:
    memory = MemoryService(tmp_path)
    with serving_client(memory) as client:
        requests = [pb.ExportRequest(metadata=METADATA), *(pb.ExportRequest(batch=batch) for batch in MESSAGES)]
        totals = pb.CloseTotals(records=2, sheet_records={ORDERS: 1, LINES: 1})
        last = client.export([*requests, pb.ExportRequest(close=totals)]).last
        assert last.status == pb.TASK_STATUS_COMPLETED
        status = client.call("QueryTaskStatus", pb.TaskStatusRequest(task_id=last.task_id))
        assert [(sheet.name, sheet.records) for sheet in status.sheets] == [(ORDERS, 1), (LINES, 1)]
        assert values_in(memory.file(last.task_id)) == {
            ORDERS: [("id",), (1,)],
            LINES: [("order", "article"), ("1", "tea")],
        }
        nameless = client.export([pb.ExportRequest(metadata=METADATA), pb.ExportRequest(batch=pb.DataBatch())])
        assert nameless.answer == ("INVALID_REQUEST", grpc.StatusCode.INVALID_ARGUMENT, {"field": "sheet"})


def test_a_stream_of_several_sheets_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    metadata = pb.ExportMetadata()
    metadata.CopyFrom(METADATA)
    metadata.request_id = "order-1"
    memory = MemoryService(tmp_path)
    with serving_client(memory) as client:
        start = pb.ExportRequest(metadata=metadata)
        first, second, nonsense = (
            pb.ExportRequest(batch=pb.DataBatch(batch_sequence=number, sheet=batch.sheet, records=batch.records))
            for number, batch in enumerate([*MESSAGES, pb.DataBatch(sheet="refunds")], 1)
        )
        assert client.export([start, first, nonsense]).answer[0] == "INVALID_REQUEST"
        totals = pb.CloseTotals(batches=2, records=2, sheet_records={ORDERS: 1, LINES: 1})
        last = client.export([start, second, pb.ExportRequest(close=totals)]).last
        assert values_in(memory.file(last.task_id)) == {
            ORDERS: [("id",), (1,)],
            LINES: [("order", "article"), ("1", "tea")],
        }
