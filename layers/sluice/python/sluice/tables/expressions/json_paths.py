"""Values in JSON texts: paths to them, and texts made of them; numbers keep their digits."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from sluice.domain.expression import Kind
from sluice.tables.expressions.faults import Unfit
from sluice.tables.expressions.reading import write_day, write_moment, write_number

_STEP = re.compile(r'\.([A-Za-z_][\w-]*)|\."((?:[^"\\]|\\.)+)"|\[([0-9]{1,9})\]')
_MISSING = object()


class _Digits(str):
    """A number as it stands in the text."""

    __slots__ = ()


def read_path(path: str) -> tuple[str | int, ...]:
    """``$.a.b[0]`` as its steps. Raises ValueError."""
    if not path.startswith("$"):
        raise ValueError("a path begins with $, as in '$.address.city'")
    steps: list[str | int] = []
    place = 1
    while place < len(path):
        found = _STEP.match(path, place)
        if found is None:
            raise ValueError(f'{path[place:]!r} is no part of a path: .name, ."any name" or [0]')
        name, quoted, index = found.groups()
        steps.append(int(index) if index else name or re.sub(r"\\(.)", r"\1", quoted))
        place = found.end()
    return tuple(steps)


def _refused(_: str) -> Any:
    raise ValueError


_DECODER = json.JSONDecoder(parse_float=_Digits, parse_int=_Digits, parse_constant=_refused)


def _find(text: str, path: tuple[str | int, ...]) -> Any:
    try:
        value = _DECODER.decode(text)
    except ValueError:
        raise Unfit("is no JSON") from None
    for step in path:
        has_item = isinstance(step, int) and isinstance(value, list) and step < len(value)
        has_member = isinstance(step, str) and isinstance(value, dict) and step in value
        if not has_item and not has_member:
            return _MISSING
        value = value[step]
    return value


def json_value(text: str, path: tuple[str | int, ...]) -> str | None:
    """The text, number or boolean there, as text; None for nothing, null, an object and an array."""
    value = _find(text, path)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str) else None


def json_query(text: str, path: tuple[str | int, ...]) -> str | None:
    """Whatever is there, as JSON; None for nothing."""
    value = _find(text, path)
    return None if value is _MISSING else _encoded(value)


def _encoded(value: Any) -> str:
    match value:
        case _Digits():
            return str(value)
        case dict():
            return "{" + ",".join(f"{_quoted(key)}:{_encoded(one)}" for key, one in value.items()) + "}"
        case list():
            return "[" + ",".join(map(_encoded, value)) + "]"
        case str():
            return _quoted(value)
    return json.dumps(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def json_object(*parts: str) -> str:
    """Of names and JSON texts in turn."""
    return "{" + ",".join(f"{name}:{value}" for name, value in zip(parts[::2], parts[1::2], strict=True)) + "}"


def json_array(*parts: str) -> str:
    """Of JSON texts."""
    return "[" + ",".join(parts) + "]"


def encoder_of(kind: Kind) -> Callable[[Any], str]:
    """How a value stands in JSON."""
    made: dict[Kind, Callable[[Any], str]] = {
        "string": _quoted,
        "number": lambda value: write_number(value if isinstance(value, Decimal) else Decimal(value)),
        "boolean": lambda value: "true" if value else "false",
        "date": lambda value: f'"{write_day(value)}"',
        "datetime": lambda value: f'"{write_moment(value)}"',
    }
    encode = made[kind]
    return lambda value: "null" if value is None else encode(value)
