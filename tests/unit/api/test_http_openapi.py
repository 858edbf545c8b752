"""The OpenAPI document and the page made of it are complete, and need nothing from outside."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.requests import Request
from starlette.responses import Response

from sluice.api.error_status import ANSWERS
from sluice.api.http.app import RouteSet, operations_of
from sluice.api.http.operation import Operation
from sluice.api.http.routes import docs
from sluice.api.http.routes.openapi import make_document
from sluice.domain.options import ExportOptions
from tests.support.http_client import ApiClient, HttpRelay, http_relay, operation

SECTION_2 = [
    ("POST", "/v1/exports"),
    ("PUT", "/v1/exports/{id}/batches/{sequence}"),
    ("POST", "/v1/exports/{id}/close"),
    ("GET", "/v1/exports/{id}"),
    ("GET", "/v1/exports/{id}/events"),
    ("GET", "/v1/exports/{id}/file"),
    ("POST", "/v1/exports/{id}/render"),
    ("DELETE", "/v1/exports/{id}"),
    ("GET", "/v1/exports"),
    ("POST", "/v1/exports/stream"),
]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return HttpRelay(tmp_path_factory.mktemp("relay")).document


def found(document: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    declared = operation(document, method, path.replace("{id}", "a" * 26).replace("{sequence}", "1"))
    assert declared is not None
    return declared


def parameters(declared: dict[str, Any], where: str) -> set[str]:
    return {parameter["name"] for parameter in declared.get("parameters", ()) if parameter["in"] == where}


@pytest.mark.slow
@pytest.mark.parametrize("routes", RouteSet)
def test_the_document_is_valid_by_the_standard(routes: RouteSet) -> None:
    document = json.loads(json.dumps(make_document(operations_of(routes))))
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    assert document["openapi"].startswith("3.1.")


@pytest.mark.slow
def test_the_validator_finds_what_is_wrong(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    broken = json.loads(json.dumps(document).replace(f'"{ids[0]}"', f'"{ids[1]}"'))
    assert any("unique" in str(error) for error in OpenAPIV31SpecValidator(broken).iter_errors())


@pytest.mark.parametrize("operation", operations_of(RouteSet.ALL), ids=lambda operation: operation.id)
def test_each_endpoint_takes_the_query_that_its_operation_declares(operation: Operation) -> None:
    (taken, *others) = [kind for name, kind in get_type_hints(operation.endpoint).items() if name != "return"]
    assert others == []
    assert taken is Request if operation.scope is None else get_args(taken) == (operation.query,)


@pytest.mark.parametrize(("method", "path"), SECTION_2)
def test_every_call_is_declared_with_its_errors_and_its_key(document: dict[str, Any], method: str, path: str) -> None:
    declared = found(document, method, path)
    assert declared["summary"]
    assert {"401", "403", "429", "500", "503"} <= declared["responses"].keys()
    assert "422" not in declared["responses"]
    assert declared["security"] == [{"HTTPBearer": []}]
    errors = [answer for status, answer in declared["responses"].items() if int(status) >= 400]
    assert all("application/problem+json" in answer["content"] for answer in errors)


def test_calls_have_short_ids_of_their_own_and_links_need_no_key(document: dict[str, Any]) -> None:
    ids = {
        operation["operationId"]: operation["security"]
        for path in document["paths"].values()
        for operation in path.values()
    }
    assert set(ids) == {
        "openExport", "listExports", "getExport", "listBatches", "followExport", "putBatch", "sendTable", "closeExport",
        "renderExport", "headFileLink", "getFileLink", "cancelExport", "deleteExport", "headFile", "readFile",
        "watchExport", "followWatchedExport", "getWatchedFile",
        "listDatasets", "getDataset", "previewDataset", "exportDataset", "listDatasetExports",
        "listJobs", "getJobSchema", "getJob", "runJob", "previewJob", "listRuns", "getRun", "cancelRun",
    }  # fmt: skip
    by_address = {"headFile", "readFile", "watchExport", "followWatchedExport", "getWatchedFile"}
    assert {name for name, security in ids.items() if not security} == by_address
    assert [server["url"] for server in document["servers"]] == ["/"]


def test_bodies_are_declared_by_content_type(document: dict[str, Any]) -> None:
    batch = found(document, "PUT", "/v1/exports/{id}/batches/{sequence}")["requestBody"]
    assert batch["content"].keys() == {"application/json", "application/x-ndjson", "text/csv", "application/x-protobuf"}
    table = found(document, "POST", "/v1/exports/stream")["requestBody"]
    assert table["content"].keys() == {"application/json", "application/x-ndjson", "text/csv"}
    opened = found(document, "POST", "/v1/exports")["requestBody"]["content"]["application/json"]["schema"]
    assert opened == {"$ref": "#/components/schemas/OpenBody"}


def test_every_query_parameter_and_header_is_declared(document: dict[str, Any]) -> None:
    table = found(document, "POST", "/v1/exports/stream")
    options = set(ExportOptions.__struct_fields__)
    assert parameters(table, "query") == options | {"format", "filename", "columns", "infer", "expected_rows"}
    assert parameters(table, "header") == {"Idempotency-Key", "X-Content-SHA256", "Content-Encoding"}
    assert parameters(found(document, "GET", "/v1/exports"), "query") == {"state", "request_id", "limit", "cursor"}
    assert parameters(found(document, "GET", "/v1/exports/{id}"), "query") == {"wait"}
    assert parameters(found(document, "GET", "/v1/exports/{id}/file"), "query") == {"redirect", "life_s"}
    put = found(document, "PUT", "/v1/exports/{id}/batches/{sequence}")
    assert parameters(put, "header") == {"X-Content-SHA256", "Content-Encoding"}
    assert parameters(put, "path") == {"task_id", "sequence"}


def test_every_option_is_explained_in_the_document_wherever_it_can_be_given(document: dict[str, Any]) -> None:
    members = document["components"]["schemas"]["ExportOptions"]["properties"]
    given = {
        parameter["name"]: parameter["description"]
        for parameter in found(document, "POST", "/v1/exports/stream")["parameters"]
    }
    assert members.keys() == set(ExportOptions.__struct_fields__)
    for name, member in members.items():
        assert " Default `" in member["description"], name
        assert given[name] == member["description"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    references = set(re.findall(r"'\$ref': '([^']+)'", str(document)))
    assert references
    assert {reference.removeprefix("#/components/schemas/") for reference in references} <= schemas.keys()


def test_the_task_has_the_fields_it_is_specified_with(document: dict[str, Any]) -> None:
    fields = (
        "task_id state status format filename rows_expected rows_received rows_written sheets batches progress_percent "
        "eta_seconds file_size_bytes checksum_sha256 crc64 error request_id refusal attempts attempt_error "
        "created_at sealed_at finished_at expires_at download_path warnings read"
    )
    assert document["components"]["schemas"]["TaskView"]["properties"].keys() == set(fields.split())


def test_every_error_code_is_in_the_document(document: dict[str, Any]) -> None:
    assert set(document["components"]["schemas"]["ErrorCode"]["enum"]) == {code.value for code in ANSWERS}


class Page(HTMLParser):
    """What a page loads, links to and offers as anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self.links += [given["href"] or ""] if tag == "a" and "href" in given else []
        self.loads += [given["src"] or ""] if "src" in given else []
        self.loads += [given["href"] or ""] if tag == "link" and "href" in given else []
        self.ids |= {given["id"] or ""} if "id" in given else set()


