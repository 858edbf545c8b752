"""What counts as true or false in a boolean column."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

_TRUE, _FALSE = ("true", "1", "yes", "y", "t", "on"), ("false", "0", "no", "n", "f", "off")
_STANDARD = {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}


@dataclass(frozen=True, slots=True)
class BooleanWords:
    """The words of one boolean column; a declared pair comes first, then the usual words in any case.

    An empty cell is null, unless the pair itself has an empty word (``yes/``).
    """

    true: str
    false: str
    by_word: dict[str, bool]

    def read(self, text: str) -> bool | None:
        """The truth of ``text``; None when it is not one of the words."""
        return self.by_word.get(text.casefold())


@lru_cache(maxsize=256)  # a pair is a text of a sender: it may not be kept for ever
def boolean_words(pair: str) -> BooleanWords:
    """Read a column's ``format``: a pair such as ``yes/no``, true first, or nothing for ``true/false``.

    Raises ValueError when it is not two different words around one slash.
    """
    true, slash, false = pair.partition("/")
    if not pair:
        return BooleanWords("true", "false", _STANDARD)
    if not slash or "/" in false or true.casefold() == false.casefold():
        raise ValueError("not a pair of words")
    return BooleanWords(true, false, _STANDARD | {true.casefold(): True, false.casefold(): False})
