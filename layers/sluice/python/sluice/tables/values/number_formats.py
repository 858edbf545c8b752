"""Excel number formats: which are well-formed, so that no workbook opens with a repair prompt."""

from __future__ import annotations

import re

DATE_FORMAT = "yyyy-mm-dd"
DATETIME_FORMAT = "yyyy-mm-dd hh:mm:ss"

_BRACKETED = (
    r"(?:h+|m+|s+|black|blue|cyan|green|magenta|red|white|yellow|color ?(?:[1-9]|[1-4][0-9]|5[0-6])"
    r"|(?:<|<=|>|>=|=|<>)-?[0-9]+(?:\.[0-9]+)?|\$[^\[\]\x00-\x1f]*|dbnum[0-9])"
)
_SECTION = (  # possessive, so that a hostile format costs one pass
    r'(?:"[^"\x00-\x1f]*"|[\\_*][^\x00-\x1f]'  # quoted, escaped, a blank as wide as, filled with
    rf"|\[{_BRACKETED}\]"
    r"|general|am/pm|a/p|上午/下午|e[+-]|[ymdhs0#?.,/@]|%(?![a-z])"
    r"|[-+$():!^&'~{}<>= ]"
    r"|[^\x00-\x9f\ufffe\uffff])*+"
)
_FORMAT = re.compile(rf"{_SECTION}(?:;{_SECTION}){{0,3}}", re.IGNORECASE)
_ELAPSED_SECONDS = re.compile(r"\[s+\]", re.IGNORECASE)
_FINE_SECONDS = re.compile(r"s\.0{4}", re.IGNORECASE)
_TOKEN = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]|上午/下午|(?P<foreign>[^\x00-\x7f]+)')


def is_number_format(code: str) -> bool:
    """Whether Excel understands ``code``; empty is the default format.

    A format of another language, such as ``Y-m-d H:i:s``, is refused rather
    than written into a file that Excel would offer to repair.
    """
    return _FORMAT.fullmatch(code) is not None


def is_too_fine(code: str) -> bool:
    """Whether ``code`` asks for more than three decimals of a second, which Excel does not show."""
    return _FINE_SECONDS.search(_TOKEN.sub(_bare, code)) is not None


def _bare(found: re.Match[str]) -> str:
    """Nothing for literal text, an ``s`` for elapsed seconds."""
    return "s" if _ELAPSED_SECONDS.fullmatch(found[0]) else "|"


def quote_foreign(code: str) -> str:
    """Put unquoted text that is not ASCII into quotes: ``yyyy年`` becomes ``yyyy"年"``."""
    return _TOKEN.sub(lambda found: f'"{found[0]}"' if found["foreign"] else found[0], code)
