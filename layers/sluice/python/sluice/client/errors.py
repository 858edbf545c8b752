"""The one error of the client: what the service answered, or why there was no answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

UNREACHABLE = "UNREACHABLE"
"""No answer: no connection, a time-out, an answer that was cut off."""
UNEXPECTED_ANSWER = "UNEXPECTED_ANSWER"
"""An answer that no Sluice service gives, such as a page of a proxy."""

_MEMBERS = {"type", "title", "status", "detail", "code", "who", "retryable", "request_id"}
"""The members of every problem document; the others are facts."""


class SluiceApiError(Exception):
    """A call that failed, or an export that has no file.

    ``code`` is one of the service's error codes, ``UNREACHABLE`` or
    ``UNEXPECTED_ANSWER``. The text never contains the API key, a link or a
    cell's value.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int | None = None,
        facts: Mapping[str, object] | None = None,
        retryable: bool = False,
        who: str = "",
        request_id: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.status = status
        """The HTTP status; None where there was no answer, and for an export that failed."""
        self.facts = dict(facts or {})
        """Where the error is: ``row``, ``column``, ``missing`` and so on."""
        self.retryable = retryable
        """Whether the same call may succeed later."""
        self.who = who
        """Who must act: client, platform or operator; empty where the service did not say."""
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        """How long the service asks to wait."""

    def __str__(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in self.facts.items())
        request = f" [request {self.request_id}]" if self.request_id else ""
        return f"{self.code}: {self.detail}{f' ({facts})' if facts else ''}{request}"


def problem_of(status: int, body: bytes, headers: Mapping[str, str]) -> SluiceApiError | None:
    """Read a problem document (RFC 9457) of the service; None where the body is something else."""
    try:
        problem: Any = json.loads(body)
        code, retryable = problem["code"], problem.get("retryable", False)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not isinstance(code, str) or not code:
        return None
    return SluiceApiError(
        code,
        str(problem.get("detail") or problem.get("title") or code),
        status=status,
        facts={name: value for name, value in problem.items() if name not in _MEMBERS},
        retryable=retryable is True,
        who=str(problem.get("who") or ""),
        request_id=str(problem.get("request_id") or ""),
        retry_after_s=retry_after_of(headers),
    )


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """The seconds of ``Retry-After``; a date there is not used."""
    text = headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdecimal() else None
