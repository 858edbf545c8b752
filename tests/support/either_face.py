"""The service's calls as a sender makes them, through HTTP or through gRPC, with refusals in one form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import grpc
import httpx

from sluice.api.grpc.requests import WIRE_FORMATS
from sluice.domain.api_key import Scope
from sluice.proto import export_pb2 as pb
from tests.support.grpc_client import WAY_OUT, GrpcClient, refusal_of, serving
from tests.support.http_client import ApiClient, HttpRelay
from tests.support.memory_service import MemoryService

HTTP = "http"
GRPC = "grpc"
FACES = (HTTP, GRPC)

PROBLEM_MEMBERS = {"type", "title", "status", "detail", "code", "who", "retryable", "request_id"} | WAY_OUT
"""What stands in every problem document, or follows from other facts; all else in it is a fact."""

_KINDS = {known.value: number for known, number in WIRE_FORMATS.items()}
_TYPES = {"string": pb.DATA_TYPE_STRING, "number": pb.DATA_TYPE_NUMBER}
_KIND_OF_THE_FUTURE = 77

Result = TypeVar("Result")
Rows = Sequence[Sequence[str]]


class Refusal(NamedTuple):
    """An error answer, as far as a caller can read it."""

    code: str
    status: int | str
    """HTTP's number, or the name gRPC has for its status."""
    facts: dict[str, object]
    retryable: bool
    retry_s: int | None
    """What ``Retry-After`` or ``RetryInfo`` asks to wait."""
    who: str | None
    """Who must act; only HTTP says it."""
    sentence: str
    said: str
    """All of the answer, headers and metadata included."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What to open."""

    kind: str = "csv"
    columns: tuple[tuple[str, str], ...] = (("id", "number"), ("name", "string"))
    options: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    expected: int | None = None
    """Rows, as announced."""


ORDERS = Wish()


class EitherApi(Protocol):
    """A caller of one tenant. Every call gives its result or a ``Refusal``."""

    @property
    def name(self) -> str: ...

    @property
    def tenant(self) -> str: ...

    def open(self, wish: Wish = ...) -> str | Refusal:
        """Returns the task's id."""

    def put(self, task_id: str, sequence: int, rows: Rows, *, sha256: str = "") -> str | Refusal:
        """``sha256`` is the checksum the caller claims. Returns the digest of the stored rows."""

    def close(self, task_id: str, *, batches: int | None = None, rows: int | None = None) -> str | Refusal:
        """Returns the state."""

    def status(self, task_id: str) -> str | Refusal:
        """Returns the state."""

    def failure(self, task_id: str) -> str | Refusal:
        """Returns the code that the status of a failed task names."""

    def link(self, task_id: str) -> str | Refusal: ...

    def cancel(self, task_id: str) -> str | Refusal: ...

    def render(self, task_id: str, kind: str) -> str | Refusal:
        """Returns the new task's id."""

    def list(self, *, limit: int = 10, cursor: str = "") -> str | Refusal:
        """Returns the cursor of the next page."""


def granted(answer: Result | Refusal) -> Result:
    """The result of a call that must not be refused."""
    assert not isinstance(answer, Refusal), answer
    return answer


def refused(answer: object) -> Refusal:
    """The refusal of a call that must not be granted."""
    assert isinstance(answer, Refusal), answer
    return answer


