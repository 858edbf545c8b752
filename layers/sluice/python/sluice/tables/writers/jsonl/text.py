"""Text as the inside of a JSON string, a whole column at once."""

from __future__ import annotations

_NUL = b"\0"
_SHORT = {b'"': b'\\"', b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r", b"\t": b"\\t", b"\b": b"\\b", b"\f": b"\\f"}
_CONTROLS = {bytes([code]): b"\\u%04x" % code for code in range(1, 0x20)}
_ESCAPES = {b"\\": _SHORT[b"\\"]} | _CONTROLS | _SHORT
"""What a JSON string may not contain, the backslash first, since the others bring new ones. NUL is the separator."""
_SPECIAL = b"".join(_ESCAPES)
_ORDINARY = bytes(set(range(256)) - set(_SPECIAL))
_LINE_ENDS = {"\x85": b"\\u0085", "\u2028": b"\\u2028", "\u2029": b"\\u2029"}
"""Allowed in a JSON string, but some programs end a line there; then one line of the file would be two."""


def escape_column(joined: str) -> bytes:
    """Escape NUL-joined texts. What a text becomes does not depend on its neighbours."""
    data = joined.encode()
    found = data.translate(None, _ORDINARY)
    if found:
        present = set(found)
        for mark, escape in _ESCAPES.items():
            if mark[0] in present:
                data = data.replace(mark, escape)
    if not joined.isascii():
        for line_end, escape in _LINE_ENDS.items():
            if line_end in joined:
                data = data.replace(line_end.encode(), escape)
    return data


def escape_text(text: str) -> bytes:
    """Escape one text, which may have a NUL."""
    return escape_column(text).replace(_NUL, b"\\u0000")
