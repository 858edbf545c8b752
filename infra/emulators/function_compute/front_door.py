"""The gateway: HTTP by the routes of the custom domain, and the interface's call InvokeFunction."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

from infra.emulators.function_compute.custom_function import CustomFunction, FunctionNotStartedError
from infra.emulators.function_compute.deployment import FunctionSpec, Route
from infra.emulators.function_compute.environment import RoleKey
from infra.emulators.function_compute.event_function import Invocation
from infra.emulators.function_compute.signatures import ArrivedCall, acs3_complaint


def find_route(routes: Iterable[Route], *, method: str, path: str) -> Route | None:
    """The route that fits best: an exact path before a ``/*`` one, a longer one before a shorter one."""
    fitting = [route for route in routes if _fits(route, method, path)]
    return max(fitting, key=lambda route: (not route.path.endswith("*"), len(route.path)), default=None)


def _fits(route: Route, method: str, path: str) -> bool:
    if route.methods and method not in route.methods:
        return False
    if route.path.endswith("*"):
        return path.startswith(route.path[:-1]) or path == route.path[:-2]
    return path == route.path


BODY_BYTES_MAX = 32 * 2**20
ASYNC_BODY_BYTES_MAX = 128 * 2**10
BLOCK_BYTES = 64 * 2**10
KNOWN_CALL = "StatefulAsyncInvocationAlreadyExists"
INVOKE_PATH = re.compile(r"/2023-03-30/functions/(?P<name>[^/]+)/invocations")
PER_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host", "content-length"}
NEVER_ANSWERED = PER_HOP | {"date", "server"}


class Desk(NamedTuple):
    """What the gateway knows of the functions behind it."""

    custom: Mapping[str, CustomFunction]
    """By deployed name."""
    key_of: Callable[[str], RoleKey]
    submit: Callable[[str, bytes, str], bool]
    """Takes an asynchronous call by function, event and id; False when the id is known. Raises KeyError."""
    run: Callable[[str, bytes], Invocation]
    """Runs an event function once, by deployed name. Raises KeyError."""
    secrets: Callable[[], Mapping[str, str]]
    """Of everybody who may call the interface, by access key id."""
    metrics: Counter[tuple[str, str]]
    """How often the platform counted what: CloudMonitor's name of the metric, the function's name."""
    requests: list[dict[str, object]]
    """The line that the platform writes of each request, by the fields of Simple Log Service."""


def request_line(spec: FunctionSpec, peak_bytes: int, seconds: float, *, failed: bool = False) -> dict[str, object]:
    """What the platform notes of one request."""
    return {
        "functionName": spec.name,
        "durationMs": seconds * 1000,
        "memoryUsageMB": max(1.0, peak_bytes / 2**20),
        "memoryMB": float(spec.memory_mb),
        "hasFunctionError": str(failed).lower(),
        "isColdStart": "false",
    }


class FrontDoor(ThreadingHTTPServer):
    """Serves the ``routes`` of one custom domain on a free port of this machine, and the interface on every port."""

    daemon_threads = True

    def __init__(self, desk: Desk, routes: tuple[Route, ...]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.desk = desk
        self.routes = routes
        self.known_call_status = 409
        """Of an answer to a call whose id was taken before. Documents name the code, and no status."""
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"

    def open(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: FrontDoor
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        body = self._read_body()
        if len(body) > BODY_BYTES_MAX:
            self._refuse(400, "EntityTooLarge", f"the request is larger than {BODY_BYTES_MAX} bytes")
            return
        path = urlsplit(self.path).path
        if invoked := INVOKE_PATH.fullmatch(path):
            self._invoke(invoked["name"], body)
        elif any(name.lower().startswith("x-fc-") for name in self.headers):
            self._refuse(400, "InvalidArgument", "headers that begin with x-fc- are the platform's")
        elif (route := find_route(self.server.routes, method=self.command, path=path)) is None:
            self._refuse(404, "RouteNotFound", f"no route for {self.command} {path}")
        else:
            self._forward(self.server.desk.custom[route.function], body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _serve  # noqa: N815 - http.server's names

    def _read_body(self) -> bytes:
        if "chunked" in self.headers.get("transfer-encoding", ""):
            return self._read_chunks()
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def _read_chunks(self) -> bytes:
        """The body, or somewhat more than may be of it. All is read, so that the caller reads the answer."""
        body = bytearray()
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            chunk = self.rfile.read(size)
            body += chunk if len(body) <= BODY_BYTES_MAX else b""
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return bytes(body)

    def _forward(self, function: CustomFunction, body: bytes) -> None:
        request_id = str(uuid.uuid4())
        key = self.server.desk.key_of(function.spec.name)
        try:
            host, port = function.address(key)
        except FunctionNotStartedError as error:
            self._count("FunctionFunctionErrors", function)
            self._refuse(502, "FunctionNotStarted", str(error))
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in PER_HOP}
        headers |= {**function.headers(key, request_id), "Host": self.headers.get("host", "local")}
        connection = http.client.HTTPConnection(host, port, timeout=function.spec.timeout_s)
        began = time.monotonic()
        try:
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            self.server.desk.requests.append(request_line(function.spec, function.peak_bytes, time.monotonic() - began))
            # An answer is a success to the platform, whatever its status: nothing else counts it.
            self._count(f"FunctionHTTPStatus{answer.status // 100}xx", function)
            self._pass_back(answer, request_id)
        except TimeoutError:
            function.kill()
            self._count("FunctionFunctionErrors", function)
            self._refuse(504, "FunctionTimeout", f"no answer within {function.spec.timeout_s} s")
        except (OSError, http.client.HTTPException) as error:
            self._count("FunctionFunctionErrors", function)
            self._refuse(502, "FunctionError", repr(error))
        finally:
            connection.close()

    def _count(self, metric: str, function: CustomFunction) -> None:
        self.server.desk.metrics[metric, function.spec.name] += 1

    def _pass_back(self, answer: http.client.HTTPResponse, request_id: str) -> None:
        """Send the answer on as it comes, so that events arrive when they happen."""
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in NEVER_ANSWERED:
                self.send_header(name, value)
        self.send_header("X-Fc-Request-Id", request_id)
        length = answer.getheader("content-length")
        bodiless = self.command == "HEAD" or answer.status in {204, 304}
        chunked = length is None and not bodiless
        self.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", length or "0")))
        self.end_headers()
        while not bodiless and (block := answer.read1(BLOCK_BYTES)):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
            self.wfile.flush()
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _invoke(self, function_name: str, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = ArrivedCall(self.command, self.path, headers, body)
        complaint = acs3_complaint(call, self.server.desk.secrets(), body_is_signed=True)
        if complaint:
            self._refuse(403, "SignatureDoesNotMatch", complaint)
        elif headers.get("x-fc-invocation-type", "Sync") != "Async":
            self._run(function_name, body)
        elif len(body) > ASYNC_BODY_BYTES_MAX:
            self._refuse(413, "PayloadTooLarge", "an asynchronous call has at most 128 KB")
        else:
            self._take(function_name, body, headers.get("x-fc-async-task-id", ""))

    def _run(self, function_name: str, body: bytes) -> None:
        """Run an event function and answer with what it returns, or with its error's type in a header."""
        try:
            run = self.server.desk.run(function_name, body)
        except KeyError:
            self._refuse(404, "FunctionNotFound", function_name)
            return
        failed = {} if run.outcome == "success" else {"X-Fc-Error-Type": "UnhandledInvocationError"}
        self._answer(200, run.payload.encode(), failed)

    def _take(self, function_name: str, body: bytes, task_id: str) -> None:
        try:
            taken = self.server.desk.submit(function_name, body, task_id)
        except KeyError:
            self._refuse(404, "FunctionNotFound", function_name)
            return
        if taken:
            self._answer(202, b"")
        else:
            self._refuse(self.server.known_call_status, KNOWN_CALL, task_id)

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._answer(status, json.dumps({"Code": code, "Message": message}).encode())

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Fc-Request-Id", str(uuid.uuid4()))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet; the functions have their own logs."""