class OverHttp:
    name = HTTP

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self.tenant = client.tenant

    def open(self, wish: Wish = ORDERS) -> str | Refusal:
        body = {
            "format": wish.kind,
            "filename": "orders",
            "columns": [{"name": name, "type": kind} for name, kind in wish.columns],
            "options": dict(wish.options),
            "expected_rows": wish.expected,
        }
        headers = {"Idempotency-Key": wish.key} if wish.key else {}
        return _http_result(self._client.post("/v1/exports", json=body, headers=headers), "task_id")

    def put(self, task_id: str, sequence: int, rows: Rows, *, sha256: str = "") -> str | Refusal:
        headers = {"X-Content-SHA256": sha256} if sha256 else {}
        return _http_result(self._client.put_rows(task_id, sequence, rows, **headers), "sha256")

    def close(self, task_id: str, *, batches: int | None = None, rows: int | None = None) -> str | Refusal:
        totals = {name: value for name, value in (("batches", batches), ("rows", rows)) if value is not None}
        return _http_result(self._client.close_task(task_id, **totals), "state")

    def status(self, task_id: str) -> str | Refusal:
        return _http_result(self._client.get(f"/v1/exports/{task_id}"), "state")

    def failure(self, task_id: str) -> str | Refusal:
        return _http_result(self._client.get(f"/v1/exports/{task_id}"), "error", "code")

    def link(self, task_id: str) -> str | Refusal:
        return _http_result(self._client.get(f"/v1/exports/{task_id}/file", params={"redirect": "false"}), "url")

    def cancel(self, task_id: str) -> str | Refusal:
        return _http_result(self._client.post(f"/v1/exports/{task_id}/cancel"), "state")

    def delete(self, task_id: str) -> str | Refusal:
        return _http_result(self._client.delete(f"/v1/exports/{task_id}"))

    def render(self, task_id: str, kind: str) -> str | Refusal:
        return _http_result(self._client.post(f"/v1/exports/{task_id}/render", json={"format": kind}), "task_id")

    def list(self, *, limit: int = 10, cursor: str = "") -> str | Refusal:
        return _http_result(self._client.get("/v1/exports", params={"limit": limit, "cursor": cursor}), "cursor")


def _http_result(answer: httpx.Response, *path: str) -> str | Refusal:
    """What stands at ``path`` in the body of a success."""
    if answer.status_code >= 400:
        return _problem_of(answer)
    found: Any = answer.json() if path else ""
    for name in path:
        found = found[name]
    return str(found)


def _problem_of(answer: httpx.Response) -> Refusal:
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"/problems/{body['code']}"
    assert body["status"] == answer.status_code
    retry_after = answer.headers.get("retry-after")
    return Refusal(
        code=body["code"],
        status=answer.status_code,
        facts={name: value for name, value in body.items() if name not in PROBLEM_MEMBERS},
        retryable=body["retryable"],
        retry_s=None if retry_after is None else int(retry_after),
        who=body["who"],
        sentence=body["detail"],
        said=f"{answer.headers!r} {answer.text}",
    )


class OverGrpc:
    name = GRPC

    def __init__(self, client: GrpcClient, tenant: str) -> None:
        self._client = client
        self.tenant = tenant

    def open(self, wish: Wish = ORDERS) -> str | Refusal:
        return self._call("OpenExport", self._metadata(wish), lambda response: response.task_id)

    def end_stream_early(self, rows: Rows) -> str | Refusal:
        """A stream of one batch that ends without the totals that were to follow. Returns the task's id."""
        metadata = self._metadata(ORDERS)
        metadata.totals_follow = True
        batch = pb.DataBatch(records=[pb.Record(values=row) for row in rows])
        requests = iter([pb.ExportRequest(metadata=metadata), pb.ExportRequest(batch=batch)])
        return self._call("StreamExport", requests, lambda call: [*call][-1].task_id)

    @staticmethod
    def _metadata(wish: Wish) -> pb.ExportMetadata:
        return pb.ExportMetadata(
            format=_KINDS.get(wish.kind, _KIND_OF_THE_FUTURE),  # type: ignore[arg-type]  # an enum that grew
            filename="orders",
            columns=[pb.ColumnDefinition(name=name, data_type=_TYPES[kind]) for name, kind in wish.columns],
            options=pb.FormatOptions(**wish.options),
            request_id=wish.key,
            expected_records=wish.expected,
        )

    def put(self, task_id: str, sequence: int, rows: Rows, *, sha256: str = "") -> str | Refusal:
        records = [pb.Record(values=row) for row in rows]
        batch = pb.DataBatch(records=records, batch_sequence=sequence, sha256=sha256)
        request = pb.PutBatchRequest(task_id=task_id, batch=batch)
        return self._call("PutBatch", request, lambda response: response.sha256)

    def close(self, task_id: str, *, batches: int | None = None, rows: int | None = None) -> str | Refusal:
        request = pb.CloseExportRequest(task_id=task_id, totals=pb.CloseTotals(batches=batches, records=rows))
        return self._call("CloseExport", request, lambda response: response.state)

    def status(self, task_id: str) -> str | Refusal:
        return self._call("QueryTaskStatus", _named(task_id), lambda response: response.state)

    def failure(self, task_id: str) -> str | Refusal:
        return self._call("QueryTaskStatus", _named(task_id), lambda response: response.error_code)

    def link(self, task_id: str) -> str | Refusal:
        return self._call("CreateDownloadLink", _named(task_id), lambda response: response.url)

    def cancel(self, task_id: str) -> str | Refusal:
        return self._call("CancelExport", _named(task_id), lambda response: response.state)

    def render(self, task_id: str, kind: str) -> str | Refusal:
        request = pb.RenderExportRequest(task_id=task_id, format=_KINDS[kind])
        return self._call("RenderExport", request, lambda response: response.task_id)

    def list(self, *, limit: int = 10, cursor: str = "") -> str | Refusal:
        request = pb.ListTasksRequest(limit=limit, cursor=cursor)
        return self._call("ListTasks", request, lambda response: response.cursor)

    def _call(self, method: str, request: object, result: Callable[[Any], str]) -> str | Refusal:
        try:
            return result(self._client.call(method, request))
        except grpc.RpcError as error:
            return _status_of(error)


