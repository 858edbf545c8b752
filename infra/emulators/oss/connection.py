"""One caller's connection: requests one after the other, each followed by its answer."""

from __future__ import annotations

import socket
import ssl
import struct
import time
import uuid
from collections.abc import Mapping
from contextlib import closing, suppress

from infra.emulators import faults as server_faults
from infra.emulators.oss import faults
from infra.emulators.oss.answer import BODILESS, Answer, head_bytes
from infra.emulators.oss.exchange import Exchange
from infra.emulators.oss.request import Head, Request, read_head, split_target
from infra.emulators.oss.request_body import ConnectionLost, RequestBody, flipped
from infra.emulators.oss.server_clock import ServerClock, http_date

_TOGETHER_BYTES_MAX = 1 << 16
"""Answers up to this size leave in one piece with their head."""


class Connection:
    def __init__(
        self, sock: socket.socket, exchange: Exchange, *, clock: ServerClock, domains: Mapping[str, str]
    ) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = sock
        self._is_secure = isinstance(sock, ssl.SSLSocket)
        self._stream = sock.makefile("rb")
        self._exchange = exchange
        self._clock = clock
        self._domains = domains

    def run(self) -> None:
        """Serve until either side has had enough."""
        try:
            while self._serve_one():
                pass
        except (ConnectionLost, ValueError):
            self._reset()  # ValueError: what came was no HTTP
        except OSError:
            pass
        finally:
            self._close()

    def shut_down(self) -> None:
        """Make ``run`` return; from another thread."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _serve_one(self) -> bool:
        """Serve one request; say whether another may follow."""
        head = read_head(self._stream)
        if head is None:
            return False
        began = time.monotonic()
        request = self._request(head)
        is_last = head.headers.get("connection", "").lower() == "close"
        try:
            answer, action = self._exchange.serve(request, self._reset)
            with closing(answer):
                request.body.drain()
                answer.headers = {**self._common(request, began), **answer.headers}
                self._send(answer, request, action, is_last=is_last)
        finally:
            request.body.close()
        return not is_last and not isinstance(action, server_faults.CutAnswer)

    def _request(self, head: Head) -> Request:
        bucket, key, query = split_target(head, self._domains)
        waits = head.headers.get("expect", "").lower() == "100-continue"
        body = RequestBody(self._stream, head.headers, on_first_read=self._say_go_on if waits else None)
        return Request(
            head.method, bucket, key, query, head.headers, body, uuid.uuid4().hex[:24].upper(), self._is_secure
        )

    def _say_go_on(self) -> None:
        self._socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _common(self, request: Request, began: float) -> dict[str, str]:
        return {
            "Server": "AliyunOSS",
            "Date": http_date(self._clock.now()),
            "x-oss-request-id": request.id,
            "x-oss-server-time": str(int((time.monotonic() - began) * 1000)),
        }

    def _send(self, answer: Answer, request: Request, action: faults.Action | None, *, is_last: bool) -> None:
        head = head_bytes(answer, is_closing=is_last or isinstance(action, server_faults.CutAnswer))
        has_body = request.method != "HEAD" and answer.status not in BODILESS
        if not has_body:
            self._socket.sendall(head)
        elif isinstance(action, server_faults.CutAnswer | faults.CorruptAnswer):
            self._socket.sendall(head)
            self._send_spoilt(answer, action)
        elif answer.file and answer.size > _TOGETHER_BYTES_MAX:
            self._socket.sendall(head)
            self._socket.sendfile(answer.file, answer.start, answer.length)
        else:
            self._socket.sendall(head + b"".join(answer.blocks()))

    def _send_spoilt(self, answer: Answer, action: server_faults.CutAnswer | faults.CorruptAnswer) -> None:
        position = 0
        for block in answer.blocks():
            if isinstance(action, server_faults.CutAnswer):
                self._socket.sendall(block[: max(0, action.after_bytes - position)])
            else:
                self._socket.sendall(flipped(block, action.at_byte - position))
            position += len(block)

    def _reset(self) -> None:
        """End the connection so that the caller notices: without an answer and without a farewell."""
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._close()

    def _close(self) -> None:
        with suppress(OSError):
            self._stream.close()
        self._socket.close()
