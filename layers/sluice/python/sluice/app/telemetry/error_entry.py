"""What a log line may say of an exception."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from traceback import walk_tb

from sluice.app.telemetry.redaction import Budget, redacted_text
from sluice.domain.errors import Actor, ErrorCode, SluiceError
from sluice.ports.store_errors import StoreError

_CAUSES_MAX = 5
_STACK_ROOM = 6
"""A stack may be this many times as long as another text."""


class RecordedError(Exception):
    """An error that another process has put into a log line, with the words it chose."""

    def __init__(self, code: str, message: str, stack: str | None) -> None:
        self.code = code
        self.message = message
        self.stack = stack
        super().__init__(message)


def error_entry(error: object, code: object, room: Budget) -> dict[str, str | None] | None:
    """Describe an error by ``code``, ``message`` and ``stack``; None when there is none."""
    if not isinstance(error, BaseException):
        return None if code is None else {"code": redacted_text(str(code), room), "message": None, "stack": None}
    stack = _stack(error)
    return {
        "code": redacted_text(str(code or code_of(error)), room),
        "message": redacted_text(_message(error), room),
        "stack": None if stack is None else redacted_text(stack, Budget(room.chars * _STACK_ROOM, room.items)),
    }


def code_of(error: BaseException) -> str:
    """Give the code that stands for any error."""
    match error:
        case SluiceError():
            return error.code.value
        case RecordedError():
            return error.code
        case StoreError():
            return ErrorCode.STORE_UNAVAILABLE.value
        case _:
            return ErrorCode.INTERNAL.value


def _message(error: BaseException) -> str:
    """Say what our own errors say. A foreign error may quote a cell, a path or a signed link: only its kind is told."""
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
    """List where the error came through, the innermost place last, and its causes. None when that helps nobody."""
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
            yield f"{_short_path(frame.f_code.co_filename)}:{line_number} {frame.f_code.co_qualname}"
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _short_path(file_name: str) -> str:
    """Cut the part of a path that tells about the machine."""
    return "/".join(PurePath(file_name).parts[-3:])
