"""What takes longest is begun first, by all workers, and no test is left out."""

from __future__ import annotations

import pytest

from tests.support.long_first import long_first


@pytest.mark.parametrize("workers", [1, 2, 5, 9])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 7, 100])
def test_every_test_is_dealt_out_once_and_each_worker_begins_with_its_share_of_the_long_ones(
    count: int, workers: int
) -> None:
    items = list(range(count))
    dealt = long_first(items, lambda item: item % 10 == 3, workers)
    assert sorted(dealt) == items
    short = [item for item in dealt if item % 10 != 3]
    assert short == sorted(short)
    if count == 100:
        firsts, rest = [], dealt
        for left in range(workers, 0, -1):
            firsts.append(rest[0])
            rest = rest[len(rest) // left :]
        assert all(first % 10 == 3 for first in firsts)
