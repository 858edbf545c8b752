"""CRC-64/XZ, the checksum OSS keeps for every object, and how two of them join."""

from __future__ import annotations

from functools import lru_cache

from fastcrc import crc64

_POLYNOMIAL = 0xC96C5795D7870F42
_ONE = 1 << 63
"""The polynomial 1: bits are reflected, so the highest bit is x to the power 0."""


def crc64_of(data: bytes, so_far: int = 0) -> int:
    """Compute the checksum of ``data`` after bytes whose checksum is ``so_far``."""
    return int(crc64.xz(data, so_far))


def join_crc64(first: int, second: int, *, second_size: int) -> int:
    """Compute the checksum of two pieces one after the other from the checksum of each."""
    return _multiply(_shift(second_size), first) ^ second


@lru_cache(maxsize=16)
def _shift(size: int) -> int:
    """Compute x to the power 8 * size: what ``size`` further bytes multiply a checksum by."""
    result, square, power = _ONE, _ONE >> 8, size
    while power:
        if power & 1:
            result = _multiply(result, square)
        square = _multiply(square, square)
        power >>= 1
    return result


def _multiply(left: int, right: int) -> int:
    """Multiply two polynomials over GF(2), modulo the checksum's polynomial."""
    product = 0
    for bit in range(63, -1, -1):
        if left >> bit & 1:
            product ^= right
        right = (right >> 1) ^ (_POLYNOMIAL if right & 1 else 0)
    return product
