"""What every source must do whose points in time are shown by the clock of the connection's zone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from sluice.domain.pulled import Condition
from sluice.ports.source import Source
from tests.contracts.source_contract import SourceContract
from tests.support.source_rows import rows_of, slices_of

TWICE = {"Europe/Berlin": datetime(2026, 10, 25, 1), "Australia/Lord_Howe": datetime(2026, 4, 4, 15)}  # noqa: DTZ001
"""By zones, when their clocks are put back, in UTC: by an hour and by half of one."""


class MomentContract(SourceContract):
    """Adopt it by a subclass whose name begins with ``Test``."""

    moment_type: str
    """The type of points in time."""

    @abstractmethod
    def moment(self, at: datetime) -> str:
        """A point in time of UTC in SQL."""

    @abstractmethod
    def source_in(
        self, zone: str, columns: Sequence[str], key: tuple[str, ...], conditions: Sequence[Condition] = ()
    ) -> Source:
        """Make the source of table ``t`` through a connection of this zone."""

    def made_around(self, zone: str) -> int:
        """A table of moments before, in and behind the time that the zone's clock has twice; gives how many."""
        moments = [TWICE[zone] + timedelta(minutes=10 * number) for number in range(-9, 10)]
        listed = ", ".join(f"({number}, {self.moment(at)})" for number, at in enumerate(moments))
        self.run(
            f"CREATE TABLE t (id INT NOT NULL UNIQUE, at {self.moment_type} NOT NULL, PRIMARY KEY (at, id));"
            f"INSERT INTO t VALUES {listed};"
        )
        return len(moments)

    @pytest.mark.parametrize("zone", TWICE)
    def test_a_key_of_moments_is_read_on_behind_each_of_them_though_the_clock_shows_some_twice(
        self, monkeypatch: pytest.MonkeyPatch, zone: str
    ) -> None:
        self.small_slices(monkeypatch)
        count = self.made_around(zone)
        for key in (("at", "id"), ("id", "at")):
            reading = self.source_in(zone, ["id", "at"], key)
            slices = slices_of(reading)
            found = rows_of(slices)
            assert [number for number, _ in found] == [str(number) for number in range(count)]
            clock = [str(shown)[:19] for _, shown in found]
            assert len(set(clock)) < len(clock), "the file has the times of the zone"
            for place, part in enumerate(slices, 1):
                assert rows_of(slices_of(reading, part.cursor)) == rows_of(slices[place:]), part.cursor
