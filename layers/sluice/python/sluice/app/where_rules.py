"""What a condition of a job may have: white lists, in which nothing writes, waits, or reads another table or a file.

Nothing in them has another value at another call either, so that a reading which is taken up finds the same rows. No
subquery is taken: the rows of another table are not those of the moment that is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeAlias

from sluice.domain.suggestion import did_you_mean

WhereDialect: TypeAlias = Literal["postgresql", "mysql", "sqlite"]
NODES_MAX = 4_000
"""Of the tree; a value in a list is one."""


class WhereError(Exception):
    """What is wrong with a condition, with its line and column where they are known. It quotes no parameter's value."""


def _words(*texts: str) -> frozenset[str]:
    return frozenset(" ".join(texts).split())


_EVERYWHERE = (
    "abs ceil ceiling floor round sign mod coalesce nullif lower upper length trim ltrim rtrim replace substr substring"
)
FUNCTIONS: Mapping[WhereDialect, frozenset[str]] = {
    "postgresql": _words(
        _EVERYWHERE,
        "trunc char_length octet_length left right strpos starts_with concat greatest least",
        "date_trunc date_part make_date md5",
    ),
    "mysql": _words(
        _EVERYWHERE,
        "truncate char_length octet_length left right locate concat greatest least ifnull if isnull",
        "date year quarter month day hour minute second weekday dayofweek dayofmonth dayofyear datediff last_day",
        "date_format md5 crc32",
    ),
    "sqlite": _words(_EVERYWHERE, "instr ifnull iif typeof date time datetime julianday strftime"),
}
"""What a condition may call, by the server's language."""
TYPES: Mapping[WhereDialect, frozenset[str]] = {
    "postgresql": _words(
        "smallint int bigint decimal double float text varchar char boolean date timestamp timestamptz time"
    ),
    "mysql": _words("bigint ubigint decimal double float char date datetime time"),
    "sqlite": _words("int double float text char varchar"),
}
"""What a condition may cast to, as sqlglot calls it."""
_UNITS = _words("YEAR MONTH WEEK DAY HOUR MINUTE SECOND")
_TRUTHS = _words(
    "And Or Not EQ NEQ GT GTE LT LTE NullSafeEQ NullSafeNEQ Is Boolean Between In Like ILike Escape",
    "Column Case Anonymous Placeholder Dot",
)
"""What may be true or false."""
_NODES = _TRUTHS | _words(
    "Paren Null Identifier Literal Add Sub Mul Div IntDiv Mod Neg DPipe If Cast DataType DataTypeParam",
    "Extract Interval Var",
)
_ONLY_IN: Mapping[str, frozenset[str]] = {
    "ILike": _words("postgresql"),
    "Interval": _words("postgresql mysql"),
    "Extract": _words("postgresql mysql"),
    "IntDiv": _words("mysql"),
    "DPipe": _words("postgresql sqlite"),
}
_NO_SUBQUERIES = "no subqueries: a condition is about the rows of its own table"
_NO_PATTERNS = "no regular expressions: write like, or filter by a step"
_SAID = {
    "Subquery": _NO_SUBQUERIES,
    "Select": _NO_SUBQUERIES,
    "Exists": _NO_SUBQUERIES,
    "Window": "no windows: a condition is about one row",
    "RegexpLike": _NO_PATTERNS,
    "SimilarTo": _NO_PATTERNS,
    "ByteString": "no escapes of backslashes: write the text in plain quotes",
    "SessionParameter": "no settings of the server",
    "Parameter": "no numbered values: write :name",
}
_NOW = _words("now current_date current_time current_timestamp localtime localtimestamp sysdate")
_MOVING = _words("now today tomorrow yesterday")


