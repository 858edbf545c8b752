"""Where log lines go: a standard stream, or a file that is put aside when it is large."""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Lock
from typing import Protocol, TextIO

from sluice.app.settings.schema import Logging


class LogOutput(Protocol):
    """Takes whole lines from any thread."""

    def write(self, line: str) -> None: ...

    def close(self) -> None: ...


class StreamOutput:
    """Writes to a stream that somebody else opened and closes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = Lock()

    def write(self, line: str) -> None:
        """Write a line in one call, so that lines of several processes on one pipe stay whole if they are short."""
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Leave the stream open."""


class FileOutput:
    """Appends to a file and puts it aside as ``.1``, ``.2`` … when it is large. For one process alone."""

    def __init__(self, path: Path, *, rotate_bytes: int, rotated_files_max: int) -> None:
        # Only who logs to a file pays for these modules (2 MB).
        from logging import makeLogRecord  # noqa: PLC0415  # as above
        from logging.handlers import RotatingFileHandler  # noqa: PLC0415  # as above

        path.parent.mkdir(parents=True, exist_ok=True)
        self._make_record = makeLogRecord
        self._handler = RotatingFileHandler(
            path, maxBytes=rotate_bytes, backupCount=rotated_files_max, encoding="utf-8"
        )
        self._handler.handleError = _raise  # type: ignore[method-assign,assignment]  # the journal counts what is lost

    def write(self, line: str) -> None:
        self._handler.handle(self._make_record({"msg": line}))

    def close(self) -> None:
        self._handler.close()


def open_output(settings: Logging) -> LogOutput:
    """Open the output that the settings name. Raises OSError when it cannot be written."""
    if settings.output in {"stderr", "stdout"}:
        return StreamOutput(sys.stderr if settings.output == "stderr" else sys.stdout)
    return FileOutput(
        Path(settings.output), rotate_bytes=settings.rotate_bytes, rotated_files_max=settings.rotated_files_max
    )


def _raise(_record: object) -> None:
    raise  # noqa: PLE0704  # called by the handler while it handles the exception
