"""The calls for tables that the service reads itself: the same use cases and refusals as over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from sluice.api.datasets import USER_NAMES, Asking, begin_asking, check_alive, view
from sluice.api.grpc.call import Answers, GrpcCall
from sluice.api.grpc.messages import Requests
from sluice.api.grpc.requests import read_pull, sender_id
from sluice.api.grpc.responses import dataset_export, dataset_message
from sluice.api.grpc.waits import wait_for_file
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.params import ExportParams
from sluice.domain.task import State, Task
from sluice.proto import export_pb2 as pb
from sluice.usecases.pulling.find_pulls import list_pulls
from sluice.usecases.pulling.open_pull import PREVIEW_ROWS_MAX, open_pull, preview_pull
from sluice.usecases.reading.make_link import link_to
from sluice.usecases.sending.open_export import OpenRequest

PREVIEW_ROWS = 20
_BINARY = "-bin"
"""Ends the names of metadata that may be any bytes: text that is not ASCII has no other place."""


@contextmanager
def asking(call: GrpcCall, what: str) -> Iterator[Asking]:
    """Know for whom the call is before its message is read, and record a refusal: who was refused what.

    Raises as ``begin_asking``.
    """
    sent: dict[str, list[str]] = {name: [] for name in USER_NAMES}
    for key, value in call.context.invocation_metadata():
        name = key.removesuffix(_BINARY)
        if name in sent:
            sent[name].append((value if isinstance(value, bytes) else value.encode()).decode("latin-1"))
    one = begin_asking(call.service, call.principal, sent, what)
    try:
        yield one
    except SluiceError as error:
        one.record(error.code.value)
        raise


def list_datasets(call: GrpcCall, requests: Requests[pb.ListDatasetsRequest]) -> Answers:
    with asking(call, "list") as one:
        requests.only()
        shown = one.see_all()
    yield pb.ListDatasetsResponse(datasets=map(dataset_message, shown))


def describe_dataset(call: GrpcCall, requests: Requests[pb.DatasetRequest]) -> Answers:
    with asking(call, "show") as one:
        one.dataset = requests.only().dataset
        shown = view(one.find(), one.caller.user)
    yield dataset_message(shown)


def list_dataset_exports(call: GrpcCall, requests: Requests[pb.DatasetRequest]) -> Answers:
    """Without links, most of which would not be followed."""
    with asking(call, "exports") as one:
        one.dataset = requests.only().dataset
        finding = partial(list_pulls, call.service.ports, one.caller.tenant, one.caller.user, one.find())
        found = call.run_listing(finding)
    yield pb.ListDatasetExportsResponse(exports=[_export(call, task, has_link=False) for task in found])


def preview_dataset(call: GrpcCall, requests: Requests[pb.PreviewDatasetRequest]) -> Answers:
    with asking(call, "preview") as one:
        request = requests.only()
        one.dataset = request.query.dataset
        dataset, one.asked = one.find(), read_pull(request.query)
        rows = request.rows or PREVIEW_ROWS
        if not 1 <= rows <= PREVIEW_ROWS_MAX:
            bound = f"less than or equal to {PREVIEW_ROWS_MAX}" if rows > 1 else "greater than or equal to 1"
            raise SluiceError(ErrorCode.INVALID_REQUEST, f"rows should be {bound}", field="rows")
        asked = (call.service.previews, one.caller, dataset, one.asked, rows)
        headers, found = call.run_on_source(lambda ports: preview_pull(ports, *asked))
    shown = [pb.DatasetRow(cells=[pb.DatasetCell(text=cell) for cell in row]) for row in found]
    yield pb.DatasetPreview(columns=headers, rows=shown)


def export_dataset(call: GrpcCall, requests: Requests[pb.ExportDatasetRequest]) -> Answers:
    """The export with its file where there are few enough rows and it is there in time; else as it stands."""
    task, wait_s, replayed = _open(call, requests)
    task = wait_for_file(call, task, within_s=wait_s)
    check_alive(task)
    yield _export(call, task, replayed=replayed)


def _open(call: GrpcCall, requests: Requests[pb.ExportDatasetRequest]) -> tuple[Task, float, bool]:
    """The export, how long its file is waited for, and whether it was there. Nothing is kept of what was asked."""
    with asking(call, "export") as one:
        request = requests.only()
        one.dataset = request.query.dataset
        dataset, one.asked = one.find(), read_pull(request.query)
        opening = OpenRequest(
            ExportParams(format=one.asked.format, filename=""),
            idempotency_key=request.request_id or None,
            request_id=sender_id(request.request_id, call.request_id),
            trace_parent=call.trace_parent,
        )
        in_background = request.HasField("wait") and not request.wait
        asked = (one.caller, dataset, one.asked, opening)
        (task, replayed), wait_s = call.run_on_source(
            lambda ports: open_pull(ports, *asked, in_background=in_background)
        )
    return task.without_columns(), wait_s, replayed


def _export(call: GrpcCall, task: Task, *, replayed: bool = False, has_link: bool = True) -> pb.DatasetExport:
    """The export with a link while there is a file, and the address at which a browser watches it."""
    ports, watch_url = call.service.ports, call.service.watch_url
    link = link_to(ports, task) if has_link and task.state is State.COMPLETED else None
    address = watch_url(task) if watch_url is not None else ""
    return dataset_export(task, link, now=ports.clock.now(), watch_url=address, replayed=replayed)
