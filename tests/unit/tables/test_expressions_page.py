"""Every function is on the page, with examples that come out as it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.domain.secret import Secret
from sluice.domain.step import MappedColumn, MapStep
from sluice.tables.expressions.code_table import WRITERS
from sluice.tables.expressions.date_formats import CODES, UNITS
from sluice.tables.expressions.parsing import parse_expression
from sluice.tables.expressions.signatures import FUNCTIONS, SAME_AS
from sluice.tables.processors.row_steps import RowSteps
from sluice.tables.processors.step_parsing import parse_steps
from tests.support.page_examples import examples

PAGE = Path(__file__).resolve().parents[3] / "docs/expressions.md"
TEXT = PAGE.read_text(encoding="utf-8")
EXAMPLE = re.compile(r"`([^`]+)` → (?:`([^`]*)`|(null)|fault: ([\w ]+\w))")
COLUMN = re.compile(r"^\| (\w+) \| (string|number|boolean|date|datetime) \| (?:`(.*)`|null) \|$", re.MULTILINE)
ROW = [(name, ColumnType(kind), text or None) for name, kind, text in COLUMN.findall(TEXT)]
COLUMNS = {name: kind for name, kind, _ in ROW}


class Example(NamedTuple):
    """An expression of the page and what it gives."""

    expression: str
    text: str | None
    fault: str


def examples_of(line: str) -> list[Example]:
    found = EXAMPLE.findall(line.rpartition(" | ")[2].replace("\\|", "|"))
    return [Example(expression, None if null or fault else text, fault) for expression, text, null, fault in found]


LINES = [line for line in TEXT.partition("## Functions")[2].splitlines() if " → " in line]


def evaluated(expression: str) -> tuple[str | None, str]:
    """The text that the sample row gets, and the reason for which it gets none."""
    tree = parse_expression(expression, COLUMNS, {})
    specs = [ColumnSpec(name, kind) for name, kind, _ in ROW]
    steps = RowSteps([MapStep((MappedColumn("x", tree),))], specs, lambda _: Secret("a key for the page"))
    made = steps.apply([[text] for _, _, text in ROW], 1)
    return (made.columns[0][0], "") if made.rows else (None, made.diverted[0].reason)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.partition(" | ")[0].removeprefix("| "))
def test_examples_come_out_as_the_page_says(line: str) -> None:
    for example in examples_of(line):
        assert (example.expression, *evaluated(example.expression)) == example


def test_every_line_has_three_examples() -> None:
    assert [line for line in LINES if len(examples_of(line)) != 3] == []
    assert len(LINES) > 60


def test_every_function_and_every_other_name_is_on_the_page() -> None:
    heads = " ".join(line.split(" | ")[0] for line in LINES)
    assert [name for name in FUNCTIONS if f"`{name}(" not in heads] == []
    assert [name for name in SAME_AS if f"`{name}`" not in TEXT.splitlines()[-1]] == []
    assert [letter for letter in CODES if f"`%{letter}`" not in TEXT] == []
    assert [unit for unit in UNITS if f"`{unit}`" not in TEXT] == []


def test_each_function_that_can_be_written_can_be_run() -> None:
    assert set(FUNCTIONS) <= set(WRITERS)


def test_the_steps_of_the_page_run() -> None:
    columns = {"order_no": ColumnType.STRING, "customer": ColumnType.STRING, "email": ColumnType.STRING}
    columns |= {"amount": ColumnType.NUMBER, "qty": ColumnType.NUMBER, "paid": ColumnType.BOOLEAN}
    columns |= {"created_at": ColumnType.DATETIME}
    steps = parse_steps(yaml.safe_load(examples(PAGE, "yaml")["steps"]), columns, {"min_amount": 1000})
    specs = [ColumnSpec(name, kind) for name, kind in columns.items()]
    rows = [
        ("A1", " Ann ", "ann@example.com", "1000.50", "3", "true", "2025-03-14 09:26:53"),
        ("A2", "Bob", "none", "2000", "12", "t", "2025-04-01"),
        ("A3", "Cy", None, "5000", "100", "1", "2025-04-01"),
        ("A4", "Di", None, "999.99", "1", "true", "2025-04-01"),
    ]
    made = RowSteps(steps, specs, lambda _: Secret("k")).apply(list(zip(*rows, strict=True)), len(rows))
    assert [row[:3] + row[4:] for row in zip(*made.columns, strict=True)] == [
        ("A1", "Ann", "a***@example.com", "3001.50", "2025-03", "small"),
        ("A2", "Bob", "***", "24000.00", "2025-04", "large"),
    ]
    assert (made.rows, made.filtered, dict(made.warnings)) == (2, 1, {"no address": 1})
    assert made.diverted == [(2, "", "quantity out of range")]
