"""A run of a job: a task whose rows a worker reads, and the tasks that deliver them, one for each output."""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec
from msgspec import Meta

from sluice.domain.keys import TASK_ID_BYTES, TaskId, TaskRef, TenantId, task_id_from_bytes
from sluice.domain.limits import Timings
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.target import TableTarget

ROWS = "rows"
"""The table of a run that has its rows."""
DIVERTED = "diverted"
"""The output that has the rows which were refused, with the reasons."""
OutputName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class Output(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the rows of a run become: a file, or rows of a table."""

    name: str
    picked: tuple[int, ...] = ()
    """Which of the run's columns it has, by index; none stands for all of them."""
    format: ExportFormat = ExportFormat.JSONL
    """Of a file; so ``filename`` and ``options``."""
    filename: str = ""
    options: ExportOptions = ExportOptions()
    kept_s: float = 0
    """How long a file is kept; 0 for as long as any."""
    target: TableTarget | None = None
    """The table; None for a file."""
    sheet: int = 0
    """Which of the run's tables it has: 1 for the rows that were refused."""


class RunRetry(msgspec.Struct, frozen=True, omit_defaults=True):
    """How often a run and its outputs are tried again; 0 leaves it to the service."""

    attempts: int = 0
    backoff_s: float = 0
    give_up_s: float = 0

    def applied(self, timings: Timings) -> Timings:
        """The timings of a task with this rule."""
        return msgspec.structs.replace(
            timings,
            attempts_max=self.attempts or timings.attempts_max,
            backoff_s=self.backoff_s or timings.backoff_s,
            outage_s=self.give_up_s or timings.outage_s,
        )


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of which job the rows are, and what they are delivered to once all of them are read. Fixed as it is planned."""

    job: str
    version: str
    """Digest of the job's file: a later one changes nothing for this run."""
    tick: str = ""
    """The time that it is the run of, as ISO 8601 with an offset; empty for one that was asked for."""
    asked: str = ""
    """Digest of the version, the parameters and the tick: what was asked for, by which the same is known again."""
    outputs: tuple[Output, ...]


def run_id_of(tenant: TenantId, job: str, tick: str) -> TaskId:
    """Of the run of a tick, the same for all schedulers; no idempotency key of a sender gives it."""
    return _derived(f"run\0{tenant}\0{job}\0{tick}")


def delivery_ref(run: TaskRef, output: str) -> TaskRef:
    """Names the task that delivers an output of a run."""
    return TaskRef(run.tenant, _derived(f"delivery\0{run.tenant}\0{run.task_id}\0{output}"))


def ledger_id(delivery: str, run_created_at: float) -> str:
    """Names a delivery in its target for all time: the run of a tick has the same id in every store that makes one."""
    return hashlib.sha256(f"{delivery} {run_created_at!r}".encode()).hexdigest()[:32]


def _derived(text: str) -> TaskId:
    return task_id_from_bytes(hashlib.sha256(text.encode()).digest()[:TASK_ID_BYTES])
