"""The archive around a workbook."""

from __future__ import annotations

import io
import struct
import zipfile
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.streams.xlsx.package import Member, archive, even_blocks

GIB = 1024**3


def packed(*members: Member, created_at: float = 1.7e9, small: bool = False) -> bytes:
    return b"".join(archive(members, created_at=created_at, small=small))


def is_zip64(data: bytes, name: str) -> bool:
    """Whether the member's local header says version 4.5, which ZIP64 needs."""
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        offset = opened.getinfo(name).header_offset
    (version,) = struct.unpack_from("<H", data, offset + 4)
    return bool(version == 45)


@given(st.lists(st.binary(max_size=30)), st.integers(1, 20))
def test_even_blocks_hold_the_same_bytes_however_they_were_cut(blocks: list[bytes], block_bytes: int) -> None:
    even = list(even_blocks(blocks, block_bytes))
    assert b"".join(even) == b"".join(blocks)
    assert all(len(block) == block_bytes for block in even[:-1])
    assert all(0 < len(block) <= block_bytes for block in even[-1:])


@given(st.lists(st.binary(max_size=200_000), max_size=6), st.booleans())
def test_an_archive_does_not_depend_on_how_its_content_is_cut(blocks: list[bytes], small: bool) -> None:  # noqa: FBT001 -- a property's parameter
    whole = b"".join(blocks)
    assert packed(Member("a", blocks, 10**7), small=small) == packed(Member("a", [whole], 10**7), small=small)


def test_small_archives_have_no_zip64_in_them() -> None:
    data = packed(Member("a", [b"x"], 2 * GIB), Member("b", [b"y"], GIB))
    assert not is_zip64(data, "a")
    assert not is_zip64(data, "b")
    assert b"PK\x06\x06" not in data


def test_zip64_begins_at_the_member_that_may_end_beyond_4_gib() -> None:
    data = packed(Member("a", [b"x"], 2 * GIB), Member("b", [b"y" * 9], 3 * GIB), Member("c", [b"z"], 1))
    assert [is_zip64(data, name) for name in "abc"] == [False, True, True]
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert opened.testzip() is None
        assert [opened.read(name) for name in "abc"] == [b"x", b"y" * 9, b"z"]


@pytest.mark.parametrize(
    ("created_at", "shown"),
    [
        (1_742_000_001.9, (2025, 3, 15, 0, 53, 20)),
        (0, (1980, 1, 1, 0, 0, 0)),
        (99_999_999_999, (2107, 12, 31, 0, 0, 0)),
    ],
)
def test_the_only_time_in_an_archive_is_the_tasks(created_at: float, shown: tuple[int, ...]) -> None:
    with zipfile.ZipFile(io.BytesIO(packed(Member("a", [b"x"], 9), created_at=created_at))) as opened:
        assert opened.getinfo("a").date_time == shown


def test_an_archive_in_small_form_is_smaller() -> None:
    words = ("deliver", "before", "noon", "ring", "twice", "leave", "at", "door", "gift", "paid", "city", "street")
    text = " ".join(words[number * number % 1009 % len(words)] for number in range(60_000)).encode()
    assert len(packed(Member("a", [text], 10**6), small=True)) < 0.95 * len(packed(Member("a", [text], 10**6)))


@pytest.mark.slow
def test_row_64_a_member_beyond_4_gib_is_a_valid_zip64_member() -> None:
    block = bytes(8 * 1024 * 1024)
    blocks = 4 * GIB // len(block) + 1
    data = packed(Member("a", repeat(block, blocks), 5 * GIB), Member("b", [b"after"], 9))
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert opened.getinfo("a").file_size == blocks * len(block)
        assert opened.read("b") == b"after"
