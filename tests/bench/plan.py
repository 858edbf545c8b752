"""How much a run measures: all of it, a smoke of a minute, or the smallest run, which a test makes."""

from __future__ import annotations

import msgspec


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of every section. An empty tuple leaves a section out."""

    rounds: int = 3
    writer_rows: int = 200_000
    by_rows: tuple[int, ...] = (10_000, 1_000_000)
    """Besides ``writer_rows``, which is a size of this table too."""
    by_columns: tuple[int, ...] = (1, 3, 10, 30, 100)
    by_columns_rows: int = 20_000
    relay_batches: int = 300
    link_rows: tuple[int, ...] = (10_000, 100_000, 1_000_000, 5_000_000)
    embedded_rows: tuple[int, ...] = (10_000, 100_000, 1_000_000, 2_000_000, 10_000_000)
    cloud_rows: tuple[int, ...] = (10_000, 100_000, 1_000_000, 2_000_000, 10_000_000)
    crowds: tuple[int, ...] = (10, 20)
    crowd_rows: int = 50_000
    starts: bool = True
    sender_rows: int = 200_000
    pull_rows: int = 1_000_000
    pull_memory_rows: tuple[int, ...] = (100_000, 2_000_000)
    click_rows: int = 10_000
    clicks: int = 30
    step_rounds: int = 9


FULL = Plan()
QUICK = Plan(
    rounds=1,
    writer_rows=20_000,
    by_rows=(1_000,),
    by_columns=(1, 10, 30),
    by_columns_rows=2_000,
    relay_batches=40,
    link_rows=(10_000, 100_000),
    embedded_rows=(10_000, 100_000),
    cloud_rows=(),
    crowds=(10,),
    crowd_rows=5_000,
    starts=False,
    sender_rows=20_000,
    pull_rows=100_000,
    pull_memory_rows=(20_000, 200_000),
    click_rows=10_000,
    clicks=9,
    step_rounds=3,
)
