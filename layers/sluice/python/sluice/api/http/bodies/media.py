"""What a body says it is, and which reader takes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from starlette.requests import Request

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.tables.readers.batching import Hints, TableBatch, TableReader
from sluice.tables.readers.csv import CsvOptions, CsvTable
from sluice.tables.readers.json import read_json
from sluice.tables.readers.json_lines import JsonLinesTable
from sluice.tables.readers.protobuf import read_protobuf
from sluice.tables.readers.records import RowShape

JSON = "application/json"
NDJSON = "application/x-ndjson"
CSV = "text/csv"
PROTOBUF = "application/x-protobuf"

HINTS = Hints(
    no_header="without such a line, send Content-Type: text/csv; header=absent",
    names="the columns parameter names them",
)
_ALIASES = {"application/ndjson": NDJSON, "application/jsonl": NDJSON, "application/protobuf": PROTOBUF}


class Media(NamedTuple):
    """A content type."""

    kind: str
    has_header: bool = True
    """Of CSV: whether its first line is the names of the columns."""


def media_of(request: Request, *, allowed: tuple[str, ...]) -> Media:
    """Read ``Content-Type``. Raises UNSUPPORTED_ENCODING for a type, or a character set, that is not read here."""
    kind, *parameters = request.headers.get("content-type", "").split(";")
    kind = kind.strip().lower()
    kind = _ALIASES.get(kind, kind)
    if kind not in allowed:
        raise _unsupported(f"Content-Type is one of {', '.join(allowed)}.")
    settings = dict(_setting(parameter) for parameter in parameters)
    if settings.get("charset", "utf-8") not in {"utf-8", "utf8"}:
        raise _unsupported("The character set is utf-8.")
    header = settings.get("header", "present")
    if header not in {"present", "absent"}:
        raise _unsupported("The header parameter of text/csv is present or absent.")
    return Media(kind, header == "present")


def read_rows(body: bytes, media: Media, shape: RowShape, limits: Limits, *, sequence: int) -> TableBatch:
    """Read the rows of one batch. Raises what the type's reader raises; ``row`` is counted within the batch."""
    match media.kind:
        case "application/json":
            return TableBatch(read_json(body, shape), shape.sheet)
        case "application/x-protobuf":
            return TableBatch(read_protobuf(body, shape, sequence=sequence), shape.sheet)
        case _:
            return open_table((body,), media, limits).batch(shape)


def open_table(body: Iterable[bytes], media: Media, limits: Limits) -> TableReader:
    """Begin to read a table of lines, from as much of the body as has its header or first row."""
    if media.kind == CSV:
        return CsvTable(body, limits, CsvOptions(has_header=media.has_header), hints=HINTS)
    return JsonLinesTable(body, limits, hints=HINTS)


def _setting(parameter: str) -> tuple[str, str]:
    name, _, value = parameter.partition("=")
    return name.strip().lower(), value.strip().strip('"').lower()


def _unsupported(detail: str) -> SluiceError:
    return SluiceError(ErrorCode.UNSUPPORTED_ENCODING, detail, field="Content-Type")
