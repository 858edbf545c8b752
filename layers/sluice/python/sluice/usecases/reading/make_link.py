"""Mint a link to a finished file."""

from __future__ import annotations

from typing import NamedTuple

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef
from sluice.domain.limits import DAY_S
from sluice.domain.reading import dataset_facts
from sluice.domain.task import State, Task
from sluice.domain.task_errors import ended_error, failure_of, result_key_of
from sluice.ports.bundle import Ports
from sluice.ports.log_context import client_of_call
from sluice.tables.formats import filename_of
from sluice.usecases.reading.read_task import find_task

LIFE_S_MAX = 7 * DAY_S
"""No store signs a link for longer."""


class Link(NamedTuple):
    """Possession is access until ``expires_at``: never stored, never logged."""

    url: str
    expires_at: float


def make_link(ports: Ports, ref: TaskRef, life_s: float | None = None) -> Link:
    """A fresh link to exactly the file the row names, for ``life_s`` or as set, and no longer than the file is kept.

    Raises NOT_READY before the task is completed, EXPIRED after its
    retention, CANCELLED, for a failed task the code it failed with, and
    TASK_DAMAGED for a row that names no file of its own.
    """
    return link_to(ports, find_task(ports, ref), life_s)


def link_to(ports: Ports, task: Task, life_s: float | None = None) -> Link:
    """As ``make_link``, for a row that was just read."""
    now, facts = ports.clock.now(), dataset_facts(task)
    if task.state in {State.CANCELLED, State.EXPIRED}:
        raise ended_error(task)
    if task.state is State.FAILED:
        raise failure_of(task)
    if task.state is not State.COMPLETED:
        raise SluiceError(ErrorCode.NOT_READY, state=task.state.value, retry_after_s=2)
    if now >= task.expires_at:
        raise SluiceError(ErrorCode.EXPIRED)
    expires_at = min(now + min(life_s or ports.timings.link_s, LIFE_S_MAX), task.expires_at)
    url = ports.links.mint_link(
        result_key_of(task), filename=filename_of(task), expires_at=expires_at, task_id=task.task_id
    )
    ports.journal.record(
        Event.LINK_ISSUED,
        task_id=task.task_id,
        tenant=task.tenant,
        expires_at=expires_at,
        client=client_of_call() if facts else None,
        **facts,
    )
    return Link(url, expires_at)
