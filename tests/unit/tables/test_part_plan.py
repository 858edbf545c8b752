"""Parts are as small as memory likes for any ordinary file, and hold the largest one that may come."""

from __future__ import annotations

from itertools import accumulate, pairwise

import pytest

from sluice.domain.limits import MIB, Limits
from sluice.tables.bytes.parts import largest_part, part_sizes

SMALL = Limits(part_bytes_min=10, parts_max=20)
GIB = 1024 * MIB
TIB = 1024 * GIB


def check(file_bytes_max: int, limits: Limits) -> list[int]:
    sizes = list(part_sizes(file_bytes_max, limits))
    assert len(sizes) == limits.parts_max
    assert sum(sizes) >= file_bytes_max
    assert sizes[0] >= limits.part_bytes_min
    assert all(one <= other for one, other in pairwise(sizes)), sizes
    return sizes


@pytest.mark.parametrize("parts_max", [1, 2, 3, 7, 20, 100])
def test_the_parts_hold_every_file_and_never_shrink(parts_max: int) -> None:
    limits = Limits(part_bytes_min=10, parts_max=parts_max)
    for file_bytes_max in [*range(2_000), *range(2_000, 3_000_000, 997)]:
        check(file_bytes_max, limits)


def test_a_file_that_smallest_parts_hold_has_no_other() -> None:
    assert check(200, SMALL) == [10] * 20
    assert set(check(9_000 * MIB, Limits())) == {MIB}


@pytest.mark.parametrize("file_bytes_max", [20 * GIB, 200 * GIB, 500 * GIB])
def test_half_of_the_parts_are_the_smallest_however_large_the_bound(file_bytes_max: int) -> None:
    sizes = check(file_bytes_max, Limits())
    assert set(sizes[:4_500]) == {MIB}
    assert sizes[4_500] == 2 * MIB


def test_a_part_is_no_larger_than_all_that_are_left_must_be() -> None:
    sizes = check(18 * GIB, Limits())
    evenly = (18 * GIB - 4_500 * MIB) // 4_500
    assert max(sizes) < evenly + evenly // 20


def test_an_ordinary_file_under_a_high_bound_keeps_small_parts() -> None:
    sizes = check(180 * GIB, Limits())
    written = 0
    needed: list[int] = []
    while written < 11 * GIB:
        needed.append(sizes[len(needed)])
        written += needed[-1]
    assert max(needed) <= 16 * MIB


def test_the_largest_object_of_the_store_is_planned_within_its_limits() -> None:
    assert max(check(48 * TIB, Limits())) < 5 * 1024 * GIB


def test_the_largest_part_of_a_file_is_the_one_it_ends_in() -> None:
    assert largest_part(0, Limits()) == MIB
    assert largest_part(4_500 * MIB, Limits()) == MIB
    for file_bytes in (18 * GIB, 200 * GIB):
        ends = accumulate(part_sizes(file_bytes, Limits()))
        last = next(index for index, end in enumerate(ends) if end >= file_bytes)
        assert largest_part(file_bytes, Limits()) == list(part_sizes(file_bytes, Limits()))[last]
    assert largest_part(250, SMALL) == 80


def test_a_negative_size_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="negative"):
        next(part_sizes(-1, Limits()))
