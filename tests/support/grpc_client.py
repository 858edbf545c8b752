"""gRPC as a client sees it: streams one step at a time, errors as (code, status, facts)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, NamedTuple, cast

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo  # type: ignore[import-untyped]  # no py.typed
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # no py.typed

from sluice.api.grpc.dispatch import Observe
from sluice.api.grpc.server import GrpcLimits, GrpcServer
from sluice.proto import export_pb2 as pb
from sluice.proto.export_pb2_grpc import ExportServiceStub
from tests.support.memory_service import MemoryService

CALL_S = 20
"""A call that takes longer has hung."""

Metadata = tuple[tuple[str, str], ...]


WAY_OUT = frozenset({"accepted", "option"})
"""Facts in words, which follow from the others."""


class Refusal(NamedTuple):
    """An error as a client can read it."""

    code: str
    """Ours; empty when the answer came from gRPC itself."""
    status: grpc.StatusCode
    facts: dict[str, object]
    detail: str
    request_id: str
    rich: Status

    @property
    def answer(self) -> tuple[str, grpc.StatusCode, dict[str, object]]:
        return self.code, self.status, self.facts

    @property
    def info(self) -> ErrorInfo | None:
        return self._detail(ErrorInfo())

    @property
    def retry(self) -> RetryInfo | None:
        return self._detail(RetryInfo())

    def _detail(self, message: ErrorInfo) -> ErrorInfo | None:
        for detail in self.rich.details:
            if detail.Unpack(message):
                return message
        return None


def refusal_of(error: grpc.RpcError) -> Refusal:
    call = cast("grpc.Call", error)
    trailing = dict(cast("Iterable[tuple[str, Any]]", call.trailing_metadata() or ()))
    rich = Status()
    rich.ParseFromString(trailing.get("grpc-status-details-bin", b""))
    said: dict[str, object] = json.loads(trailing.get("error-facts", "{}"))
    return Refusal(
        trailing.get("error-code", ""),
        call.code(),
        {name: fact for name, fact in said.items() if name not in WAY_OUT},
        call.details() or "",
        trailing.get("x-request-id", ""),
        rich,
    )


def refused(call: Callable[[], object]) -> Refusal:
    """Make a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return refusal_of(caught.value)


class Outcome(NamedTuple):
    """All that a stream said."""

    responses: list[pb.ExportResponse]
    refusal: Refusal | None

    @property
    def last(self) -> pb.ExportResponse:
        return self.responses[-1]

    @property
    def answer(self) -> tuple[str, grpc.StatusCode, dict[str, object]]:
        assert self.refusal is not None
        return self.refusal.answer


class OpenStream:
    """A StreamExport call that the test drives message by message."""

    def __init__(self, stub: ExportServiceStub, metadata: Metadata, *, timeout_s: float | None = CALL_S) -> None:
        self._queue: SimpleQueue[pb.ExportRequest | None] = SimpleQueue()
        self.call = stub.StreamExport(iter(self._queue.get, None), metadata=metadata, timeout=timeout_s)

    def write(self, *requests: pb.ExportRequest) -> None:
        for request in requests:
            self._queue.put(request)

    def read(self) -> pb.ExportResponse:
        response: pb.ExportResponse = next(self.call)
        return response

    def done(self) -> None:
        """Half-close."""
        self._queue.put(None)

    def cancel(self) -> None:
        self.call.cancel()
        self.done()  # frees the thread that gRPC feeds the call with

    def rest(self) -> Outcome:
        """Read to the end."""
        responses: list[pb.ExportResponse] = []
        try:
            responses.extend(self.call)
        except grpc.RpcError as error:
            self.done()
            return Outcome(responses, refusal_of(error))
        return Outcome(responses, None)


