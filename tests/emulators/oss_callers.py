"""Callers of the OSS stand-in: the unmodified SDK with each kind of credentials, and bare HTTP."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import oss2
from oss2.credentials import StaticCredentialsProvider

from infra.emulators.oss import OssServer

Auth: TypeAlias = Any
"""The SDK has no types, and its kinds of credentials no class in common."""


def auth_v1(oss: OssServer) -> Auth:
    return oss2.Auth(oss.access_key_id, oss.access_key_secret)


def auth_v4(oss: OssServer) -> Auth:
    return oss2.AuthV4(oss.access_key_id, oss.access_key_secret)


def _provided_v1(oss: OssServer) -> Auth:
    return oss2.ProviderAuth(StaticCredentialsProvider(oss.access_key_id, oss.access_key_secret))


def _provided_v4(oss: OssServer) -> Auth:
    return oss2.ProviderAuthV4(StaticCredentialsProvider(oss.access_key_id, oss.access_key_secret))


def _sts_v1(oss: OssServer) -> Auth:
    return oss2.StsAuth(*oss.issue_sts())


def _sts_v4(oss: OssServer) -> Auth:
    return oss2.StsAuth(*oss.issue_sts(), auth_version=oss2.AUTH_VERSION_4)


AUTHS: dict[str, Callable[[OssServer], Auth]] = {
    "v1": auth_v1,
    "v4": auth_v4,
    "provided-v1": _provided_v1,
    "provided-v4": _provided_v4,
    "sts-v1": _sts_v1,
    "sts-v4": _sts_v4,
}


def eventually(condition: Callable[[], bool], *, timeout_s: float = 10) -> None:
    """Wait for what the server does after its answer, or without one. Raises AssertionError."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)


@contextmanager
def bucket_of(oss: OssServer, auth: Auth | None = None, *, name: str = "sluice-in") -> Iterator[oss2.Bucket]:
    """The SDK on one bucket, without retries of its own; its connections are closed after."""
    session = oss2.Session()
    try:
        yield oss2.Bucket(auth or auth_v4(oss), oss.endpoint, name, session=session, region=oss.region)
    finally:
        session.session.close()


def link(bucket: oss2.Bucket, key: str = "a", method: str = "GET", **parameters: str) -> str:
    """A signed link, so that a bare request is let in."""
    return str(bucket.sign_url(method, key, 60, params=parameters or None, slash_safe=True))


def drained(result: oss2.models.PutObjectResult) -> oss2.models.PutObjectResult:
    """Read the answer that the SDK leaves unread after copies and completions, and with it its connection."""
    result.resp.read()
    return result


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes

    def error(self) -> dict[str, str]:
        """The elements of an error document."""
        root = ET.fromstring(self.body)
        assert root.tag == "Error"
        return {child.tag: child.text or "" for child in root}


def call(
    oss: OssServer, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> Reply:
    """One bare request. ``target`` is a path or a signed link."""
    with connected(oss) as connection:
        return ask(connection, method, target, headers=headers, body=body)


@contextmanager
def connected(oss: OssServer) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", oss.port, timeout=20)
    try:
        yield connection
    finally:
        connection.close()


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Reply:
    url = urlsplit(target)
    connection.request(method, f"{url.path}?{url.query}" if url.query else url.path, body=body, headers=headers or {})
    with connection.getresponse() as answer:
        told = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, told, answer.read())
