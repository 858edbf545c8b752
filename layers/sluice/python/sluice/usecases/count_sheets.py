"""How many rows each declared sheet of a sealed task has, kept in its row so that a status needs no claims."""

from __future__ import annotations

import msgspec

from sluice.domain.manifest import Manifest
from sluice.domain.params import ExportParams
from sluice.domain.task import Task


def spell_sheet_rows(params: ExportParams, manifest: Manifest) -> str:
    """What the seal writes; empty for a task of one table."""
    return msgspec.json.encode(manifest.sheet_rows(len(params.sheets))).decode() if params.sheets else ""


def sheet_rows_of(task: Task) -> dict[str, int | None]:
    """The rows of each declared sheet by its name, None before the seal; nothing for a task of one table."""
    sheets = task.read_params().sheets if task.params else ()
    known = msgspec.json.decode(task.sheet_rows, type=list[int]) if task.sheet_rows else [None] * len(sheets)
    return {sheet.name: rows for sheet, rows in zip(sheets, known, strict=True)}
