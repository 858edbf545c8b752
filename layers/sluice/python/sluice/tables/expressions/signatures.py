"""Which functions there are, what they take, and what they give: the white list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from sluice.domain.expression import Constant, Expression, Kind
from sluice.tables.expressions.date_formats import UNITS, read_format
from sluice.tables.expressions.json_paths import read_path
from sluice.tables.expressions.patterns import check_regex, groups_of, read_regex
from sluice.tables.values.masks import MASKS

Accepts: TypeAlias = Literal["string", "number", "moment", "boolean", "any", "same"]
"""What an argument may be: ``moment`` is a date or a datetime, ``same`` what all of the same are."""
Result: TypeAlias = Kind | Literal["moment", "same"]
"""What a call gives: the kind of its first moment, or the one that all ``same`` arguments have."""


class Signature(NamedTuple):
    """A function as it is written."""

    parameters: tuple[Accepts, ...]
    result: Result
    optional: int = 0
    """How many of the last parameters may be left out."""
    repeats: bool = False
    """Whether the last parameter may come again and again."""
    fixed: Mapping[int, Callable[[str], object]] = {}
    """Arguments that stand in the expression as constants, by place: each is looked at, and raises ValueError."""

    @property
    def least(self) -> int:
        return len(self.parameters) - self.optional

    @property
    def most(self) -> int | None:
        return None if self.repeats else len(self.parameters)

    def accepts(self, index: int) -> Accepts:
        return self.parameters[min(index, len(self.parameters) - 1)]


def _mask(text: str) -> None:
    if text not in MASKS:
        raise ValueError(f"there is no mask {text!r}: there are {', '.join(MASKS)}")


def _key(text: str) -> None:
    if not text:
        raise ValueError("the key has a name")


def _unit(text: str) -> None:
    if text not in UNITS:
        raise ValueError(f"{text!r} is no unit: there are {', '.join(UNITS)}")


def _digits(text: str) -> None:
    if not (text.removeprefix("-").isdigit() and abs(int(text)) <= 38):  # noqa: PLR2004 -- digits of a number
        raise ValueError("digits are a whole number of at most 38")


def _group(text: str) -> None:
    if not (text.isdigit() and int(text) < 100):  # noqa: PLR2004 -- more than a pattern has
        raise ValueError("a group is a whole number from 0 on")


_TEXT: tuple[Accepts, ...] = ("string",)
_NUMBER: tuple[Accepts, ...] = ("number",)
_MOMENT: tuple[Accepts, ...] = ("moment",)

FUNCTIONS: Mapping[str, Signature] = {
    "lower": Signature(_TEXT, "string"),
    "upper": Signature(_TEXT, "string"),
    "trim": Signature(("string", "string"), "string", optional=1),
    "ltrim": Signature(("string", "string"), "string", optional=1),
    "rtrim": Signature(("string", "string"), "string", optional=1),
    "length": Signature(_TEXT, "number"),
    "substr": Signature(("string", "number", "number"), "string", optional=1),
    "left": Signature(("string", "number"), "string"),
    "right": Signature(("string", "number"), "string"),
    "replace": Signature(("string", "string", "string"), "string"),
    "concat": Signature(("any",), "string", repeats=True),
    "concat_ws": Signature(("string", "any"), "string", repeats=True),
    "split_part": Signature(("string", "string", "number"), "string"),
    "lpad": Signature(("string", "number", "string"), "string", optional=1),
    "rpad": Signature(("string", "number", "string"), "string", optional=1),
    "strpos": Signature(("string", "string"), "number"),
    "starts_with": Signature(("string", "string"), "boolean"),
    "ends_with": Signature(("string", "string"), "boolean"),
    "abs": Signature(_NUMBER, "number"),
    "sign": Signature(_NUMBER, "number"),
    "floor": Signature(_NUMBER, "number"),
    "ceil": Signature(_NUMBER, "number"),
    "round": Signature(("number", "number"), "number", optional=1, fixed={1: _digits}),
    "trunc": Signature(("number", "number"), "number", optional=1, fixed={1: _digits}),
    "mod": Signature(("number", "number"), "number"),
    "greatest": Signature(("same",), "same", repeats=True),
    "least": Signature(("same",), "same", repeats=True),
    "coalesce": Signature(("same",), "same", repeats=True),
    "nullif": Signature(("same", "same"), "same"),
    "if": Signature(("boolean", "same", "same"), "same"),
    "date_format": Signature(("moment", "string"), "string", fixed={1: read_format}),
    "date_trunc": Signature(("string", "moment"), "moment", fixed={0: _unit}),
    "date_add": Signature(("moment", "number", "string"), "moment", fixed={2: _unit}),
    "date_diff": Signature(("string", "moment", "moment"), "number", fixed={0: _unit}),
    "year": Signature(_MOMENT, "number"),
    "month": Signature(_MOMENT, "number"),
    "day": Signature(_MOMENT, "number"),
    "hour": Signature(_MOMENT, "number"),
    "minute": Signature(_MOMENT, "number"),
    "second": Signature(_MOMENT, "number"),
    "json_value": Signature(("string", "string"), "string", fixed={1: read_path}),
    "json_query": Signature(("string", "string"), "string", fixed={1: read_path}),
    "json_object": Signature(("string", "any"), "string", repeats=True),
    "json_array": Signature(("any",), "string", repeats=True),
    "regexp_like": Signature(("string", "string"), "boolean", fixed={1: check_regex}),
    "regexp_extract": Signature(
        ("string", "string", "number"), "string", optional=1, fixed={1: check_regex, 2: _group}
    ),
    "regexp_replace": Signature(("string", "string", "string"), "string", fixed={1: check_regex}),
    "mask": Signature(("string", "string"), "string", fixed={1: _mask}),
    "hash": Signature(("any", "string"), "string", fixed={1: _key}),
}
"""By the name that the tree has."""

SAME_AS = {
    "substring": "substr",
    "ceiling": "ceil",
    "ifnull": "coalesce",
    "nvl": "coalesce",
    "char_length": "length",
    "character_length": "length",
    "iif": "if",
    "truncate": "trunc",
    "instr": "strpos",
}
"""Other names that are understood."""


def check_fixed(name: str, arguments: Sequence[Expression]) -> str:
    """What is wrong with arguments that have to be constants; empty for nothing."""
    for index, check in FUNCTIONS[name].fixed.items():
        argument = arguments[index] if index < len(arguments) else None
        if argument is None:
            continue
        if not isinstance(argument, Constant) or argument.text is None:
            return f"argument {index + 1} has to stand in the expression as a constant"
        try:
            check(argument.text)
        except ValueError as error:
            return str(error)
    return _check_groups(name, arguments)


def _check_groups(name: str, arguments: Sequence[Expression]) -> str:
    """A group that is asked for is one of the pattern."""
    if name not in {"regexp_extract", "regexp_replace"} or len(arguments) < 3:  # noqa: PLR2004 -- pattern and group
        return ""
    pattern, last = arguments[1], arguments[2]
    assert isinstance(pattern, Constant)
    if not isinstance(last, Constant):
        return "argument 3 has to stand in the expression as a constant"
    assert pattern.text is not None
    groups = read_regex(pattern.text).groups
    text = last.text or ""
    try:
        asked = [int(text)] if name == "regexp_extract" else groups_of(text)
    except ValueError as error:
        return str(error)
    return f"the pattern has {groups} groups, and no group {max(asked)}" if max(asked, default=0) > groups else ""
