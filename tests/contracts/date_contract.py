"""What every source must do that is asked for the rows of some days."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pytest

from sluice.domain.pulled import Condition
from sluice.ports.source import ConditionError, SourceError
from tests.contracts.where_contract import WhereContract

TIMES = ["02-28 23:59:59", "03-01 00:00:00", "03-01 12:30:00", "03-01 23:59:59.5", "03-02 00:00:00"]
RANGES = [  # from, until, the rows that have a time and those that are days
    ("2026-03-01", "2026-03-02", "234", "234"),
    ("2026-03-01", None, "2345", "2345"),
    (None, "2026-03-01", "1", "1"),
    ("2026-03-01T12:30", None, "345", "5"),
    ("2026-03-01 12:30:00.000", "2026-03-01T23:59:59", "3", ""),
    (None, "2026-03-01 12:30:00", "12", "1234"),
    ("2026-03-01T23:59:59.5", "2026-03-02T00:00", "4", ""),
]
TEXTS = [  # of one column, each in a form of its own
    "2026-02-28T23:59:59Z",
    "2026-03-01",
    "2026-03-01 12:30",
    "2026-03-01T23:59:59.500Z",
    "2026-03-02 00:00:00",
    "",
    "n/a",
]


class DateContract(WhereContract):
    """Adopt it by a subclass whose name begins with ``Test``."""

    dated_types: ClassVar[Sequence[str]]
    """Of days, of days with a time, and of texts."""
    day_types: ClassVar[Sequence[str]]
    """Those that have no time."""

    def in_range(self, begin: str | None, end: str | None) -> str:
        """The ids of the rows of a range."""
        bounds = [(">=", begin, "date.from"), ("<", end, "date.to")]
        return "".join(map(str, self.fits(*(("at", test, (said,), field) for test, said, field in bounds if said))))

    def test_the_rows_of_a_range_are_the_same_in_a_column_of_any_type(self) -> None:
        for kind in self.dated_types:
            rows = ", ".join(f"({number}, '2026-{time}')" for number, time in enumerate(TIMES, 1))
            self.run(
                f"CREATE TABLE t (id INT NOT NULL PRIMARY KEY, at {kind}); INSERT INTO t VALUES {rows}, (6, NULL);"
            )
            for begin, end, timed, days in RANGES:
                found = self.in_range(begin, end)
                assert found == (days if kind in self.day_types else timed), (kind, begin, end)
            with pytest.raises(ConditionError):
                self.in_range("2026-02-30", None)
            self.run("DROP TABLE t;")

    def test_texts_of_several_forms_are_compared_by_their_day_and_time(self) -> None:
        rows = ", ".join(f"({number}, '{text}')" for number, text in enumerate(TEXTS[: self.dates_only], 1))
        self.run(f"CREATE TABLE t (id INT NOT NULL PRIMARY KEY, at VARCHAR(40)); INSERT INTO t VALUES {rows};")
        for begin, end, expected, _ in RANGES:
            assert self.in_range(begin, end) == expected, (begin, end)
        with pytest.raises(ConditionError, match="without a zone"):
            self.in_range("2026-03-01T12:30:00Z", None)

    dates_only: int | None = None
    """So many of ``TEXTS`` are a column of dates."""

    @pytest.mark.parametrize("kind", ["INTEGER", "BIGINT", "DOUBLE PRECISION", "DECIMAL(20, 2)"])
    def test_a_range_of_dates_on_a_column_of_numbers_is_a_mistake_of_the_dataset(self, kind: str) -> None:
        self.run(f"CREATE TABLE t (id INT NOT NULL PRIMARY KEY, at {kind}); INSERT INTO t VALUES (1, 1772323200);")
        for test in (">=", "<"):
            source = self.source(["id"], conditions=[Condition("at", test, ("2026-03-01",))])
            with pytest.raises(SourceError, match=r"name a column of dates, .* in filters\.date") as refused:
                source.count(1)
            assert not isinstance(refused.value, ConditionError)
