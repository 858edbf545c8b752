"""What is wrong with an expression is found before any row, and said with its place and the way out."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from sluice.domain.expression import Call, ColumnValue, Constant, Expression
from sluice.domain.schema import ColumnType
from sluice.tables.expressions.parsing import parse_condition, parse_expression
from sluice.tables.expressions.typing_rules import ExpressionError
from sluice.tables.processors.step_parsing import StepsError, parse_steps

COLUMNS = {
    "name": ColumnType.STRING,
    "amount": ColumnType.NUMBER,
    "paid": ColumnType.BOOLEAN,
    "day": ColumnType.DATE,
    "created_at": ColumnType.DATETIME,
    "Mixed Case": ColumnType.STRING,
}

MISTAKES = [
    ("amuont > 1", "there is no column 'amuont' at character 1; did you mean amount?"),
    ("trimm(name)", "there is no function trimm; did you mean trim?"),
    ("t.amount", "a column stands by its own name, without that of a table (near 't.amount')"),
    ('"AMOUNT"', "there is no column 'AMOUNT' at character 1"),
    ("amount + name", "+ takes a number, and name is a string: write cast(name as number)"),
    ("name = amount", "= takes values of one kind, and name is a string, amount a number: write cast(name as number)"),
    ("amount = 'x'", "'x' is no number"),
    ("day >= '2025-02-30'", "'2025-02-30' is no date"),
    ("paid = 'maybe'", "'maybe' is neither true nor false"),
    ("amount and paid", "and takes a boolean, and amount is a number: compare it, as in amount = …"),
    ("day + 1", "date + number is not there: write + interval '1 day', or date_diff('day', a, b)"),
    ("day - created_at", "date - datetime is not there"),
    ("substr(name)", "substr takes 2 to 3 arguments, and has 1"),
    ("lower(name, name)", "lower takes 1 argument, and has 2"),
    ("concat()", "concat takes at least 1 argument, and has 0"),
    ("count(*)", "count of all rows is not there: an expression has one row"),
    ("sum(amount) over ()", "window is nothing that an expression has"),
    ("amount in (select 1)", "behind in stands a list of values"),
    ("amount in ()", "behind in stands at least one value"),
    ("select 1", "is no SQL expression"),
    ("amount; drop table x", "is no SQL expression"),
    ("amount; name", "there has to be one expression"),
    ("amount >", "is no SQL expression"),
    ("round(amount, 2", "is no SQL expression: Expecting ) at character 15"),
    ("", "there has to be one expression"),
    ("now()", "now is not there: a row has to become the same whenever it is read"),
    ("current_date", "current_date is not there"),
    (":min", "there is no parameter :min; did you mean :mini?"),
    (":run.window_ende", "there is no parameter :run.window_ende; did you mean :run.window_end?"),
    ("mask(name, 'emial')", "mask: there is no mask 'emial': there are email, phone, name, card, last4"),
    ("mask(name, name)", "mask: argument 2 has to stand in the expression as a constant"),
    ("date_format(day, '%Y-%q')", "date_format: %q is no part of a date"),
    ("date_add(day, 1, 'days')", "date_add: 'days' is no unit"),
    ("regexp_like(name, '(a')", "regexp_like: no regular expression of RE2: missing ): (a"),
    ("regexp_extract(name, 'a(b)', 2)", "regexp_extract: the pattern has 1 groups, and no group 2"),
    (r"regexp_replace(name, 'a', '\1')", "regexp_replace: the pattern has 0 groups, and no group 1"),
    (
        "regexp_replace(name, 'a', '\\')",
        "regexp_replace: behind a backslash of a replacement stands the number of a group",
    ),
    ("json_value(name, 'a.b')", "json_value: a path begins with $"),
    ("json_object('a', 1, 'b')", "json_object takes names and values in turn"),
    ("name like name", "the pattern of like has to stand in the expression as a constant"),
    (r"name like 'a\'", "like: the pattern ends with its escape"),
    ("cast(name as uuid)", "there is no type uuid: there are text, varchar(n)"),
    ("cast(paid as number)", "a boolean cannot become a number"),
    ("cast(name as decimal(50, 2))", "decimal(50, 2) is not there: at most 38 digits"),
    ("case when paid then 1 else 'a' end", "'a' is no number"),
    ("case when paid then amount else name end", "case takes values of one kind"),
    ("1234567890123456789012345678901234567890", "is no number of at most 38 digits"),
    ("amount.name", "a column stands by its own name"),
    ("{amount}", "struct is nothing that an expression has"),
    ("(amount, name)", "tuple is nothing that an expression has"),
    ("name -> 'a'", "is no SQL expression"),
    ("name and 'it", "is no SQL expression"),
    ("__import__('os')", "there is no function __import__"),
    (" + ".join(["amount"] * 40), "the expression is nested deeper than 32"),
    (" and ".join(["paid"] * 250), "the expression has more than 200 parts"),
    ("(" * 2000 + "amount" + ")" * 2000, "the expression is nested too deep"),
    ("'" + "a" * 5000 + "'", "the expression has more than 4096 characters"),
]
PARAMETERS: dict[str, str | float | bool | None] = {"mini": 1, "run.window_end": "2025-01-01"}


@pytest.mark.parametrize(("text", "said"), MISTAKES, ids=[text[:40] for text, _ in MISTAKES])
def test_a_mistake_is_a_sentence(text: str, said: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text, COLUMNS, PARAMETERS)
    assert said in str(caught.value)


def test_a_condition_is_true_or_false() -> None:
    with pytest.raises(ExpressionError, match="a condition is true or false, and this is a number"):
        parse_condition("amount", COLUMNS, {})
    assert parse_condition("null", COLUMNS, {}) == Constant(None, "boolean")


def test_a_parameter_is_a_value_whatever_its_text() -> None:
    injected = "x' or 1 = 1 --"
    assert parse_expression("name = :p", COLUMNS, {"p": injected}) == Call(
        "=", (ColumnValue("name", "string"), Constant(injected, "string")), "boolean"
    )
    kinds = [(None, Constant(None, "number")), (7, Constant("7", "number")), (0.1, Constant("0.1", "number"))]
    for value, constant in kinds:
        read = parse_expression("amount = :p", COLUMNS, {"p": value})
        assert isinstance(read, Call)
        assert read.arguments[1] == constant
    with pytest.raises(ExpressionError, match="parameter :p is no finite number"):
        parse_expression(":p", COLUMNS, {"p": float("nan")})


def test_names_fold_only_where_one_column_can_be_meant() -> None:
    assert parse_expression("AMOUNT", COLUMNS, {}) == ColumnValue("amount", "number")
    assert parse_expression('"Mixed Case"', COLUMNS, {}) == ColumnValue("Mixed Case", "string")
    with pytest.raises(ExpressionError, match="there is no column 'A'"):
        parse_expression("A", {"a ": ColumnType.STRING, "Aa": ColumnType.STRING}, {})


def test_a_tree_is_stored_and_read_without_a_parser() -> None:
    read = parse_expression("round(amount * 2, 1) > 3 and not paid", COLUMNS, {})
    assert msgspec.json.decode(msgspec.json.encode(read), type=Expression) == read
    assert (
        python("import sluice.tables.processors.step_parsing, sys; print({'sqlglot', 're2'} & {*sys.modules})")
        == "set()"
    )


def python(code: str) -> str:
    """What a process of its own says."""
    return subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@pytest.mark.parametrize(("package", "condition"), [("sqlglot", "a = 'x'"), ("re2", "regexp_like(a, 'x')")])
def test_what_is_not_installed_is_said_with_the_extra_that_brings_it(package: str, condition: str) -> None:
    code = f"""
