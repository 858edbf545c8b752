"""A line in a terminal that says how far an export is."""

from __future__ import annotations

import sys
from typing import TextIO

from sluice.client.status import ENDED, Receipt, Status


class ProgressLine:
    """Give it to ``on_batch`` and to ``on_progress``. Writes nothing where ``stream`` is no terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._rows = 0

    def __call__(self, now: Receipt | Status) -> None:
        if isinstance(now, Receipt):
            self._rows += now.rows
            self._show(f"{self._rows:,} rows sent")
        elif now.state in ENDED:
            self._show(f"{now.state}, {now.rows_written:,} rows", end="\n")
        else:
            self._show(f"{now.state}, {now.progress_percent:.0f} %")

    def _show(self, text: str, *, end: str = "") -> None:
        if self._stream.isatty():
            shown = "".join(filter(str.isprintable, text))  # the state is the service's text
            self._stream.write(f"\r\x1b[K{shown}{end}")
            self._stream.flush()
