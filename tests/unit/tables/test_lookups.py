"""A lookup adds columns to rows, and neither loses nor doubles one."""

from __future__ import annotations

import pytest
import yaml

from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.domain.secret import Secret
from sluice.tables.processors.lookups import LOOKUP_ROWS_MAX, InvalidLookup, Lookup
from sluice.tables.processors.row_steps import Applied, RowSteps
from sluice.tables.processors.step_parsing import StepsError, parse_steps

SPECS = (ColumnSpec("id", ColumnType.NUMBER), ColumnSpec("city", ColumnType.STRING), ColumnSpec("day", ColumnType.DATE))
KINDS = {spec.name: spec.type for spec in SPECS}
REGIONS = Lookup(
    (
        ColumnSpec("name", ColumnType.STRING),
        ColumnSpec("number", ColumnType.NUMBER),
        ColumnSpec("region", ColumnType.STRING, width=9),
        ColumnSpec("rate", ColumnType.NUMBER, format="0.00"),
    ),
    (("北京", "Lyon", None, "Oslo"), ("1", "2.0", "3", ""), ("north", "east", "x", ""), ("0.10", None, "9", "0.30")),
    4,
)
ROWS = [
    ("1", "Lyon", "2025-01-01"),
    ("2", "Bonn", "2025-01-01"),
    ("2.0", None, ""),
    ("4", "北京", ""),
    ("x", "Oslo", ""),
]


def applied(step: str, *more: dict[str, object], lookup: Lookup = REGIONS) -> tuple[RowSteps, Applied]:
    known = {"regions": {spec.name: spec.type for spec in lookup.columns}}
    tree = [{"enrich": yaml.safe_load(step)}, *more]
    steps = RowSteps(parse_steps(tree, KINDS, {}, lookups=known), SPECS, Secret, find_lookup=lambda _: lookup)
    return steps, steps.apply(list(zip(*ROWS, strict=True)), len(ROWS))


def test_columns_are_added_and_what_is_missing_is_null() -> None:
    steps, made = applied("{lookup: regions, by: {city: name}, take: {area: region, rate: rate}}")
    assert [list(one) for one in made.columns[3:]] == [
        ["east", None, None, "north", ""],
        [None, None, None, "0.10", "0.30"],
    ]
    assert list(steps.output()[3:]) == [
        ColumnSpec("area", ColumnType.STRING, width=9),
        ColumnSpec("rate", ColumnType.NUMBER, format="0.00"),
    ]
    assert (made.rows, made.filtered, made.diverted) == (5, 0, [])


@pytest.mark.parametrize(
    ("missing", "filtered", "rows"), [("drop", 2, []), ("divert", 0, [1, 2]), ("fail", 0, [1, 2]), ("null", 0, [])]
)
def test_a_missing_row_is_dropped_diverted_or_refused(missing: str, filtered: int, rows: list[int]) -> None:
    tree = f"{{lookup: regions, by: {{city: name}}, take: [region], missing: {missing}}}"
    _, made = applied(tree, {"map": {"id": "id", "region": "region"}})
    assert (made.filtered, [fault.row for fault in made.diverted]) == (filtered, rows)
    assert all(fault[1:] == ("city", "is not in the lookup regions") for fault in made.diverted)
    assert (made.refused == made.diverted[0]) if missing == "fail" else made.refused is None
    if missing != "null":
        assert [list(one) for one in made.columns] == [["1", "4", "x"], ["east", "north", ""]]


def test_keys_are_compared_as_values_and_one_that_is_none_costs_its_row() -> None:
    _, made = applied("{lookup: regions, by: {id: number}, take: [region]}")
    assert list(made.columns[3]) == ["north", "east", "east", None]
    assert made.diverted == [(4, "id", "is no number")]


def test_a_key_of_several_columns_has_no_null() -> None:
    lookup = Lookup(
        (
            ColumnSpec("city", ColumnType.STRING),
            ColumnSpec("at", ColumnType.DATETIME),
            ColumnSpec("x", ColumnType.STRING),
        ),
        (("Lyon", "Bonn", None), ("2025-01-01 00:00", "2025-01-02", None), ("a", "b", "c")),
        3,
    )
    _, made = applied("{lookup: regions, by: {city: city, day: at}, take: [x]}", lookup=lookup)
    assert list(made.columns[3]) == ["a", None, None, None, None]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((("a", "a"), ("x", "y")), "two rows of the lookup regions have the same k"),
        ((("a",) * (LOOKUP_ROWS_MAX + 1), ("x",) * (LOOKUP_ROWS_MAX + 1)), "has more than 200,000 rows or 33,554,432"),
        ((("a" * 33_554_432, "b"), ("x", "y")), "has more than 200,000 rows or 33,554,432"),
    ],
    ids=["a key twice", "rows", "characters"],
)
def test_a_table_that_is_none_to_look_up_in_is_refused(values: tuple[tuple[str, ...], ...], said: str) -> None:
    lookup = Lookup((ColumnSpec("k"), ColumnSpec("v")), values, len(values[0]))
    with pytest.raises(InvalidLookup, match=said):
        applied("{lookup: regions, by: {city: k}, take: [v]}", lookup=lookup)


def test_every_mistake_is_said_with_its_place() -> None:
    lookups = {"regions": {"city": ColumnType.STRING, "number": ColumnType.NUMBER, "region": ColumnType.STRING}}
    tree: list[dict[str, object]] = [
        {"enrich": {"lookup": "region", "by": ["city"], "take": ["x"]}},
        {"filter": "x = 1"},
        {
            "enrich": {
                "lookup": "regions",
                "by": {"cty": "city", "city": "number"},
                "take": {"id": "region", "y": "regon"},
            }
        },
        {"enrich": {"lookup": "regions", "by": "city", "take": [], "missing": "nul", "tke": 1}},
        {"enrich": ["regions"]},
        {"enrich": {"lookup": "regions", "by": ["city"], "take": ["region"], "missing": None}},
        {"filter": "region = 'north' and numbr = 1"},
    ]
    with pytest.raises(StepsError) as caught:
        parse_steps(tree, KINDS, {}, lookups=lookups)
    assert caught.value.problems == (
        "steps[0].enrich.lookup: there is no lookup 'region'; did you mean regions?",
        "steps[2].enrich.by: there is no column 'cty'; did you mean city?",
        "steps[2].enrich.by: city is a string, and number of the lookup a number: cast it in a map before",
        "steps[2].enrich.take: there is a column 'id' already: take it as another, as other: region",
        "steps[2].enrich.take: the lookup has no column 'regon'; did you mean region?",
        "steps[3].enrich.tke: is nothing of an enrich; did you mean take?",
        "steps[3].enrich.missing: 'nul' is none; did you mean null?",
        "steps[3].enrich.by: is a list of columns, or of column: column of the lookup",
        "steps[3].enrich.take: is a list of columns of the lookup, or of new column: column of it",
        "steps[4].enrich: has a lookup, by and take, as {lookup: regions, by: [city], take: [region]}",
        "steps[6].filter: there is no column 'numbr' at character 22; there are id, city, day, region",
    )
