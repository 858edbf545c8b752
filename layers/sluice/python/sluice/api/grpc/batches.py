"""Stores a batch that came as a message."""

from __future__ import annotations

from sluice.api.grpc.call import GrpcCall
from sluice.api.grpc.errors import Logged
from sluice.domain.errors import SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef
from sluice.proto import export_pb2 as pb
from sluice.tables.readers.protobuf import read_message
from sluice.tables.readers.records import RowShape
from sluice.usecases.sending.put_batch import BatchReceipt, check_sequence, put_batch


def put_wire_batch(call: GrpcCall, ref: TaskRef, batch: pb.DataBatch, *, sequence: int) -> BatchReceipt:
    """Check, store and acknowledge. A refusal is noted as that of a batch; nothing of it is stored."""
    ports, params_cache = call.service.ports, call.service.params_cache
    try:
        check_sequence(sequence, ports.limits)
        params = params_cache.read(ref).params
        shape = RowShape.of(params, batch.sheet, rows_max=ports.limits.batch_rows_max)
        rows = read_message(batch, shape)
        return put_batch(ports, params_cache, ref, sequence=sequence, batch=rows, sheet=shape.sheet)
    except SluiceError as error:
        ports.journal.record(
            Event.BATCH_REJECTED,
            task_id=ref.task_id,
            tenant=ref.tenant,
            sequence=sequence,
            error_code=error.code.value,
        )
        raise Logged(error) from error
