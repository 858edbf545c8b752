"""What a log line may say of values and errors: nothing secret, nothing long, nothing that breaks a line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import PurePath
from traceback import walk_tb
from typing import NamedTuple

from sluice.domain.errors import Actor, ErrorCode, SluiceError
from sluice.ports.store_errors import StoreError

REDACTED = "[redacted]"

DEPTH_MAX = 4
"""How deep values stand in values."""

# Names of values that must not be logged whatever the value is. Sizes and counts of such things are not
# excepted: a name is cheap to change, and a rule with exceptions is one that is read wrongly.
_REDACTED_NAMES = re.compile(
    r"token|authorization|secret|signature|passw|credential|cookie|api_?key|access_?key|private_?key"
    r"|url|link|href|file_?name|header|^(?:cell|value|text|title|body|payload)s?$",
    re.IGNORECASE,
)

# Secrets that got into a text all the same. The last line of defence, not the first.
_SECRET_TEXT = re.compile(
    r"slc_[a-z2-7]+_\w+|\b(?:bearer|basic)\s+[\w.~+/=-]+|\b[a-z][a-z0-9+.-]{0,20}://\S+"
    r"|\b(?:signature|x-oss-[a-z-]+|(?:oss)?access_?key_?(?:id|secret)|security-?token|token|secret|password)"
    r"[\"']?\s*[=:]\s*\S+",
    re.IGNORECASE,
)

# Terminals and readers take these for line ends, commands or a change of direction. JSON leaves them as they are,
# but for the first, which other texts have.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]")


class Budget(NamedTuple):
    """How much of a value is kept; what is cut off is said."""

    chars: int
    items: int


def is_redacted(name: str) -> bool:
    """Whether a field of this name must not be logged."""
    return _REDACTED_NAMES.search(name) is not None


def redacted_fields(fields: Mapping[str, object], budget: Budget, *, depth: int = DEPTH_MAX) -> dict[str, object]:
    """Copy ``fields`` without those that must not be logged, the rest cut to ``budget`` and ``depth``."""
    allowed = {name: value for name, value in fields.items() if value is not None and not is_redacted(str(name))}
    kept = dict(list(allowed.items())[: budget.items])
    cleaned = {
        redacted_text(str(name), Budget(64, 0)): _clean(value, budget, depth - 1) for name, value in kept.items()
    }
    if len(kept) < len(allowed):
        cleaned["…"] = f"[{len(allowed)} fields]"
    return cleaned


def redacted_text(text: str, budget: Budget) -> str:
    """Copy ``text`` without secrets that have a known form, cut to ``budget``."""
    # Cut first: searching a text of any length would cost as much as it is long. A secret that is cut in two
    # is still found, since each form begins with what gives it away.
    head = text[: budget.chars].encode("utf-8", "backslashreplace").decode()
    cut = f"… [{len(text)} characters]" if len(text) > budget.chars else ""
    return _SECRET_TEXT.sub(REDACTED, head) + cut


def escape_unprintable(line: str) -> str:
    """Escape what JSON need not escape but a terminal would obey. ``line`` stays the same JSON value."""
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", line)


def _clean(value: object, budget: Budget, depth: int) -> object:
    match value:
        case None | bool() | float():
            return value
        case Enum():
            return _clean(value.value, budget, depth)
        case int():
            return value if abs(value) < 2**63 else str(value)[: budget.chars]
        case str():
            return redacted_text(value, budget)
        case bytes() | bytearray() | memoryview():
            return f"[{len(value)} bytes]"
        case _:
            return _clean_container(value, budget, depth)


def _clean_container(value: object, budget: Budget, depth: int) -> object:
    """Clean what holds other values; of any other object only its type is logged, its text could be anything."""
    budget = Budget(budget.chars, max(budget.items // 10, 2))  # so that nesting cannot multiply the work
    if depth > 0 and isinstance(value, Mapping):
        return redacted_fields(value, budget, depth=depth)
    if depth > 0 and isinstance(value, list | tuple | set | frozenset):
        items = [_clean(item, budget, depth - 1) for item in list(value)[: budget.items]]
        return items if len(value) <= budget.items else [*items, f"… [{len(value)} items]"]
    return f"[{type(value).__name__}]"


_CAUSES_MAX = 5
_STACK_FACTOR = 6
"""A stack may be this many times as long as another text."""


class RecordedError(Exception):
    """An error that another process has put into a log line, with the words it chose."""

    def __init__(self, code: str, message: str, stack: str | None) -> None:
        self.code = code
        self.message = message
        self.stack = stack
        super().__init__(message)


def error_entry(error: object, code: object, budget: Budget) -> dict[str, str | None] | None:
    """Describe an error by ``code``, ``message`` and ``stack``; None when there is none."""
    if not isinstance(error, BaseException):
        return None if code is None else {"code": redacted_text(str(code), budget), "message": None, "stack": None}
    stack = _stack(error)
    return {
        "code": redacted_text(str(code or code_of(error)), budget),
        "message": redacted_text(_message(error), budget),
        "stack": None if stack is None else redacted_text(stack, Budget(budget.chars * _STACK_FACTOR, budget.items)),
    }


def code_of(error: BaseException) -> str:
    """Give the code that stands for any error."""
    match error:
        case SluiceError():
            return error.code.value
        case RecordedError():
            return error.code
        case StoreError():
            return error.code_shown
        case _:
            return ErrorCode.INTERNAL.value


def _message(error: BaseException) -> str:
    """Say what our own errors say. Others may quote a cell, a path or a signed link: only their kind is logged."""
    match error:
        case SluiceError():
            return error.detail
        case RecordedError():
            return error.message
        case StoreError():
            return f"{type(error).__name__}: {error}"
        case OSError() if error.strerror:
            return f"{type(error).__name__}: {error.strerror}"
        case _ if type(error).__module__ == "sqlite3":  # these name tables and columns, never values
            return f"sqlite3.{type(error).__name__}: {error}"
        case _:
            return f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")


def _stack(error: BaseException) -> str | None:
    """List where the error came through, the innermost place last, and its causes. None when that helps no reader."""
    if isinstance(error, RecordedError):
        return error.stack
    if isinstance(error, SluiceError) and error.meaning.who is Actor.CLIENT:
        return None
    return "\n".join(_stack_lines(error)) or None


def _stack_lines(error: BaseException) -> Iterator[str]:
    cause: BaseException | None = error
    for _ in range(_CAUSES_MAX):
        if cause is None:
            return
        if cause is not error:
            yield f"caused by {_message(cause)}"
        for frame, line_number in walk_tb(cause.__traceback__):
            path = "/".join(PurePath(frame.f_code.co_filename).parts[-3:])  # the rest tells about the machine
            yield f"{path}:{line_number} {frame.f_code.co_qualname}"
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
