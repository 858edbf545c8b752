"""moto's S3 as a server on this machine, which also checks who asks and what arrived, and meets troubles on order.

    with serving_s3() as s3:
        store = S3Store(S3Place(url=f"s3://{s3.add_bucket()}/prefix", endpoint=s3.url), randomness=...)
        s3.faults.add(S3Fault(DropAnswer(), method="PUT"))

Everything is in memory and shared by all servers of a process, as moto has it.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
import threading
import time
from calendar import timegm
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import BytesIO
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote

from moto.moto_server.werkzeug_app import create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import run_wsgi_app

from infra.emulators.faults import CutAnswer, DropAnswer, DropBefore, FaultsInWait, Hold, Ordered

REGION = "us-east-1"
ACCESS_KEY_ID = "test-key-id"
SECRET_ACCESS_KEY = "test-secret-of-s3"
ACCOUNT = "123456789012"
SKEW_MAX_S = 900
METADATA_BYTES_MAX = 2048

_bucket_numbers = count(1)


@dataclass(frozen=True)
class Refuse:
    """Answer with an error; nothing is done."""

    status: int = 503
    code: str = "ServiceUnavailable"


@dataclass(frozen=True)
class CorruptRequest:
    """Flip a bit of this byte of the body on its way in."""

    at_byte: int = 0


@dataclass(frozen=True)
class CorruptAnswer:
    """Do it, and flip a bit of this byte of the answer's body."""

    at_byte: int = 0


Action = Refuse | CorruptRequest | CorruptAnswer | CutAnswer | DropAnswer | DropBefore | Hold


@dataclass
class S3Fault(Ordered):
    """Which requests meet which trouble. The patterns are shell patterns; ``*`` crosses slashes."""

    action: Action
    method: str = "*"
    path: str = "*"
    """Bucket, key and query, as ``bucket/key?uploads=``."""

    def matches(self, asked: Asked) -> bool:
        return fnmatchcase(asked.method, self.method) and fnmatchcase(asked.path, self.path)


class Asked(NamedTuple):
    """One request."""

    method: str
    path: str
    trouble: str = ""


class S3Server:
    """A WSGI application around moto's, which does one thing at a time: of two threads, one would see half a write."""

    def __init__(self) -> None:
        self.url = ""
        self.offset_s = 0.0
        """How far the server's clock is ahead."""
        self.requests: list[Asked] = []
        self.faults: FaultsInWait[S3Fault] = FaultsInWait()
        # Of all that moto stands for, S3 alone: to find out which one is asked takes it as long as the answer.
        self._moto = create_backend_app("s3")
        self._busy = threading.Lock()

    def add_bucket(self) -> str:
        """Make a new and empty bucket; returns its name."""
        name = f"bucket-{next(_bucket_numbers)}"
        s3_backends[ACCOUNT]["aws"].create_bucket(name, REGION)
        return name

    def uploads(self, bucket: str) -> list[str]:
        """The keys of the multipart uploads that are open in a bucket."""
        return [upload.key_name for upload in s3_backends[ACCOUNT]["aws"].buckets[bucket].multiparts.values()]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        asked = Asked(environ["REQUEST_METHOD"], unquote(environ["RAW_URI"].lstrip("/")))
        fault = self.faults.meet(lambda each: each.matches(asked))
        action = fault.action if fault else None
        self.requests.append(asked._replace(trouble=type(action).__name__ if action else ""))
        if isinstance(action, CorruptRequest):
            body = _flipped(body, action.at_byte)
        if isinstance(action, DropBefore):
            _hang_up(environ)
        if isinstance(action, Hold) and action.before:
            action.reach()
        answer, status, headers = self._answer(environ, body, action)
        if isinstance(action, Hold):
            if not action.before:
                action.reach()
            action.finish()
        if isinstance(action, DropAnswer):
            _hang_up(environ)
        if isinstance(action, CorruptAnswer):
            answer = _flipped(answer, action.at_byte)
        start_response(status, headers)
        if isinstance(action, CutAnswer):
            return _cut(environ, answer[: action.after_bytes])
        return [answer]

    def _answer(
        self, environ: dict[str, Any], body: bytes, action: Action | None
    ) -> tuple[bytes, str, list[tuple[str, str]]]:
        is_head = environ["REQUEST_METHOD"] == "HEAD"
        refusal = action if isinstance(action, Refuse) else self._refusal(_Request(environ, body))
        if refusal is not None:
            error = f"<Error><Code>{refusal.code}</Code><RequestId>R1</RequestId></Error>".encode()
            answer = b"" if is_head else error
            return answer, f"{refusal.status} Refused", [("content-length", str(len(answer)))]
        with self._busy:
            blocks, status, headers = run_wsgi_app(self._moto, environ | {"wsgi.input": BytesIO(body)})
            answer = b"".join(blocks)
        if not is_head:
            headers["content-length"] = str(len(answer))
        return answer, status, list(headers)

    def _refusal(self, request: _Request) -> Refuse | None:
        """Find what S3 refuses and moto takes: of the signature, the clock, the body, the metadata."""
        try:
            code = _complaint(request, now=time.time() + self.offset_s)
        except (KeyError, ValueError):
            return Refuse(400, "AuthorizationQueryParametersError")
        status = 400 if code in ("MetadataTooLarge", "XAmzContentSHA256Mismatch") else 403
        return Refuse(status, code) if code else None


