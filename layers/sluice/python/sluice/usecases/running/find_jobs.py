"""The jobs that a service has, as it has them now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.job import Job, ParameterValue
from sluice.domain.keys import TenantId
from sluice.domain.suggestion import did_you_mean
from sluice.ports.bundle import Ports

if TYPE_CHECKING:
    from sluice.usecases.running.plan_run import PlannedRun


class PlansRun(Protocol):
    def __call__(self, ports: Ports, given: Mapping[str, ParameterValue], tick: datetime | None) -> PlannedRun:
        """As ``plan_run``. Raises ``DefinitionsError`` with every mistake, and ``SourceUnavailable``."""


class KnownJob(NamedTuple):
    """A job as its file says it now."""

    job: Job
    version: str
    """Digest of all that it says."""
    plan: PlansRun


class Jobs(NamedTuple):
    """What a process knows of jobs."""

    current: Callable[[], Mapping[str, KnownJob]]
    """By name, as they are now."""
    schema: Callable[[], dict[str, Any]]
    """JSON Schema of a job's file."""

    def of(self, tenant: TenantId) -> dict[str, KnownJob]:
        """Those of a tenant, by name."""
        return {name: known for name, known in sorted(self.current().items()) if known.job.tenant == tenant}

    def find(self, tenant: TenantId, name: str) -> KnownJob:
        """Raises JOB_NOT_FOUND, also for a job of another tenant."""
        found = self.of(tenant)
        if name not in found:
            raise SluiceError(ErrorCode.JOB_NOT_FOUND, f"There is no such job{did_you_mean(name, found)}.")
        return found[name]


def no_jobs() -> Mapping[str, KnownJob]:
    """Say that this process has none."""
    return {}


def no_schema() -> dict[str, Any]:
    """Say that this process reads no files of jobs."""
    raise SluiceError(ErrorCode.JOB_NOT_FOUND, "This service has no definitions, so no jobs.")


NO_JOBS = Jobs(no_jobs, no_schema)