def end_stream_early(face: EitherApi, rows: Rows) -> str | Refusal:
    """What only gRPC's callers can do."""
    assert isinstance(face, OverGrpc)
    return face.end_stream_early(rows)


def _named(task_id: str) -> pb.TaskStatusRequest:
    return pb.TaskStatusRequest(task_id=task_id)


def _status_of(error: grpc.RpcError) -> Refusal:
    """The refusal, which says the same in plain metadata and in the messages of ``google.rpc``."""
    read = refusal_of(error)
    assert read.info is not None
    assert (read.info.reason, read.info.domain) == (read.code, "sluice")
    assert (read.rich.code, read.rich.message) == (read.status.value[0], read.detail)
    return Refusal(
        code=read.code,
        status=read.status.name,
        facts=read.facts,
        retryable=read.retry is not None,
        retry_s=None if read.retry is None else read.retry.retry_delay.seconds,
        who=None,
        sentence=read.detail,
        said=f"{error!r} {error.trailing_metadata()!r}",
    )


class BothApis:
    """One service in memory behind both faces, each started when it is first called. ``service`` shapes it."""

    def __init__(self, folder: Path, **service: Any) -> None:
        self._relay = HttpRelay(folder, **service)
        self._running = ExitStack()
        self._grpc_target = ""

    @property
    def memory(self) -> MemoryService:
        return self._relay.memory

    def face(self, name: str, *, tenant: str = "acme", scope: Scope | None = Scope.WRITE) -> EitherApi:
        """A caller with a key of its own; without ``scope``, one without a key."""
        if name == HTTP:
            self._start_http()
            return OverHttp(self._relay.client(tenant, scope) if scope else self._relay.stranger())
        self._start_grpc()
        client = GrpcClient(self._grpc_target, self.memory.token(tenant, scope) if scope else None)
        self._running.callback(client.close)
        return OverGrpc(client, tenant)

    def stop(self) -> None:
        self.memory.invoker.join()
        self._running.close()

    def _start_http(self) -> None:
        if not self._relay.port:
            self._relay.port = self._relay.face.start()
            self._running.callback(self._stop_http)

    def _stop_http(self) -> None:
        for client in self._relay.clients:
            client.close()
        self._relay.face.drain(deadline_s=5)

    def _start_grpc(self) -> None:
        if not self._grpc_target:
            self._grpc_target = self._running.enter_context(serving(self.memory))


@contextmanager
def both_faces(folder: Path, **service: Any) -> Iterator[BothApis]:
    """Both faces of one service, stopped at the end of the block."""
    faces = BothApis(folder, **service)
    try:
        yield faces
    finally:
        faces.stop()