def test_the_page_needs_no_script_and_no_network(tmp_path: Path) -> None:
    with http_relay(tmp_path) as relay:
        client: ApiClient = relay.stranger()
        answer = client.get("/docs")
        assert client.get("/openapi.json").json() == relay.document
    page = Page()
    page.feed(answer.text)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert page.loads == []
    assert "script" not in page.tags
    assert all(link.startswith("#") or link == "/openapi.json" for link in page.links)
    assert {link.removeprefix("#") for link in page.links if link.startswith("#")} <= page.ids
    for _, path in SECTION_2:
        assert path.replace("{id}", "{task_id}") in answer.text
    rows = re.findall(r"<tr><td><code>(\w+)</code></td><td>[^<]+.*? Default <code>", answer.text)
    assert set(ExportOptions.__struct_fields__) <= set(rows)


def test_pages_for_every_caller_are_made_once_and_not_sent_to_those_that_have_them(tmp_path: Path) -> None:
    made = []

    def make() -> Response:
        made.append(1)
        return Response(b"page", media_type="text/plain")

    page = docs.Page(make)
    request = Request({"type": "http", "headers": []})
    assert {bytes(page.answer(request).body) for _ in range(3)} == {b"page"}
    assert len(made) == 1
    with http_relay(tmp_path) as relay:
        client = relay.stranger()
        for path in ("/", "/docs", "/openapi.json", "/problems/INTERNAL"):
            first = client.get(path)
            again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
            assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
            assert again.headers["Cache-Control"] == "no-cache"
            assert client.get(path, headers={"If-None-Match": '"another"'}).content == first.content
        assert client.get("/problems/NONE").status_code == 404
