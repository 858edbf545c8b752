"""Pages of sorted names: prefix, delimiter, marker, and no more than so many."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import NamedTuple


class Page(NamedTuple):
    keys: list[str]
    prefixes: list[str]
    """What the keys that were rolled up have in common."""
    is_truncated: bool
    last: str
    """The key or prefix the page ends with; the next page's marker."""


def page_of(names: Sequence[str], *, prefix: str, delimiter: str, marker: str, size: int) -> Page:
    """The names after ``marker`` that start with ``prefix``, those with a delimiter further on rolled up."""
    keys: list[str] = []
    prefixes: list[str] = []
    last = marker
    index = max(bisect.bisect_left(names, prefix), _after(names, marker, prefix, delimiter))
    while index < len(names) and names[index].startswith(prefix):
        if len(keys) + len(prefixes) >= size:
            return Page(keys, prefixes, True, last)
        name = names[index]
        rolled = _rolled_up(name, prefix, delimiter)
        if rolled:
            prefixes.append(rolled)
            index = _behind(names, rolled)
        else:
            keys.append(name)
            index += 1
        last = rolled or name
    return Page(keys, prefixes, False, last)


def _rolled_up(name: str, prefix: str, delimiter: str) -> str:
    """What the name is listed under; empty when it is listed itself."""
    if not delimiter or delimiter not in name[len(prefix) :]:
        return ""
    return prefix + name[len(prefix) :].partition(delimiter)[0] + delimiter


def _after(names: Sequence[str], marker: str, prefix: str, delimiter: str) -> int:
    """Where the page behind the marker begins; a marker that is a rolled-up prefix stands for everything below it."""
    if marker and marker.startswith(prefix) and _rolled_up(marker, prefix, delimiter) == marker:
        return _behind(names, marker)
    return bisect.bisect_right(names, marker)


def _behind(names: Sequence[str], prefix: str) -> int:
    """The index behind all names that start with ``prefix``."""
    return bisect.bisect_right(names, prefix, key=lambda name: name[: len(prefix)])
