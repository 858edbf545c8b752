"""What the store says back, and how it goes over the wire."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from infra.emulators.oss.oss_errors import OssError
from infra.emulators.oss.request import Request
from infra.emulators.oss.request_body import BLOCK_BYTES


@dataclass(init=False)
class Node:
    """An element that holds a text or other elements."""

    name: str
    children: tuple[Node | str, ...]

    def __init__(self, name: str, *children: Node | str | int | None) -> None:
        """None children are left out."""
        self.name = name
        self.children = tuple(
            child if isinstance(child, Node | str) else str(child) for child in children if child is not None
        )

    def __str__(self) -> str:
        inner = "".join(escape(child) if isinstance(child, str) else str(child) for child in self.children)
        return f"<{self.name}>{inner}</{self.name}>"


def document(root: Node) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{root}'.encode("utf-8", "surrogateescape")


def parsed(body: bytes) -> ET.Element:
    """Read a caller's document. Raises OssError."""
    try:
        return ET.fromstring(body)
    except ET.ParseError:
        raise OssError("MalformedXML") from None


_REASONS = {200: "OK", 204: "No Content", 206: "Partial Content", 304: "Not Modified"}
BODILESS = frozenset({204, 304})


@dataclass
class Answer:
    """``file`` is an open file of which ``length`` bytes from ``start`` are the body; it is closed when sent."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    file: BinaryIO | None = None
    start: int = 0
    length: int = 0
    code: str = ""

    @property
    def size(self) -> int:
        return self.length if self.file else len(self.body)

    def blocks(self) -> Iterator[bytes]:
        """Yield the body."""
        if not self.file:
            yield self.body
            return
        self.file.seek(self.start)
        left = self.length
        while left and (block := self.file.read(min(left, BLOCK_BYTES))):
            left -= len(block)
            yield block

    def close(self) -> None:
        if self.file:
            self.file.close()


def document_answer(root: Node, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(headers={"Content-Type": "application/xml", **(headers or {})}, body=document(root))


def error_answer(error: OssError, request: Request) -> Answer:
    """The error document; on HEAD, which has no body, it travels in a header."""
    fields = {
        "Code": error.code,
        "Message": error.message,
        "RequestId": request.id,
        "HostId": request.headers.get("host", ""),
        **error.facts,
        **({"EC": error.fine_code} if error.fine_code else {}),
    }
    body = document(Node("Error", *(Node(name, str(value)) for name, value in fields.items())))
    headers = {"Content-Type": "application/xml", **error.headers}
    if error.fine_code:
        headers["x-oss-ec"] = error.fine_code
    if request.method == "HEAD":
        headers["x-oss-err"] = base64.b64encode(body).decode()
    return Answer(error.status, headers, body, code=error.code)


def head_bytes(answer: Answer, *, is_closing: bool) -> bytes:
    """The status line and the headers."""
    lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Error')}"]
    if answer.status not in BODILESS and "Content-Length" not in answer.headers:
        lines.append(f"Content-Length: {answer.size}")
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    lines.append(f"Connection: {'close' if is_closing else 'keep-alive'}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")
