"""How each call of the tree is written as code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from sluice.domain.expression import Call, ColumnValue, Constant, Expression, Kind
from sluice.tables.expressions import date_formats as dates
from sluice.tables.expressions import json_paths, patterns
from sluice.tables.expressions import text_functions as texts
from sluice.tables.expressions.emitter import SIGNS, Emitter
from sluice.tables.expressions.faults import FAULTS
from sluice.tables.expressions.reading import day_of, read_boolean, read_moment, read_number
from sluice.tables.values.masks import HASHED, find_masks

Writer: TypeAlias = Callable[[Emitter, Call], str]


def _code(template: str) -> Writer:
    """A piece of Python in which {0} is the first argument; null where an argument is."""
    return lambda emitter, call: emitter.strict(call.arguments, lambda names: f"({template.format(*names)})")


def _function(function: Callable[..., Any]) -> Writer:
    """A function of ours, called with values that are not null."""

    def write(emitter: Emitter, call: Call) -> str:
        given = emitter.give(function)
        return emitter.strict(call.arguments, lambda names: f"{given}({', '.join(names)})")

    return write


def _numbered(template: str) -> Writer:
    """As ``_code``, for what gives an int."""

    def write(emitter: Emitter, call: Call) -> str:
        number = emitter.give(Decimal)
        return emitter.strict(call.arguments, lambda names: f"{number}({template.format(*names)})")

    return write


def _fixed(call: Call, index: int, default: str = "") -> str:
    """The text of an argument that stands in the expression as a constant."""
    if index >= len(call.arguments):
        return default
    argument = call.arguments[index]
    assert isinstance(argument, Constant)
    return argument.text or ""


def _made(make: Callable[[Call], Callable[..., Any]], *, of: slice | int = 0) -> Writer:
    """A function that is made once from the constants of a call, and called with the other arguments."""

    def write(emitter: Emitter, call: Call) -> str:
        given = emitter.give(make(call))
        nodes = call.arguments[of] if isinstance(of, slice) else (call.arguments[of],)
        return emitter.strict(nodes, lambda names: f"{given}({', '.join(names)})")

    return write


def _and(emitter: Emitter, call: Call) -> str:
    """False where any is false, even beside null."""
    names, tests = _bound(emitter, call.arguments)
    return f"(False if {' or '.join(f'{test} is False' for test in tests)} else {' and '.join(names)})"


def _or(emitter: Emitter, call: Call) -> str:
    names, tests = _bound(emitter, call.arguments)
    nulls = " or ".join(f"{name} is None" for name in names)
    return f"(True if {' or '.join(tests)} else None if {nulls} else False)"


def _bound(emitter: Emitter, nodes: tuple[Expression, ...]) -> tuple[list[str], list[str]]:
    """Names of the values, and the code that gives each its name."""
    names = [emitter.temporary() for _ in nodes]
    return names, [f"({name} := {emitter.value(node)})" for name, node in zip(names, nodes, strict=True)]


def _is_null(emitter: Emitter, call: Call) -> str:
    return f"({emitter.value(call.arguments[0])} is None)"


def _is(truth: str) -> Writer:
    return lambda emitter, call: f"({emitter.value(call.arguments[0])} is {truth})"


def _distinct(sign: str) -> Writer:
    return lambda emitter, call: f"({emitter.value(call.arguments[0])} {sign} {emitter.value(call.arguments[1])})"


def _in(emitter: Emitter, call: Call) -> str:
    """Null where the value is null, or is in the list only if a null of it should be the value."""
    value, *others = call.arguments
    constants = [one for one in others if isinstance(one, Constant)]
    if len(constants) < len(others):
        return _once(emitter, value, lambda one: _any_equal(one, others))
    known = emitter.give(frozenset(emitter.constant(one) for one in constants if one.text is not None))
    absent = "False" if all(one.text is not None for one in constants) else "None"
    return emitter.strict((value,), lambda names: f"(True if {names[0]} in {known} else {absent})")


def _any_equal(value: Expression, others: Sequence[Expression]) -> Expression:
    return Call("or", tuple(Call("=", (value, one), "boolean") for one in others), "boolean")


def _once(emitter: Emitter, value: Expression, make: Callable[[Expression], Expression]) -> str:
    """What is made of a value that stands in it several times; null where the value is."""
    name = emitter.temporary()
    code = emitter.value(value)
    made = emitter.value(make(emitter.alias(name, value.kind)))
    return f"(None if ({name} := {code}) is None else {made})"


def _between(emitter: Emitter, call: Call) -> str:
    value, low, high = call.arguments

    def inside(one: Expression) -> Expression:
        return Call("and", (Call(">=", (one, low), "boolean"), Call("<=", (one, high), "boolean")), "boolean")

    return _once(emitter, value, inside)


def _like(*, folds: bool) -> Writer:
    return _made(lambda call: patterns.read_like(_fixed(call, 1), _fixed(call, 2), folds=folds))


def _case(emitter: Emitter, call: Call) -> str:
    *branches, default = call.arguments
    pairs = zip(branches[::2], branches[1::2], strict=True)
    written = "".join(f"{emitter.value(value)} if {emitter.truth(when)} else " for when, value in pairs)
    return f"({written}{emitter.value(default)})"


def _coalesce(emitter: Emitter, call: Call) -> str:
    *firsts, last = call.arguments
    parts = []
    for one in firsts:
        name = emitter.temporary()
        parts.append(f"{name} if ({name} := {emitter.value(one)}) is not None else ")
    return f"({''.join(parts)}{emitter.value(last)})"


def _nullif(emitter: Emitter, call: Call) -> str:
    """Its first argument unless both are equal; nothing equals null."""
    name = emitter.temporary()
    first, second = emitter.value(call.arguments[0]), emitter.value(call.arguments[1])
    return f"(None if ({name} := {first}) == {second} else {name})"


def _most(function: Callable[..., Any]) -> Writer:
    """Of those that are not null."""

    def most(*values: Any) -> Any:
        return function((value for value in values if value is not None), default=None)

    return lambda emitter, call: f"{emitter.give(most)}({', '.join(map(emitter.value, call.arguments))})"


def _joined(emitter: Emitter, call: Call) -> str:
    """Null where a part is."""
    tests, names = [], []
    for one in call.arguments:
        code = emitter.plain_text(one)
        if isinstance(one, Constant):
            names.append(code)
            tests += ["None"] if one.text is None else []
        else:
            name = code if isinstance(one, ColumnValue) and one.kind == "string" else emitter.temporary()
            names.append(name)
            tests.append(name if name is code else f"({name} := {code})")
    made = f"{emitter.give(texts.check_length)}({' + '.join(names)})"
    return f"(None if {' or '.join(f'{test} is None' for test in tests)} else {made})" if tests else made


def _concat(emitter: Emitter, call: Call) -> str:
    return f"{emitter.give(texts.concat)}({', '.join(map(emitter.plain_text, call.arguments))})"


def _concat_ws(emitter: Emitter, call: Call) -> str:
    separator, *others = call.arguments
    given, parts = emitter.give(texts.concat_ws), ", ".join(map(emitter.plain_text, others))
    return emitter.strict((separator,), lambda names: f"{given}({names[0]}, {parts})")


def _json(function: Callable[..., str], *, has_names: bool) -> Writer:
    def write(emitter: Emitter, call: Call) -> str:
        parts = [f"{emitter.give(json_paths.encoder_of(one.kind))}({emitter.value(one)})" for one in call.arguments]
        made = f"{emitter.give(texts.check_length)}({emitter.give(function)}({', '.join(parts)}))"
        if not has_names:
            return made
        return emitter.strict(call.arguments[::2], lambda _: made)

    return write


def _path(function: Callable[[str, Any], str | None]) -> Writer:
    def make(call: Call) -> Callable[[str], str | None]:
        path = json_paths.read_path(_fixed(call, 1))
        return lambda text: function(text, path)

    return _made(make)


def _round(exact: Callable[..., Any], coarse: Callable[..., Any]) -> Writer:
    def write(emitter: Emitter, call: Call) -> str:
        digits = int(_fixed(call, 1, "0"))
        step = emitter.give(texts.step_of(digits))
        function = emitter.give(coarse if digits < 0 else exact)
        return emitter.strict(call.arguments[:1], lambda names: f"{function}({names[0]}, {step})")

    return write


def _cast(emitter: Emitter, call: Call) -> str:
    value, *sizes = call.arguments
    convert = _conversion(emitter, value, call)
    if sizes:
        convert = _sized(convert, call, [int(_fixed(call, at)) for at in range(1, len(call.arguments))])
    if call.name == "try_cast":
        convert = _tried(convert)
    given = emitter.give(convert)
    return emitter.strict((value,), lambda names: f"{given}({names[0]})")


def _conversion(emitter: Emitter, value: Expression, call: Call) -> Callable[[Any], Any]:
    if call.kind == "string":
        return emitter.writer_of(value.kind)
    zone, pair = emitter.zone, (value.kind, call.kind)
    conversions: Mapping[tuple[Kind, Kind], Callable[[Any], Any]] = {
        ("string", "number"): read_number,
        ("string", "boolean"): read_boolean,
        ("string", "datetime"): lambda text: read_moment(text, zone),
        ("string", "date"): lambda text: day_of(read_moment(text, zone)),
        ("datetime", "date"): day_of,
    }
    return conversions.get(pair, lambda same: same)


def _sized(convert: Callable[[Any], Any], call: Call, sizes: list[int]) -> Callable[[Any], Any]:
    if call.kind == "number":
        return lambda value: texts.fit(convert(value), *sizes)
    return lambda value: convert(value)[: sizes[0]]


def _tried(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def tried(value: Any) -> Any:
        try:
            return convert(value)
        except FAULTS:
            return None

    return tried


def _date_add(emitter: Emitter, call: Call) -> str:
    unit, count = _fixed(call, 2), call.arguments[1]
    if isinstance(count, Constant) and count.text is not None:
        given = emitter.give(dates.adder(emitter.constant(count), unit))
        return emitter.strict(call.arguments[:1], lambda names: f"{given}({names[0]})")
    given = emitter.give(lambda moment, count: dates.add(moment, dates.whole(count), unit))
    return emitter.strict(call.arguments[:2], lambda names: f"{given}({', '.join(names)})")


def _date_trunc(call: Call) -> Callable[..., Any]:
    unit = _fixed(call, 0)
    return lambda moment: dates.truncate(moment, unit)


def _date_diff(call: Call) -> Callable[..., Any]:
    unit = _fixed(call, 0)
    return lambda first, last: Decimal(dates.difference(unit, first, last))


def _hash(emitter: Emitter, call: Call) -> str:
    (mask,) = find_masks([HASHED + _fixed(call, 1)], emitter.find_key)
    given, name = emitter.give(mask), emitter.temporary()
    return f"(None if ({name} := {emitter.plain_text(call.arguments[0])}) is None else {given}({name}))"


def _mask(emitter: Emitter, call: Call) -> str:
    (mask,) = find_masks([_fixed(call, 1)], emitter.find_key)
    given = emitter.give(mask)
    return emitter.strict(call.arguments[:1], lambda names: f"{given}({names[0]})")


def _replaced(call: Call) -> Callable[[str], str]:
    return patterns.replace_all(patterns.read_regex(_fixed(call, 1)), _fixed(call, 2))


WRITERS: Mapping[str, Writer] = {
    **{name: _code(f"{{0}} {sign} {{1}}") for name, sign in SIGNS.items()},
    "+": _code("{0} + {1}"),
    "-": _code("{0} - {1}"),
    "*": _code("{0} * {1}"),
    "/": _function(texts.divide),
    "mod": _function(texts.modulo),
    "neg": _code("-{0}"),
    "and": _and,
    "or": _or,
    "not": _code("not {0}"),
    "is null": _is_null,
    "is true": _is("True"),
    "is false": _is("False"),
    "is distinct from": _distinct("!="),
    "is not distinct from": _distinct("=="),
    "in": _in,
    "between": _between,
    "like": _like(folds=False),
    "ilike": _like(folds=True),
    "||": _joined,
    "case": _case,
    "if": _case,
    "cast": _cast,
    "try_cast": _cast,
    "lower": _code("{0}.lower()"),
    "upper": _code("{0}.upper()"),
    "trim": _function(texts.trim),
    "ltrim": _function(texts.trim_left),
    "rtrim": _function(texts.trim_right),
    "length": _numbered("len({0})"),
    "substr": _function(texts.substr),
    "left": _function(texts.left),
    "right": _function(texts.right),
    "replace": _function(texts.replace),
    "concat": _concat,
    "concat_ws": _concat_ws,
    "split_part": _function(texts.split_part),
    "lpad": _function(texts.pad_left),
    "rpad": _function(texts.pad_right),
    "strpos": _function(texts.strpos),
    "starts_with": _code("{0}.startswith({1})"),
    "ends_with": _code("{0}.endswith({1})"),
    "abs": _function(abs),
    "sign": _function(texts.sign),
    "floor": _function(texts.floor),
    "ceil": _function(texts.ceil),
    "round": _round(texts.round_to, texts.round_coarse),
    "trunc": _round(texts.cut_to, texts.cut_coarse),
    "greatest": _most(max),
    "least": _most(min),
    "coalesce": _coalesce,
    "nullif": _nullif,
    "date_format": _made(lambda call: dates.read_format(_fixed(call, 1))),
    "date_trunc": _made(_date_trunc, of=1),
    "date_add": _date_add,
    "date_diff": _made(_date_diff, of=slice(1, 3)),
    **{unit: _numbered(f"{{0}}.{unit}") for unit in ("year", "month", "day", "hour", "minute", "second")},
    "json_value": _path(json_paths.json_value),
    "json_query": _path(json_paths.json_query),
    "json_object": _json(json_paths.json_object, has_names=True),
    "json_array": _json(json_paths.json_array, has_names=False),
    "regexp_like": _made(lambda call: patterns.found_in(patterns.read_regex(_fixed(call, 1)))),
    "regexp_extract": _made(
        lambda call: patterns.extract(patterns.read_regex(_fixed(call, 1)), int(_fixed(call, 2, "0")))
    ),
    "regexp_replace": _made(_replaced),
    "mask": _mask,
    "hash": _hash,
}
"""By the name that the tree has."""
