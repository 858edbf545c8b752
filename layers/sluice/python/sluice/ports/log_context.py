"""What the current call is about, so that every log line it causes can say so.

Bound at the edge (an API call, an attempt, a sweep) and read by the journal.
It lives in a context variable: it follows the thread or task that bound it,
not threads started meanwhile (run those in ``contextvars.copy_context()``).
In a generator, bind anew after each ``yield``: the caller's code runs in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

_NOTHING: Mapping[str, str] = MappingProxyType({})
_context: ContextVar[Mapping[str, str]] = ContextVar("sluice_log_context", default=_NOTHING)


@contextmanager
def bound_context(
    *,
    task_id: str | None = None,
    session_id: str | None = None,
    trace_id: str | None = None,
    request_id: str | None = None,
    component: str | None = None,
) -> Iterator[None]:
    """Add what is given to the context of this block. What was bound around it stays, unless given again."""
    given = {
        "task_id": task_id,
        "session_id": session_id,
        "trace_id": trace_id,
        "request_id": request_id,
        "component": component,
    }
    token = _context.set({**_context.get(), **{name: value for name, value in given.items() if value}})
    try:
        yield
    finally:
        _context.reset(token)


def current_context() -> Mapping[str, str]:
    """Give what is bound here and now."""
    return _context.get()
