"""What every source must do whose points in time are shown by the clock of the connection's zone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import pytest

from sluice.domain.pulled import Condition
from sluice.ports.source import Source
from tests.contracts.date_contract import DateContract
from tests.support.source_rows import rows_of, slices_of

TWICE = {
    "Europe/Berlin": datetime(2026, 10, 25, 1),  # noqa: DTZ001
    "Australia/Lord_Howe": datetime(2026, 4, 4, 15),  # noqa: DTZ001
    "America/Havana": datetime(2026, 11, 1, 5),  # noqa: DTZ001
}
"""By zones, when their clocks are put back, in UTC: by an hour, by half of one, and to midnight."""


class MomentContract(DateContract):
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

    @pytest.mark.parametrize("zone", TWICE)
    def test_a_day_is_all_that_the_clock_shows_of_it_and_a_moment_with_a_zone_is_that_moment(self, zone: str) -> None:
        count = self.made_around(zone)
        shown = rows_of(slices_of(self.source_in(zone, ["id", "at"], ("at", "id"))))

        def found(*bounds: tuple[Literal[">=", "<"], str]) -> list[str | None]:
            conditions = [Condition("at", test, (said,)) for test, said in bounds]
            return [number for (number,) in rows_of(slices_of(self.source_in(zone, ["id"], ("at", "id"), conditions)))]

        assert len(found((">=", "0001-01-01"), ("<", "9999-12-31"))) == count
        assert len(found((">=", "0001-01-01T00:00Z"), ("<", "9999-12-31T00:00Z"))) == count
        day = TWICE[zone].date()
        for begin in (day - timedelta(days=1), day, day + timedelta(days=1)):
            expected = [number for number, at in shown if str(at).startswith(str(begin))]
            assert found((">=", str(begin)), ("<", str(begin + timedelta(days=1)))) == expected
        for number in range(count):
            at = TWICE[zone] + timedelta(minutes=10 * (number - 9))
            there = (at + timedelta(hours=8)).isoformat() + "+08:00"
            assert found((">=", there)) == [str(later) for later in range(number, count)]
            assert found(("<", at.isoformat() + "Z")) == [str(earlier) for earlier in range(number)]
