"""Any expression gives each row a value or a fault; where it means the same in DuckDB, it is the same value."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.domain.secret import Secret
from sluice.domain.step import MappedColumn, MapStep
from sluice.tables.expressions.parsing import parse_expression
from sluice.tables.expressions.typing_rules import ExpressionError
from sluice.tables.processors.row_steps import RowSteps

pytestmark = pytest.mark.slow

COLUMNS = {
    "s": ColumnType.STRING, "t": ColumnType.STRING,
    "n": ColumnType.NUMBER, "m": ColumnType.NUMBER,
    "p": ColumnType.BOOLEAN, "q": ColumnType.BOOLEAN,
    "d": ColumnType.DATE, "e": ColumnType.DATETIME,
}  # fmt: skip
ROWS: list[tuple[str | None, ...]] = [
    ("Ann Lee", "a", "12.50", "3.00", "true", "false", "2024-02-29", "2025-03-14 09:26:53"),
    ("", "Ann Lee", "-0.05", "2.00", "false", None, "2025-01-31", "2025-01-31 00:00:00"),
    ("a-b-c", "-", None, "-7.50", None, "true", None, "1999-12-31 23:59:59"),
    (None, "日本", "100.00", None, "true", "true", "2000-01-01", None),
    ("日本語 a_b%", None, "0.00", "0.01", None, None, "1970-01-01", "2024-02-29 12:00:00"),
]
TYPES = {"s": "varchar", "n": "decimal(10,2)", "p": "boolean", "d": "date", "e": "timestamp"}
TABLE = ", ".join(
    f"{name} {TYPES.get(name, TYPES[{'t': 's', 'm': 'n', 'q': 'p'}.get(name, name)])}" for name in COLUMNS
)

PIECES = {
    "S": ["s", "t", "'a'", "''", "lower(S)", "upper(t)", "trim(S)", "ltrim(S, 'aA')", "rtrim(S, 'ce')",
          "substr(S, I)", "substr(S, I, J)", "left(S, I)", "right(S, I)", "replace(S, 'a', S)", "concat(S, S)",
          "S || S", "concat_ws('-', S, S, t)", "split_part(S, '-', I)", "lpad(S, J, '*-')", "rpad(S, J, 'x')",
          "coalesce(S, S)", "nullif(S, S)", "case when B then S else S end", "case when B then S when B then S end",
          "greatest(S, S)", "case S when S then S else 'z' end"],
    "N": ["n", "m", "0", "2.5", "-3", "(N + N)", "(N - N)", "(n * m)", "(- N)", "abs(N)", "sign(N)", "floor(N)",
          "ceil(N)", "round(N, 1)", "round(N)", "trunc(N)", "(N % 7)", "length(S)", "strpos(S, S)", "coalesce(N, N)",
          "nullif(N, N)", "greatest(N, N)", "least(N, N)", "case when B then N else N end", "year(D)", "month(D)",
          "day(D)", "hour(E)", "minute(E)", "date_diff('day', D, D)", "date_diff('month', D, E)",
          "date_diff('hour', E, E)", "date_diff('quarter', D, E)", "date_diff('year', D, D)"],
    "B": ["p", "q", "cast(null as boolean)", "(B and B)", "(B or B)", "(not B)", "(N = N)", "(N <> N)", "(N < N)",
          "(N >= N)", "(S = S)", "(S < S)", "(S is null)", "(N is not null)", "(B is true)", "(B is not true)",
          "(B is false)", "(S is distinct from S)", "(N is not distinct from N)", "(N in (1, 3, N))",
          "(S not in ('a', S))", "(S in ('a', null))", "(N between N and N)", "(N not between N and N)",
          "(S like '%a_b%')", "(S like 'A%e')", "(S not like '%')", "(S ilike 'a%')", "(S like '%!_b!%' escape '!')",
          "starts_with(S, S)", "ends_with(S, S)", "(D < E)", "(D = D)", "(E >= D)", "coalesce(B, B)",
          "case when B then B else B end"],
    "D": ["d", "date '2024-01-31'", "date_trunc('month', d)", "date_trunc('week', d)", "cast(E as date)",
          "coalesce(D, d)", "cast(d + interval '1 month' as date)", "cast(d - interval '13 months' as date)"],
    "E": ["e", "timestamp '2024-02-29 23:59:59'", "(E + interval '1 month')", "(E - interval '36 hours')",
          "(E + interval '1 year')", "date_trunc('hour', E)", "date_trunc('quarter', E)", "coalesce(E, e)",
          "greatest(E, e)", "case when B then E else e end"],
    "I": ["1", "2", "-1", "-2", "5"],
    "J": ["0", "1", "3", "8"],
}  # fmt: skip
LEAVES = {"S": 4, "N": 5, "B": 3, "D": 2, "E": 2, "I": 5, "J": 4}
"""How many of the first pieces have no others in them."""


@st.composite
def expressions(draw: Callable[[Any], Any]) -> str:
    """One of random pieces, three deep."""

    def made(kind: str, depth: int) -> str:
        pieces = PIECES[kind][: None if depth else LEAVES[kind]]
        piece = draw(st.sampled_from(pieces))
        return re.sub(r"(?<![\w'])[SNBDEIJ](?![\w'])", lambda found: made(found[0], depth - 1), piece)

    return made(draw(st.sampled_from("SNBBDE")), 3)


@pytest.fixture(scope="module")
def table() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 1})
    # Its optimizer knows that no first of a month is a 31st, and makes false of null.
    connection.execute("pragma disable_optimizer")
    connection.execute(f"create table x ({TABLE})")
    connection.executemany("insert into x values (?, ?, ?, ?, ?, ?, ?, ?)", ROWS)
    return connection


def value_of(text: str | None, kind: str) -> object:
    if text is None:
        return None
    match kind:
        case "number":
            return Decimal(text)
        case "boolean":
            return text == "true"
        case "date" | "datetime":
            return datetime.fromisoformat(text)
    return text


def plain(value: object) -> object:
    match value:
        case datetime() | bool() | str() | None:
            return value
        case date():
            return datetime.combine(value, time())
    return Decimal(str(value))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(expression=expressions())
def test_both_give_the_same(table: duckdb.DuckDBPyConnection, expression: str) -> None:
    tree = parse_expression(expression, COLUMNS, {})
    specs = [ColumnSpec(name, kind) for name, kind in COLUMNS.items()]
    steps = RowSteps([MapStep((MappedColumn("x", tree),))], specs, Secret)
    ours = steps.apply(list(zip(*ROWS, strict=True)), len(ROWS))
    try:
        theirs = [plain(row[0]) for row in table.execute(f"select {expression} from x").fetchall()]
    except duckdb.Error:
        assume(False)  # a decimal type that is too narrow for it
    assert ours.diverted == []
    assert [value_of(text, tree.kind) for text in ours.columns[0]] == theirs, expression


NASTY: dict[str, list[str | None]] = {
    "s": ["", None, "2025-02-30", "\ud800", "x" * 70_000, "日本", "a\0b", "%", "NaN"],
    "n": ["", None, "NaN", "1e400", "1e-400", "1" * 40, "-0", "+5", "1e999999999999999999", ".", "1_0", "٣", "x"],
    "p": ["", None, "true", "f", "2"],
    "d": ["", None, "0001-01-01", "9999-12-31", "infinity", "0000-00-00", "10000-01-01", "2024-02-29T23:59:59Z"],
    "e": ["", None, "9999-12-31 23:59:59", "0001-01-01 00:00+10:00", "2025-03-14T09:26:53.123456789+08:00", "late"],
}
SAME_VALUES = {"t": "s", "m": "n", "q": "p"}


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(expression=expressions(), data=st.data())
def test_a_row_of_any_texts_gets_a_value_or_a_fault(expression: str, data: st.DataObject) -> None:
    tree = parse_expression(expression, COLUMNS, {})
    steps = RowSteps([MapStep((MappedColumn("x", tree),))], [ColumnSpec(*one) for one in COLUMNS.items()], Secret)
    rows = [[data.draw(st.sampled_from(NASTY[SAME_VALUES.get(name, name)])) for name in COLUMNS] for _ in range(3)]
    made = steps.apply(list(zip(*rows, strict=True)), len(rows))
    assert made.rows + len(made.diverted) == len(rows)
    assert all(text is None or isinstance(text, str) for text in made.columns[0])
    assert all(fault.reason and fault.column in {*COLUMNS, "x"} for fault in made.diverted)


TOKENS = [
    *"()+-*/%=<>,.:;!@#[]{}~^&|?'\"\\`",
    "||",
    "::",
    "--",
    "/*",
    "->",
    ":p",
    ":run.x",
    "1",
    ".5",
    "1e5",
    "0x1F",
    "'a'",
]
TOKENS += [
    "s",
    "n",
    "p",
    "d",
    "e",
    "null",
    "true",
    "and",
    "or",
    "not",
    "is",
    "in",
    "between",
    "like",
    "escape",
    "case",
    "when",
    "then",
    "else",
    "end",
    "cast",
    "as",
    "int",
    "date",
]
TOKENS += [
    "interval",
    "day",
    "extract",
    "from",
    "select",
    "where",
    "distinct",
    "over",
    "union",
    "exists",
    "any",
    "array",
    "lower",
    "concat",
    "mask",
    "$1",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(TOKENS), max_size=12).map(" ".join))
def test_any_text_is_an_expression_or_a_mistake(text: str) -> None:
    with suppress(ExpressionError):
        parse_expression(text, COLUMNS, {"p": 1, "run.x": "a"})
