"""XML out and in."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from infra.emulators.oss.oss_errors import OssError


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
