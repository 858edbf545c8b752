"""Which kinds go together: checks arguments, and takes constants for what stands beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from sluice.domain.expression import Call, ColumnValue, Constant, Expression, Kind
from sluice.domain.suggestion import did_you_mean
from sluice.tables.expressions.faults import FAULTS, Unfit, reason_of
from sluice.tables.expressions.patterns import read_like
from sluice.tables.expressions.reading import day_of, read_boolean, read_moment, read_number
from sluice.tables.expressions.signatures import FUNCTIONS, SAME_AS, Signature, check_fixed
from sluice.tables.values.dates import time_zone

MOMENTS = frozenset({"date", "datetime"})
DIGITS_MAX = 38
_CASTS = {"cast", "try_cast"}
_LIKES = {"like", "ilike"}
_BELOW_DAYS = {"hour", "minute", "second"}


class ExpressionError(Exception):
    """What is wrong with an expression: a sentence with the place, and the way out where one is near."""

    def __init__(self, problem: str, *, near: str = "") -> None:
        super().__init__(f"{problem} (near {near!r})" if near else problem)


def constant_of(text: str, kind: Kind) -> Constant:
    """A constant of this kind. Raises ``ExpressionError`` for a text that is none."""
    try:
        _check_text(text, kind)
    except FAULTS as fault:
        raise ExpressionError(f"{text!r} {reason_of(fault)}") from None
    return Constant(text, kind)


def _check_text(text: str, kind: Kind) -> None:
    match kind:
        case "number":
            number = read_number(text)
            if len(number.as_tuple().digits) > DIGITS_MAX or abs(number.adjusted()) > DIGITS_MAX:
                raise Unfit(f"is no number of at most {DIGITS_MAX} digits")
        case "boolean":
            read_boolean(text)
        case "date" | "datetime":
            moment = read_moment(text, time_zone(""))
            if kind == "date" and moment != day_of(moment):
                raise Unfit("has a time of day, and no date has one")


def with_kind(value: Expression, kind: Kind) -> Expression:
    """A constant as one of this kind; anything else as it is. Raises ``ExpressionError`` for a text that is none."""
    if not isinstance(value, Constant) or value.kind == kind:
        return value
    return Constant(None, kind) if value.text is None else constant_of(value.text, kind)


def nulls_as(value: Expression, kind: Kind) -> Expression:
    return with_kind(value, kind) if isinstance(value, Constant) and value.text is None else value


def is_loose(value: Expression) -> bool:
    """Whether it becomes what stands beside it: null, and a text in quotes."""
    return isinstance(value, Constant) and value.kind == "string"


def take_as(value: Expression, kind: Kind, whose: str) -> Expression:
    """The value as one of this kind. Raises ``ExpressionError`` where it is none."""
    if value.kind == kind or is_loose(value):
        return with_kind(value, kind)
    raise ExpressionError(f"{whose} takes a {kind}, and {_shown(value)} is a {value.kind}{_way(value, kind)}")


def _way(value: Expression, kind: Kind) -> str:
    shown = _shown(value)
    if kind == "boolean":
        return f": compare it, as in {shown} = …"
    return f": write cast({shown} as {'text' if kind == 'string' else kind})"


def _shown(value: Expression) -> str:
    match value:
        case ColumnValue(name=name):
            return name
        case Constant(text=text, kind=kind):
            return "null" if text is None else repr(text) if kind == "string" else text
        case Call(name=name):
            return f"{name}(…)" if name.replace("_", "").isalnum() else f"(… {name} …)"


def same_kind(values: Iterable[Expression], whose: str) -> Kind:
    """The one kind that all can be; days beside points in time are points in time. Raises ``ExpressionError``."""
    firm = [value for value in values if not is_loose(value)]
    kinds: dict[Kind, Expression] = {value.kind: value for value in reversed(firm)}
    if not kinds:
        return "string"
    if kinds.keys() <= MOMENTS:
        return "datetime" if "datetime" in kinds else "date"
    if len(kinds) == 1:
        return next(iter(kinds))
    first = firm[0]
    other = next(value for value in firm if value.kind != first.kind)
    if other.kind == "string":
        first, other = other, first
    raise ExpressionError(
        f"{whose} takes values of one kind, and {_shown(first)} is a {first.kind}, {_shown(other)} a {other.kind}"
        f"{_way(first, other.kind)}"
    )


def compared(left: Expression, right: Expression, sign: str) -> tuple[Expression, Expression]:
    """Both sides of a comparison, as values of one kind."""
    first, second = all_compared((left, right), sign)
    return first, second


def all_compared(values: Sequence[Expression], sign: str) -> tuple[Expression, ...]:
    """As ``compared``, of any number of values."""
    kind = same_kind(values, sign)
    if kind in MOMENTS:  # a constant keeps its time of day beside a day
        return tuple(with_kind(value, "datetime") if is_loose(value) else value for value in values)
    return tuple(with_kind(value, kind) for value in values)


def call_of(name: str, arguments: Sequence[Expression], *, to: Kind | None = None) -> Expression:
    """A call of a function, its arguments checked. Raises ``ExpressionError``."""
    if name in _CASTS and to is not None:
        return _cast(name, arguments, to)
    if name in _LIKES:
        return _like(name, arguments)
    name = SAME_AS.get(name, name)
    signature = FUNCTIONS.get(name)
    if signature is None:
        raise ExpressionError(f"there is no function {name}{did_you_mean(name, [*FUNCTIONS, *SAME_AS])}")
    _check_count(name, signature, len(arguments))
    same = _kind_of_same(name, signature, arguments)
    taken = [_taken(name, signature.accepts(at), value, same) for at, value in enumerate(arguments)]
    problem = check_fixed(name, taken)
    if problem:
        raise ExpressionError(f"{name}: {problem}")
    call = Call(name, tuple(taken), _result(signature, taken, same))
    if name == "date_add" and call.kind == "date" and getattr(taken[-1], "text", "") in _BELOW_DAYS:
        return msgspec.structs.replace(call, kind="datetime")
    return call


def _check_count(name: str, signature: Signature, count: int) -> None:
    if count < signature.least or (signature.most is not None and count > signature.most):
        exact = signature.least == signature.most
        least = f"{signature.least}" if exact else f"{signature.least} to {signature.most}"
        wanted = f"at least {signature.least}" if signature.most is None else least
        raise ExpressionError(
            f"{name} takes {wanted} argument{'' if wanted.endswith(' 1') or wanted == '1' else 's'}, and has {count}"
        )
    if name == "json_object" and count % 2:
        raise ExpressionError("json_object takes names and values in turn")


def _kind_of_same(name: str, signature: Signature, arguments: Sequence[Expression]) -> Kind:
    values = [value for at, value in enumerate(arguments) if signature.accepts(at) == "same"]
    return same_kind(values, name) if values else "string"


def _taken(name: str, accepts: str, value: Expression, same: Kind) -> Expression:
    match accepts:
        case "any":
            return value
        case "same":
            return with_kind(value, same)
        case "moment":
            if value.kind in MOMENTS:
                return value
            return take_as(value, "datetime", name)
        case "number" | "string" | "boolean" as kind:
            return take_as(value, kind, name)
    raise AssertionError(accepts)


def _result(signature: Signature, arguments: Sequence[Expression], same: Kind) -> Kind:
    if signature.result == "same":
        return same
    if signature.result == "moment":
        return next(value.kind for value in arguments if value.kind in MOMENTS)
    return signature.result


def _cast(name: str, arguments: Sequence[Expression], to: Kind) -> Expression:
    value = arguments[0]
    pair = {value.kind, to}
    if "string" not in pair and len(pair) > 1 and not pair <= MOMENTS and not is_loose(value):
        raise ExpressionError(f"a {value.kind} cannot become a {to}")
    if isinstance(value, Constant) and name == "cast" and len(arguments) == 1 and _is_plain(value, to):
        return with_kind(value, to)
    if to == "number" and len(arguments) > 1:
        size, scale = (Decimal(one.text or 0) for one in arguments[1:] if isinstance(one, Constant))
        if not 1 <= size <= DIGITS_MAX or scale > size:
            raise ExpressionError(f"decimal({size}, {scale}) is not there: at most {DIGITS_MAX} digits")
    return Call(name, (nulls_as(value, to), *arguments[1:]), to)


def _is_plain(value: Constant, to: Kind) -> bool:
    """Whether the cast is a constant with the same text."""
    return value.text is None or to != "date" or len(value.text) == len("2025-03-14")


def _like(name: str, arguments: Sequence[Expression]) -> Expression:
    pattern, escape = arguments[1:]
    if not isinstance(pattern, Constant) or pattern.text is None or not isinstance(escape, Constant):
        raise ExpressionError(f"the pattern of {name} has to stand in the expression as a constant")
    try:
        read_like(pattern.text, escape.text or "")
    except ValueError as error:
        raise ExpressionError(f"{name}: {error}") from None
    return Call(name, tuple(arguments), "boolean")
