"""Checks a condition that a job's author writes in the server's own SQL, and writes it anew from its tree."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from math import isfinite
from typing import Any, TypeAlias

from sluice.app.where_rules import FUNCTIONS, WhereDialect, WhereError, check_where, place_of
from sluice.domain.suggestion import did_you_mean

WhereValue: TypeAlias = str | int | float | bool | Decimal | date | None
CHARS_MAX = 10_000
_PLAIN_TEXT = re.compile(r"[A-Za-z0-9 _:.,/@+%-]*")
"""Needs no digits of its bytes, whatever the settings of a server are."""
_HALVES = re.compile(r"[\x00\ud800-\udfff]")


def render_where(
    text: str,
    dialect: WhereDialect,
    parameters: Mapping[str, WhereValue],
    columns: Collection[str] = (),
) -> str:
    """Write a condition as SQL that every statement on the table may have in brackets, its columns behind ``t.``.

    ``:name`` and ``:run.name`` become the values of ``parameters``, as values: no text of one can leave its quotes.
    A datetime with a zone is that moment, on the clock of the connection; one without is its digits. ``columns``: the
    table's, where they are known. Raises ``WhereError``.
    """
    from sqlglot.errors import SqlglotError  # noqa: PLC0415  # where rows are read it is not imported

    if len(text) > CHARS_MAX:
        raise WhereError(f"it has more than {CHARS_MAX:,} characters")
    if _HALVES.search(text):
        raise WhereError("it has what no text of a database has")
    try:
        tree = _parsed(text, dialect)
        check_where(tree, dialect)
        return _Rendering(dialect, parameters, columns).write(tree)
    except RecursionError:
        raise WhereError("it is nested too deep") from None
    except SqlglotError as error:
        raise _worded(error) from None


def _parsed(text: str, dialect: WhereDialect) -> Any:
    from sqlglot import TokenType, exp  # noqa: PLC0415

    language = _language(dialect)
    for token in language.tokenize(text):
        if token.comments:
            raise WhereError(f"line {token.line}, column {token.col}: no comments: write them behind # in the job")
        if token.token_type == TokenType.SEMICOLON:
            raise WhereError(f"line {token.line}, column {token.col}: one condition, without a semicolon")
    found = language.parse_into(exp.Condition, text)
    if len(found) != 1 or found[0] is None:
        raise WhereError("there has to be one condition")
    return found[0]


@cache
def _language(dialect: WhereDialect) -> Any:
    """The server's language, in which a function is a name and its arguments: so none is written as another."""
    from sqlglot import Dialect, TokenType  # noqa: PLC0415

    base: Any = Dialect.get_or_raise({"postgresql": "postgres"}.get(dialect, dialect)).__class__

    keywords = base.Tokenizer.KEYWORDS
    words = {kind for word, kind in keywords.items() if word.isidentifier()}
    called = {keywords[name.upper()] for name in FUNCTIONS[dialect] if name.upper() in keywords}

    class WhereTokenizer(base.Tokenizer):  # type: ignore[misc]
        COMMANDS: set[Any] = set()  # noqa: RUF012  # replace is a function alone

    class WhereParser(base.Parser):  # type: ignore[misc]
        COLON_PLACEHOLDER_TOKENS = frozenset({*words, TokenType.VAR})  # a parameter may be called date, or on
        FUNC_TOKENS = frozenset({*base.Parser.FUNC_TOKENS, *called})
        FUNCTIONS: dict[str, Any] = {}  # noqa: RUF012  # as the class above has it
        FUNCTION_PARSERS = {name: base.Parser.FUNCTION_PARSERS[name] for name in ("CAST", "EXTRACT")}  # noqa: RUF012
        NO_PAREN_FUNCTIONS: dict[Any, Any] = {}  # noqa: RUF012
        NO_PAREN_FUNCTION_PARSERS = {"CASE": base.Parser.NO_PAREN_FUNCTION_PARSERS["CASE"]}  # noqa: RUF012

    class WhereGenerator(base.Generator):  # type: ignore[misc]
        def literal_sql(self, expression: Any) -> str:
            """By rules that no setting of the server changes."""
            return _text(expression.this, dialect) if expression.is_string else str(expression.this)

    return type(
        f"Where{dialect}", (base,), {"Tokenizer": WhereTokenizer, "Parser": WhereParser, "Generator": WhereGenerator}
    )()


