"""A gRPC message that is cut within itself, with an ordinary end behind it: what a gateway makes of a dead sender.

gRPC's core hands such a message on as none, so nothing but a word of the sender tells. Frames by hand, a real service.
"""

from __future__ import annotations

import csv
import io
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf.message import Message

from sluice.proto import export_pb2 as pb
from tests.support.grpc_client import GrpcClient, batch_of, closing, metadata_of, opening, rows_of, sending
from tests.support.http_calls import CALLER
from tests.support.raw_http2 import DATA, END_STREAM, HEADERS, raw_connection
from tests.support.running_service import ServiceProcess, serving

FIRST, LAST = rows_of(1, 3), rows_of(4, 300)
FRAME_BYTES_MAX = 16_384


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with serving(tmp_path_factory.mktemp("service") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def client(service: ServiceProcess) -> Iterator[GrpcClient]:
    made = GrpcClient(service.grpc_target, None)
    yield made
    made.close()


class Said(NamedTuple):
    """What a service said to a call: its messages, and the trailers as they stand in the last frame."""

    messages: list[bytes]
    trailers: bytes


def on_the_wire(message: Message) -> bytes:
    data = message.SerializeToString()
    return b"\0" + struct.pack(">I", len(data)) + data


def call(service: ServiceProcess, method: str, sent: bytes, *, apart: bool = False) -> Said:
    """Send exactly these bytes and then an ordinary end, perhaps in a frame of its own, as gateways do it."""
    messages: list[bytes] = []
    with raw_connection(service.grpc_target) as connection:
        connection.greet()
        connection.call(1, f"/export.ExportService/{method}")
        pieces = [sent[at : at + FRAME_BYTES_MAX] for at in range(0, len(sent), FRAME_BYTES_MAX)] or [b""]
        for piece in pieces[:-1]:
            connection.frame(DATA, piece, stream=1)
        connection.frame(DATA, pieces[-1], flags=0 if apart else END_STREAM, stream=1)
        if apart:
            connection.frame(DATA, flags=END_STREAM, stream=1)
        for frame in connection.frames():
            if frame.kind == DATA and frame.payload:
                messages.append(frame.payload[5:])
            if frame.kind == HEADERS and frame.flags & END_STREAM:
                return Said(messages, frame.payload)
    raise AssertionError("the service closed the connection")


def stream(service: ServiceProcess, whole: list[pb.ExportRequest], cut: bytes = b"", **more: Any) -> Said:
    return call(service, "StreamExport", b"".join(map(on_the_wire, whole)) + cut, **more)


def answers(said: Said) -> list[pb.ExportResponse]:
    return [pb.ExportResponse.FromString(message) for message in said.messages]


def table(service: ServiceProcess, client: GrpcClient, request_id: str, **fields: Any) -> list[list[str]]:
    """The file's rows, without the header, of the export that this request opened."""
    again = client.export([opening(request_id=request_id, **fields), closing()])
    assert again.last.status == pb.TASK_STATUS_COMPLETED
    assert again.last.oss_url.startswith(service.url)
    text = CALLER.get(again.last.oss_url).content.decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline="")))[1:]


def status_of(client: GrpcClient, task_id: str) -> pb.TaskStatusResponse:
    found: pb.TaskStatusResponse = client.call("QueryTaskStatus", pb.TaskStatusRequest(task_id=task_id))
    return found