def check_where(tree: Any, dialect: WhereDialect) -> None:
    """Raise ``WhereError`` for the first thing that no condition has, and for what is neither true nor false."""
    for number, node in enumerate(tree.walk()):
        if number >= NODES_MAX:
            raise WhereError("it has too many parts")
        kind = type(node).__name__
        if kind not in _NODES:
            raise WhereError(f"{place_of(node)}{_SAID.get(kind) or f'a condition has no {kind.upper()}'}")
        if dialect not in _ONLY_IN.get(kind, {dialect}):
            raise WhereError(f"{place_of(node)}a condition of type {dialect} has no {kind.upper()}")
        for problem in _RULES[kind](node, dialect) if kind in _RULES else ():
            raise WhereError(f"{place_of(node)}{problem}")
    while type(tree).__name__ == "Paren":
        tree = tree.this
    if type(tree).__name__ not in _TRUTHS:
        raise WhereError(f"{place_of(tree)}it is no condition that is true or false: compare it with something")


def place_of(node: Any) -> str:
    """Where it stands; empty where sqlglot does not know."""
    for one in node.walk():
        if "line" in one.meta:
            return f"line {one.meta['line']}, column {max(1, one.meta['col'] - len(one.name) + 1)}: "
    return ""


def _call(node: Any, dialect: WhereDialect) -> Iterator[str]:
    name = node.name.lower()
    if name in _NOW:
        yield _moves(name)
    elif not isinstance(node.this, str):
        yield "the name of a function stands without quotes"
    elif name not in FUNCTIONS[dialect]:
        yield f"{name}() is no function that a condition may call{did_you_mean(name, FUNCTIONS[dialect])}"
    elif dialect == "sqlite" and any(one.is_string and one.this.strip().lower() in _MOVING for one in node.expressions):
        yield _moves("now")


def _column(node: Any, dialect: WhereDialect) -> Iterator[str]:
    del dialect
    if node.parts[1:] or not node.name:
        yield "the name of a column stands alone, without that of its table"
    elif not node.this.quoted and node.name.lower() in _NOW:
        yield _moves(node.name)


def _cast(node: Any, dialect: WhereDialect) -> Iterator[str]:
    named = getattr(node.to.this, "name", "").lower()
    if named not in TYPES[dialect] or node.to.args.get("nested") or type(node).__name__ != "Cast":
        yield f"a condition casts to none but {', '.join(sorted(TYPES[dialect]))}"
    elif node.this.is_string and node.this.this.strip().lower() in _MOVING:
        yield _moves(node.this.this)


def _list(node: Any, dialect: WhereDialect) -> Iterator[str]:
    del dialect
    if any(node.args.get(name) for name in ("query", "unnest", "field")):
        yield "values of a list stand in brackets, one by one; there are no subqueries"
    elif not node.expressions:
        yield "a list has a value at least"


def _interval(node: Any, dialect: WhereDialect) -> Iterator[str]:
    del dialect
    is_whole = type(node.this).__name__ == "Literal" and node.this.this.isascii() and node.this.this.isdigit()
    if not is_whole or node.unit is None or node.unit.name.upper().removesuffix("S") not in _UNITS:
        yield "an interval is a whole number and one of year, month, week, day, hour, minute, second"


def _extract(node: Any, dialect: WhereDialect) -> Iterator[str]:
    del dialect
    if type(node.this).__name__ != "Var" or not node.name.isalpha():
        yield "extract has the name of a part, as year"


def _dot(node: Any, dialect: WhereDialect) -> Iterator[str]:
    del dialect
    if type(node.this).__name__ != "Placeholder" or type(node.expression).__name__ != "Identifier":
        yield "the name of a column stands alone, and so does that of a function"


def _placeholder(node: Any, dialect: WhereDialect) -> Iterator[str]:
    del dialect
    if not node.args.get("this"):
        yield "a value is given by a name, as :name"


def _var(node: Any, dialect: WhereDialect) -> Iterator[str]:
    del dialect
    if type(node.parent).__name__ not in {"Interval", "Extract"}:
        yield f"{node.name} is not understood here"


def _moves(name: str) -> str:
    return f"{name} is another moment at each reading: write :run.window_end, which is one for the run"


_RULES: Mapping[str, Callable[[Any, WhereDialect], Iterator[str]]] = {
    "Anonymous": _call,
    "Column": _column,
    "Cast": _cast,
    "In": _list,
    "Interval": _interval,
    "Extract": _extract,
    "Dot": _dot,
    "Placeholder": _placeholder,
    "Var": _var,
}
"""What is looked at beside the kind of a part; each gives what is wrong."""
