"""Unpacking gzip piece by piece."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import MIB
from sluice.tables.readers.gunzip import PIECE_BYTES, SMALL_BYTES, SMALL_MEMBERS_MAX, Gunzip


def unpack(packed: bytes, cut: int) -> bytes:
    gunzip = Gunzip()
    pieces = [packed[start : start + cut] for start in range(0, len(packed), cut)]
    unpacked = b"".join(piece for block in pieces for piece in gunzip.feed(block))
    gunzip.finish()
    return unpacked


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.integers(1, 200))
def test_members_are_joined_however_the_network_cuts_them(members: list[bytes], cut: int) -> None:
    packed = b"".join(map(gzip.compress, members))
    assert unpack(packed, cut) == b"".join(members)


def test_what_is_not_taken_is_not_unpacked() -> None:
    gunzip = Gunzip()
    pieces = gunzip.feed(gzip.compress(bytes(64 * MIB)))
    assert [len(next(pieces)) for _ in range(3)] == [PIECE_BYTES] * 3


def test_a_piece_is_never_longer_than_it_may_be() -> None:
    gunzip = Gunzip()
    sizes = [len(piece) for piece in gunzip.feed(gzip.compress(bytes(MIB + 1)))]
    assert (sum(sizes), max(sizes)) == (MIB + 1, PIECE_BYTES)
    gunzip.finish()


@pytest.mark.parametrize("body", [b"{}", b"\x1fx", b"\x78\x9c\x03\x00"])
def test_what_is_no_gzip_is_an_unsupported_encoding(body: bytes) -> None:
    with pytest.raises(SluiceError) as caught:
        unpack(body, 1)
    assert caught.value.code is ErrorCode.UNSUPPORTED_ENCODING


@pytest.mark.parametrize("body", [b"", b"\x1f", gzip.compress(b"abc", mtime=0)[:-1], gzip.compress(b"a", mtime=0)[:12]])
def test_what_is_cut_short_is_refused_at_the_end(body: bytes) -> None:
    with pytest.raises(SluiceError, match="cut short"):
        unpack(body, 7)


@pytest.mark.parametrize("garbage", [b"x", b"\0", b"\x1f\x8b"])
def test_garbage_after_a_member_is_refused(garbage: bytes) -> None:
    with pytest.raises(SluiceError) as caught:
        unpack(gzip.compress(b"abc") + garbage * 20, 1_000)
    assert caught.value.code is ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("content", [b"", b"x", bytes(SMALL_BYTES - 1)])
def test_endless_small_members_are_refused(content: bytes) -> None:
    with pytest.raises(SluiceError, match="too many small members"):
        unpack(gzip.compress(content) * (SMALL_MEMBERS_MAX + 2), 1 << 20)


def test_large_members_may_be_many() -> None:
    content = bytes(SMALL_BYTES)
    assert len(unpack(gzip.compress(content) * (SMALL_MEMBERS_MAX + 2), 1 << 20)) == SMALL_BYTES * 10_002
