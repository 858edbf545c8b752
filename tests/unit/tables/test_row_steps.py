"""Steps change rows one by one, and what one of them cannot take costs that row alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.domain.secret import Secret
from sluice.tables.expressions.date_formats import CODES
from sluice.tables.processors.row_state import RowFault
from sluice.tables.processors.row_steps import Applied, RowSteps
from sluice.tables.processors.step_parsing import parse_steps

SPECS = (
    ColumnSpec("id", ColumnType.NUMBER, format="0"),
    ColumnSpec("name", ColumnType.STRING, width=30),
    ColumnSpec("amount", ColumnType.NUMBER),
    ColumnSpec("paid", ColumnType.BOOLEAN, format="ja/nein"),
    ColumnSpec("day", ColumnType.DATE),
    ColumnSpec("at", ColumnType.DATETIME),
)
ROW = ("1", "Ann", "10.50", "ja", "2025-03-14", "2025-03-14 09:26:53")


def steps_of(*tree: dict[str, object]) -> RowSteps:
    kinds = {spec.name: spec.type for spec in SPECS}
    return RowSteps(parse_steps(tree, kinds, {"least": 5}), SPECS, Secret)


def applied(steps: RowSteps, rows: Sequence[Sequence[str | None]]) -> Applied:
    return steps.apply(list(zip(*rows, strict=True)) or [()] * len(SPECS), len(rows))


def with_(**values: str | None) -> tuple[str | None, ...]:
    return tuple(values.get(spec.name, text) for spec, text in zip(SPECS, ROW, strict=True))


def column(expression: object, *rows: Sequence[str | None]) -> list[str | None]:
    made = applied(steps_of({"map": {"x": expression}}), rows or [ROW])
    assert made.diverted == []
    return list(made.columns[0])


def reasons(expression: object, *rows: Sequence[str | None]) -> list[RowFault]:
    return list(applied(steps_of({"map": {"x": expression}}), rows or [ROW]).diverted)


def test_columns_that_are_only_named_are_the_very_lists_that_came_in() -> None:
    columns = [[text] for text in ROW]
    steps = steps_of({"map": {"b": "name", "a": "id", "one": 1, "none": None, "yes": True}})
    made = steps.apply(columns, 1)
    assert made.columns[0] is columns[1]
    assert made.columns[1] is columns[0]
    assert made.columns[2:] == [["1"], [None], ["true"]]
    assert list(steps.output()) == [
        ColumnSpec("b", ColumnType.STRING, width=30),
        ColumnSpec("a", ColumnType.NUMBER, format="0"),
        ColumnSpec("one", ColumnType.NUMBER),
        ColumnSpec("none", ColumnType.STRING),
        ColumnSpec("yes", ColumnType.BOOLEAN),
    ]


def test_columns_of_a_map_may_change_places() -> None:
    made = applied(steps_of({"map": {"name": "cast(id as text)", "id": "amount"}}, {"filter": "name = '1'"}), [ROW])
    assert [list(one) for one in made.columns] == [["1"], ["10.50"]]


def test_a_filter_keeps_what_is_true_and_null_is_not() -> None:
    rows = [with_(amount=text) for text in ("5", "4.99", None, "", "5.000")]
    made = applied(steps_of({"filter": "amount >= :least"}), rows)
    assert (list(made.columns[2]), made.rows, made.filtered) == (["5", "5.000"], 2, 3)
    assert applied(steps_of({"filter": "not amount >= :least"}), rows).rows == 1
    assert applied(steps_of({"filter": "null"}), rows).rows == 0


@pytest.mark.parametrize(
    ("expression", "values", "fault"),
    [
        ("amount * 2", {"amount": "ten"}, ("amount", "is no number")),
        ("amount * 2", {"amount": "1_000"}, ("amount", "is no number")),
        ("amount * 2", {"amount": "NaN"}, ("amount", "is no number")),
        ("amount * 2", {"amount": "٣"}, ("amount", "is no number")),
        ("amount * 2", {"amount": " 1"}, ("amount", "is no number")),
        ("amount * 2", {"amount": "1\x002"}, ("amount", "is no number, or has more than 38 digits")),
        ("amount / (amount - 10.5)", {}, ("x", "division by zero")),
        ("amount * 11", {"amount": "1" * 38}, ("x", "the result has more than 38 digits")),
        ("amount * amount", {"amount": "1." + "1" * 20}, ("x", "the result has more than 38 digits")),
        ("amount * amount", {"amount": "1e300"}, ("x", "the result has more than 38 digits")),
        ("round(amount, 2)", {"amount": "1" * 38}, ("x", "is no number, or has more than 38 digits")),
        ("amount + 0", {"amount": "1e999999999"}, ("x", "the result has more than 38 digits")),
        ("abs(amount)", {"amount": "1e-999999999"}, ("x", "the result has more than 38 digits")),
        (
            "cast(amount as decimal(5, 2))",
            {"amount": "1000"},
            ("x", "has more than 5 digits, 2 of them behind the point"),
        ),
        ("cast(name as number)", {}, ("x", "is no number")),
        ("cast(name as date)", {}, ("x", "is no date")),
        ("cast(name as boolean)", {}, ("x", "is neither true nor false")),
        ("not paid", {"paid": "oui"}, ("paid", "is neither true nor false")),
        ("year(day)", {"day": "2025-02-30"}, ("day", "is no date")),
        ("year(at)", {"at": "0000-00-00"}, ("at", "is no date")),
        ("year(at)", {"at": "infinity"}, ("at", "is no date")),
        ("at + interval '9000 years'", {}, ("x", "the result is no date of the years 1 to 9999")),
        ("date_add(at, amount, 'day')", {}, ("x", "is no whole number, or too large a one")),
        ("date_add(at, amount, 'day')", {"amount": "1e30"}, ("x", "is no whole number, or too large a one")),
        (
            "date_add(at, amount, 'day')",
            {"amount": "1e999999999999999999"},
            ("x", "is no whole number, or too large a one"),
        ),
        ("json_value(name, '$.a')", {}, ("x", "is no JSON")),
        ("json_value(name, '$.a')", {"name": "[" * 100_000}, ("x", "is nested too deep")),
        ("json_value(name, '$.a')", {"name": '{"a": NaN}'}, ("x", "is no JSON")),
        (
            "replace(name, 'n', name || name)",
            {"name": "n" * 40_000},
            ("x", "the result has more than 65536 characters"),
        ),
        ("name || name", {"name": "n" * 40_000}, ("x", "the result has more than 65536 characters")),
        ("lpad(name, 70000)", {}, ("x", "the result has more than 65536 characters")),
        ("regexp_replace(name, 'n', 'nn')", {"name": "n" * 40_000}, ("x", "the result has more than 65536 characters")),
        (
            f"regexp_replace(name, '(.*)', '{'a' * 2_000}')",
            {"name": "n" * 40_000},
            ("x", "is too long for this replacement"),
        ),
        ("regexp_like(name, 'n')", {"name": "\ud800"}, ("x", "has characters that no encoding can write")),
        ("split_part(name, '-', 0)", {}, ("x", "parts are counted from 1")),
    ],
)
def test_a_value_that_cannot_be_taken_costs_its_row_alone(
    expression: str, values: dict[str, str | None], fault: tuple[str, str]
) -> None:
    plain = with_(amount="7", name='{"a": 1}') if "json" in expression else with_(amount="7", name="2025-03-14")
    assert reasons(expression, with_(**values)) == [(0, *fault)]
    if reasons(expression, plain):  # no value of the column suits it
        return
    rows = [plain] * 5 + [with_(**values)] + [plain] * 3
    made = applied(steps_of({"map": {"x": expression}}), rows)
    assert (made.rows, made.diverted) == (8, [(5, *fault)])
    assert len(made.columns[0]) == 8
    assert not any((values.get(name) or "?") in fault[1] for name in values)


def test_all_faults_of_a_batch_are_found_with_the_rows_in_between() -> None:
    rows = [with_(id=str(at), amount="x" if at % 7 == 3 else str(at)) for at in range(100)]
    made = applied(steps_of({"filter": "id <> 5"}, {"map": {"id": "id", "twice": "amount * 2"}}), rows)
    bad = [at for at in range(100) if at % 7 == 3]
    assert [fault.row for fault in made.diverted] == bad
    assert list(made.columns[0]) == [str(at) for at in range(100) if at not in {*bad, 5}]
    assert (made.rows, made.filtered) == (100 - len(bad) - 1, 1)


def test_a_row_that_is_filtered_out_is_no_fault_of_a_later_step() -> None:
    rows = [with_(amount="x", id="1"), with_(amount="1", id="2")]
    made = applied(steps_of({"filter": "id > 1"}, {"filter": "amount > 0"}), rows)
    assert (made.rows, made.filtered, made.diverted) == (1, 1, [])


def test_what_is_not_reached_is_not_calculated() -> None:
    assert column("case when amount = 0 then null else 1 / amount end", with_(amount="0")) == [None]
    assert column("if(amount = 0, 0, 1 / amount)", with_(amount="0")) == ["0"]
    assert column("coalesce(name, cast(name as text) || 'x')") == ["Ann"]
    assert column("amount <> 0 and 1 / amount > 0", with_(amount="0")) == ["false"]
    assert column("amount = 0 or 1 / amount > 0", with_(amount="0")) == ["true"]


def test_rules_divert_warn_and_refuse_in_their_order() -> None:
    rules = [
        {"rule": "amount > 0", "severity": "warn", "reason": "small"},
        {"rule": "amount < 100", "severity": "divert", "reason": "large"},
        {"rule": "name <> 'Eve'", "reason": "Eve"},
    ]
    rows = [
        with_(amount="0"),
        with_(amount="100"),
        with_(name="Eve"),
        with_(amount=None),
        with_(name="Eve", amount="0"),
    ]
    made = applied(steps_of({"filter": "id = 1"}, {"validate": rules}), rows)
    assert made.diverted == [(1, "", "large"), (2, "", "Eve"), (4, "", "Eve")]
    assert made.refused == (2, "", "Eve")
    assert dict(made.warnings) == {"small": 2}
    assert made.rows == 2


def test_values_of_untyped_texts_are_read_as_columns_are() -> None:
    assert column("paid", with_(paid="NEIN")) == ["NEIN"]
    assert column("not paid", with_(paid="NEIN"), with_(paid="true"), with_(paid="")) == ["true", "false", None]
    assert column("day = '2025-03-14'", with_(day="2025-03-14T23:59:59Z")) == ["true"]
    assert column("at", with_(at="2025-03-14T09:26")) == ["2025-03-14T09:26"]
    rows = [with_(at=text) for text in ("2025-03-14T09:26:53+08:00", "2025-03-14 01:26:53.000001", "2024-02-29", None)]
    assert column("at + interval '0 days'", *rows) == [
        "2025-03-14 01:26:53", "2025-03-14 01:26:53.000001", "2024-02-29 00:00:00", None,
    ]  # fmt: skip
    assert column("amount + 0", with_(amount="+1e3"), with_(amount="-0.0"), with_(amount="1e-7")) == [
        "1000", "0.0", "0.0000001",
    ]  # fmt: skip


def test_texts_of_a_batch_are_bounded_before_they_are_all_made() -> None:
    steps = steps_of({"map": {"x": "lpad(name, 65536)"}})
    assert applied(steps, [ROW] * 500).rows == 500
    with pytest.raises(SluiceError) as caught:
        applied(steps, [ROW] * 100_000)
    assert (caught.value.code, caught.value.facts["column"]) == (ErrorCode.BATCH_TOO_LARGE, "x")
    rows = [with_(name=str(at)) for at in range(1_001)]
    assert list(applied(steps_of({"map": {"x": "name || '!'"}}), rows).columns[0]) == [f"{at}!" for at in range(1_001)]


def test_a_batch_without_rows_passes() -> None:
    made = applied(steps_of({"filter": "amount > 1"}, {"map": {"x": "amount * 2", "y": "1"}}), [])
    assert [list(one) for one in made.columns] == [[], []]


def test_equal_hashes_are_made_by_equal_keys_alone() -> None:
    first, second, other = (column(f"hash(name, '{key}')")[0] for key in ("a", "a", "b"))
    assert first == second != other


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["1", "0", "x", "", None, "2.5", "1e400", "-3"]), max_size=40), st.integers(1, 9))
def test_how_rows_are_cut_into_batches_changes_nothing(amounts: list[str | None], cut: int) -> None:
    steps = steps_of(
        {"filter": "amount is null or amount <> 1"},
        {"validate": [{"rule": "amount > -1", "severity": "divert", "reason": "low"}]},
        {"map": {"id": "id", "x": "10 / amount"}},
    )
    rows = [with_(id=str(at), amount=amount) for at, amount in enumerate(amounts)]
    whole = applied(steps, rows)
    parts = [applied(steps, rows[first : first + cut]) for first in range(0, len(rows), cut)]
    assert [text for part in parts for text in part.columns[1]] == list(whole.columns[1])
    moved = [fault._replace(row=fault.row + at * cut) for at, part in enumerate(parts) for fault in part.diverted]
    assert moved == list(whole.diverted)
    assert sum(part.filtered for part in parts) == whole.filtered
    assert whole.rows + whole.filtered + len(whole.diverted) == len(rows)


def test_names_of_columns_never_become_names_of_the_code() -> None:
    names = ["c0", "c0s", "k1", "t1", "\0t1", "n", "_", "str", 'x"] + [1', "__import__('os')", "lambda"]
    specs = [ColumnSpec(name) for name in names]
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    text = f"case when {quoted[3]} between 'a' and 'z' then {' || '.join(quoted)} end"
    steps = parse_steps([{"map": {"x": text}}], dict.fromkeys(names, ColumnType.STRING), {})
    made = RowSteps(steps, specs, Secret).apply([[letter] for letter in "abcdefghijk"], 1)
    assert made.columns == [["abcdefghijk"]]


def test_a_replacement_has_groups_and_backslashes() -> None:
    assert column(r"regexp_replace('a-b', '(a)-(b)', '\2\\1\0')") == [r"b\1a-b"]
    assert column("regexp_extract('ab', 'a(x)?', 1)") == [None]
    assert column("regexp_extract('日本語', '本(.)', 1)") == ["語"]


def test_every_letter_of_a_date_format_is_written() -> None:
    letters = "YymcdeHkhIlisSfpMbWajT%"
    assert set(letters) == set(CODES)
    text = "|".join(f"%{letter}" for letter in letters)
    made = applied(steps_of({"map": {"text": f"date_format(at, '{text}')"}}), [ROW])
    assert made.columns[0] == ["2025|25|03|3|14|14|09|9|09|09|9|26|53|53|000000|AM|March|Mar|Friday|Fri|073|09:26:53|%"]


def test_points_in_time_are_compared_as_such_also_in_the_hour_that_clocks_have_twice() -> None:
    steps = steps_of({"map": {"is_before": "at < '2025-10-26 02:20:00+01:00'", "utc": "coalesce(at, at)", "at": "at"}})
    made = applied(steps, [with_(at="2025-10-26 02:30:00+02:00"), with_(at="2025-10-26 02:30:00+01:00")])
    assert made.columns[0] == ["true", "false"]
    assert made.columns[1] == ["2025-10-26 00:30:00", "2025-10-26 01:30:00"]
    assert list(made.columns[2]) == ["2025-10-26 02:30:00+02:00", "2025-10-26 02:30:00+01:00"]