WIRE_LAST = on_the_wire(sending(LAST, 2))
WIRE_CLOSE = on_the_wire(closing(batches=2, records=303))
CUTS = {
    "before the length": WIRE_LAST[:1],
    "within the length": WIRE_LAST[:3],
    "behind the length": WIRE_LAST[:5],
    "within the rows": WIRE_LAST[: len(WIRE_LAST) // 2],
    "before the last byte": WIRE_LAST[:-1],
    "behind the rows": WIRE_LAST,
    "within the totals": WIRE_LAST + WIRE_CLOSE[:-1],
}


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("cut", CUTS)
def test_an_end_without_the_totals_that_were_to_follow_seals_nothing_and_can_be_continued(
    service: ServiceProcess, client: GrpcClient, cut: str, *, apart: bool
) -> None:
    request_id = f"{cut} {apart}"
    start = opening(request_id=request_id, totals_follow=True, wait=False)
    said = stream(service, [start, sending(FIRST, 1)], CUTS[cut], apart=apart)
    assert b"TOTALS_MISSING" in said.trailers
    assert answers(said)[-1].error_code == "TOTALS_MISSING"
    task_id = answers(said)[0].task_id
    open_still = status_of(client, task_id)
    assert (open_still.state, open_still.error_code) == ("open", "TOTALS_MISSING")

    again = client.export([start, sending(FIRST, 1), sending(LAST, 2), closing(batches=2, records=303)])
    assert (again.refusal, again.last.task_id, again.last.unchecked_end) == (None, task_id, False)
    assert table(service, client, request_id) == [list(row) for row in [*FIRST, *LAST]]


def test_the_refusal_is_one_that_is_worth_repeating(client: GrpcClient) -> None:
    outcome = client.export([opening(totals_follow=True), sending(FIRST, 1)])
    assert outcome.answer == ("TOTALS_MISSING", grpc.StatusCode.UNAVAILABLE, {"batches": 1})
    assert outcome.refusal is not None
    assert outcome.refusal.retry is not None


@pytest.mark.parametrize("totals", [{}, {"batches": 1}, {"records": 3}, {"batches": 1, "records": 3}])
def test_any_word_of_the_end_is_one_whatever_it_counts(client: GrpcClient, totals: dict[str, int]) -> None:
    outcome = client.export([opening(totals_follow=True), sending(FIRST, 1), closing(**totals)])
    assert (outcome.refusal, outcome.last.record_count, outcome.last.unchecked_end) == (None, 3, False)


def test_records_that_were_expected_are_missed_at_a_bare_end(service: ServiceProcess, client: GrpcClient) -> None:
    start = opening(request_id="expected", expected_records=303, wait=False)
    said = stream(service, [start, sending(FIRST, 1)], CUTS["within the rows"])
    assert b"TOTALS_MISMATCH" in said.trailers
    assert status_of(client, answers(said)[0].task_id).state == "open"
    again = client.export([start, sending(LAST, 2)])
    assert (again.refusal, again.last.unchecked_end) == (None, False)
    assert table(service, client, "expected", expected_records=303) == [list(row) for row in [*FIRST, *LAST]]


def test_a_sender_of_the_earlier_service_is_told_that_its_end_was_not_checked(service: ServiceProcess) -> None:
    whole = answers(stream(service, [opening(), sending(FIRST, 1)]))
    cut = answers(stream(service, [opening(), sending(FIRST, 1)], CUTS["within the rows"]))
    for said in (whole, cut):
        assert (said[-1].record_count, said[-1].unchecked_end) == (3, True)
        sealed = [line for line in service.events("TaskSealed") if line["task_id"] == said[0].task_id]
        assert [line["fields"] for line in sealed] == [
            {"tenant": "local", "batches": 1, "rows": 3, "unchecked_end": True}
        ]
    counted = answers(stream(service, [opening(), sending(FIRST, 1), closing(batches=1)]))
    assert not counted[-1].unchecked_end


def test_a_first_message_that_is_cut_opens_nothing(service: ServiceProcess, client: GrpcClient) -> None:
    before = len(client.call("ListTasks", pb.ListTasksRequest(limit=100)).tasks)
    said = stream(service, [], on_the_wire(opening())[:-1])
    assert b"INVALID_REQUEST" in said.trailers
    assert len(client.call("ListTasks", pb.ListTasksRequest(limit=100)).tasks) == before


def requests_of(task_id: str) -> dict[str, Message]:
    named = pb.TaskStatusRequest(task_id=task_id)
    return {
        "OpenExport": metadata_of(),
        "PutBatch": pb.PutBatchRequest(task_id=task_id, batch=batch_of(LAST, 2)),
        "CloseExport": pb.CloseExportRequest(task_id=task_id),
        "CancelExport": named,
        "RenderExport": pb.RenderExportRequest(task_id=task_id, format=pb.FORMAT_CSV),
        "QueryTaskStatus": named,
        "CreateDownloadLink": named,
        "ListTasks": pb.ListTasksRequest(limit=5),
    }


@pytest.mark.parametrize("method", requests_of(""))
def test_a_call_whose_request_is_cut_does_nothing(service: ServiceProcess, client: GrpcClient, method: str) -> None:
    task_id = client.call("OpenExport", metadata_of()).task_id
    client.call("PutBatch", pb.PutBatchRequest(task_id=task_id, batch=batch_of(FIRST, 1)))
    before = status_of(client, task_id)
    tasks = len(client.call("ListTasks", pb.ListTasksRequest(limit=100)).tasks)
    wire = on_the_wire(requests_of(task_id)[method])
    for end in {1, 4, 5, len(wire) - 1}:
        said = call(service, method, wire[:end])
        assert (said.messages, b"INVALID_REQUEST" in said.trailers) == ([], True)
    assert status_of(client, task_id) == before
    assert len(client.call("ListTasks", pb.ListTasksRequest(limit=100)).tasks) == tasks
