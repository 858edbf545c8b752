"""Times as text."""

from __future__ import annotations

import pytest

from sluice.domain.timestamps import iso_time


@pytest.mark.parametrize(
    ("at", "milliseconds", "seconds"),
    [
        (0, "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00Z"),
        (1_767_954_645.9999, "2026-01-09T10:30:45.999Z", "2026-01-09T10:30:45Z"),
        (253_402_300_799, "9999-12-31T23:59:59.000Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_a_time_is_in_utc_and_never_rounded_up(at: float, milliseconds: str, seconds: str) -> None:
    assert iso_time(at) == milliseconds
    assert iso_time(at, "seconds") == seconds
