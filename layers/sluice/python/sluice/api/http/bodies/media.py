"""What a body says it is, and who reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from starlette.requests import Request

from sluice.api.http.rows_csv import read_csv
from sluice.api.http.rows_json import read_json
from sluice.api.http.rows_ndjson import read_ndjson
from sluice.api.http.rows_protobuf import read_protobuf
from sluice.api.rows import RowShape
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.tables.batch import Batch

JSON = "application/json"
NDJSON = "application/x-ndjson"
CSV = "text/csv"
PROTOBUF = "application/x-protobuf"

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


def read_rows(body: bytes, media: Media, shape: RowShape, *, sequence: int) -> Batch:
    """Read the rows of one batch. Raises what the type's reader raises."""
    match media.kind:
        case "text/csv":
            return read_csv(body, shape, header=media.has_header)
        case "application/x-protobuf":
            return read_protobuf(body, shape, sequence=sequence)
        case _:
            return _JSON_READERS[media.kind](body, shape)


_JSON_READERS: dict[str, Callable[[bytes, RowShape], Batch]] = {JSON: read_json, NDJSON: read_ndjson}


def _setting(parameter: str) -> tuple[str, str]:
    name, _, value = parameter.partition("=")
    return name.strip().lower(), value.strip().strip('"').lower()


def _unsupported(detail: str) -> SluiceError:
    return SluiceError(ErrorCode.UNSUPPORTED_ENCODING, detail, field="Content-Type")
