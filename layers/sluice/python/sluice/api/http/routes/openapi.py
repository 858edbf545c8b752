"""The OpenAPI document: what each route takes and every answer it can give."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from sluice import __version__
from sluice.api.error_status import ANSWERS
from sluice.api.http.bodies.media import CSV, JSON, NDJSON, PROTOBUF
from sluice.api.http.bodies.models import MODELS, ProblemView
from sluice.api.http.errors import PROBLEM_TYPE
from sluice.domain.errors import MEANINGS, ErrorCode
from sluice.domain.options import ExportOptions

Declared = dict[str, Any]

DESCRIPTION = (
    "Turns a table of any size into a file behind a link. "
    "Open an export, put its rows in numbered batches, close it, wait, and fetch the file. "
    "Every call may be repeated: with an Idempotency-Key an open answers with the same export, "
    "and a batch sent again is acknowledged again."
)
REF_TEMPLATE = "#/components/schemas/{name}"

_ANY_CALL = (
    ErrorCode.UNAUTHENTICATED,
    ErrorCode.PERMISSION_DENIED,
    ErrorCode.RATE_LIMITED,
    ErrorCode.STORE_UNAVAILABLE,
    ErrorCode.INTERNAL,
)
_TOO_SLOW = 408

TASK_CODES = (ErrorCode.TASK_NOT_FOUND, ErrorCode.TASK_DELETED)
BODY_CODES = (
    ErrorCode.INVALID_REQUEST,
    ErrorCode.INVALID_TEXT,
    ErrorCode.BATCH_TOO_LARGE,
    ErrorCode.UNSUPPORTED_ENCODING,
    ErrorCode.CHECKSUM_MISMATCH,
    ErrorCode.QUEUE_FULL,
)
TABLE_CODES = (
    ErrorCode.UNSUPPORTED_FORMAT,
    ErrorCode.TOO_MANY_COLUMNS,
    ErrorCode.TOO_MANY_ROWS,
    ErrorCode.IDEMPOTENCY_KEY_REUSED,
    ErrorCode.TASK_DELETED,
    ErrorCode.QUOTA_EXCEEDED,
)
BATCH_CODES = (
    ErrorCode.SEQ_OUT_OF_RANGE,
    ErrorCode.TOO_MANY_BATCHES,
    ErrorCode.ROW_WIDTH_MISMATCH,
    ErrorCode.INVALID_VALUE,
    ErrorCode.CELL_TOO_LONG,
    ErrorCode.BATCH_CONFLICT,
    ErrorCode.TASK_CLOSED,
    ErrorCode.CANCELLED,
    ErrorCode.EXPIRED,
)
CLOSE_CODES = (
    ErrorCode.BATCHES_MISSING,
    ErrorCode.BATCHES_EXTRA,
    ErrorCode.TOTALS_MISMATCH,
    ErrorCode.TOO_MANY_BATCHES,
    ErrorCode.TOO_MANY_ROWS,
    ErrorCode.ALREADY_CLOSED,
    ErrorCode.TASK_CLOSED,
    ErrorCode.CANCELLED,
    ErrorCode.EXPIRED,
)
FAILURE_CODES = (
    ErrorCode.INVALID_VALUE,
    ErrorCode.INVALID_TEXT,
    ErrorCode.CELL_TOO_LONG,
    ErrorCode.TOO_MANY_ROWS,
    ErrorCode.CHUNK_MISSING,
    ErrorCode.CHUNK_CORRUPT,
    ErrorCode.ROW_COUNT_MISMATCH,
    ErrorCode.RESULT_VERIFY_FAILED,
    ErrorCode.ATTEMPTS_EXHAUSTED,
)
"""Why a task may have failed; asking for its file answers so."""

_ROWS_JSON = {
    "type": "array",
    "items": {
        "anyOf": [
            {"type": "array", "items": {"$ref": REF_TEMPLATE.format(name="Cell")}},
            {"type": "object", "additionalProperties": {"$ref": REF_TEMPLATE.format(name="Cell")}},
        ]
    },
}
_CELL = {
    "description": "A number keeps exactly the digits sent. Null is not the empty text.",
    "type": ["string", "number", "boolean", "null"],
}


def declares(
    status: int,
    description: str,
    model: type | None = None,
    *,
    codes: Iterable[ErrorCode] = (),
    headers: Iterable[str] = (),
    slow: bool = False,
    also: dict[int | str, Declared] | None = None,
) -> Declared:
    """Build the arguments of a route that say how it answers: with ``status``, or with one of ``codes``."""
    answer: Declared = {"description": description, "headers": {name: _HEADERS[name] for name in headers}}
    if model is not None:
        answer["content"] = {JSON: {"schema": ref(model)}}
    responses: dict[int | str, Declared] = {status: answer, **(also or {}), **problems((*_ANY_CALL, *codes))}
    if slow:
        responses[_TOO_SLOW] = problem_answer("The body did not arrive in time.")
    return {"status_code": status, "responses": responses, "response_class": Response, "response_model": None}


def problems(codes: Iterable[ErrorCode]) -> dict[int | str, Declared]:
    """Group error codes by the status they are answered with."""
    by_status: dict[int | str, list[str]] = {}
    for code in sorted(set(codes)):
        by_status.setdefault(ANSWERS[code][1], []).append(f"`{code.value}`: {MEANINGS[code].sentence}")
    return {status: problem_answer("\n\n".join(said)) for status, said in sorted(by_status.items(), key=str)}


def ref(model: type) -> Declared:
    return {"$ref": REF_TEMPLATE.format(name=model.__name__)}


def body_of(contents: Mapping[str, Declared], *, required: bool = True) -> Declared:
    """Declare a request body, by content type."""
    content = {kind: {"schema": schema} for kind, schema in contents.items()}
    return {"requestBody": {"required": required, "content": content}}


def model_body(model: type, *, required: bool = True) -> Declared:
    return body_of({JSON: ref(model)}, required=required)


_TEXT_ROWS = {"type": "string", "description": "UTF-8"}
STREAM_BODY = body_of({CSV: _TEXT_ROWS, NDJSON: _TEXT_ROWS})
BATCH_BODY = body_of(
    {JSON: _ROWS_JSON, NDJSON: _TEXT_ROWS, CSV: _TEXT_ROWS, PROTOBUF: {"type": "string", "format": "binary"}}
)

_HEADERS: dict[str, Declared] = {
    "Location": {"schema": {"type": "string"}, "description": "The path of the export, or the link."},
    "ETag": {"schema": {"type": "string"}, "description": "For `If-None-Match`."},
    "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds; sent while it makes sense to ask again."},
    "Idempotent-Replayed": {"schema": {"type": "boolean"}, "description": "The request was known; nothing was made."},
    "Accept-Ranges": {"schema": {"type": "string"}},
    "Content-Disposition": {"schema": {"type": "string"}, "description": "Names the file."},
    "Content-Range": {"schema": {"type": "string"}},
}
TASK_HEADERS = ("ETag", "Retry-After")
CREATED_HEADERS = ("Location", "ETag", "Idempotent-Replayed")


def header(name: str, description: str, **schema: object) -> Declared:
    """Declare a request header."""
    return parameter(name, description, where="header", **schema)


def parameter(name: str, description: str, *, where: str = "query", **schema: object) -> Declared:
    """Declare an optional parameter."""
    return {"name": name, "in": where, "required": False, "description": description, "schema": schema}


IDEMPOTENCY_KEY = header(
    "Idempotency-Key",
    "1 to 255 bytes of printable text. The same key names the same export until long after it ended.",
    type="string",
    minLength=1,
    maxLength=255,
)
CONTENT_SHA256 = header(
    "X-Content-SHA256",
    "Lower-case hexadecimal SHA-256 of the body's bytes exactly as sent, before any unpacking. "
    "If it does not match, nothing is stored.",
    type="string",
    pattern="^[0-9a-f]{64}$",
)
CONTENT_ENCODING = header("Content-Encoding", "The body may be packed.", type="string", enum=["gzip", "identity"])


def option_parameters() -> list[Declared]:
    """Declare each option of the file as a query parameter."""
    properties = _model_schemas(ExportOptions)[ExportOptions.__name__]["properties"]
    return [{**parameter(name, schema.pop("description")), "schema": schema} for name, schema in properties.items()]


def extra(*parameters: Declared, **rest: Any) -> Declared:
    """Build a route's ``openapi_extra``."""
    return {"parameters": list(parameters), **rest} if parameters else rest


def make_document(app: FastAPI) -> Declared:
    """Make the document, once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title="Sluice", version=__version__, description=DESCRIPTION, routes=app.routes, summary="Tables to files."
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        _without_framework_answers(document, schemas)
        schemas.update(_model_schemas(*MODELS), Cell=_CELL)
        app.openapi_schema = document
    return app.openapi_schema


def _model_schemas(*models: type) -> Declared:
    _, schemas = msgspec.json.schema_components(models, schema_hook=_any, ref_template=REF_TEMPLATE)
    for schema in schemas.values():
        if "description" in schema:
            schema["description"] = inspect.cleandoc(schema["description"]).replace("``", "`")
    # As JSON has it: a list for a tuple that is a default.
    plain: Declared = msgspec.json.decode(msgspec.json.encode(schemas))
    return plain


def _any(_kind: type) -> Declared:
    """The schema of what may be any JSON."""
    return {"description": "Any JSON value."}


def _without_framework_answers(document: Declared, schemas: Declared) -> None:
    """Take out the 422 that the framework declares; a parameter that cannot be read answers 400 here."""
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)


def problem_answer(description: str) -> Declared:
    return {"description": description, "content": {PROBLEM_TYPE: {"schema": ref(ProblemView)}}}
