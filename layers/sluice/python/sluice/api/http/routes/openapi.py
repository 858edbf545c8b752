"""The OpenAPI document: what each operation takes and every answer it can give."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from inspect import cleandoc

import msgspec

from sluice import __version__
from sluice.api.error_status import ANSWERS
from sluice.api.http.bodies.models import ProblemView
from sluice.api.http.errors import PROBLEM_TYPE
from sluice.api.http.operation import Answer, Declared, Operation
from sluice.domain.errors import MEANINGS, ErrorCode

DESCRIPTION = (
    "Turns a table of any size into a file behind a link. "
    "Open an export, put its rows in numbered batches, close it, wait, and fetch the file. "
    "Every call may be repeated: with an Idempotency-Key an open answers with the same export, "
    "and a batch sent again is acknowledged again."
)
REF_TEMPLATE = "#/components/schemas/{name}"
SECURITY_SCHEME = "HTTPBearer"

_ANY_CALL = (
    ErrorCode.UNAUTHENTICATED,
    ErrorCode.PERMISSION_DENIED,
    ErrorCode.INVALID_TEXT,
    ErrorCode.RATE_LIMITED,
    ErrorCode.QUEUE_FULL,
    ErrorCode.STORE_UNAVAILABLE,
    ErrorCode.STORAGE_FULL,
    ErrorCode.INTERNAL,
)
_PROBLEM: dict[str, type | Declared] = {PROBLEM_TYPE: ProblemView}

TASK_CODES = (ErrorCode.TASK_NOT_FOUND, ErrorCode.TASK_DELETED, ErrorCode.TASK_DAMAGED)
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
    ErrorCode.RESULT_TOO_LARGE,
    ErrorCode.ATTEMPTS_EXHAUSTED,
)
"""Why a task may have failed; asking for its file answers so."""


def header(name: str, description: str, **schema: object) -> Declared:
    """Declare a request header, which may be left out."""
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


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

PATH_PARAMETERS: dict[str, Declared] = {
    "task_id": {"description": "The export's id, as the open answered it.", "schema": {"type": "string"}},
    "sequence": {
        "description": "The batch's place among all of the export, from 1, chosen by the sender. Batches may come "
        "in any order. One numbering runs through all sheets; within a sheet rows stand in its order.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "name": {"description": "The dataset's name.", "schema": {"type": "string"}},
    "job": {"description": "The job's name.", "schema": {"type": "string"}},
    "run_id": {"description": "The run's id, as lists of runs have it.", "schema": {"type": "string"}},
    "token": {
        "description": "What a link ends with. It says which file, and until when.",
        "schema": {"type": "string"},
    },
}
"""The names in braces of the operations' paths."""

ANSWER_HEADERS: dict[str, Declared] = {
    "Location": {"schema": {"type": "string"}, "description": "The path of the export, or the link."},
    "ETag": {"schema": {"type": "string"}, "description": "For `If-None-Match`."},
    "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds; sent while it makes sense to ask again."},
    "Repr-Digest": {"schema": {"type": "string"}, "description": "SHA-256 of the whole file (RFC 9530)."},
    "Sluice-Task": {"schema": {"type": "string"}, "description": "The id of the export that made the file."},
    "Sluice-Rows": {"schema": {"type": "integer"}, "description": "The rows of the file."},
    "Idempotent-Replayed": {"schema": {"type": "boolean"}, "description": "The request was known; nothing was made."},
}
TASK_HEADERS = ("ETag", "Retry-After")
CREATED_HEADERS = ("Location", "ETag", "Idempotent-Replayed")

TEXT_ROWS: Declared = {"type": "string", "description": "UTF-8"}
JSON_ROWS: Declared = {
    "type": "array",
    "items": {
        "anyOf": [
            {"type": "array", "items": {"$ref": REF_TEMPLATE.format(name="Cell")}},
            {"type": "object", "additionalProperties": {"$ref": REF_TEMPLATE.format(name="Cell")}},
        ]
    },
}
_CELL: Declared = {
    "description": "A number keeps exactly the digits sent. Null is not the empty text.",
    "type": ["string", "number", "boolean", "null"],
}


