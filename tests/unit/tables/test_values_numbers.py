"""The rules for number columns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.tables.values.numbers import (
    NumberKind,
    are_exact_numbers,
    are_exact_or_empty,
    are_long_numbers,
    are_plain_numbers,
    number_kind,
)


@pytest.mark.parametrize(
    "text",
    [
        "0", "-0", "-0.0", "+5", "1", "-1.50", "123456789012345", "0.1", "1e5", "1E+5", "-1.5e-10", "1e308",
        "999999999999999", "0.123456789012345", "123.4500000000000000000", "0e999", "0.0", "2.23e-308",
    ],
)  # fmt: skip
def test_a_number_that_a_double_keeps_stays_a_number(text: str) -> None:
    assert number_kind(text) is NumberKind.NUMBER


@pytest.mark.parametrize(
    "text",
    [
        "1234567890123456", "9007199254740993", "12345678901234567890", "4111111111111111", "007", "-01", "00", "01.5",
        "0e999999999999", "-0E+1000000000", "0.30000000000000004", "1e-320",
        "-1e-320", "1e-400", "1000000000000000", "0.1234567890123456", "1" * 300,
    ],
)  # fmt: skip
def test_a_number_whose_digits_a_spreadsheet_would_lose_becomes_text(text: str) -> None:
    assert number_kind(text) is NumberKind.TEXT


@pytest.mark.parametrize(
    "text",
    [
        "NaN", "nan", "Infinity", "-inf", "1,000", "0x1F", "1_000", " 1", "1 ", "1\n", "1.", ".5", "", "-", "+", "e5",
        "1e", "1e+", "--1", "1/2", "1e309", "-1e309", "9" * 310, "\uff11\uff12", "\u0663", "1.2.3", "$5", "5%",
        "true", "1\0", "1e5.5",
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused(text: str) -> None:
    assert number_kind(text) is NumberKind.INVALID


@given(st.lists(st.text("0123456789+-.eE\n ,", max_size=6), min_size=1, max_size=5))
def test_a_column_found_plain_at_one_look_has_no_invalid_cell(texts: list[str]) -> None:
    plain = are_plain_numbers("\0".join(texts))
    looked_at_one_by_one = [text == "" or number_kind(text) is not NumberKind.INVALID for text in texts]
    assert not plain or all(looked_at_one_by_one)


@given(
    st.lists(
        st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9), min_size=1
    )
)
def test_a_column_of_ordinary_numbers_is_plain_at_one_look(numbers: list[object]) -> None:
    assert are_plain_numbers("\0".join(f"{number:f}" for number in numbers))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_kept_as_a_number_reads_back_equal_at_fifteen_digits(value: float) -> None:
    text = f"{value:.15g}"
    if number_kind(text) is NumberKind.NUMBER:
        assert f"{float(text):.15g}" == text


def test_a_hostile_column_is_checked_in_linear_time() -> None:
    assert not are_plain_numbers("1" * 200_000 + "x")
    assert not are_plain_numbers("\0".join(["1"] * 200_000) + "x")


@given(st.lists(st.from_regex(r"-?(0|[1-9][0-9]{0,16})(\.[0-9]{1,16})?|", fullmatch=True), min_size=1, max_size=4))
def test_a_column_found_exact_at_one_look_has_only_numbers_a_double_keeps(texts: list[str]) -> None:
    joined = "\0".join(texts)
    all_kept = all(text == "" or number_kind(text) is NumberKind.NUMBER for text in texts)
    assert not are_exact_or_empty(joined) or all_kept
    assert are_exact_numbers(joined) == (are_exact_or_empty(joined) and "" not in texts)


@given(st.lists(st.from_regex(r"[0-9]{14,18}|", fullmatch=True), min_size=1, max_size=4))
def test_a_column_found_long_at_one_look_has_only_identifiers(texts: list[str]) -> None:
    long = [text != "" and number_kind(text) is NumberKind.TEXT for text in texts]
    assert not are_long_numbers("\0".join(texts)) or all(long)


def test_ordinary_columns_are_found_exact_or_long_at_one_look() -> None:
    assert are_exact_numbers("1\x00-2.50\x000\x00123456789012345")
    assert are_exact_or_empty("1\x00\x00-2.50\x00")
    assert are_long_numbers("1234567890123456\x00999999999999999999")
