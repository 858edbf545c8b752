"""Numbers, times and foreign text as a terminal shows them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.cli.formatting import counted, iso, lines_of, printable, size, span, when


@given(st.text())
def test_nothing_that_is_printed_moves_the_cursor_or_turns_the_line(text: str) -> None:
    assert not {unicodedata.category(char) for char in printable(text)} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_letters_of_any_script_are_printed_as_they_are() -> None:
    assert printable("报表 Zoë 🎁") == "报表 Zoë 🎁"
    assert printable("a\x1b[2Jb") == "a\\u001b[2Jb"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (86400, "1 d")]
)
def test_a_span_is_told_in_its_largest_unit(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_951, "1.0 MB"),
        (2_500_000_000, "2.5 GB"),
    ],
)
def test_a_size_is_told_in_a_unit_that_fits(count: int, text: str) -> None:
    assert size(count) == text


def test_one_thing_is_not_many() -> None:
    assert [counted(count, "row") for count in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]


def test_times_are_in_utc_with_their_distance() -> None:
    assert iso(1_700_000_000) == "2023-11-14T22:13:20Z"
    assert when(1_700_000_000, 1_700_000_180) == "2023-11-14T22:13:20Z (3 min ago)"
    assert when(1_700_000_000, 1_699_992_800) == "2023-11-14T22:13:20Z (in 2 h)"
    assert (iso(0), when(0, 1)) == ("", "never")


def test_columns_are_aligned_but_for_the_last() -> None:
    assert lines_of([("a", "bb", "c"), ("aaa", "b", "")]) == ["a    bb  c", "aaa  b"]
    assert lines_of([]) == []