class _Rendering:
    """Puts values and whole names into a tree that was checked."""

    def __init__(self, dialect: WhereDialect, parameters: Mapping[str, WhereValue], columns: Collection[str]) -> None:
        self._dialect = dialect
        self._parameters = parameters
        self._columns = columns

    def write(self, tree: Any) -> str:
        changed = tree.transform(self._replaced)
        return str(_language(self._dialect).generate(changed, copy=False, comments=False, normalize_functions=False))

    def _replaced(self, node: Any) -> Any:
        from sqlglot import exp  # noqa: PLC0415

        if isinstance(node, exp.Column):
            return exp.column(exp.to_identifier(self._column(node), quoted=True), table=exp.to_identifier("t"))
        if isinstance(node, exp.Dot):
            return self._value(node, f"{node.this.name}.{node.expression.name}")
        if isinstance(node, exp.Placeholder):
            return self._value(node, node.name)
        return node

    def _column(self, node: Any) -> str:
        name = str(node.name)
        if self._dialect == "postgresql" and not node.this.quoted:
            name = "".join(char.lower() if char.isascii() else char for char in name)  # as the server reads it
        folds = self._dialect != "postgresql"
        if self._columns and name not in self._columns:
            same = [one for one in self._columns if folds and one.lower() == name.lower()]
            if not same:
                raise WhereError(f"{place_of(node)}the table has no column {name}{did_you_mean(name, self._columns)}")
        return name

    def _value(self, node: Any, name: str) -> Any:
        from sqlglot import exp  # noqa: PLC0415

        if name not in self._parameters:
            raise WhereError(f"{place_of(node)}there is no parameter {name}{did_you_mean(name, self._parameters)}")
        value = self._parameters[name]
        if isinstance(value, str) and _HALVES.search(value):
            raise WhereError(f"{place_of(node)}the value of {name} is no text that a database has")
        if isinstance(value, float | Decimal) and not isfinite(value):
            raise WhereError(f"{place_of(node)}the value of {name} is no number")
        if isinstance(value, datetime) and value.tzinfo is not None:
            return _moment(value, self._dialect)
        match value:
            case None:
                return exp.Null()
            case bool():
                return exp.Boolean(this=value)
            case date():
                return exp.Literal.string(str(value))
            case str():
                return exp.Literal.string(value)
            case _:
                return exp.Paren(this=exp.Literal.number(f"{value:f}" if isinstance(value, Decimal) else repr(value)))


def _moment(value: datetime, dialect: WhereDialect) -> Any:
    """A moment on the clock of the connection, to be compared with columns that have a zone and with such as have not.

    SQLite has no zones: its moments are of UTC.
    """
    from sqlglot import exp  # noqa: PLC0415

    shown = value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
    if dialect == "postgresql":
        return exp.cast(exp.Literal.string(f"{shown}+00"), "timestamptz")
    if dialect == "mysql":
        return exp.Anonymous(this="FROM_UNIXTIME", expressions=[exp.Literal.number(f"{value.timestamp():.6f}")])
    return exp.Literal.string(shown)


def _text(text: str, dialect: WhereDialect) -> str:
    if dialect == "mysql" and not _PLAIN_TEXT.fullmatch(text):
        return f"_utf8mb4 X'{text.encode().hex()}'"
    quoted = text.replace("'", "''")
    if dialect == "postgresql" and "\\" in quoted:
        return "E'" + quoted.replace("\\", "\\\\") + "'"
    return f"'{quoted}'"


def _worded(error: Any) -> WhereError:
    """What sqlglot says, without its copy of the condition."""
    for found in getattr(error, "errors", []):
        if found.get("line"):
            said = str(found["description"])
            said = "something is missing" if "Required keyword" in said else said.lower()
            return WhereError(f"line {found['line']}, column {found['col']}: this is no condition: {said}")
    return WhereError("this is no condition: a quote or a bracket is not closed, or a word is missing")
