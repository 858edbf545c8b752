"""What was asked for when a task was opened; fixed for the task's life."""

from __future__ import annotations

import hashlib

import msgspec

from sluice.domain.columns import ColumnSpec
from sluice.domain.options import ExportFormat, ExportOptions


class ExportParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The parameters whose equality decides whether an idempotency key is replayed or reused."""

    format: ExportFormat
    filename: str
    """Already sanitised, with the format's extension."""
    columns: tuple[ColumnSpec, ...]
    options: ExportOptions = ExportOptions()
    expected_rows: int | None = None
    source_task: str = ""
    """The task whose chunks are rendered again; empty for a task with batches of its own."""
    source_created_at: float = 0
    """When that task was created: its files carry one time, so that rendering again gives the same bytes."""

    def encode(self) -> str:
        """Canonical JSON: equal parameters give equal text."""
        return msgspec.json.encode(self, order="deterministic").decode()

    @classmethod
    def decode(cls, text: str) -> ExportParams:
        return msgspec.json.decode(text, type=cls)

    def digest(self) -> str:
        """Hexadecimal SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.encode().encode()).hexdigest()
