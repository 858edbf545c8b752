"""What gRPC requests say, in the words of the domain."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar, cast

import msgspec
from google.protobuf.message import Message

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import MIB, Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, ColumnType, TableSpec
from sluice.ports.log_context import is_harmless_id
from sluice.proto import export_pb2 as pb
from sluice.tables.values.cell_checks import check_counts
from sluice.usecases.pulling.make_params import (
    COLUMNS_MAX,
    FILTERS_MAX,
    ChosenColumn,
    DateRange,
    PullRequest,
    check_values,
    choose_ids,
)
from sluice.usecases.sending.close_export import CloseRequest
from sluice.usecases.sending.open_export import OpenRequest
from sluice.usecases.sending.render_again import RenderRequest

Parsed = TypeVar("Parsed", bound=Message)

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

_SCOPES = frozenset(pb.DatasetScope.values())
_BAD_OPTION = re.compile(r"`\$\.(\w+)`")


DEFINITION_BYTES_MAX = 2 * MIB
"""A message beside rows: what a task may declare is shorter, and 8 MiB hold four million columns without a name."""
_FIELDS_MAX = 64
_LENGTH_DELIMITED, _MORE = 2, 0x80
"""Of protobuf's encoding: the kind of a field that says its length, and the bit that says that a number goes on."""
_BATCH_FIELD = pb.ExportRequest.DESCRIPTOR.fields_by_name["batch"].number


def parse_definition(kind: type[Parsed]) -> Callable[[bytes], Parsed]:
    """Parse messages that hold no rows. The parser raises INVALID_REQUEST for one that is too long to be any."""

    def parse(data: bytes) -> Parsed:
        _check_length(len(data))
        return kind.FromString(data)

    return parse


def parse_export_request(data: bytes) -> pb.ExportRequest:
    """Parse a message of a stream, of which only a batch may be long. Raises as ``parse_definition``'s parsers."""
    if len(data) > DEFINITION_BYTES_MAX:
        _check_length(sum(size for field, size in _fields(data) if field != _BATCH_FIELD))
    return pb.ExportRequest.FromString(data)


def _check_length(size: int) -> None:
    if size > DEFINITION_BYTES_MAX:
        detail = f"A message without rows has at most {DEFINITION_BYTES_MAX} bytes."
        raise SluiceError(ErrorCode.INVALID_REQUEST, detail, message_bytes_max=DEFINITION_BYTES_MAX)


def _fields(data: bytes) -> Iterator[tuple[int, int]]:
    """Number and size of each field of a message; the rest of one that has more than any of ours counts as one."""
    place = 0
    for _ in range(_FIELDS_MAX):
        if place >= len(data):
            return
        tag, place = _varint(data, place)
        if tag & 7 != _LENGTH_DELIMITED:  # none of ours
            break
        size, place = _varint(data, place)
        yield tag >> 3, size
        place += size
    yield 0, max(len(data) - place, 0)


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift, byte in zip(range(0, 70, 7), data[place : place + 10], strict=False):
        place += 1
        value |= (byte & ~_MORE) << shift
        if not byte & _MORE:
            return value, place
    return value, len(data)  # broken, which the parser says


def read_open(metadata: pb.ExportMetadata, limits: Limits, *, request_id: str, trace_parent: str) -> OpenRequest:
    """What to open. An empty ``request_id`` of the contract is no idempotency key: proto3 cannot tell it from none.

    The contract's ``request_id`` is also what its sender looks for in logs; without one it is that of the call.
    """
    return OpenRequest(
        read_params(metadata, limits),
        idempotency_key=metadata.request_id or None,
        request_id=sender_id(metadata.request_id, request_id),
        trace_parent=trace_parent,
    )


def sender_id(sent: str, of_the_call: str) -> str:
    """The contract's id of a request where it is a harmless one, for logs and lists; else the call's."""
    return sent if is_harmless_id(sent) else of_the_call


def read_params(metadata: pb.ExportMetadata, limits: Limits) -> ExportParams:
    """Raises UNSUPPORTED_FORMAT, INVALID_REQUEST with the fact ``field``, and TOO_MANY_COLUMNS before any is read."""
    check_counts([len(sheet.columns) for sheet in metadata.sheets], limits)
    check_counts([len(metadata.columns)], limits)
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


def read_pull(query: pb.DatasetQuery) -> PullRequest:
    """What is asked of a dataset; values are texts. Raises UNSUPPORTED_FORMAT, and INVALID_REQUEST with ``field``."""
    if query.scope not in _SCOPES:
        raise SluiceError(ErrorCode.INVALID_REQUEST, "There is no such scope.", field="scope")
    for name, count, most in (
        ("columns", len(query.columns), COLUMNS_MAX),
        ("filters", len(query.filters), FILTERS_MAX),
    ):
        if count > most:
            raise SluiceError(ErrorCode.INVALID_REQUEST, f"At most {most} {name} are named.", field=name)
    check_values(len(query.ids) + sum(len(given.values) for given in query.filters.values()))
    return PullRequest(
        format=read_format(query.format),
        filename=query.filename,
        ids=choose_ids(tuple(query.ids), is_selected=query.scope == pb.DATASET_SCOPE_SELECTED),
        columns=tuple(ChosenColumn(one.name, one.label if one.HasField("label") else None) for one in query.columns),
        date=DateRange(
            query.date_from if query.HasField("date_from") else None,
            query.date_to if query.HasField("date_to") else None,
        ),
        filters={name: tuple(given.values) for name, given in sorted(query.filters.items())},
        options=read_options(query.options),
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


def read_totals(totals: pb.CloseTotals, limits: Limits) -> CloseRequest:
    """Raises INVALID_REQUEST for totals of more sheets than a task may have."""
    if len(totals.sheet_records) > limits.sheets_max:
        raise SluiceError(ErrorCode.INVALID_REQUEST, "The totals name a sheet that is not there.", field="sheets")
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
        request_id=sender_id(request.request_id, request_id),
        trace_parent=trace_parent,
    )
