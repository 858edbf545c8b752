"""What a service answers, compared with what it may be: the rest of the client takes a text for a text."""

from __future__ import annotations

import re
from functools import cache
from math import isfinite
from types import UnionType
from typing import Any, NoReturn, Union, get_args, get_origin, get_type_hints

from sluice.client.errors import UNEXPECTED_ANSWER, SluiceApiError

_INT_MAX = 2**63 - 1
_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half a character, which JSON can escape and no text has."""


class Answer(dict[str, Any]):
    """A JSON object. Raises UNEXPECTED_ANSWER for a member that it lacks, or that is of another kind."""

    def __missing__(self, name: str) -> NoReturn:
        raise SluiceApiError(UNEXPECTED_ANSWER, f"the answer has no {name}: it is not one of a Sluice service")

    def read(self, name: str, kind: Any) -> Any:
        """A member that has to be of ``kind``: ``str``, ``int``, ``float``, ``bool``, ``list``, ``dict`` or a union."""
        value = self[name]
        if not _fits(value, kind):
            raise SluiceApiError(UNEXPECTED_ANSWER, f"the answer's {name} is not what a Sluice service answers there")
        return value

    def text(self, name: str) -> str:
        value: str = self.read(name, str)
        return value

    def count(self, name: str) -> int:
        value: int = self.read(name, int)
        return value

    def objects(self, name: str) -> list[Answer]:
        """A member that is a list of objects."""
        return [Answer(Answer({name: one}).read(name, dict)) for one in self.read(name, list)]

    def read_fields(self, kind: type) -> dict[str, Any]:
        """The members that have the name of a field of the class ``kind``, each as its annotation says."""
        return {name: self.read(name, hint) for name, hint in _hints(kind).items() if name in self}


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _fits(value: object, kind: Any) -> bool:
    origin = get_origin(kind)
    if origin in {Union, UnionType}:
        return any(_fits(value, one) for one in get_args(kind))
    if origin is not None:  # a mapping of anything
        return isinstance(value, dict)
    if kind in {int, float} and isinstance(value, int):
        return not isinstance(value, bool) and abs(value) <= _INT_MAX
    if isinstance(value, float):
        return kind is float and isfinite(value)
    return isinstance(value, kind) and not (isinstance(value, str) and _SURROGATE.search(value))
