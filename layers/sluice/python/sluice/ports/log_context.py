"""What the current call is about, so that every log line it causes can say so, by ids that its caller may send.

Bound where it begins (an API call, an attempt, the sweep of a task) and read by the journal. Once the row of an
export is read there, ``note_export`` adds by which request and in which trace it was opened.
It lives in a context variable: it follows the thread or task that bound it,
not threads started meanwhile (run those in ``contextvars.copy_context()``).
In a generator, bind anew after each ``yield``: the caller's code runs in between.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from sluice.ports.clock import Randomness

_NOTHING: dict[str, str] = {}
"""Bound outside any block, and never written to."""
_context: ContextVar[dict[str, str]] = ContextVar("sluice_log_context", default=_NOTHING)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_TRACE_PARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


@contextmanager
def bound_context(
    *,
    task_id: str | None = None,
    session_id: str | None = None,
    trace_id: str | None = None,
    request_id: str | None = None,
    component: str | None = None,
    client: str | None = None,
    key_id: str | None = None,
) -> Iterator[None]:
    """Add what is given to the context of this block. What was bound around it stays, unless given again.

    ``client`` is the caller's address: in lines about callers that were not let in and about datasets, and in no
    others. ``key_id`` is that of its key, which the audit has.
    """
    given = {
        "task_id": task_id,
        "session_id": session_id,
        "trace_id": trace_id,
        "request_id": request_id,
        "component": component,
        "client": client,
        "key_id": key_id,
    }
    token = _context.set({**_context.get(), **{name: value for name, value in given.items() if value}})
    try:
        yield
    finally:
        _context.reset(token)


def note_export(task_id: str, *, opened_by: str, trace_parent: str) -> None:
    """Say which export the innermost block is about; does nothing outside any block.

    ``opened_by``, the id of the request that opened it, becomes the ``session_id``. A call keeps its own
    request and trace where it has them; any other work has those of the open.
    """
    bound = _context.get()
    if bound is _NOTHING:
        return
    noted = {
        "task_id": task_id,
        "session_id": opened_by,
        "request_id": opened_by,
        "trace_id": trace_id_of(trace_parent),
    }
    own = {name: bound[name] for name in ("request_id", "trace_id") if bound.get(name)}
    bound.update({name: value for name, value in noted.items() if value} | own)


def note_key(key_id: str) -> None:
    """Say with which key the call of the innermost block came; does nothing outside any block."""
    bound = _context.get()
    if bound is not _NOTHING:
        bound["key_id"] = key_id


def current_context() -> Mapping[str, str]:
    """Give what is bound here and now."""
    return _context.get()


def client_of_call() -> str | None:
    """The address of the caller, where it is known."""
    return _context.get().get("client")


def is_harmless_id(sent: str) -> bool:
    """Whether a caller's id may stand in logs, headers and rows as it is."""
    return _REQUEST_ID.fullmatch(sent) is not None


def choose_request_id(sent: str | None, randomness: Randomness) -> str:
    """The caller's own id if it is a harmless one, else a new one."""
    return sent if sent and is_harmless_id(sent) else randomness.bytes(10).hex()


def read_trace_parent(sent: str | None) -> str:
    """A W3C ``traceparent``; empty when there is none, or one that says nothing."""
    return sent if sent and _TRACE_PARENT.fullmatch(sent) else ""


def trace_id_of(trace_parent: str) -> str | None:
    """The trace that a well-formed ``traceparent`` belongs to."""
    match = _TRACE_PARENT.fullmatch(trace_parent)
    return match[1] if match else None
