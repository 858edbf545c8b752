"""An identity provider on this machine that shows a JSON Web Key Set, or does what a bad one does."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

Answer = Callable[[BaseHTTPRequestHandler], None]


def public_key(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, kid: str, **more: Any) -> dict[str, Any]:
    """The public half, as a set shows it."""
    if isinstance(key, rsa.RSAPrivateKey):
        shown: dict[str, Any] = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        shown = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {name: value for name, value in shown.items() if name != "key_ops"} | {"kid": kid, **more}


class KeyProvider:
    """Answers each request as ``answer`` says, and counts them."""

    def __init__(self) -> None:
        self.asked = 0
        self.port = 0
        self.answer: Answer = answering(b"", status=404)

    def show(self, *keys: Mapping[str, Any]) -> None:
        self.answer = answering(key_set(keys))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/keys?v=1"


def key_set(keys: Sequence[Mapping[str, Any]]) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


def answering(body: bytes, *, status: int = 200, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Nothing: who goes in the middle of a call is what tests are about."""


@contextmanager
def providing(*keys: Mapping[str, Any], tls: ssl.SSLContext | None = None) -> Iterator[KeyProvider]:
    provider = KeyProvider()
    provider.show(*keys)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked += 1
            provider.answer(self)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = _QuietServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    provider.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
