"""Ids that a caller may send along, so that both sides' logs and traces can be joined."""

from __future__ import annotations

import re

from sluice.ports.clock import Randomness

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_TRACE_PARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


def choose_request_id(sent: str | None, randomness: Randomness) -> str:
    """The caller's own id if it is a harmless one, else a new one."""
    return sent if sent and _REQUEST_ID.fullmatch(sent) else randomness.bytes(10).hex()


def read_trace_parent(sent: str | None) -> str:
    """A W3C ``traceparent``; empty when there is none, or one that says nothing."""
    return sent if sent and _TRACE_PARENT.fullmatch(sent) else ""


def trace_id_of(trace_parent: str) -> str | None:
    """The trace that a well-formed ``traceparent`` belongs to."""
    match = _TRACE_PARENT.fullmatch(trace_parent)
    return match[1] if match else None
