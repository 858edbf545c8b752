"""The rules for date and datetime columns."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.tables.values.dates import DateFault, are_plain_dates, read_date, time_zone


def day(
    year: int, month: int, day_of_month: int, hour: int = 0, minute: int = 0, second: int = 0, micro: int = 0
) -> datetime:
    return datetime(year, month, day_of_month, hour, minute, second, micro)  # noqa: DTZ001 -- cells have no time zone


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-03-14", day(2025, 3, 14)),
        ("2025-03-14 09:26", day(2025, 3, 14, 9, 26)),
        ("2025-03-14T09:26:53", day(2025, 3, 14, 9, 26, 53)),
        ("2025-03-14 09:26:53.5", day(2025, 3, 14, 9, 26, 53, 500_000)),
        ("2025-03-14 09:26:53.123456789", day(2025, 3, 14, 9, 26, 53, 123_456)),
        ("2024-02-29", day(2024, 2, 29)),
        ("2000-02-29", day(2000, 2, 29)),
        ("1900-01-01", day(1900, 1, 1)),
        ("9999-12-31 23:59:59", day(9999, 12, 31, 23, 59, 59)),
    ],
)
def test_iso_dates_are_read_as_sent(text: str, expected: datetime) -> None:
    assert read_date(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-03-14T09:26:53Z", day(2025, 3, 14, 9, 26, 53)),
        ("2025-03-14T09:26:53+08:00", day(2025, 3, 14, 1, 26, 53)),
        ("2025-03-14T09:26:53+0530", day(2025, 3, 14, 3, 56, 53)),
        ("2025-03-14T09:26:53-05", day(2025, 3, 14, 14, 26, 53)),
        ("2025-01-01T00:00:00+01:00", day(2024, 12, 31, 23)),
    ],
)
def test_offsets_are_converted_to_utc_by_default(text: str, expected: datetime) -> None:
    assert read_date(text, UTC) == expected


def test_offsets_are_converted_to_the_declared_zone_through_its_summer_time() -> None:
    berlin = time_zone("Europe/Berlin")
    assert read_date("2025-03-30T00:59:59Z", berlin) == day(2025, 3, 30, 1, 59, 59)
    assert read_date("2025-03-30T01:00:00Z", berlin) == day(2025, 3, 30, 3)


def test_a_local_time_that_a_clock_change_skips_stays_as_sent() -> None:
    assert read_date("2025-03-30 02:30:00", time_zone("Europe/Berlin")) == day(2025, 3, 30, 2, 30)


@pytest.mark.parametrize(
    "text",
    [
        "1899-12-31", "0000-01-01", "0001-01-01", "1582-10-10", "10000-01-01", "999999-12-31",
        "1900-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00", "0000-02-29",
    ],
)  # fmt: skip
def test_real_dates_that_a_spreadsheet_lacks_are_out_of_range(text: str) -> None:
    assert read_date(text) is DateFault.OUT_OF_RANGE


@pytest.mark.parametrize(
    "text",
    [
        "", "1900-02-29", "2025-02-29", "2100-02-29", "2025-04-31", "2025-00-10", "2025-13-01", "2025-01-00",
        "0000-00-00", "2025-1-1", "20250314", "14.03.2025", "03/14/2025", "2025-03-14 24:00:00", "2025-03-14 09:60",
        "2025-03-14 09:26:60", "2025-03-14Z", "2025-03-14 9:26", "2025-03-14  09:26", "2025-03-14t09:26:53",
        "2025-03-14 09:26:53.", "-2025-03-14", "2025-03-14 09:26:53+24:00", "2025-03-14 09", "2025-03-14\n",
        "\uff12025-03-14", "now", "1742000000", "1000000-01-01",
    ],
)  # fmt: skip
def test_what_is_no_iso_date_is_refused(text: str) -> None:
    assert read_date(text) is DateFault.INVALID


@pytest.mark.parametrize(
    "name",
    [
        *("Mars/Olympus", "../../etc/passwd", "/etc/passwd", "Europe", "a\0b", "\uff35tc", "x" * 300, "\ud800"),
        *("zone.tab", "Asia/Shanghai\n", "Asia//Shanghai", "Asia/", "asia/shanghai"),
    ],
)
def test_an_unknown_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError):
        time_zone(name)


@pytest.mark.parametrize("name", ["localtime", "posixrules", "posix/UTC", "right/UTC", "right/Asia/Shanghai"])
def test_a_name_that_means_something_else_on_each_machine_is_no_time_zone(name: str) -> None:
    with pytest.raises(ValueError):
        time_zone(name)


def test_a_machines_own_idea_of_a_zone_does_not_count(tmp_path: Path) -> None:
    """A folder of zones that lies about one of them: Mahe lies four hours east of Greenwich, Abidjan on it."""
    liar = tmp_path / "Indian/Mahe"
    liar.parent.mkdir()
    liar.write_bytes(resources.files("tzdata").joinpath("zoneinfo/Africa/Abidjan").read_bytes())
    zoneinfo.reset_tzpath([str(tmp_path)])
    try:
        assert read_date("2025-03-14T00:00:00Z", time_zone("Indian/Mahe")) == day(2025, 3, 14, 4)
    finally:
        zoneinfo.reset_tzpath()


def test_every_zone_of_iana_is_known() -> None:
    names = resources.files("tzdata").joinpath("zones").read_text().split()
    assert len(names) > 500
    assert {str(time_zone(name)) for name in names} == set(names)


@given(st.datetimes(day(1900, 1, 1), day(9999, 12, 31, 23, 59, 59)))
def test_every_time_in_range_is_read_back_to_the_microsecond(moment: datetime) -> None:
    assert read_date(moment.isoformat(" ")) == moment
    assert read_date(moment.isoformat("T")) == moment


def test_every_day_of_a_calendar_cycle_is_plain_at_one_look_but_29_february() -> None:
    for offset in range(0, 146_097, 7):
        moment = date(1900, 1, 1) + timedelta(days=offset)
        assert are_plain_dates(str(moment)) is ((moment.month, moment.day) != (2, 29)), moment


@given(st.lists(st.text("0123-: T.Z+", max_size=20) | st.dates().map(str), min_size=1, max_size=4))
def test_a_column_found_plain_at_one_look_has_no_invalid_cell(texts: list[str]) -> None:
    if are_plain_dates("\0".join(texts)):
        assert all(text == "" or read_date(text) is not DateFault.INVALID for text in texts)
