"""A whole export in one call: StreamExport."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator

import grpc

from sluice.api.error_status import record_rejected_batch
from sluice.api.grpc.call import GrpcCall
from sluice.api.grpc.errors import Logged, log_error
from sluice.api.grpc.messages import Requests
from sluice.api.grpc.requests import read_open, read_totals
from sluice.api.grpc.responses import ack_response, failure_response, opened_response, outcome_response
from sluice.api.grpc.waits import wait_for_end
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef
from sluice.domain.task import State, Task
from sluice.domain.task_errors import error_of
from sluice.proto import export_pb2 as pb
from sluice.tables.readers.protobuf import read_message
from sluice.tables.readers.records import RowShape
from sluice.usecases.reading.make_link import link_to
from sluice.usecases.reading.read_task import note_task
from sluice.usecases.sending.close_export import CloseRequest, close_export, ends_unchecked
from sluice.usecases.sending.open_export import Opened, open_export
from sluice.usecases.sending.put_batch import BatchReceipt, check_sequence, note_refusal, prepare_batch, store_batch

Responses = Iterator[pb.ExportResponse]


def stream_export(call: GrpcCall, requests: Requests[pb.ExportRequest]) -> Responses:
    """Open, store every batch as it comes, seal when the client is done, wait for the result.

    Holds one batch at a time, and reads on only when it is stored. A failure
    is answered twice: in a last message, for clients that read messages only, and
    in the call's status. A stream that breaks never seals.
    """
    stream = ExportStream(call)
    try:
        yield from stream.answer(requests)
    except (grpc.RpcError, GeneratorExit):  # the client was gone when we read, or when we answered
        stream.record_broken(overdue=requests.overdue)
        raise
    except Exception as error:  # the client gets any error twice; log_error() records it
        known = log_error(error, call.service.ports.journal)
        stream.note_refused(known.error)
        if not known.is_answered:
            yield failure_response(stream.task_id, known.error)
        raise known from error


class ExportStream:
    """Where one such call stands."""

    def __init__(self, call: GrpcCall) -> None:
        self._call = call
        self._ports = call.service.ports
        self._metadata = pb.ExportMetadata()
        self._task: Task | None = None
        self._numbered: bool | None = None
        self._batches = 0
        self._sealed = False

    @property
    def task_id(self) -> str:
        return self._task.task_id if self._task else ""

    def answer(self, requests: Iterator[pb.ExportRequest]) -> Responses:
        self._task, first = self._open(next(requests, None))
        if self._wants("early_response"):
            yield first
        totals = yield from self._store(self._task.ref, requests)
        is_said = totals is not None
        task = close_export(self._ports, self._task.ref, totals or CloseRequest(), is_said=is_said).without_columns()
        self._sealed = True
        is_unchecked = ends_unchecked(task.live_params, is_said=is_said)
        if self._wants("wait"):
            task = wait_for_end(self._call, task, within_s=self._metadata.wait_timeout_s or math.inf)
        link = link_to(self._ports, task) if task.state is State.COMPLETED else None
        yield outcome_response(task, link, unchecked_end=is_unchecked)
        error = error_of(task)
        if error is not None:
            raise Logged(error, is_answered=True)  # it was recorded where the task failed or was cancelled

    def _open(self, request: pb.ExportRequest | None) -> tuple[Task, pb.ExportResponse]:
        """Open the task. Nothing of its columns is kept from here on: a stream may take hours."""
        if request is None or request.WhichOneof("payload") != "metadata":
            raise SluiceError(ErrorCode.INVALID_REQUEST, "The first message is the metadata.", field="metadata")
        self._metadata = switches_of(request.metadata)
        if self._metadata.wait_timeout_s < 0:
            raise SluiceError(ErrorCode.INVALID_REQUEST, "wait_timeout_s is 0 or more seconds.", field="wait_timeout_s")
        opened = open_task(self._call, request.metadata)
        return opened.task.without_columns(), first_response(self._call, opened)

    def note_refused(self, error: SluiceError) -> None:
        """Have the status say why the stream ended before its task was sealed; it can be continued."""
        if self._task and not self._sealed:
            note_refusal(self._ports, self._task.ref, error)

    def record_broken(self, *, overdue: bool) -> None:
        """Record that the stream broke off before its task was sealed; it can be continued."""
        if self._sealed:
            return
        if self._task:
            note_task(self._task)
        reason = "an answer was not taken in time" if self._call.taking.overdue else "the sender went away"
        self._ports.journal.record(
            Event.STREAM_ERROR,
            task_id=self.task_id or None,
            tenant=self._call.tenant,
            batches=self._batches,
            reason="no message came in time" if overdue else reason,
            error_code=ErrorCode.CANCELLED.value,  # as gRPC calls it; nothing of ours failed
        )

    def _wants(self, name: str) -> bool:
        """A switch of the metadata that is on unless it was sent as off."""
        return bool(getattr(self._metadata, name)) if self._metadata.HasField(name) else True

    def _store(
        self, ref: TaskRef, requests: Iterator[pb.ExportRequest]
    ) -> Generator[pb.ExportResponse, None, CloseRequest | None]:
        """Store and acknowledge the batches; returns what the sender counted, once it is done; None if it did not say.

        gRPC's core hands a message that was cut on its way on as none, so that
        a stream that ends within a message looks like one that ends before it.
        Only a message behind it tells, or one that was announced and is missing.

        Not by ``ingest_table``, because the protocol differs: the sender may
        number its batches, is answered between them, counts the totals itself,
        and knows the task, so a stream that breaks leaves it open.
        """
        totals: CloseRequest | None = None
        for request in requests:
            if totals is not None:
                raise SluiceError(ErrorCode.INVALID_REQUEST, "Nothing comes after the totals.", field="close")
            match request.WhichOneof("payload"):
                case "batch":
                    self._batches += 1
                    number = self._sequence(request.batch)
                    receipt = put_wire_batch(self._call, ref, request.batch, sequence=number)
                    if self._metadata.ack_batches and self._task:
                        yield ack_response(self._task, receipt)
                case "close":
                    totals = read_totals(request.close, self._call.service.ports.limits)
                case payload:
                    detail = "The metadata comes once." if payload else "The message has no payload."
                    raise SluiceError(ErrorCode.INVALID_REQUEST, detail, field=payload or "payload")
            del request  # its memory, before the next one is read
        if totals is None and self._metadata.totals_follow:
            raise SluiceError(ErrorCode.TOTALS_MISSING, batches=self._batches)
        return totals

    def _sequence(self, batch: pb.DataBatch) -> int:
        """The sender's number, or the batch's place in the stream if the sender numbers none."""
        numbered = batch.batch_sequence != 0
        if self._numbered is None:
            self._numbered = numbered
        if numbered is not self._numbered:
            raise SluiceError(
                ErrorCode.SEQ_OUT_OF_RANGE,
                "Either all batches of a stream have a number, or none.",
                place=self._batches,
            )
        return batch.batch_sequence if numbered else self._batches


SWITCHES = ("early_response", "wait", "wait_timeout_s", "ack_batches", "totals_follow")
"""Of the metadata: how the stream itself goes."""


def switches_of(metadata: pb.ExportMetadata) -> pb.ExportMetadata:
    """A copy of the switches alone. A message keeps what it was parsed into, cleared or not."""
    sent = {field.name: value for field, value in metadata.ListFields() if field.name in SWITCHES}
    return pb.ExportMetadata(**sent)


def open_task(call: GrpcCall, metadata: pb.ExportMetadata) -> Opened:
    """Open the task, or find the one that the same request id opened."""
    limits = call.service.ports.limits
    request = read_open(metadata, limits, request_id=call.request_id, trace_parent=call.trace_parent)
    opened = call.run_with_room(open_export, call.service.ports, call.tenant, request)
    call.service.params_cache.remember(opened.task)
    return opened


def first_response(call: GrpcCall, opened: Opened) -> pb.ExportResponse:
    """The task's id; for a task that existed also which batches need not be sent again."""
    claimed = call.service.ports.tasks.read_claims(opened.task.ref) if opened.replayed else None
    return opened_response(opened.task, replayed=opened.replayed, accepted=claimed.claims if claimed else ())


def put_wire_batch(call: GrpcCall, ref: TaskRef, batch: pb.DataBatch, *, sequence: int) -> BatchReceipt:
    """Check, store and acknowledge. A refusal is recorded as that of a batch; nothing of it is stored.

    Called with the turn for decoding, which is given back once the chunk is made, before anything is stored.
    """
    ports, params_cache = call.service.ports, call.service.params_cache
    try:
        check_sequence(sequence, ports.limits)
        params = params_cache.read(ref).params
        shape = RowShape.of(params, batch.sheet, ports.limits)
        rows = read_message(batch, shape)
        prepared = prepare_batch(ports, params_cache, ref, sequence=sequence, batch=rows, sheet=shape.sheet)
        del rows  # before the stores are waited for
        call.decoding.give_back()
        return store_batch(ports, ref, prepared)
    except SluiceError as error:
        record_rejected_batch(error, ref, sequence, ports.journal)
        raise Logged(error) from error
    finally:
        call.decoding.give_back()
