"""CRC-64/XZ by its definition, one bit at a time into a table; shares nothing with the code it judges."""

from __future__ import annotations

_REFLECTED_POLYNOMIAL = int(f"{0x42F0E1EBA9EA3693:064b}"[::-1], 2)
_ALL_ONES = 2**64 - 1


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (_REFLECTED_POLYNOMIAL if byte % 2 else 0)
    return byte


_TABLE = [_entry(byte) for byte in range(256)]


def crc64_oracle(data: bytes) -> str:
    """The checksum in decimal."""
    crc = _ALL_ONES
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) % 256]
    return str(crc ^ _ALL_ONES)


assert crc64_oracle(b"123456789") == str(0x995DC9BBDF1939FA), "the check value of the published definition"
