"""Canonical rows v1 written down a second time, from the MessagePack specification alone: the oracle of the codec."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

Row = Sequence[str | None]


def canonical_rows(rows: Sequence[Row], width: int) -> bytes:
    columns = [[row[index] for row in rows] for index in range(width)]
    return _array(3) + _uint(1) + _uint(len(rows)) + _array(width) + b"".join(map(_column, columns))


def sha32(canonical: bytes) -> str:
    return hashlib.sha256(canonical).hexdigest()[:32]


def _column(values: list[str | None]) -> bytes:
    texts = ["" if value is None else value for value in values]
    nulls = bytes(value is None for value in values) if None in values else b""
    if any("\0" in text for text in texts):
        return _array(2) + _array(len(texts)) + b"".join(map(_str, texts)) + _bin(nulls)
    return _array(2) + _str("\0".join(texts)) + _bin(nulls)


def _uint(number: int) -> bytes:
    if number < 2**7:
        return bytes([number])
    if number < 2**8:
        return b"\xcc" + struct.pack(">B", number)
    return b"\xcd" + struct.pack(">H", number) if number < 2**16 else b"\xce" + struct.pack(">I", number)


def _array(length: int) -> bytes:
    if length < 2**4:
        return bytes([0x90 | length])
    return b"\xdc" + struct.pack(">H", length) if length < 2**16 else b"\xdd" + struct.pack(">I", length)


def _str(text: str) -> bytes:
    data = text.encode()
    length = len(data)
    if length < 2**5:
        return bytes([0xA0 | length]) + data
    if length < 2**8:
        return b"\xd9" + struct.pack(">B", length) + data
    return (b"\xda" + struct.pack(">H", length) if length < 2**16 else b"\xdb" + struct.pack(">I", length)) + data


def _bin(data: bytes) -> bytes:
    length = len(data)
    if length < 2**8:
        return b"\xc4" + struct.pack(">B", length) + data
    return (b"\xc5" + struct.pack(">H", length) if length < 2**16 else b"\xc6" + struct.pack(">I", length)) + data
