"""One request as OSS reads it: which bucket, which key, what is asked."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple
from urllib.parse import parse_qsl, unquote

from infra.emulators.oss.oss_errors import OssError, invalid_argument
from infra.emulators.oss.request_body import RequestBody

_LINE_BYTES_MAX = 1 << 16
_KEY_BYTES_MAX = 1023
_PORT = re.compile(r":\d+$")


class Head(NamedTuple):
    """The request line and the headers, by lower-case name."""

    method: str
    target: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Request:
    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: RequestBody
    id: str
    is_secure: bool = False
    """It came by TLS."""

    def number(self, name: str, default: int) -> int:
        """A number of the query string. Raises OssError."""
        said = self.query.get(name) or str(default)
        if not said.isdecimal():
            raise invalid_argument(name, said, f"{name} is a number.")
        return int(said)


def read_head(stream: BinaryIO) -> Head | None:
    """Read one request's head; None when the caller has closed. Raises ValueError when it is no HTTP."""
    line = stream.readline(_LINE_BYTES_MAX)
    if not line:
        return None
    method, target, version = _text(line).split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError("no HTTP")
    headers: dict[str, str] = {}
    while (line := stream.readline(_LINE_BYTES_MAX)) not in {b"\r\n", b"\n", b""}:
        name, _, value = _text(line).partition(":")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return Head(method, target, headers)


def split_target(head: Head, domains: Mapping[str, str]) -> tuple[str, str, dict[str, str]]:
    """Find the bucket, the key and the query: the bucket is in the path on an address, else in the host's name.

    ``domains`` are own domain names that stand for a bucket.
    """
    written_path, _, written_query = head.target.partition("?")
    path = unquote(written_path, errors="surrogateescape")[1:]
    query = dict(parse_qsl(written_query, keep_blank_values=True, errors="surrogateescape"))
    host = _PORT.sub("", head.headers.get("host", ""))
    if host in domains:
        return domains[host], path, query
    if host in {"", "localhost"} or _is_address(host):
        bucket, _, key = path.partition("/")
        return bucket, key, query
    first, _, _ = host.partition(".")
    return ("" if first.startswith("oss-") else first), path, query


def check_key(request: Request) -> None:
    """Raise OssError for a key that OSS takes for no object."""
    try:
        size = len(request.key.encode())
    except UnicodeEncodeError:
        size = _KEY_BYTES_MAX + 1
    if size > _KEY_BYTES_MAX or request.key.startswith(("/", "\\")):
        raise OssError("InvalidObjectName", facts={"ObjectName": ascii(request.key)})


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _text(line: bytes) -> str:
    return line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")
