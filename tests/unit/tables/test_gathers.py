"""What needs all rows comes out the same however these were split, and never of more groups than fit in memory."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.domain.secret import Secret
from sluice.domain.step import GatheredSteps
from sluice.tables.processors import gathers
from sluice.tables.processors.gathers import Gathered, GatherError, TooManyGroups, make_gather
from sluice.tables.processors.row_steps import RowSteps
from sluice.tables.processors.step_parsing import StepsError, parse_gathered_steps, parse_steps

SPECS = (
    ColumnSpec("city", ColumnType.STRING, width=20),
    ColumnSpec("n", ColumnType.NUMBER, format="0.00"),
    ColumnSpec("paid", ColumnType.BOOLEAN, format="ja/nein"),
    ColumnSpec("at", ColumnType.DATETIME),
)
KINDS = {spec.name: spec.type for spec in SPECS}
Row = tuple[str | None, ...]
TOTALS: dict[str, object] = {
    "by": ["city", "paid"],
    "take": {
        "rows": "count(*)", "known": "count(n)", "total": "sum(n * 2)", "least": "min(n)", "last": "max(at)",
        "mean": "avg(n)", "name": "max(lower(city))",
    },
}  # fmt: skip


def gathered(step: dict[str, object], *splits: Sequence[Row]) -> tuple[list[Row], list[tuple[int, str, str]]]:
    """The rows that come out, and those that were diverted."""
    steps = parse_gathered_steps([step], KINDS, {})
    last = steps.gather
    assert last is not None
    assert msgspec.json.decode(msgspec.json.encode(steps), type=GatheredSteps) == steps
    row_steps = RowSteps(steps.before, SPECS, Secret)
    parts: list[Gathered] = []
    faults: list[tuple[int, str, str]] = []
    for rows in splits:
        made = row_steps.apply(list(zip(*rows, strict=True)) or [()] * len(SPECS), len(rows))
        faults += made.diverted
        gather = make_gather(last, row_steps.output())
        half = made.rows // 2
        for first, end in ((0, half), (half, made.rows)):
            gather.add([column[first:end] for column in made.columns], end - first)
        parts.append(gather.partial())
    merged = list(make_gather(last, row_steps.output()).merge(parts))
    assert all(len(column) == part.rows for part in merged for column in part.columns)
    return [row for part in merged for row in zip(*part.columns, strict=True)], faults


ROWS: list[Row] = [
    ("Lyon", "1.50", "ja", "2025-01-01 10:00:00"),
    ("Lyon", "2", "true", "2025-01-02"),
    ("Lyon", None, "nein", None),
    (None, "0.10", "nein", "2024-02-29T23:59:59Z"),
    ("Bonn", "1.0", None, None),
    ("Bonn", "1", "", ""),
    (None, "0.20", "0", None),
]


def test_groups_are_made_of_values_and_null_is_one() -> None:
    made, faults = gathered({"aggregate": TOTALS}, ROWS[:3], ROWS[3:])
    assert made == [
        ("Bonn", None, "2", "2", "4.0", "1", None, "1.0", "bonn"),
        ("Lyon", "false", "1", "0", None, None, None, None, "lyon"),
        ("Lyon", "true", "2", "2", "7.00", "1.50", "2025-01-02 00:00:00", "1.75", "lyon"),
        (None, "false", "2", "2", "0.60", "0.10", "2024-02-29 23:59:59", "0.15", None),
    ]
    assert faults == []


def test_a_whole_table_is_one_group_even_without_rows() -> None:
    step: dict[str, object] = {"aggregate": {"by": [], "take": {"rows": "count(*)", "total": "sum(n)"}}}
    assert gathered(step, ROWS, [])[0] == [("7", "5.80")]
    assert gathered(step, [])[0] == [("0", None)]
    assert gathered({"aggregate": TOTALS}, [], [])[0] == []


def test_columns_of_the_result_have_the_kinds_of_their_values() -> None:
    steps = parse_gathered_steps([{"aggregate": TOTALS}, {"filter": "last > '2025-01-01' and rows > 1"}], KINDS, {})
    row_steps = RowSteps(steps.before, SPECS, Secret)
    assert steps.gather is not None
    assert len(steps.behind) == 1
    assert [spec.type.value for spec in make_gather(steps.gather, row_steps.output()).output()] == [
        "string", "boolean", "number", "number", "number", "number", "datetime", "number", "string",
    ]  # fmt: skip


def test_a_value_at_fault_costs_its_row_alone() -> None:
    rows = [*ROWS, ("Lyon", "x", "ja", None), ("Lyon", "1", "oui", None)]
    made, faults = gathered({"aggregate": TOTALS}, rows)
    assert len(made) == 4
    assert faults == [(7, "n", "is no number"), (8, "paid", "is neither true nor false")]
    step: dict[str, object] = {"deduplicate": {"by": ["n"], "last": "at"}}
    assert gathered(step, [*rows, ("a", "7", None, "late")])[1] == [(7, "n", "is no number"), (9, "at", "is no date")]


def test_of_equal_keys_the_row_that_comes_first_or_last_is_kept() -> None:
    rows: list[Row] = [
        ("a", "1", None, "2025-01-02"), ("b", "1.0", None, "2025-01-01"), ("c", "2", None, None),
        ("d", "2", None, "2025-01-05"), ("f", None, None, None), ("e", None, None, None),
    ]  # fmt: skip
    for splits in ([rows], [rows[:1], rows[1:]], [rows[::-1]]):
        assert [row[0] for row in gathered({"deduplicate": {"by": ["n"], "first": "at"}}, *splits)[0]] == [
            "b",
            "d",
            "e",
        ]
        assert [row[0] for row in gathered({"deduplicate": {"by": ["n"], "last": "at"}}, *splits)[0]] == ["a", "d", "e"]
        assert [row[0] for row in gathered({"deduplicate": {"by": ["n"]}}, *splits)[0]] == ["a", "c", "e"]


def test_more_groups_than_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathers, "GROUPS_MAX", 3)
    steps: list[dict[str, object]] = [
        {"aggregate": {"by": ["city"], "take": {"n": "count(*)"}}},
        {"deduplicate": {"by": ["city"]}},
    ]
    rows: list[Row] = [(str(at), "1", None, None) for at in range(4)]
    for step in steps:
        assert len(gathered(step, rows[:2], rows[1:3])[0]) == 3
        with pytest.raises(TooManyGroups):
            gathered(step, rows)
        with pytest.raises(TooManyGroups):
            gathered(step, rows[:2], rows[2:])
    monkeypatch.setattr(gathers, "GROUP_CHARS_MAX", 9)
    for step in steps:
        with pytest.raises(TooManyGroups):
            gathered(step, [("a" * 10, "1", None, None)])


def test_a_sum_that_is_no_number_any_more_is_refused() -> None:
    step: dict[str, object] = {"aggregate": {"by": [], "take": {"t": "sum(n)"}}}
    with pytest.raises(GatherError, match="a sum of t has more than 38 digits"):
        gathered(step, [(None, "9" * 38, None, None)] * 100)
    with pytest.raises(GatherError, match="digits"):
        gathered(step, [(None, "1e300", None, None), (None, "1", None, None)])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([*ROWS, ("Lyon", "-7.25", "ja", None)]), max_size=12), st.integers(0, 12))
def test_sums_are_those_of_duckdb_however_the_rows_are_split(rows: list[Row], cut: int) -> None:
    take: dict[str, object] = {"c": "count(*)", "k": "count(n)", "s": "sum(n)", "l": "min(n)", "m": "max(n)"}
    made, _ = gathered({"aggregate": {"by": ["city"], "take": take}}, rows[:cut], rows[cut:])
    whole, _ = gathered({"aggregate": {"by": ["city"], "take": take}}, rows)
    assert made == whole
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("create table x (city varchar, n decimal(10, 2))")
    if rows:
        connection.executemany("insert into x values (?, ?)", [row[:2] for row in rows])
    query = "select city, count(*), count(n), sum(n), min(n), max(n) from x group by city order by city nulls last"
    theirs = connection.execute(query).fetchall()
    assert [(row[0], *(text and float(text) for text in row[1:])) for row in made] == [
        (row[0], *(None if value is None else float(value) for value in row[1:])) for row in theirs
    ]


def test_partial_results_are_the_same_for_rows_in_any_order() -> None:
    last = parse_gathered_steps([{"deduplicate": {"by": ["city"], "last": "n"}}], KINDS, {}).gather
    assert last is not None
    results: list[Gathered] = []
    for rows in (ROWS, ROWS[::-1]):
        gather = make_gather(last, SPECS)
        gather.add(list(zip(*rows, strict=True)), len(rows))
        results.append(gather.partial())
    assert results[0] == results[1]


def test_every_mistake_is_said_with_its_place() -> None:
    tree: list[dict[str, object]] = [
        {
            "aggregate": {
                "by": ["cty"],
                "take": {"a": "sum(city)", "b": "median(n)", "c": "n", "d": "summ(n)", "e": "sum(m)"},
            }
        },
        {"deduplicate": {"by": ["city"]}},
    ]
    with pytest.raises(StepsError) as caught:
        parse_gathered_steps(tree, KINDS, {})
    functions = "is one of count, sum, min, max, avg, as sum(amount * qty); calculate with it in a map behind"
    assert caught.value.problems == (
        "steps[0].aggregate.by: there is no column 'cty'; did you mean city?",
        "steps[0].aggregate.take.a: sum takes a number, and this is a string",
        f"steps[0].aggregate.take.b: {functions}",
        f"steps[0].aggregate.take.c: {functions}",
        f"steps[0].aggregate.take.d: {functions}; did you mean sum?",
        "steps[0].aggregate.take.e: there is no column 'm' at character 1; there are city, n, paid, at",
        "steps[1].deduplicate: needs all rows, which one step of a job may, and none here",
    )
    with pytest.raises(StepsError, match=r"deduplicate.last: there is no column 'att'; did you mean at\?"):
        parse_gathered_steps([{"deduplicate": {"by": ["city"], "last": "att"}}], KINDS, {})
    with pytest.raises(StepsError, match="needs all rows"):
        parse_steps([{"aggregate": TOTALS}], KINDS, {})