class GrpcClient:
    """A channel of its own, with a credential."""

    def __init__(self, target: str, token: str | None, *, options: Sequence[tuple[str, int]] = ()) -> None:
        self.target = target
        self.metadata: Metadata = (("authorization", f"Bearer {token}"),) if token else ()
        own = ("grpc.use_local_subchannel_pool", 1)
        self.channel = grpc.insecure_channel(target, options=[own, *options])
        self.stub = ExportServiceStub(self.channel)  # type: ignore[no-untyped-call]  # generated

    def call(self, method: str, request: object, **more: object) -> Any:
        """A unary call by name."""
        arguments = {"metadata": self.metadata, "timeout": CALL_S, **more}
        return getattr(self.stub, method)(request, **arguments)

    def refused(self, method: str, request: object, **more: object) -> Refusal:
        """A unary call by name that must fail."""
        return refused(lambda: self.call(method, request, **more))

    def open_stream(self, *, timeout_s: float | None = CALL_S) -> OpenStream:
        return OpenStream(self.stub, self.metadata, timeout_s=timeout_s)

    def export(self, requests: Iterable[pb.ExportRequest], *, timeout_s: float | None = CALL_S) -> Outcome:
        """A whole StreamExport: send everything, half-close, read everything."""
        stream = self.open_stream(timeout_s=timeout_s)
        stream.write(*requests)
        stream.done()
        return stream.rest()

    def close(self) -> None:
        self.channel.close()


@contextmanager
def serving(
    memory: MemoryService,
    *,
    limits: GrpcLimits | None = None,
    reflection: bool = False,
    observe: Observe | None = None,
) -> Iterator[str]:
    """A running server over ``memory``; gives its target."""
    face = GrpcServer(memory.service, limits=limits, reflection=reflection, observe=observe)
    port = face.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        memory.invoker.release()
        face.drain(0.5)
        memory.invoker.join()


@contextmanager
def serving_client(memory: MemoryService, *, limits: GrpcLimits | None = None) -> Iterator[GrpcClient]:
    """A running server and a client of the tenant ``acme`` that may write."""
    with serving(memory, limits=limits) as target:
        client = GrpcClient(target, memory.token())
        try:
            yield client
        finally:
            client.close()


def raw_stream(channel: grpc.Channel, path: str) -> Any:
    """A method as streams of bytes: what a client could send that has no stubs, or bad intentions."""
    return channel.stream_stream(path)


def raw_unary(channel: grpc.Channel, path: str) -> Any:
    """As ``raw_stream``, for one request and one response."""
    return channel.unary_unary(path)


def metadata_of(
    names: Sequence[str] = ("ID", "Name"), *, kind: pb.ExportFormat = pb.FORMAT_CSV, **fields: object
) -> pb.ExportMetadata:
    """The metadata of a CSV table of texts."""
    columns = [pb.ColumnDefinition(name=name) for name in names]
    return pb.ExportMetadata(**{"format": kind, "filename": "orders", "columns": columns, **fields})  # type: ignore[arg-type]  # fields of the message


def batch_of(rows: Iterable[Sequence[str]], sequence: int = 0, **fields: object) -> pb.DataBatch:
    records = [pb.Record(values=row) for row in rows]
    return pb.DataBatch(records=records, batch_sequence=sequence, **fields)  # type: ignore[arg-type]  # fields of the message


def opening(*names: str, **fields: object) -> pb.ExportRequest:
    return pb.ExportRequest(metadata=metadata_of(names or ("ID", "Name"), **fields))  # type: ignore[arg-type]  # fields of the message


def sending(rows: Iterable[Sequence[str]], sequence: int = 0, **fields: object) -> pb.ExportRequest:
    return pb.ExportRequest(batch=batch_of(rows, sequence, **fields))


def closing(**totals: int) -> pb.ExportRequest:
    return pb.ExportRequest(close=pb.CloseTotals(**totals))  # type: ignore[arg-type]  # the numbers among its fields


def rows_of(first: int, count: int) -> list[tuple[str, str]]:
    """``count`` rows of the default table, numbered from ``first``."""
    return [(str(number), f"name {number}") for number in range(first, first + count)]
