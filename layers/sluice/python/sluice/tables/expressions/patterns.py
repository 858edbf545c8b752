"""Patterns of ``like``, and regular expressions in linear time by RE2."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from sluice.tables.expressions.faults import TEXT_CHARS_MAX, Unfit

_REPLACEMENT = re.compile(r"(?:[^\\]|\\[0-9\\])*+")
_REPLACEMENT_GROUP = re.compile(r"\\(?:([0-9])|\\)")
_REPLACED_CHARS_MAX = 32 * 1024 * 1024
"""Of a text while its matches are replaced."""


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


def groups_of(replacement: str) -> list[int]:
    """The groups that a replacement asks for. Raises ValueError for a backslash before anything else."""
    if not _REPLACEMENT.fullmatch(replacement):
        raise ValueError("behind a backslash of a replacement stands the number of a group, or another backslash")
    return [int(digit) for digit in _REPLACEMENT_GROUP.findall(replacement) if digit]


def _writer_of(replacement: str) -> Callable[[Any], bytes]:
    """What a match is replaced by. The library's own templates know more than groups, as octal numbers."""
    pieces: list[bytes | int] = []
    end = 0
    for found in _REPLACEMENT_GROUP.finditer(replacement):
        pieces += [replacement[end : found.start()].encode(), int(found[1]) if found[1] else b"\\"]
        end = found.end()
    pieces.append(replacement[end:].encode())
    if not any(isinstance(piece, int) for piece in pieces):
        plain = b"".join(piece for piece in pieces if isinstance(piece, bytes))
        return lambda _: plain
    return lambda match: b"".join([(match[one] or b"") if isinstance(one, int) else one for one in pieces])


# Texts go in as UTF-8: the library would else work out for each match where it is in characters, for twice the time.


def found_in(pattern: Any) -> Callable[[str], bool]:
    """Whether there is a match anywhere."""
    search = pattern.search
    return lambda text: search(text.encode()) is not None


def extract(pattern: Any, group: int) -> Callable[[str], str | None]:
    """What the group of the first match is; None where there is no match."""
    search = pattern.search

    def found(text: str) -> str | None:
        match = search(text.encode())
        part: bytes | None = None if match is None else match[group]
        return None if part is None else part.decode()

    return found


def replace_all(pattern: Any, replacement: str) -> Callable[[str], str]:
    r"""Each match replaced; ``\1`` in the replacement is a group, ``\\`` a backslash."""
    sub, new, groups = pattern.sub, len(replacement.encode()), len(groups_of(replacement))
    write = _writer_of(replacement)

    def replaced(text: str) -> str:
        # There may be a match before each character; the same group of all matches is at most the text.
        if new * (len(text) + 1) + groups * len(text) > _REPLACED_CHARS_MAX:
            raise Unfit("is too long for this replacement")
        made: str = sub(write, text.encode()).decode()
        if len(made) > TEXT_CHARS_MAX and len(made) > len(text):
            raise Unfit(f"the result has more than {TEXT_CHARS_MAX} characters")
        return made

    return replaced