import sys
sys.modules["{package}"] = None
from sluice.domain.schema import ColumnType
from sluice.tables.processors.step_parsing import StepsError, parse_steps
try:
    parse_steps([{{"filter": "{condition}"}}], {{"a": ColumnType.STRING}}, {{}})
except StepsError as error:
    print(*error.problems)
"""
    assert "need the extra, pip install 'sluice[jobs]'" in python(code)


def test_every_mistake_of_the_steps_is_said_at_once_with_its_place() -> None:
    tree: list[dict[str, object]] = [
        {"filter": "amuont > 1"},
        {"map": {"a": "lowr(name)", "b": "amount", "c": ["amount"]}},
        {"fliter": "a"},
        {"filter": "a = 1 and b > 2"},
        {"validate": [{"rule": "b > 'x'", "severity": "oops"}, {"rul": "b"}, {"rule": "b > 1", "reson": "x"}]},
        {"map": {}},
    ]
    with pytest.raises(StepsError) as caught:
        parse_steps(tree, COLUMNS, {})
    assert [problem.partition(";")[0] for problem in caught.value.problems] == [
        "steps[0].filter: there is no column 'amuont' at character 1",
        "steps[1].map.a: there is no function lowr",
        "steps[1].map.c: is an expression, as text",
        "steps[2].fliter: is no step",
        "steps[4].validate[0].severity: 'oops' is none",
        "steps[4].validate[0].rule: 'x' is no number",
        "steps[4].validate[1]: has a rule, as rule: amount >= 0",
        "steps[4].validate[2].reson: is nothing of a rule",
        "steps[5].map: has the new columns, as name: expression",
    ]
