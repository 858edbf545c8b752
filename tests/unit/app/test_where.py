"""Conditions of jobs: what is refused, and what is said of it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import get_args

import pytest

from sluice.app.where import WhereValue, render_where
from sluice.app.where_rules import FUNCTIONS, WhereDialect, WhereError
from tests.contracts.where_contract import INJECTIONS

DIALECTS: tuple[WhereDialect, ...] = get_args(WhereDialect)
TAKEN_BY = {
    "city = 'x\\' or 1 = 1 -- '": {"mysql": "_utf8mb4 X'7827206f722031203d"},
    "city = 'x\\'' or 1 = 1 -- '": {"postgresql": "E'x\\\\'' or 1 = 1 -- '", "sqlite": "'x\\'' or 1 = 1 -- '"},
}
"""A text in quotes of the server is a text."""


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_not_one_condition_on_a_row_is_refused(dialect: WhereDialect) -> None:
    for text in INJECTIONS:
        if said := TAKEN_BY.get(text, {}).get(dialect):
            assert render_where(text, dialect, {}).partition(" = ")[2].startswith(said)
            continue
        with pytest.raises(WhereError):
            render_where(text, dialect, {}, ("id", "city", "at"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lowr(city) = 'x'", "line 1, column 1: lowr() is no function that a condition may call; did you mean lower?"),
        ("id = 1 and\n  citi = 'x'", "line 2, column 3: the table has no column citi; did you mean city?"),
        ("id >= :leest", "there is no parameter leest; did you mean least?"),
        ("now() > at", "line 1, column 1: now is another moment at each reading: write :run.window_end, which"),
        ("id in (select 1)", "line 1, column 1: values of a list stand in brackets, one by one; there are no subq"),
        ("id = 1; drop table t", "line 1, column 7: one condition, without a semicolon"),
        ("id = 1 -- x", "line 1, column 6: no comments: write them behind # in the job"),
        ("id =", "line 1, column 4: this is no condition: something is missing"),
        ("id + 1", "line 1, column 6: it is no condition that is true or false: compare it with something"),
        ("t.id = 1", "line 1, column 3: the name of a column stands alone, without that of its table"),
        ("id ~ 'x'", "line 1, column 8: no regular expressions: write like, or filter by a step"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_way_out(text: str, said: str) -> None:
    with pytest.raises(WhereError) as refused:
        render_where(text, "postgresql", {"least": 1}, ("id", "city", "at"))
    assert said in str(refused.value)


def test_a_moment_is_compared_on_the_clock_of_the_connection() -> None:
    at = datetime(2026, 12, 1, 8, tzinfo=timezone(timedelta(hours=8)))
    found = [render_where("at < :run.at", dialect, {"run.at": at}) for dialect in DIALECTS]
    assert found == [
        "t.\"at\" < CAST('2026-12-01 00:00:00+00' AS TIMESTAMPTZ)",
        "t.`at` < FROM_UNIXTIME(1796083200.000000)",
        "t.\"at\" < '2026-12-01 00:00:00'",
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "a\0b", "\ud800"])
def test_a_value_that_no_database_has_is_refused_and_not_quoted(value: WhereValue) -> None:
    with pytest.raises(WhereError, match="the value of v is no") as refused:
        render_where("a = :v", "mysql", {"v": value})
    assert repr(value) not in str(refused.value)


def test_no_function_of_the_lists_writes_waits_or_reads_files() -> None:
    unwanted = ("sleep", "file", "lock", "dblink", "lo_", "setval", "nextval", "extension", "benchmark", "xml", "rand")
    names = set().union(*FUNCTIONS.values())
    assert [name for name in names if any(part in name for part in unwanted)] == []


def test_the_page_has_every_function_that_a_condition_may_call() -> None:
    page = Path("docs/pipelines/sources.md").read_text().partition("- These functions:")[2].partition("\n- ")[0]
    listed = [words.split() for words in page.split("`")[1::2]]
    everywhere, *own = map(set, listed)
    assert [everywhere | names for names in own] == [set(FUNCTIONS[dialect]) for dialect in DIALECTS]


@pytest.mark.parametrize(
    ("dialect", "text", "written"),
    [
        ("mysql", "`a``b` = 1 and `c\\` = 2", "t.`a``b` = 1 AND t.`c\\` = 2"),
        ("postgresql", '"a""b" = 1 and Größe = 2 and ÄB = 3', 't."a""b" = 1 AND t."größe" = 2 AND t."Äb" = 3'),
        ("sqlite", '"a""b" = 1 and "x?" = \'?\'', 't."a""b" = 1 AND t."x?" = \'?\''),
    ],
)
def test_the_name_of_a_column_stays_in_its_quotes(dialect: WhereDialect, text: str, written: str) -> None:
    assert render_where(text, dialect, {}) == written
