"""What the service says of an export, and of what was sent and made for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sluice.client.answers import Answer
from sluice.client.errors import SluiceApiError

ENDED = frozenset({"completed", "failed", "cancelled", "expired"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """An export as it was when the service answered. Times are ISO 8601 in UTC."""

    task_id: str
    state: str
    """open, sealed, composing; completed, failed, cancelled, expired."""
    format: str | None = None
    filename: str | None = None
    rows_expected: int | None = None
    """As announced at the open, else as closed."""
    rows_received: int = 0
    rows_written: int = 0
    batches: int = 0
    sheets: Mapping[str, int | None] = field(default_factory=dict)
    """Rows of each declared sheet; None before the close."""
    progress_percent: float = 0.0
    """Of the way to the file; where the rows were announced, sending them is 75 of it."""
    eta_seconds: int | None = None
    file_size_bytes: int | None = None
    checksum_sha256: str | None = None
    error: Mapping[str, Any] | None = None
    """Why there is no file: ``code``, ``message``, ``who``, ``retryable``."""
    request_id: str | None = None
    """Of the request that opened it; the service's log has it as ``session_id``."""
    refusal: Mapping[str, Any] | None = None
    """Why the last stream of rows was refused, while the export is open: the members of ``error``, ``stored`` (the
    first and last of each run of stored batches) and ``open_until``."""
    attempts: int = 0
    attempt_error: Mapping[str, Any] | None = None
    """Why the last attempt failed, while the export is tried again: the members of ``error``."""
    created_at: str | None = None
    sealed_at: str | None = None
    finished_at: str | None = None
    expires_at: str | None = None
    warnings: Mapping[str, int] = field(default_factory=dict)
    """What the writer counted, by kind."""

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> Status:
        """Read an answer; members that this version does not know are left out. Raises UNEXPECTED_ANSWER."""
        answer = Answer({"warnings": [], "sheets": [], **task})
        warnings = {one.text("kind"): one.count("count") for one in answer.objects("warnings")}
        sheets = {one.text("name"): one.read("rows", int | None) for one in answer.objects("sheets")}
        answer |= {"task_id": answer["task_id"], "state": answer["state"], "warnings": warnings, "sheets": sheets}
        known = answer.read_fields(cls)
        for error in filter(None, map(known.get, ("error", "refusal", "attempt_error"))):
            Answer(error).text("code")
        return cls(**known)

    @property
    def failure(self) -> SluiceApiError | None:
        """Why the export has no file and never will; None while it may have one."""
        if self.state == "completed" or self.state not in ENDED:
            return None
        error = self.error or {"code": self.state.upper(), "message": f"The export is {self.state}."}
        return SluiceApiError(
            str(error["code"]),
            str(error.get("message") or error["code"]),
            facts={"task": self.task_id},
            retryable=error.get("retryable") is True,
            who=str(error.get("who") or ""),
        )


@dataclass(frozen=True, slots=True)
class Receipt:
    """The service has stored a batch."""

    sequence: int
    rows: int
    sha256: str
    """First half of the digest of the rows as they are stored."""
    replayed: bool
    """The service had the batch already."""

    @classmethod
    def of(cls, answer: Answer) -> Receipt:
        counts = answer.count("sequence"), answer.count("rows")
        return cls(*counts, answer.text("sha256"), answer.read("replayed", bool))


@dataclass(frozen=True, slots=True)
class Link:
    """Possession of the URL is access to the file until ``expires_at``."""

    url: str = field(repr=False)
    expires_at: str
