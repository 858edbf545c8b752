"""Stores a batch that came as a message."""

from __future__ import annotations

from sluice.api.gen import export_pb2 as pb
from sluice.api.grpc.call import Call
from sluice.api.grpc.errors import Noted
from sluice.api.rows import RowShape
from sluice.api.wire import read_batch
from sluice.domain.errors import SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef
from sluice.usecases.put_batch import BatchReceipt, check_sequence, put_batch


def put_wire_batch(call: Call, ref: TaskRef, batch: pb.DataBatch, *, sequence: int) -> BatchReceipt:
    """Check, store and acknowledge. A refusal is noted as that of a batch; nothing of it is stored."""
    outside, definitions = call.service.outside, call.service.definitions
    try:
        check_sequence(sequence, outside.limits)
        params = definitions.read(ref).params
        shape = RowShape.of(params, batch.sheet, rows_max=outside.limits.batch_rows_max)
        rows = read_batch(batch, shape)
        return put_batch(outside, definitions, ref, sequence=sequence, batch=rows, sheet=shape.sheet)
    except SluiceError as error:
        outside.journal.record(
            Event.BATCH_REJECTED,
            task_id=ref.task_id,
            tenant=ref.tenant,
            sequence=sequence,
            error_code=error.code.value,
        )
        raise Noted(error) from error
