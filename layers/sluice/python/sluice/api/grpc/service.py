"""The methods of the wire contract: which scope each needs, and what it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from google.protobuf.message import Message

from sluice.api.grpc.call import Answers, GrpcCall
from sluice.api.grpc.datasets import (
    describe_dataset,
    export_dataset,
    list_dataset_exports,
    list_datasets,
    preview_dataset,
)
from sluice.api.grpc.messages import Requests
from sluice.api.grpc.requests import parse_definition, parse_export_request, read_render, read_totals
from sluice.api.grpc.responses import batch_ack, link_response, opened_response, status_response
from sluice.api.grpc.stream import first_response, open_task, put_wire_batch, stream_export
from sluice.domain.api_key import Scope
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.task import State, Task
from sluice.proto import export_pb2 as pb
from sluice.usecases.reading.make_link import link_to, make_link
from sluice.usecases.reading.read_task import list_exports, read_status, stored_ranges
from sluice.usecases.sending.cancel_export import cancel_export
from sluice.usecases.sending.close_export import close_export
from sluice.usecases.sending.render_again import render_again

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["ExportService"].full_name
PAGE_DEFAULT = 50


class Method(NamedTuple):
    """One method. All are served as streams of bytes: that way no body is read before the caller is known."""

    scope: Scope
    parse: Callable[[bytes], Any]
    answer: Callable[[GrpcCall, Requests[Any]], Answers]
    has_rows: Callable[[Any], bool] = lambda _: False
    """Whether a message is one that ``put_wire_batch`` gets."""
    sends_rows: bool = False
    """Whether some of its messages are: its sender is waited for patiently, and needs room for a batch."""


def open_export(call: GrpcCall, metadata: pb.ExportMetadata) -> pb.ExportResponse:
    return first_response(call, open_task(call, metadata))


def put_batch(call: GrpcCall, request: pb.PutBatchRequest) -> pb.BatchAck:
    ref = call.ref(request.task_id)
    return batch_ack(put_wire_batch(call, ref, request.batch, sequence=request.batch.batch_sequence))


def close(call: GrpcCall, request: pb.CloseExportRequest) -> pb.TaskStatusResponse:
    ports = call.service.ports
    task = close_export(ports, call.ref(request.task_id), read_totals(request.totals, ports.limits))
    return _status(call, task)


def cancel(call: GrpcCall, request: pb.TaskStatusRequest) -> pb.TaskStatusResponse:
    return _status(call, cancel_export(call.service.ports, call.ref(request.task_id)))


def render(call: GrpcCall, request: pb.RenderExportRequest) -> pb.ExportResponse:
    wanted = read_render(request, request_id=call.request_id, trace_parent=call.trace_parent)
    rendered = call.run_with_room(render_again, call.service.ports, call.ref(request.task_id), wanted)
    return opened_response(rendered.task, replayed=rendered.replayed)


def query_status(call: GrpcCall, request: pb.TaskStatusRequest) -> pb.TaskStatusResponse:
    return _status(call, read_status(call.service.ports, call.ref(request.task_id)))


def create_link(call: GrpcCall, request: pb.TaskStatusRequest) -> pb.DownloadLink:
    return link_response(make_link(call.service.ports, call.ref(request.task_id)))


def list_tasks(call: GrpcCall, request: pb.ListTasksRequest) -> pb.ListTasksResponse:
    """A page of the tenant's tasks, without links, most of which would not be followed."""
    ports = call.service.ports
    try:
        state = State(request.state) if request.state else None
    except ValueError:
        raise SluiceError(ErrorCode.INVALID_REQUEST, "There is no such state.", field="state") from None

    def read_page() -> pb.ListTasksResponse:
        page = list_exports(
            ports,
            call.tenant,
            state=state,
            request_id=request.request_id,
            limit=request.limit or PAGE_DEFAULT,
            cursor=request.cursor,
        )
        now = ports.clock.now()
        tasks = [status_response(task, None, now=now) for task in page.tasks]
        return pb.ListTasksResponse(tasks=tasks, cursor=page.cursor, damaged=page.damaged)

    return call.run_listing(read_page)


def _status(call: GrpcCall, task: Task) -> pb.TaskStatusResponse:
    """The task with a fresh link while there is a file; that its time has just passed is no error of a status."""
    ports = call.service.ports
    has_file = task.state is State.COMPLETED and ports.clock.now() < task.expires_at
    link = link_to(ports, task) if has_file else None
    return status_response(task, link, now=ports.clock.now(), stored=stored_ranges(ports, task))


def unary(
    scope: Scope,
    parse: Callable[[bytes], Any],
    behaviour: Callable[[GrpcCall, Any], Message],
    *,
    has_rows: bool = False,
) -> Method:
    """A method of one request and one response."""

    def answer(call: GrpcCall, requests: Requests[Any]) -> Answers:
        yield behaviour(call, requests.only())

    return Method(scope, parse, answer, lambda _: has_rows, has_rows)


METHODS: dict[str, Method] = {
    "StreamExport": Method(
        Scope.WRITE,
        parse_export_request,
        stream_export,
        lambda message: message.WhichOneof("payload") == "batch",
        sends_rows=True,
    ),
    "OpenExport": unary(Scope.WRITE, parse_definition(pb.ExportMetadata), open_export),
    "PutBatch": unary(Scope.WRITE, pb.PutBatchRequest.FromString, put_batch, has_rows=True),
    "CloseExport": unary(Scope.WRITE, parse_definition(pb.CloseExportRequest), close),
    "CancelExport": unary(Scope.WRITE, parse_definition(pb.TaskStatusRequest), cancel),
    "RenderExport": unary(Scope.WRITE, parse_definition(pb.RenderExportRequest), render),
    "QueryTaskStatus": unary(Scope.READ, parse_definition(pb.TaskStatusRequest), query_status),
    "CreateDownloadLink": unary(Scope.READ, parse_definition(pb.TaskStatusRequest), create_link),
    "ListTasks": unary(Scope.READ, parse_definition(pb.ListTasksRequest), list_tasks),
    "ListDatasets": Method(Scope.ACT_FOR, parse_definition(pb.ListDatasetsRequest), list_datasets),
    "DescribeDataset": Method(Scope.ACT_FOR, parse_definition(pb.DatasetRequest), describe_dataset),
    "PreviewDataset": Method(Scope.ACT_FOR, parse_definition(pb.PreviewDatasetRequest), preview_dataset),
    "ExportDataset": Method(Scope.ACT_FOR, parse_definition(pb.ExportDatasetRequest), export_dataset),
    "ListDatasetExports": Method(Scope.ACT_FOR, parse_definition(pb.DatasetRequest), list_dataset_exports),
}
"""Every method of ``export.proto`` and no other; a test compares."""
