"""Successful answers: the task as JSON, with the headers that let a caller wait well."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from sluice.api.http.bodies.models import OpenedView
from sluice.api.http.operation import HttpCall, json_response
from sluice.api.task_view import TaskView, view_task
from sluice.domain.progress import eta_s
from sluice.domain.task import LIVE, Task

RETRY_S_MAX = 30


def task_response(
    call: HttpCall[Any],
    task: Task,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    stored: list[tuple[int, int]] | None = None,
) -> Response:
    """Answer with the task, its ``ETag``, and while it runs, or when it was just set going, when to ask again."""
    now = call.ports.clock.now()
    sent = {"ETag": etag_of(task), **(headers or {})}
    if task.state in LIVE or status == HTTPStatus.ACCEPTED:
        sent["Retry-After"] = str(max(1, min(eta_s(task, now) or 1, RETRY_S_MAX)))
    return json_response(shown(call, task, stored=stored), status, sent)


def shown(call: HttpCall[Any], task: Task, *, stored: list[tuple[int, int]] | None = None) -> TaskView:
    """The task as this caller sees it: with the paths that it may go."""
    view = view_task(task, call.ports.clock.now(), stored=stored)
    if call.watched is None or view.download_path is None:
        return view
    return msgspec.structs.replace(view, download_path=f"{call.watched}/file")


def opened_response(call: HttpCall[Any], task: Task, *, replayed: bool, stored: list[tuple[int, int]]) -> Response:
    """As ``created_response``, with the batches that need not be sent again."""
    answer = created_response(call, task, replayed=replayed)
    headers = {name: value for name, value in answer.headers.items() if name not in {"content-length", "content-type"}}
    return json_response(opened_view(call, task, stored=stored), answer.status_code, headers)


def opened_view(call: HttpCall[Any], task: Task, *, stored: list[tuple[int, int]]) -> OpenedView:
    """The task with its watch address, for who opened it."""
    view = msgspec.structs.asdict(view_task(task, call.ports.clock.now(), stored=stored))
    watches = call.resources.watches
    return OpenedView(**view, stored=stored, watch_url=watches.mint(task) if watches is not None else None)


def created_response(call: HttpCall[Any], task: Task, *, replayed: bool) -> Response:
    """Answer for a new task, or for the same one when the request was sent again."""
    headers = {"Location": task_path(task)}
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    return task_response(call, task, status=201, headers=headers)


def task_path(task: Task) -> str:
    return f"/v1/exports/{task.task_id}"


def etag_of(task: Task) -> str:
    """Weak: the estimate of the time left differs between two answers with the same tag."""
    return f'W/"{task.rev}"'


def is_known(request: Request, task: Task) -> bool:
    """Whether the caller has this revision of the task already."""
    return tag_matches(request.headers.get("if-none-match", ""), etag_of(task))


def tag_matches(header: str, etag: str) -> bool:
    """Compare weakly (RFC 9110, 8.8.3.2) with each tag of ``If-None-Match``."""
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return "*" in tags or etag.removeprefix("W/") in tags