class _Request(NamedTuple):
    environ: Mapping[str, Any]
    body: bytes

    def header(self, name: str) -> str:
        variable = name.upper().replace("-", "_")
        return str(self.environ.get(f"HTTP_{variable}", self.environ.get(variable, "")))

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.environ["QUERY_STRING"], keep_blank_values=True))


def _complaint(request: _Request, *, now: float) -> str:
    """Say what is wrong with a request that is signed with version 4, in its headers or in its query; or nothing."""
    query = request.query
    if "X-Amz-Signature" in query:
        claim = {"Credential": query["X-Amz-Credential"], "SignedHeaders": query["X-Amz-SignedHeaders"]}
        claim |= {"Signature": query.pop("X-Amz-Signature"), "Date": query["X-Amz-Date"]}
        payload, is_late = "UNSIGNED-PAYLOAD", now >= _seconds(claim["Date"]) + int(query["X-Amz-Expires"])
    else:
        fields = request.header("authorization").removeprefix("AWS4-HMAC-SHA256 ").split(", ")
        claim = dict(field.partition("=")[::2] for field in fields) | {"Date": request.header("x-amz-date")}
        payload, is_late = request.header("x-amz-content-sha256"), False
        if abs(now - _seconds(claim["Date"])) > SKEW_MAX_S:
            return "RequestTimeTooSkewed"
    access_key_id, _, scope = claim["Credential"].partition("/")
    prefix = "HTTP_X_AMZ_META_"
    metadata = {name.removeprefix(prefix): value for name, value in request.environ.items() if name.startswith(prefix)}
    complaints = {
        "AccessDenied": is_late,
        "InvalidAccessKeyId": access_key_id != ACCESS_KEY_ID,
        "SignatureDoesNotMatch": _signature(request, query, claim, scope, payload) != claim["Signature"],
        "XAmzContentSHA256Mismatch": payload not in ("UNSIGNED-PAYLOAD", hashlib.sha256(request.body).hexdigest()),
        "MetadataTooLarge": sum(map(len, [*metadata, *metadata.values()])) > METADATA_BYTES_MAX,
    }
    return next((code for code, is_so in complaints.items() if is_so), "")


def _signature(request: _Request, query: Mapping[str, str], claim: Mapping[str, str], scope: str, payload: str) -> str:
    names = claim["SignedHeaders"].split(";")
    canonical = [
        request.environ["REQUEST_METHOD"],
        request.environ["RAW_URI"].partition("?")[0],
        "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(query.items())),
        *(f"{name}:{request.header(name).strip()}" for name in names),
        "",
        claim["SignedHeaders"],
        payload,
    ]
    digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    key = f"AWS4{SECRET_ACCESS_KEY}".encode()
    for step in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{claim['Date']}\n{scope}\n{digest}"):
        key = hmac.digest(key, step.encode(), "sha256")
    return key.hex()


def _seconds(date: str) -> int:
    return timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))


def _flipped(data: bytes, at_byte: int) -> bytes:
    return data[:at_byte] + bytes([data[at_byte] ^ 1]) + data[at_byte + 1 :]


def _cut(environ: Mapping[str, Any], start: bytes) -> Iterator[bytes]:
    yield start
    _hang_up(environ)


def _hang_up(environ: Mapping[str, Any]) -> None:
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionError


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: object) -> None:
        """Keep the test's output quiet."""


@contextmanager
def serving_s3() -> Iterator[S3Server]:
    """Serve on a free port of this machine; ends with the context, and forgets what it held."""
    app = S3Server()
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Handler)
    app.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield app
    finally:
        app.faults.clear()
        server.shutdown()
        thread.join()
        server.server_close()
        s3_backends[ACCOUNT]["aws"].reset()
