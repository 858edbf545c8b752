"""Whatever the blocks, the parts are the same bytes in the sizes that were asked for."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from itertools import repeat

import pytest

from sluice.tables.bytes.parts import slice_parts

DATA = bytes(range(97))


def cut(data: bytes, block_bytes: int) -> list[bytes]:
    return [data[start : start + block_bytes] for start in range(0, len(data), block_bytes)]


def test_every_file_size_with_every_block_size_and_every_part_size() -> None:
    for size in range(23):
        for block_bytes in range(1, 25):
            for part_bytes in range(1, 25):
                parts = list(slice_parts(cut(DATA[:size], block_bytes), repeat(part_bytes)))
                assert parts == cut(DATA[:size], part_bytes)


def test_blocks_of_changing_size_and_empty_blocks_change_nothing() -> None:
    blocks = [b"", DATA[:1], b"", DATA[1:50], DATA[50:52], b"", DATA[52:], b""]
    assert list(slice_parts(blocks, repeat(20))) == cut(DATA, 20)


def test_each_part_has_its_own_size() -> None:
    for block_bytes in range(1, 98):
        assert list(map(len, slice_parts(cut(DATA, block_bytes), iter([1, 2, 40, 3, 100])))) == [1, 2, 40, 3, 51]


def test_no_byte_is_left_over_when_there_is_no_other_size() -> None:
    assert list(slice_parts([b"abc"], [1, 2])) == [b"a", b"bc"]
    with pytest.raises(ValueError, match="hold the blocks"):
        list(slice_parts([b"abcd"], [1, 2]))


@pytest.mark.parametrize("blocks", [[], [b""], [b"", b""]])
def test_an_empty_file_has_no_part(blocks: list[bytes]) -> None:
    assert list(slice_parts(blocks, repeat(5))) == []


def test_parts_are_bytes() -> None:
    assert {type(part) for part in slice_parts([DATA, DATA], repeat(30))} == {bytes}


@pytest.mark.parametrize("part_bytes", [0, -1])
def test_a_part_of_no_bytes_is_a_mistake(part_bytes: int) -> None:
    with pytest.raises(ValueError, match="at least one byte"):
        next(slice_parts([b"x"], repeat(part_bytes)))


def test_a_part_comes_as_soon_as_its_last_byte_and_no_block_is_taken_early() -> None:
    taken = []

    def source() -> Iterator[bytes]:
        for number in range(1, 100):
            taken.append(number)
            yield b"1234"

    parts = slice_parts(source(), repeat(8))
    assert taken == []
    assert next(parts) == b"12341234"
    assert taken == [1, 2]
    assert next(parts) == b"12341234"
    assert taken == [1, 2, 3, 4]


def test_one_large_block_is_cut_without_taking_another() -> None:
    def source() -> Iterator[bytes]:
        yield b"123456"
        raise OSError("gone")

    parts = slice_parts(source(), repeat(2))
    assert [next(parts), next(parts), next(parts)] == [b"12", b"34", b"56"]
    with pytest.raises(OSError, match="gone"):
        next(parts)


def test_an_exception_of_the_source_passes_through_and_no_short_part_comes_before_it() -> None:
    def source() -> Iterator[bytes]:
        yield b"123"
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        next(slice_parts(source(), repeat(4)))


@pytest.mark.slow
@pytest.mark.parametrize("block_bytes", [10, 1_000, 4_000_000])
def test_memory_is_one_part_and_one_block(block_bytes: int) -> None:
    part_bytes = 1_000_000
    block = bytes(block_bytes)
    tracemalloc.start()
    try:
        for part in slice_parts((block for _ in range(4_000_000 // block_bytes)), repeat(part_bytes)):
            assert len(part) == part_bytes
            del part
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1.3 * part_bytes
