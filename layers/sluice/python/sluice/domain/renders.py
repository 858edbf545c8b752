"""Which tasks make other files of one task's chunks, as its row lists them."""

from __future__ import annotations

from collections.abc import Mapping

from sluice.domain.keys import TaskId
from sluice.domain.lifecycle import Guard, Transition
from sluice.domain.task import State, Task

NEVER_MADE_S = 600.0
"""A render that has no row so long after it was listed was never made: its call was cut off."""


def is_kept(render: Task | None, *, since: float, now: float) -> bool:
    """Whether a render that was listed at ``since`` still holds something, or is about to."""
    if render is None:
        return now - since < NEVER_MADE_S
    return not render.deleted_at and render.state not in {State.CANCELLED, State.EXPIRED}


def list_render(source: Task, task_id: TaskId, kept: Mapping[str, float], *, now: float) -> Transition:
    """List one more render beside those that are ``kept``; ``rev`` keeps two at once from taking one place."""
    return Transition(
        guard=Guard(state=source.state, rev=source.rev, epoch=source.epoch),
        target=source.state,
        fields={"renders": {**kept, task_id: now}},
        is_mine=lambda row: task_id in row.renders,
    )
