"""A dataset's calls over HTTP and over gRPC, with what comes of them in one form."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import grpc
import httpx

from sluice.api.grpc.requests import WIRE_FORMATS
from sluice.proto import export_pb2 as pb
from tests.support.either_face import PROBLEM_MEMBERS
from tests.support.grpc_client import GrpcClient, refusal_of
from tests.support.running_service import ServiceProcess

FORMATS = {known.value: number for known, number in WIRE_FORMATS.items()}
SCOPES = {"all": pb.DATASET_SCOPE_ALL, "selected": pb.DATASET_SCOPE_SELECTED}
OF_HTTP = {"accepted", "option"}


@dataclass(frozen=True)
class Who:
    """A credential, and what is said with it of the user."""

    credential: str
    said: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What came of a call: what it gives, or why it gives nothing."""

    given: Any = None
    code: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    sentence: str = ""


@dataclass(frozen=True)
class Service:
    running: ServiceProcess
    application: str
    """A key with the scope ``act_for``."""
    reader: str
    http: httpx.Client
    grpc: GrpcClient


def query_of(name: str, body: dict[str, Any]) -> pb.DatasetQuery:
    """The message that says what the JSON says. Values are texts there."""
    query = pb.DatasetQuery(
        dataset=name,
        format=FORMATS.get(body["format"], 77),  # type: ignore[arg-type]  # a number of a newer contract
        filename=body.get("filename", ""),
        scope=SCOPES[body["scope"]] if "scope" in body else None,
        ids=map(str, body.get("ids", ())),
        options=pb.FormatOptions(**body.get("options", {})),
    )
    for one in body.get("columns", ()):
        query.columns.add(**({"name": one} if isinstance(one, str) else one))
    for field_name, value in body.get("date", {}).items():
        setattr(query, f"date_{field_name}", value)
    for column, given in body.get("filters", {}).items():
        query.filters[column].values.extend(map(str, given if isinstance(given, list) else [given]))
    return query


class OverHttp:
    face = "http"

    def __init__(self, service: Service, who: Who) -> None:
        headers = [("Authorization", f"Bearer {who.credential}")] if who.credential else []
        named = [(name, value.encode().decode("latin-1")) for name, value in who.said]
        self._client = service.http
        self._headers = [(name.encode(), value.encode("latin-1")) for name, value in (*headers, *named)]

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None, key: str = "") -> httpx.Response:
        headers = [*self._headers, *([(b"Idempotency-Key", key.encode())] if key else [])]
        return self._client.request(method, path, json=body, headers=headers)

    def call(self, what: str, name: str, body: dict[str, Any], key: str = "") -> Outcome:
        path = f"/v1/datasets/{name}" if what != "list" else "/v1/datasets"
        match what:
            case "list" | "show":
                answer = self.ask("GET", path)
            case "exports":
                answer = self.ask("GET", f"{path}/exports")
            case "preview":
                rows = f"?rows={body['rows']}" if "rows" in body else ""
                sent = {one: value for one, value in body.items() if one != "rows"}
                answer = self.ask("POST", f"{path}/preview{rows}", sent)
            case _:
                answer = self.ask("POST", f"{path}/exports", body, key)
        if answer.status_code >= 400:
            said = answer.json()
            facts = {one: value for one, value in said.items() if one not in PROBLEM_MEMBERS | OF_HTTP}
            return Outcome(None, said["code"], facts, said["detail"])
        if what == "export":
            return Outcome(self._exported(answer))
        return Outcome(answer.json())

    @staticmethod
    def _exported(answer: httpx.Response) -> Any:
        if answer.status_code == 202:
            assert answer.json()["watch_url"]
            return "later"
        _, named, encoded = answer.headers["content-disposition"].partition("filename*=UTF-8''")
        name = unquote(encoded) if named else answer.headers["content-disposition"].split('"')[1]
        return name, answer.content


class OverGrpc:
    face = "grpc"

    def __init__(self, service: Service, who: Who) -> None:
        bearer = (("authorization", f"Bearer {who.credential}"),) if who.credential else ()
        said = [(name, value) if value.isascii() else (f"{name}-bin", value.encode()) for name, value in who.said]
        self._service, self.metadata = service, (*bearer, *said)

    def ask(self, method: str, request: object) -> Any:
        return self._service.grpc.call(method, request, metadata=self.metadata, timeout=60)

    def call(self, what: str, name: str, body: dict[str, Any], key: str = "") -> Outcome:
        try:
            return Outcome(self._given(what, name, body, key))
        except grpc.RpcError as error:
            said = refusal_of(error)
            return Outcome(None, said.code, said.facts, said.detail)

    def _given(self, what: str, name: str, body: dict[str, Any], key: str) -> Any:
        match what:
            case "list":
                found = self.ask("ListDatasets", pb.ListDatasetsRequest())
                return {"datasets": [_described(one) for one in found.datasets]}
            case "show":
                return _described(self.ask("DescribeDataset", pb.DatasetRequest(dataset=name)))
            case "exports":
                found = self.ask("ListDatasetExports", pb.DatasetRequest(dataset=name))
                return {"exports": [(one.export.task_id, one.watch_url) for one in found.exports]}
            case "preview":
                sent = pb.PreviewDatasetRequest(query=query_of(name, body), rows=body.get("rows", 0))
                found = self.ask("PreviewDataset", sent)
                rows = [[one.text if one.HasField("text") else None for one in row.cells] for row in found.rows]
                return {"columns": list(found.columns), "rows": rows}
            case _:
                request = pb.ExportDatasetRequest(query=query_of(name, body), request_id=key)
                if body.get("prefer") == "background":
                    request.wait = False
                return self._exported(self.ask("ExportDataset", request))

    def _exported(self, found: pb.DatasetExport) -> Any:
        assert found.watch_url
        if found.export.state != "completed":
            return "later"
        content = self._service.http.get(found.export.oss_url).content
        assert hashlib.sha256(content).hexdigest() == found.export.checksum_sha256
        assert len(content) == found.export.file_size_bytes
        return found.export.filename, content


def _described(one: pb.DatasetDescription) -> dict[str, Any]:
    """As the JSON has it."""
    formats = {number: name for name, number in FORMATS.items()}
    columns = [
        {
            "name": column.name,
            "label": column.label,
            "type": pb.DataType.Name(column.data_type).removeprefix("DATA_TYPE_").lower(),
            "masked": column.masked,
        }
        for column in one.columns
    ]
    return {
        "name": one.name,
        "columns": columns,
        "selectable": one.selectable,
        "date": one.date,
        "filters": list(one.filters),
        "direct_rows": one.direct_rows,
        "waited_rows": one.waited_rows,
        "rows_max": one.rows_max,
        "ids_max": one.ids_max,
        "formats": [formats[number] for number in one.formats],
    }
