"""What callers build on changes on purpose alone: the committed contracts, and which changes of them break a caller.

After a change that breaks none: ``python infra/gen_contracts.py``. After one that does, and must: the same with
``--breaking``, and a line under "Changed" in the change log.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from infra.gen_contracts import (
    CONTRACTS,
    Json,
    breaking_grpc,
    breaking_http,
    grpc_contract,
    openapi,
    text_of,
)
from tests.support.http_client import ApiClient, http_relay

AGAIN = "after a change that breaks no caller run `python infra/gen_contracts.py`, else see its first lines"
DOCUMENT, STUBS = openapi(), grpc_contract()
OPERATIONS = [
    (method, path, operation)
    for path, by_method in DOCUMENT["paths"].items()
    for method, operation in by_method.items()
]


@pytest.mark.parametrize(("path", "make", "breaking"), CONTRACTS, ids=lambda one: getattr(one, "name", ""))
def test_no_caller_breaks_and_the_committed_contract_is_that_of_the_code(
    path: Path, make: Callable[[], Json], breaking: Callable[[Json, Json], list[str]]
) -> None:
    committed, contract = path.read_text(), make()
    assert breaking(json.loads(committed), contract) == [], f"these changes break callers; {AGAIN}"
    assert committed == text_of(contract), AGAIN


def changed(contract: Json, *path: str | int, to: object = None, remove: bool = False) -> Json:
    """A copy with one value set, or removed."""
    copy = deepcopy(contract)
    place: Any = copy
    for step in path[:-1]:
        place = place[step]
    if remove:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return copy


EXPORT = ("paths", "/v1/exports/{task_id}")
OPEN = ("components", "schemas", "OpenBody")
VIEW = ("components", "schemas", "TaskView")
PUT = ("paths", "/v1/exports/{task_id}/batches/{sequence}", "put")
LIST = ("paths", "/v1/exports", "get")

BREAKS = [
    (partial(changed, DOCUMENT, *EXPORT, remove=True), "GET /v1/exports/{task_id}: removed"),
    (partial(changed, DOCUMENT, *EXPORT, "delete", remove=True), "DELETE /v1/exports/{task_id}: removed"),
    (
        partial(changed, DOCUMENT, *EXPORT, "get", "operationId", to="readExport"),
        "operationId is readExport, was getExport",
    ),
    (partial(changed, DOCUMENT, *OPEN, "properties", "filename", remove=True), "OpenBody.filename: removed"),
    (partial(changed, DOCUMENT, *VIEW, "properties", "state", remove=True), "TaskView.state: removed"),
    (partial(changed, DOCUMENT, *OPEN, "required", to=["format", "filename"]), "OpenBody.filename: newly required"),
    (
        partial(changed, DOCUMENT, *OPEN, "properties", "filename", "type", to="integer"),
        'filename: type is "integer", was "str',
    ),
    (
        partial(changed, DOCUMENT, *VIEW, "properties", "task_id", "type", to="integer"),
        'task_id: type is "integer", was "str',
    ),
    (partial(changed, DOCUMENT, *VIEW, "required", to=[]), "TaskView.task_id: no longer always there"),
    (partial(changed, DOCUMENT, *LIST, "parameters", to=[]), "parameter state: removed"),
    (partial(changed, DOCUMENT, *LIST, "parameters", 0, "required", to=True), "newly required"),
    (
        partial(changed, DOCUMENT, *PUT, "requestBody", "content", "text/csv", remove=True),
        "content type text/csv: removed",
    ),
    (partial(changed, DOCUMENT, *PUT, "responses", "200", remove=True), "answer 200: removed"),
    (
        partial(changed, DOCUMENT, *EXPORT, "get", "responses", "200", "headers", "ETag", remove=True),
        "header ETag: removed",
    ),
    (
        partial(changed, DOCUMENT, *OPEN, "properties", "filename", "maxLength", to=9),
        "filename: maxLength is 9, was free",
    ),
    (
        partial(changed, DOCUMENT, *OPEN, "properties", "filename", "pattern", to="a"),
        "filename: pattern is a, was free",
    ),
    (
        partial(changed, DOCUMENT, "components", "schemas", "ExportFormat", "enum", to=["csv", "xlsx"]),
        "ExportFormat: value jsonl: no longer taken",
    ),
    (
        partial(changed, DOCUMENT, "paths", "/v1/exports/{task_id}/close", "post", "requestBody", "required", to=True),
        "close: body: newly required",
    ),
    (
        partial(changed, DOCUMENT, "paths", "/v1/files/{token}", "get", "security", to=[{"HTTPBearer": []}]),
        "changed security",
    ),
]


@pytest.mark.parametrize(("new", "said"), BREAKS, ids=[said for _, said in BREAKS])
def test_a_change_that_breaks_callers_over_http_is_named(new: Callable[[], Json], said: str) -> None:
    broken = breaking_http(DOCUMENT, new())
    assert any(said in one for one in broken), broken


ADDED_MEMBER = {"type": "string", "default": ""}
HARMLESS = {
    "a path more": partial(changed, DOCUMENT, "paths", "/v2/exports", to=DOCUMENT["paths"]["/v1/exports"]),
    "a member more to send": partial(changed, DOCUMENT, *OPEN, "properties", "note", to=ADDED_MEMBER),
    "a member more to read": partial(changed, DOCUMENT, *VIEW, "properties", "note", to=ADDED_MEMBER),
    "other words": partial(changed, DOCUMENT, *EXPORT, "get", "summary", to="Read an export"),
    "another error": partial(
        changed,
        DOCUMENT,
        *EXPORT,
        "get",
        "responses",
        "418",
        to=DOCUMENT["paths"]["/v1/exports"]["get"]["responses"]["400"],
    ),
    "a code more": partial(
        changed,
        DOCUMENT,
        "components",
        "schemas",
        "ErrorCode",
        "enum",
        to=["TEAPOT", *DOCUMENT["components"]["schemas"]["ErrorCode"]["enum"]],
    ),
    "a format more": partial(
        changed,
        DOCUMENT,
        "components",
        "schemas",
        "ExportFormat",
        "enum",
        to=["ods", *DOCUMENT["components"]["schemas"]["ExportFormat"]["enum"]],
    ),
    "less is demanded": partial(changed, DOCUMENT, *OPEN, "required", to=[]),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_change_that_breaks_no_caller_over_http_is_not(name: str) -> None:
    harmless = HARMLESS[name]()
    assert harmless != DOCUMENT
    assert breaking_http(DOCUMENT, harmless) == []


def place_of(kind: str, name: str, member: str, item: str) -> tuple[str | int, ...]:
    """Where a member stands in the contract."""
    at = [one["name"] for one in STUBS[kind]].index(name)
    return (kind, at, member, [one["name"] for one in STUBS[kind][at][member]].index(item))


FILENAME = place_of("message_type", "ExportMetadata", "field", "filename")
CSV_VALUE = place_of("enum_type", "ExportFormat", "value", "FORMAT_CSV")
STREAM = place_of("service", "ExportService", "method", "StreamExport")
WITH_MAP = next(
    at for at, one in enumerate(STUBS["message_type"]) if "SheetRecordsEntry" in str(one.get("nested_type"))
)
MAP = ("message_type", WITH_MAP, "nested_type", 0, "field", 1)
GRPC_BREAKS = [
    (partial(changed, STUBS, *FILENAME, remove=True), "ExportMetadata.filename: removed"),
    (partial(changed, STUBS, *FILENAME, "number", to=77), "ExportMetadata.filename: field number is 77, was"),
    (
        partial(changed, STUBS, *FILENAME, "type", to="TYPE_BYTES"),
        "ExportMetadata.filename: type is TYPE_BYTES, was TYPE_STRING",
    ),
    (
        partial(changed, STUBS, *FILENAME, "label", to="LABEL_REPEATED"),
        "ExportMetadata.filename: label is LABEL_REPEATED",
    ),
    (partial(changed, STUBS, *FILENAME, "name", to="file_name"), "ExportMetadata.filename: removed"),
    (partial(changed, STUBS, *FILENAME, "oneof_index", to=0), "ExportMetadata.filename: its place in a oneof changed"),
    (partial(changed, STUBS, *CSV_VALUE, "number", to=77), "ExportFormat.FORMAT_CSV: field number is 77, was"),
    (partial(changed, STUBS, *STREAM, remove=True), "ExportService.StreamExport: removed"),
    (
        partial(changed, STUBS, *STREAM, "client_streaming", to=False),
        "ExportService.StreamExport: client_streaming is False, was",
    ),
    (partial(changed, STUBS, *STREAM, "input_type", to=".export.DataBatch"), "input_type is .export.DataBatch, was"),
    (partial(changed, STUBS, "message_type", FILENAME[1], remove=True), "ExportMetadata: removed"),
    (partial(changed, STUBS, *MAP, "type", to="TYPE_INT32"), "SheetRecordsEntry.value: type is TYPE_INT32"),
]


@pytest.mark.parametrize(("new", "said"), GRPC_BREAKS, ids=[said for _, said in GRPC_BREAKS])
def test_a_change_that_breaks_callers_over_grpc_is_named(new: Callable[[], Json], said: str) -> None:
    broken = breaking_grpc(STUBS, new())
    assert any(said in one for one in broken), broken


def test_a_field_more_breaks_no_caller_over_grpc() -> None:
    field = {"name": "note", "number": 999, "label": "LABEL_OPTIONAL", "type": "TYPE_STRING"}
    fields = STUBS["message_type"][FILENAME[1]]["field"]
    assert breaking_grpc(STUBS, changed(STUBS, *FILENAME[:3], to=[field, *fields])) == []


@pytest.mark.parametrize(
    ("method", "path", "operation"), OPERATIONS, ids=[one["operationId"] for _, _, one in OPERATIONS]
)
def test_each_operation_says_what_a_caller_needs(method: str, path: str, operation: Json) -> None:
    """A validator has no opinion on these."""
    del method
    assert operation["operationId"].isidentifier()
    assert operation["summary"]
    assert not operation["summary"].endswith(".")
    problems = {int(status): answer for status, answer in operation["responses"].items() if int(status) >= 400}
    assert {400, 401, 403, 429, 500, 503} <= problems.keys()
    for status, answer in operation["responses"].items():
        assert answer["description"], status
    for answer in problems.values():
        assert answer["content"]["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/ProblemView"}
    for parameter in operation.get("parameters", ()):
        assert "schema" in parameter, parameter["name"]
        assert parameter.get("description"), parameter["name"]
    named = {part.strip("{}") for part in path.split("/") if part.startswith("{")}
    assert {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"} == named


def validator(schema: Json) -> Draft202012Validator:
    """Of a schema of the document, with the components that it refers to."""
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]})


BODIES = [
    (operation["operationId"], kind, content)
    for _, _, operation in OPERATIONS
    for kind, content in operation.get("requestBody", {}).get("content", {}).items()
]


@pytest.mark.parametrize(("name", "kind", "content"), BODIES, ids=[f"{name}-{kind}" for name, kind, _ in BODIES])
def test_each_body_that_is_text_has_an_example_of_its_schema(name: str, kind: str, content: Json) -> None:
    del name
    if kind == "application/x-protobuf":
        assert "example" not in content
        return
    checked = validator(content["schema"])
    assert [error.message for error in checked.iter_errors(content["example"])] == []
    assert not checked.is_valid(17)


def example(name: str, kind: str = "application/json") -> Any:
    return next(content["example"] for known, media, content in BODIES if (known, media) == (name, kind))


def answered(client: ApiClient, method: str, path: str, name: str, **how: Any) -> Any:
    """Call, and check the body of the answer by its schema."""
    answer = client.request(method, path, **how)
    operation = next(operation for _, _, operation in OPERATIONS if operation["operationId"] == name)
    content = operation["responses"][str(answer.status_code)]["content"]
    schema = content[answer.headers["content-type"].partition(";")[0]]["schema"]
    assert [error.message for error in validator(schema).iter_errors(answer.json())] == [], name
    assert answer.status_code < 300, answer.text
    return answer.json()


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson", "text/csv"])
def test_the_examples_are_taken_and_answered_as_declared(kind: str, tmp_path: Path) -> None:
    """Put together they are the whole way from an open to a link."""
    rows = example("putBatch", kind)
    body = rows if isinstance(rows, str) else json.dumps(rows)
    headers = {"Content-Type": kind}
    with http_relay(tmp_path) as relay:
        client = relay.client()
        task = answered(client, "POST", "/v1/exports", "openExport", json=example("openExport"))
        path = f"/v1/exports/{task['task_id']}"
        answered(client, "PUT", f"{path}/batches/1", "putBatch", content=body.encode(), headers=headers)
        answered(client, "GET", f"{path}/batches", "listBatches")
        answered(client, "POST", f"{path}/close", "closeExport", json=example("closeExport"))
        relay.memory.invoker.join()
        assert answered(client, "GET", path, "getExport")["state"] == "completed"
        answered(client, "GET", f"{path}/file?redirect=false", "getFileLink")
        answered(client, "POST", f"{path}/render", "renderExport", json=example("renderExport"))
        table = "/v1/exports/stream?format=csv&columns=id:number,customer,paid:boolean"
        answered(client, "POST", table, "sendTable", content=body.encode(), headers=headers)
        relay.memory.invoker.join()
        assert len(answered(client, "GET", "/v1/exports", "listExports")["tasks"]) == 3


def test_a_problem_is_as_declared(tmp_path: Path) -> None:
    with http_relay(tmp_path) as relay:
        answer = relay.client().post("/v1/exports", json={"format": "docx"})
    schema = {"$ref": "#/components/schemas/ProblemView"}
    assert [error.message for error in validator(schema).iter_errors(answer.json())] == []
