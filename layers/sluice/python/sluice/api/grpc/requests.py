"""What gRPC requests say, in the words of the domain."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import cast

import msgspec

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, ColumnType, TableSpec
from sluice.ports.log_context import is_harmless_id
from sluice.proto import export_pb2 as pb
from sluice.usecases.sending.close_export import CloseRequest
from sluice.usecases.sending.open_export import OpenRequest
from sluice.usecases.sending.render_again import RenderRequest

_WIRE_NAMES = {ExportFormat.XLSX: "FORMAT_EXCEL"}
"""Of formats that the contract calls otherwise than ``FORMAT_`` and their name."""
WIRE_FORMATS = {
    known: cast("pb.ExportFormat", pb.ExportFormat.Value(_WIRE_NAMES.get(known, f"FORMAT_{known.name}")))
    for known in ExportFormat
}
FORMATS: dict[int, ExportFormat] = {number: known for known, number in WIRE_FORMATS.items()}
COLUMN_FIELDS = {"type": "data_type"}
"""What a column says, by its name in the domain: the contract calls the same so, unless it stands here."""
COLUMN_FIELDS = {known.name: COLUMN_FIELDS.get(known.name, known.name) for known in msgspec.structs.fields(ColumnSpec)}
COLUMN_TYPES: dict[int, ColumnType] = {
    pb.DATA_TYPE_UNSPECIFIED: ColumnType.STRING,
    pb.DATA_TYPE_STRING: ColumnType.STRING,
    pb.DATA_TYPE_NUMBER: ColumnType.NUMBER,
    pb.DATA_TYPE_DATE: ColumnType.DATE,
    pb.DATA_TYPE_BOOLEAN: ColumnType.BOOLEAN,
    pb.DATA_TYPE_DATETIME: ColumnType.DATETIME,
}

_BAD_OPTION = re.compile(r"`\$\.(\w+)`")


def read_open(metadata: pb.ExportMetadata, *, request_id: str, trace_parent: str) -> OpenRequest:
    """What to open. An empty ``request_id`` of the contract is no idempotency key: proto3 cannot tell it from none.

    The contract's ``request_id`` is also what its sender looks for in logs; without one it is that of the call.
    """
    return OpenRequest(
        read_params(metadata),
        idempotency_key=metadata.request_id or None,
        request_id=_sender_id(metadata.request_id, request_id),
        trace_parent=trace_parent,
    )


def _sender_id(sent: str, of_the_call: str) -> str:
    return sent if is_harmless_id(sent) else of_the_call


def read_params(metadata: pb.ExportMetadata) -> ExportParams:
    """Raises UNSUPPORTED_FORMAT, and INVALID_REQUEST with the fact ``field``."""
    return ExportParams(
        format=read_format(metadata.format),
        filename=metadata.filename,
        columns=tuple(_read_columns("columns", metadata.columns)),
        sheets=tuple(
            TableSpec(sheet.name, tuple(_read_columns(f"sheets[{index}].columns", sheet.columns)))
            for index, sheet in enumerate(metadata.sheets)
        ),
        options=read_options(metadata.options),
        expected_rows=metadata.expected_records if metadata.HasField("expected_records") else None,
    )


def read_format(value: int) -> ExportFormat:
    """Raises UNSUPPORTED_FORMAT for a number without a format, such as one of a newer contract."""
    try:
        return FORMATS[value]
    except KeyError:
        raise SluiceError(ErrorCode.UNSUPPORTED_FORMAT, formats=[known.value for known in ExportFormat]) from None


def _read_columns(field: str, columns: Iterable[pb.ColumnDefinition]) -> Iterator[ColumnSpec]:
    for index, column in enumerate(columns):
        if column.data_type not in COLUMN_TYPES:
            raise SluiceError(
                ErrorCode.INVALID_REQUEST, "A column has no such type.", field=f"{field}[{index}].data_type"
            )
        sent = {name: getattr(column, wire_name) for name, wire_name in COLUMN_FIELDS.items()}
        yield ColumnSpec(**sent | {"type": COLUMN_TYPES[column.data_type]})


def read_options(options: pb.FormatOptions) -> ExportOptions:
    """What was sent, over the defaults. Fields without presence count as not sent when they are empty, 0 or false.

    Only kinds are checked here, the rest by the format. Raises INVALID_REQUEST with the fact ``field``.
    """
    sent = {field.name: value for field, value in options.ListFields()}
    try:
        return msgspec.convert(sent, ExportOptions)
    except msgspec.ValidationError as error:
        found = _BAD_OPTION.search(str(error))
        field = f"options.{found[1]}" if found else "options"
        raise SluiceError(ErrorCode.INVALID_REQUEST, "An option has no such value.", field=field) from None


def read_totals(totals: pb.CloseTotals) -> CloseRequest:
    return CloseRequest(
        batches=totals.batches if totals.HasField("batches") else None,
        rows=totals.records if totals.HasField("records") else None,
        sheets=dict(totals.sheet_records),
    )


def read_render(request: pb.RenderExportRequest, *, request_id: str, trace_parent: str) -> RenderRequest:
    """What should differ from the source; an absent field keeps what the source has."""
    return RenderRequest(
        format=read_format(request.format) if request.format else None,
        filename=request.filename or None,
        options=read_options(request.options) if request.HasField("options") else None,
        idempotency_key=request.request_id or None,
        request_id=_sender_id(request.request_id, request_id),
        trace_parent=trace_parent,
    )
