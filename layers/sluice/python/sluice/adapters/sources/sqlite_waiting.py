"""A connection to a SQLite file that can be interrupted while it waits for a writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from sluice.ports.pool import nothing

BUSY_STEP_S = 0.5
"""SQLite looks at no interruption while it waits for a lock: so it waits this long at a time."""


class PatientConnection(sqlite3.Connection):
    """Waits for a writer that has the whole file in steps, between which it can be interrupted."""

    steps = 1
    between_steps: Callable[[], object] = staticmethod(nothing)

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        for _ in range(self.steps - 1):
            self.between_steps()
            try:
                return super().execute(sql, parameters)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
        self.between_steps()
        return super().execute(sql, parameters)
