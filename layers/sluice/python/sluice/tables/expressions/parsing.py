"""Reads SQL scalar expressions by sqlglot into the stored tree; all that is wrong is found here, before any row."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlglot import Dialect, TokenType, exp, parser
from sqlglot.errors import SqlglotError

from sluice.domain.expression import DEPTH_MAX, NODES_MAX, Call, ColumnValue, Constant, Expression, Kind
from sluice.domain.schema import ColumnType
from sluice.domain.suggestion import did_you_mean
from sluice.tables.expressions.typing_rules import (
    MOMENTS,
    ExpressionError,
    all_compared,
    call_of,
    compared,
    constant_of,
    nulls_as,
    same_kind,
    take_as,
    with_kind,
)

TEXT_CHARS_MAX = 4_096
_TYPES: Mapping[str, Kind] = {
    **dict.fromkeys(("TEXT", "VARCHAR", "CHAR", "NVARCHAR", "NCHAR"), "string"),
    **dict.fromkeys(("TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT"), "number"),
    **dict.fromkeys(("DECIMAL", "DOUBLE", "FLOAT"), "number"),
    **dict.fromkeys(("TIMESTAMP", "DATETIME", "TIMESTAMPTZ"), "datetime"),
    "DATE": "date",
    "BOOLEAN": "boolean",
}
_WHOLE = {"TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT"}
_NOW = {"current_date", "current_time", "current_timestamp", "now", "localtime", "localtimestamp", "today", "sysdate"}


class _Sql(Dialect):
    """Plain SQL in which a function is a name and its arguments: which ones there are, is ours to say."""

    class Parser(parser.Parser):
        """Keeps the syntax of ``case``, ``cast`` and ``extract``."""

        FUNCTIONS = {}  # noqa: RUF012 -- as the class above has it
        FUNCTION_PARSERS = {  # noqa: RUF012
            name: read
            for name, read in parser.Parser.FUNCTION_PARSERS.items()
            if name in {"CAST", "TRY_CAST", "EXTRACT"}
        }
        NO_PAREN_FUNCTIONS = {}  # noqa: RUF012
        COLUMN_OPERATORS = {  # noqa: RUF012
            sign: read
            for sign, read in parser.Parser.COLUMN_OPERATORS.items()
            if sign in {TokenType.DOT, TokenType.DCOLON}
        }
        NO_PAREN_FUNCTION_PARSERS = {  # noqa: RUF012
            name: read for name, read in parser.Parser.NO_PAREN_FUNCTION_PARSERS.items() if name == "CASE"
        }


def parse_expression(
    text: str, columns: Mapping[str, ColumnType], parameters: Mapping[str, str | float | bool | None]
) -> Expression:
    """Read an expression over these columns. ``:name`` is the parameter's value, which no text of it can leave.

    Raises ``ExpressionError`` for what is no expression of ours, or of wrong types; the first mistake that is found.
    """
    if len(text) > TEXT_CHARS_MAX:
        raise ExpressionError(f"the expression has more than {TEXT_CHARS_MAX} characters")
    try:
        found = _Sql().parse_into(exp.Condition, text)
        if len(found) != 1 or found[0] is None:
            raise ExpressionError("there has to be one expression")
        return _Reader(text, columns, parameters).read(found[0])
    except RecursionError:
        raise ExpressionError("the expression is nested too deep") from None
    except SqlglotError as error:
        raise _syntax_error(error) from None


def parse_condition(
    text: str, columns: Mapping[str, ColumnType], parameters: Mapping[str, str | float | bool | None]
) -> Expression:
    """As ``parse_expression``, of one that is true or false."""
    read = parse_expression(text, columns, parameters)
    if read.kind != "boolean" and not (isinstance(read, Constant) and read.text is None):
        raise ExpressionError(f"a condition is true or false, and this is a {read.kind}")
    return with_kind(read, "boolean")


def _syntax_error(error: SqlglotError) -> ExpressionError:
    places = getattr(error, "errors", None)
    if not places:
        return ExpressionError("is no SQL expression")
    said, near = str(places[0].get("description", "")), str(places[0].get("highlight") or "")
    what = "an expression was expected here" if said.startswith(("Invalid", "Required")) else said
    place = f" at character {places[0]['col']}" if places[0].get("col") else ""
    return ExpressionError(f"is no SQL expression: {what}{place}", near=near)


class _Reader:
    """Turns what sqlglot read into our tree, kind by kind."""

    def __init__(
        self, text: str, columns: Mapping[str, ColumnType], parameters: Mapping[str, str | float | bool | None]
    ) -> None:
        self._text = text
        self._columns = columns
        self._folded: dict[str, list[str]] = {}
        for name in columns:
            self._folded.setdefault(name.casefold(), []).append(name)
        self._parameters = parameters
        self._nodes = 0
        self._depth = 0

    def read(self, node: Any) -> Expression:
        self._nodes += 1
        self._depth += 1
        if self._nodes > NODES_MAX:
            raise ExpressionError(f"the expression has more than {NODES_MAX} parts")
        if self._depth > DEPTH_MAX:
            raise ExpressionError(f"the expression is nested deeper than {DEPTH_MAX}")
        read = _READERS.get(type(node))
        if read is None:
            raise ExpressionError(f"{type(node).__name__.lower()} is nothing that an expression has", near=_near(node))
        try:
            return read(self, node)
        finally:
            self._depth -= 1

    def read_all(self, nodes: Sequence[Any]) -> list[Expression]:
        return [self.read(one) for one in nodes]

    def paren(self, node: Any) -> Expression:
        self._nodes -= 1
        return self.read(node.this)

    def literal(self, node: Any) -> Expression:
        if node.is_string:
            return Constant(node.this, "string")
        return constant_of(node.this, "number")

    def column(self, node: Any) -> Expression:
        identifier = node.this
        name = identifier.name
        if node.args.get("table"):
            raise ExpressionError("a column stands by its own name, without that of a table", near=node.sql())
        if name in self._columns:
            return ColumnValue(name, self._columns[name].value)
        folded = [] if identifier.args.get("quoted") else self._folded.get(name.casefold(), [])
        if len(folded) == 1:
            return ColumnValue(folded[0], self._columns[folded[0]].value)
        if name.casefold() in _NOW:
            raise _no_clock(name)
        near = did_you_mean(name, self._columns)
        place = identifier.meta.get("start")
        where = f" at character {place + 1}" if place is not None else ""
        raise ExpressionError(f"there is no column {name!r}{where}{near or _listed(self._columns)}")

    def parameter(self, node: Any) -> Expression:
        name = node.name if isinstance(node, exp.Placeholder) else self._dotted(node)
        if name not in self._parameters:
            known = [f":{one}" for one in self._parameters]
            raise ExpressionError(f"there is no parameter :{name}{did_you_mean(f':{name}', known) or _listed(known)}")
        match self._parameters[name]:
            case None:
                return Constant(None, "string")
            case bool() as truth:
                return Constant("true" if truth else "false", "boolean")
            case float() as number if not math.isfinite(number):
                raise ExpressionError(f"parameter :{name} is no finite number")
            case int() | float() as number:
                return constant_of(repr(number), "number")
            case str() as text:
                return Constant(text, "string")

    def _dotted(self, node: Any) -> str:
        if not isinstance(node.this, exp.Placeholder) or not isinstance(node.expression, exp.Identifier):
            raise ExpressionError("a dot stands only in the name of a parameter, as in :run.window_start")
        return f"{node.this.name}.{node.expression.name}"

    def null(self, _: Any) -> Expression:
        return Constant(None, "string")

    def boolean(self, node: Any) -> Expression:
        return Constant("true" if node.this else "false", "boolean")

    def negative(self, node: Any) -> Expression:
        value = take_as(self.read(node.this), "number", "-")
        if isinstance(value, Constant) and value.text is not None:
            return Constant(value.text[1:] if value.text.startswith("-") else f"-{value.text}", "number")
        return Call("neg", (value,), "number")

    def arithmetic(self, node: Any) -> Expression:
        sign = _SIGNS[type(node)]
        if isinstance(node.expression, exp.Interval):
            return self._shifted(node, sign)
        left, right = self.read(node.this), self.read(node.expression)
        if left.kind in MOMENTS or right.kind in MOMENTS:
            way = "write + interval '1 day', or date_diff('day', a, b)"
            raise ExpressionError(f"{left.kind} {sign} {right.kind} is not there: {way}")
        return Call(sign, (take_as(left, "number", sign), take_as(right, "number", sign)), "number")

    def _shifted(self, node: Any, sign: str) -> Expression:
        interval = node.expression
        unit = (interval.args["unit"].name if interval.args.get("unit") else "").lower().removesuffix("s")
        count = self.read(interval.this)
        if isinstance(count, Constant):
            count = constant_of(count.text or "", "number")
        if sign == "-":
            count = self.negative_of(count)
        elif sign != "+":
            raise ExpressionError("an interval is added or subtracted")
        self._nodes += 1
        return call_of("date_add", [self.read(node.this), count, Constant(unit, "string")])

    def negative_of(self, count: Expression) -> Expression:
        if isinstance(count, Constant) and count.text is not None:
            return Constant(count.text[1:] if count.text.startswith("-") else f"-{count.text}", "number")
        return Call("neg", (take_as(count, "number", "-"),), "number")

    def comparison(self, node: Any) -> Expression:
        sign = _SIGNS[type(node)]
        return Call(sign, compared(self.read(node.this), self.read(node.expression), sign), "boolean")

    def logic(self, node: Any) -> Expression:
        sign = _SIGNS[type(node)]
        parts = [take_as(self.read(one), "boolean", sign) for one in node.flatten()]
        return Call(sign, tuple(parts), "boolean")

    def negation(self, node: Any) -> Expression:
        return Call("not", (take_as(self.read(node.this), "boolean", "not"),), "boolean")

    def is_what(self, node: Any) -> Expression:
        value = self.read(node.this)
        match node.expression:
            case exp.Null():
                return Call("is null", (value,), "boolean")
            case exp.Boolean(this=truth):
                sign = "is true" if truth else "is false"
                if value.kind == "number":  # as MySQL has its booleans
                    value = Call("<>", (value, Constant("0", "number")), "boolean")
                return Call(sign, (take_as(value, "boolean", sign),), "boolean")
        raise ExpressionError("behind is stands null, true, false, or distinct from", near=_near(node))

    def is_in(self, node: Any) -> Expression:
        if node.args.get("query") or node.args.get("unnest") or node.args.get("field"):
            raise ExpressionError("behind in stands a list of values", near=_near(node))
        values = self.read_all([node.this, *node.expressions])
        if len(values) == 1:
            raise ExpressionError("behind in stands at least one value")
        return Call("in", all_compared(values, "in"), "boolean")

    def between(self, node: Any) -> Expression:
        values = self.read_all([node.this, node.args["low"], node.args["high"]])
        if node.args.get("symmetric"):
            raise ExpressionError("between symmetric is not there")
        return Call("between", all_compared(values, "between"), "boolean")

    def like(self, node: Any, escape: str = "\\") -> Expression:
        sign = "ilike" if isinstance(node, exp.ILike) else "like"
        value, pattern = take_as(self.read(node.this), "string", sign), self.read(node.expression)
        call = call_of(sign, [value, pattern, Constant(escape, "string")])
        return Call("not", (call,), "boolean") if node.args.get("negate") else call

    def escaped(self, node: Any) -> Expression:
        if not isinstance(node.this, (exp.Like, exp.ILike)) or len(node.expression.name) != 1:
            raise ExpressionError("behind escape stands one character, and before it a like", near=_near(node))
        return self.like(node.this, node.expression.name)

    def joined(self, node: Any) -> Expression:
        return Call("||", tuple(nulls_as(self.read(one), "string") for one in node.flatten()), "string")

    def case(self, node: Any) -> Expression:
        whens, results = [], []
        for branch in node.args["ifs"]:
            condition = self.read(branch.this)
            if node.this is not None:
                condition = Call("=", compared(self.read(node.this), condition, "case"), "boolean")
            whens.append(take_as(condition, "boolean", "when"))
            results.append(self.read(branch.args["true"]))
        default = node.args.get("default")
        results.append(self.read(default) if default is not None else Constant(None, "string"))
        kind = same_kind(results, "case")
        parts = [part for pair in zip(whens, results[:-1], strict=True) for part in pair]
        parts = [with_kind(one, kind) if at % 2 else one for at, one in enumerate(parts)]
        return Call("case", (*parts, with_kind(results[-1], kind)), kind)

    def cast(self, node: Any) -> Expression:
        to = node.to
        name = getattr(to.this, "name", str(to.this))
        if name not in _TYPES or to.args.get("nested"):
            raise ExpressionError(
                f"there is no type {to.sql().lower()}: there are text, varchar(n), number, decimal(p, s), int, date, "
                "datetime and boolean"
            )
        value, kind = self.read(node.this), _TYPES[name]
        sizes = [str(size.this) for size in to.expressions]
        if not all(size.isdigit() and 0 <= int(size) <= TEXT_CHARS_MAX for size in sizes):
            raise ExpressionError(f"the size of {to.sql().lower()} is no whole number that fits")
        if name in _WHOLE:
            sizes = ["38", "0"]
        elif name == "DECIMAL" and len(sizes) == 1:
            sizes = [*sizes, "0"]
        elif kind in {"date", "datetime", "boolean"} or name in {"DOUBLE", "FLOAT"}:
            sizes = []
        sign = "try_cast" if isinstance(node, exp.TryCast) else "cast"
        arguments = [value, *(Constant(size, "number") for size in sizes)]
        return call_of(sign, arguments, to=kind)

    def extract(self, node: Any) -> Expression:
        return self._call(node.this.name.lower(), [node.expression], node)

    def function(self, node: Any) -> Expression:
        return self._call(str(node.this).lower(), node.expressions, node)

    def _call(self, name: str, arguments: Sequence[Any], node: Any) -> Expression:
        if name in _NOW:
            raise _no_clock(name)
        if any(isinstance(one, exp.Star) for one in arguments):
            raise ExpressionError(f"{name} of all rows is not there: an expression has one row", near=_near(node))
        return call_of(name, self.read_all(arguments))


def _near(node: Any) -> str:
    return str(node.sql())[:60]


def _listed(names: Sequence[str] | Mapping[str, Any]) -> str:
    shown = list(names)[:12]
    return f"; there are {', '.join(shown)}{', …' if len(names) > len(shown) else ''}" if shown else ""


def _no_clock(name: str) -> ExpressionError:
    return ExpressionError(
        f"{name} is not there: a row has to become the same whenever it is read; "
        "use a parameter of the run, as :run.window_end"
    )


_SIGNS: Mapping[type, str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "mod",
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeEQ: "is not distinct from",
    exp.NullSafeNEQ: "is distinct from",
    exp.And: "and",
    exp.Or: "or",
}
_READERS: Mapping[type, Callable[[_Reader, Any], Expression]] = {
    exp.Paren: _Reader.paren,
    exp.Literal: _Reader.literal,
    exp.Column: _Reader.column,
    exp.Placeholder: _Reader.parameter,
    exp.Dot: _Reader.parameter,
    exp.Null: _Reader.null,
    exp.Boolean: _Reader.boolean,
    exp.Neg: _Reader.negative,
    **dict.fromkeys((exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod), _Reader.arithmetic),
    **dict.fromkeys(
        (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ), _Reader.comparison
    ),
    exp.And: _Reader.logic,
    exp.Or: _Reader.logic,
    exp.Not: _Reader.negation,
    exp.Is: _Reader.is_what,
    exp.In: _Reader.is_in,
    exp.Between: _Reader.between,
    exp.Like: _Reader.like,
    exp.ILike: _Reader.like,
    exp.Escape: _Reader.escaped,
    exp.DPipe: _Reader.joined,
    exp.Case: _Reader.case,
    exp.Cast: _Reader.cast,
    exp.TryCast: _Reader.cast,
    exp.Extract: _Reader.extract,
    exp.Anonymous: _Reader.function,
}
"""The white list of what stands in an expression."""
