"""What both faces serve: the use cases' outside, and who may call."""

from __future__ import annotations

from dataclasses import dataclass

from sluice.api.auth import KeyRing, OpenRing, Principal, admit
from sluice.api.rate_limit import RateLimiter
from sluice.domain.api_key import Scope
from sluice.ports.bundle import Ports
from sluice.usecases.find_task import ParamsCache


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