def make_document(operations: Sequence[Operation]) -> Declared:
    """Make the document of these operations."""
    queries = {operation.query for operation in operations}
    contents = [part.content for one in operations for part in (one.body, *one.answers.values()) if part is not None]
    models = {schema for content in contents for schema in content.values() if isinstance(schema, type)}
    schemas = _schemas({ProblemView, *queries, *models})
    paths: dict[str, Declared] = {}
    for operation in operations:
        parameters = schemas[operation.query.__name__]
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, parameters)
    for query in queries:
        del schemas[query.__name__]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sluice",
            "summary": "Tables to files.",
            "description": DESCRIPTION,
            "version": __version__,
        },
        "servers": [{"url": "/", "description": "This service, wherever it is reached."}],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Cell": _CELL},
            "securitySchemes": {
                SECURITY_SCHEME: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key, made with `sluice keys add TENANT`.",
                }
            },
        },
    }


def _schemas(models: Iterable[type]) -> dict[str, Declared]:
    """The schemas of structs and of what they refer to, by name and in its order: a release has one document."""
    any_json: Declared = {"description": "Any JSON value."}
    _, schemas = msgspec.json.schema_components(models, schema_hook=lambda _: any_json, ref_template=REF_TEMPLATE)
    for schema in schemas.values():
        if "description" in schema:
            schema["description"] = cleandoc(schema["description"]).replace("``", "`")
    # As JSON has it: a list for a tuple that is a default.
    return msgspec.json.decode(msgspec.json.encode(dict(sorted(schemas.items()))), type=dict[str, Declared])


def _operation(operation: Operation, query_schema: Declared) -> Declared:
    declared: Declared = {"operationId": operation.id, "summary": operation.summary}
    if operation.description:
        declared["description"] = operation.description
    # A file is behind its link alone: the token of the path is what lets a caller in.
    declared["security"] = [{SECURITY_SCHEME: []}] if operation.scope is not None else []
    in_path = re.findall(r"\{(\w+)\}", operation.path)
    parameters = [{"name": name, "in": "path", "required": True, **PATH_PARAMETERS[name]} for name in in_path]
    parameters += [*_query_parameters(operation.query, query_schema), *operation.headers]
    if parameters:
        declared["parameters"] = parameters
    problems = _problems((*_ANY_CALL, *operation.codes))
    if operation.body is not None:
        declared["requestBody"] = {"required": operation.body.required, "content": _content(operation.body.content)}
        for kind, example in operation.body.examples.items():
            declared["requestBody"]["content"][kind]["example"] = example
        problems[HTTPStatus.REQUEST_TIMEOUT] = Answer("`SENDER_TOO_SLOW`: The body did not arrive in time.", _PROBLEM)
    if operation.scope is not None:
        problems[HTTPStatus.PRECONDITION_FAILED] = Answer(
            "`If-Match` names a tag: those of exports are weak.", _PROBLEM
        )
    answers = {**operation.answers, **problems}
    declared["responses"] = {str(int(status)): _answer(answers[status]) for status in sorted(answers)}
    return declared


def _query_parameters(query: type[msgspec.Struct], schema: Declared) -> Iterator[Declared]:
    """Declare the fields of a struct as query parameters: its own before those of the struct it extends."""
    inherited = frozenset(getattr(query.__base__, "__struct_fields__", ()))
    for name in sorted(query.__struct_fields__, key=inherited.__contains__):
        member = dict(schema["properties"][name])
        described = {"description": member.pop("description")} if "description" in member else {}
        yield {"name": name, "in": "query", "required": name in schema["required"], **described, "schema": member}


def _problems(codes: Iterable[ErrorCode]) -> dict[int, Answer]:
    """Group error codes by the status they are answered with."""
    by_status: dict[int, list[str]] = {}
    for code in sorted(set(codes)):
        by_status.setdefault(ANSWERS[code][1], []).append(f"`{code.value}`: {MEANINGS[code].sentence}")
    return {status: Answer("\n\n".join(texts), _PROBLEM) for status, texts in by_status.items()}


def _answer(answer: Answer) -> Declared:
    declared: Declared = {"description": answer.description}
    if answer.headers:
        declared["headers"] = {name: ANSWER_HEADERS[name] for name in answer.headers}
    if answer.content:
        declared["content"] = _content(answer.content)
    return declared


def _content(content: Mapping[str, type | Declared]) -> Declared:
    """Declare what has a content type; a struct by its name."""
    return {
        kind: {"schema": {"$ref": REF_TEMPLATE.format(name=schema.__name__)} if isinstance(schema, type) else schema}
        for kind, schema in content.items()
    }
