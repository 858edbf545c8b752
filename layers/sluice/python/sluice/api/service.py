"""What both APIs share: the ports, the parameters of tasks, and who is let in."""

from __future__ import annotations

from dataclasses import dataclass

from sluice.api.auth import AccessControl, KeyRing, OpenRing, RateLimiter
from sluice.ports.bundle import Ports
from sluice.usecases.params_cache import ParamsCache


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One per process, shared by gRPC and HTTP, so that both see the same callers and limits."""

    ports: Ports
    params_cache: ParamsCache
    access: AccessControl

    @classmethod
    def over(cls, ports: Ports, ring: KeyRing | OpenRing, *, rate_per_s: float, burst: int) -> Service:
        """Build the service of a process; ``rate_per_s`` and ``burst`` are those of ``RateLimiter``."""
        limiter = RateLimiter(clock=ports.clock, journal=ports.journal, per_s=rate_per_s, burst=burst)
        return cls(ports=ports, params_cache=ParamsCache(ports), access=AccessControl(ring, limiter, ports.journal))
