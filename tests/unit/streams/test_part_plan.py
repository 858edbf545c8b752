"""Parts are as small as memory likes and as large as their number demands."""

from __future__ import annotations

import pytest

from sluice.domain.limits import KIB, MIB, Limits
from sluice.streams.part_plan import plan_part_bytes

SMALL = Limits(part_bytes_min=10, parts_max=3)
TIB = 1024 * 1024 * MIB


def parts(file_bytes: int, part_bytes: int) -> int:
    return max(1, -(-file_bytes // part_bytes))


@pytest.mark.parametrize(
    ("file_bytes_max", "part_bytes"),
    [(0, 10), (1, 10), (29, 10), (30, 10), (31, KIB), (3 * KIB, KIB), (3 * KIB + 1, 2 * KIB), (6 * KIB + 1, 3 * KIB)],
)
def test_the_part_size_at_its_edges(file_bytes_max: int, part_bytes: int) -> None:
    assert plan_part_bytes(file_bytes_max, SMALL) == part_bytes


def test_every_file_fits_and_no_smaller_plan_would_do() -> None:
    for file_bytes_max in range(20_000):
        part_bytes = plan_part_bytes(file_bytes_max, SMALL)
        assert parts(file_bytes_max, part_bytes) <= SMALL.parts_max
        smaller = SMALL.part_bytes_min if part_bytes == KIB else part_bytes - KIB
        assert part_bytes == SMALL.part_bytes_min or parts(file_bytes_max, smaller) > SMALL.parts_max


def test_with_the_real_limits_nine_thousand_mebibytes_need_no_larger_part() -> None:
    limits = Limits()
    assert plan_part_bytes(9_000 * MIB, limits) == MIB
    assert plan_part_bytes(9_000 * MIB + 1, limits) == MIB + KIB


def test_the_largest_object_of_the_store_is_planned_within_its_limits() -> None:
    part_bytes = plan_part_bytes(48 * TIB, Limits())
    assert parts(48 * TIB, part_bytes) <= 9_000
    assert part_bytes < 6 * 1024 * MIB


def test_a_negative_size_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="negative"):
        plan_part_bytes(-1, Limits())
