"""Errors of drivers say whether trying again may help, and nothing that a driver quotes."""

from __future__ import annotations

import ssl

import pytest

from sluice.adapters.databases.mysql_errors import worded_mysql
from sluice.adapters.databases.postgresql_errors import worded
from sluice.ports.source import SourceError, SourceUnavailable

QUOTED = 'invalid input syntax for type integer: "of a row", password=s3cret'


class DriverError(Exception):
    """As drivers raise them."""

    def __init__(self, state: str) -> None:
        super().__init__(QUOTED)
        self.sqlstate = state


def check(error: SourceError, *, is_later: bool) -> None:
    assert isinstance(error, SourceUnavailable) is is_later, error
    assert str(error).startswith("table t of crm: ")
    assert "of a row" not in str(error)
    assert "s3cret" not in str(error)


@pytest.mark.parametrize(
    ("states", "is_later"),
    [
        ("08000 08003 08006 53100 53200 53300 55P03 57014 57P01 57P02 57P03 57P05 58030 40P01 40001 25P03", True),
        ("22P02 22003 22023 28000 28P01 3D000 42501 42703 42P01 42883 XX000 0A000", False),
    ],
)
def test_states_of_postgresql(states: str, *, is_later: bool) -> None:
    for state in states.split():
        check(worded(DriverError(state), "table t of crm"), is_later=is_later)


@pytest.mark.parametrize(
    ("numbers", "is_later"),
    [
        ((1021, 1037, 1040, 1053, 1203, 1205, 1213, 1317, 1412, 1927, 1969, 2002, 2003, 2006, 2013, 3024, 4031), True),
        ((1044, 1045, 1049, 1054, 1064, 1130, 1142, 1143, 1146, 1298, 2026, 2059, 2061), False),
    ],
)
def test_numbers_of_mysql(numbers: tuple[int, ...], *, is_later: bool) -> None:
    for number in numbers:
        check(worded_mysql(Exception(number, QUOTED), "table t of crm"), is_later=is_later)


@pytest.mark.parametrize(
    ("error", "is_later"),
    [
        (TimeoutError(QUOTED), True),
        (ConnectionRefusedError(QUOTED), True),
        (OSError(QUOTED), True),
        (ValueError(QUOTED), True),
        (ssl.SSLCertVerificationError(QUOTED), False),
    ],
)
def test_errors_on_the_way(error: Exception, *, is_later: bool) -> None:
    for words in (worded, worded_mysql):
        check(words(error, "table t of crm"), is_later=is_later)


def test_an_error_of_ours_stays_as_it_is() -> None:
    ours = SourceError("as it is")
    assert worded(ours, "table t of crm") is ours
    assert worded_mysql(ours, "table t of crm") is ours
