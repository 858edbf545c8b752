"""What both APIs share: the ports, the parameters of tasks, and who is let in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import BoundedSemaphore

from sluice.api.auth import AccessControl, DecodingTurns, KeyRing, OpenRing, RateLimiter, Shares
from sluice.domain.dataset import Dataset
from sluice.domain.limits import KIB
from sluice.domain.task import Task
from sluice.ports.bundle import Ports
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.pulling.count_pulls import PreviewCounts
from sluice.usecases.running.find_jobs import NO_JOBS, Jobs

DECODED_MAX = 2
"""Batches that are decoded at a time, over both APIs together."""
DECODED_OF_TENANT_MAX = 1
"""Of one tenant, over both APIs together, where there are API keys: the others always have a turn."""
SMALL_BYTES = 64 * KIB
"""What is parsed without a turn, unless it has rows: a question about an export, or an open, waits for no batch."""
WAITING_MAX = 16
ROOM_POLL_S = 0.1
"""How often a call that waits looks whether there is room."""
LISTS_MAX = 40
"""Lists that are read at a time for callers of gRPC, each of which may read many rows for one page."""
SOURCES_MAX = 8
"""Calls that wait for a database at a time, for seconds each, over each API."""
SOURCE_QUEUE_MAX = 32
"""Those over gRPC, and those that wait for their turn: each holds all that it asks for, which may be megabytes."""
LISTS_OF_TENANT = 2
"""Of one tenant, over each API: an answer takes the processor for tens of milliseconds, and more would be no faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One per process, shared by gRPC and HTTP, so that both see the same callers and limits."""

    ports: Ports
    params_cache: ParamsCache
    access: AccessControl
    decoding: DecodingTurns = field(default_factory=lambda: DecodingTurns(DECODED_MAX, of_tenant=DECODED_OF_TENANT_MAX))
    """Decoding takes many times a body's size for a moment, and more threads would not make it faster."""

    admit_timeout_s: float = 0
    """How long an open waits for room in the queue, without a thread that another call needs."""
    waiting: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(WAITING_MAX))
    """Opens over gRPC that wait, a thread each; more are refused at once."""
    datasets: Callable[[], Mapping[str, Dataset]] = dict
    """The tables that users may have as files, by name, as they are defined now."""
    jobs: Jobs = NO_JOBS
    """Those that this process has, as their files say them now."""
    watch_url: Callable[[Task], str] | None = None
    """The address at which a browser watches an export; None where none are offered."""
    previews: PreviewCounts = field(default_factory=PreviewCounts)
    """Of each user and dataset, over both APIs of this process."""
    user_calls: RateLimiter
    """Calls of each user for datasets, of which every one is a line of the audit."""
    lists: Shares = field(default_factory=lambda: Shares(LISTS_MAX, share=LISTS_OF_TENANT / LISTS_MAX, what="lists"))
    """Lists over gRPC that are read."""
    sources: Shares = field(
        default_factory=lambda: Shares(
            SOURCES_MAX, share=LISTS_OF_TENANT / SOURCES_MAX, what="calls that wait for a database"
        )
    )
    """Calls over gRPC that wait for a database."""
    source_queue: Shares = field(
        default_factory=lambda: Shares(SOURCE_QUEUE_MAX, share=0.25, what="calls for datasets")
    )
    """The same, with those that wait for their turn."""

    @classmethod
    def over(
        cls,
        ports: Ports,
        ring: KeyRing | OpenRing,
        *,
        rate_per_s: float,
        burst: int,
        user_rate_per_s: float = 0,
        user_burst: int = 0,
        admit_timeout_s: float = 0,
        datasets: Callable[[], Mapping[str, Dataset]] = dict,
        jobs: Jobs = NO_JOBS,
        watch_url: Callable[[Task], str] | None = None,
    ) -> Service:
        """Build the service of a process; rates and bursts are those of ``RateLimiter``, of a tenant and of a user."""
        limiter = RateLimiter(clock=ports.clock, journal=ports.journal, per_s=rate_per_s, burst=burst)
        return cls(
            ports=ports,
            params_cache=ParamsCache(ports),
            access=AccessControl(ring, limiter, ports.journal),
            user_calls=RateLimiter(clock=ports.clock, journal=ports.journal, per_s=user_rate_per_s, burst=user_burst),
            admit_timeout_s=admit_timeout_s,
            datasets=datasets,
            jobs=jobs,
            watch_url=watch_url,
        )
