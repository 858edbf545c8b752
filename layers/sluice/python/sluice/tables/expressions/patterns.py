"""Patterns of ``like``, and regular expressions in linear time by RE2."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from sluice.tables.expressions.faults import TEXT_CHARS_MAX, Unfit


def read_like(pattern: str, escape: str = "\\", *, folds: bool = False) -> Callable[[str], bool]:
    """A function that compares with the pattern: % is any text, _ any one character; an escape makes the next plain.

    Takes time in proportion to the text: pieces between % are looked for one after the other. ``folds``: without regard
    to case. Raises ValueError for an escape that ends the pattern.
    """
    pieces, has_blank = _cut(pattern, escape)
    if folds:
        pieces = [[one and one.lower() for one in piece] for piece in pieces]
    match = _matching(pieces) if has_blank else _plain(["".join(piece) for piece in pieces])  # type: ignore[arg-type]
    return (lambda text: match(text.lower())) if folds else match


def _cut(pattern: str, escape: str) -> tuple[list[list[str | None]], bool]:
    """The pieces between %; None is any character. And whether there is one of these."""
    pieces: list[list[str | None]] = [[]]
    signs = iter(pattern)
    for sign in signs:
        if sign == escape and escape:
            following = next(signs, None)
            if following is None:
                raise ValueError("the pattern ends with its escape")
            pieces[-1].append(following)
        elif sign == "%":
            pieces.append([])
        else:
            pieces[-1].append(None if sign == "_" else sign)
    return pieces, any(None in piece for piece in pieces)


def _plain(pieces: list[str]) -> Callable[[str], bool]:
    match pieces:
        case [only]:
            return only.__eq__
        case [first, ""]:
            return lambda text: text.startswith(first)
        case ["", last]:
            return lambda text: text.endswith(last)
        case ["", middle, ""]:
            return lambda text: middle in text
    first, *middles, last = pieces

    def matches(text: str) -> bool:
        end = len(text) - len(last)
        if len(first) > end or not text.startswith(first) or not text.endswith(last):
            return False
        place = len(first)
        for piece in middles:
            found = text.find(piece, place, end)
            if found < 0:
                return False
            place = found + len(piece)
        return True

    return matches


def _matching(pieces: list[list[str | None]]) -> Callable[[str], bool]:
    """As ``_plain``, with pieces that have places for any character."""
    first, *others = [
        re.compile("".join("." if sign is None else re.escape(sign) for sign in piece), re.DOTALL) for piece in pieces
    ]
    if not others:
        return lambda text: first.fullmatch(text) is not None
    *middles, last = others
    last_chars = len(pieces[-1])

    def matches(text: str) -> bool:
        found, end = first.match(text), len(text) - last_chars
        for piece in middles:
            found = found and piece.search(text, found.end(), max(end, 0))
        return found is not None and found.end() <= end and last.fullmatch(text, end) is not None

    return matches


def check_regex(pattern: str) -> None:
    """Raises ValueError for what RE2 does not understand."""
    read_regex(pattern)


@lru_cache(maxsize=64)
def read_regex(pattern: str) -> Any:
    """The pattern, compiled by RE2, which is imported here. Raises ValueError."""
    try:
        import re2  # noqa: PLC0415 -- in linear time, whatever the pattern; only where there is one
    except ModuleNotFoundError as error:
        raise ValueError("regular expressions need the extra, pip install 'sluice[jobs]'") from error
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 8 << 20
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise ValueError(f"no regular expression of RE2: {text}") from error


def found_in(pattern: Any) -> Callable[[str], bool]:
    """Whether there is a match anywhere."""
    search = pattern.search
    return lambda text: search(text) is not None


def extract(pattern: Any, group: int) -> Callable[[str], str | None]:
    """What the group of the first match is; None where there is no match."""
    search = pattern.search

    def found(text: str) -> str | None:
        match = search(text)
        return None if match is None else match[group]

    return found


def replace_all(pattern: Any, replacement: str) -> Callable[[str], str]:
    r"""Each match replaced; ``\1`` in the replacement is a group."""
    sub = pattern.sub

    def replaced(text: str) -> str:
        made: str = sub(replacement, text)
        if len(made) > TEXT_CHARS_MAX and len(made) > len(text):
            raise Unfit(f"the result has more than {TEXT_CHARS_MAX} characters")
        return made

    return replaced
