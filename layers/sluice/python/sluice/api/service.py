"""What both APIs share: the ports, who may call, and the ids that a call may carry."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sluice.api.auth import KeyRing, OpenRing, Principal, RateLimiter, admit
from sluice.domain.api_key import Scope
from sluice.ports.bundle import Ports
from sluice.ports.clock import Randomness
from sluice.usecases.params_cache import ParamsCache

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_TRACE_PARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One per process, shared by gRPC and HTTP, so that both see the same callers and limits."""

    ports: Ports
    params_cache: ParamsCache
    ring: KeyRing | OpenRing
    rate_limiter: RateLimiter

    @classmethod
    def over(cls, ports: Ports, ring: KeyRing | OpenRing, *, rate_per_s: float, burst: int) -> Service:
        """Build the service of a process; ``rate_per_s`` and ``burst`` are those of ``RateLimiter``."""
        limiter = RateLimiter(clock=ports.clock, journal=ports.journal, per_s=rate_per_s, burst=burst)
        return cls(ports=ports, params_cache=ParamsCache(ports), ring=ring, rate_limiter=limiter)

    def admit(self, authorization: str | None, scope: Scope) -> Principal:
        """Let a caller in for what needs ``scope``; raises as ``auth.admit``."""
        return admit(authorization, scope, ring=self.ring, limiter=self.rate_limiter, journal=self.ports.journal)


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
