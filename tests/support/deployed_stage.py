"""Exports through a deployed stage from outside, and how soon each was finished."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, NamedTuple

import httpx

ROWS = [["1", "王伟"], ["20250314000000000123", "=1+1"]]
WAIT_S = 20


class Finished(NamedTuple):
    """One export of two rows."""

    task_id: str
    trigger_to_file_s: float
    """From the seal, when the manifest was put, to the file."""
    content: bytes


def export_many(url: str, api_key: str, count: int, *, at_once: int = 8, within_s: float = 600) -> list[Finished]:
    """Have ``count`` files made. Raises for one that fails, or is not there in time."""
    with (
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {api_key}"}, timeout=WAIT_S + 20) as client,
        ThreadPoolExecutor(at_once) as threads,
    ):
        return list(threads.map(lambda _: _export(client, within_s), range(count)))


def _export(client: httpx.Client, within_s: float) -> Finished:
    table = {"format": "csv", "filename": "bell.csv", "columns": [{"name": "id"}, {"name": "text"}]}
    task_id = _answer(client.post("/v1/exports", json=table))["task_id"]
    _answer(client.put(f"/v1/exports/{task_id}/batches/1", json=ROWS))
    _answer(client.post(f"/v1/exports/{task_id}/close", json={"batches": 1, "rows": len(ROWS)}))
    over = time.monotonic() + within_s
    while (task := _answer(client.get(f"/v1/exports/{task_id}", params={"wait": WAIT_S})))["state"] != "completed":
        assert task["state"] in {"sealed", "composing"}, task
        assert time.monotonic() < over, f"{task_id} is still {task['state']} after {within_s} s"
    link = _answer(client.get(f"/v1/exports/{task_id}/file", params={"redirect": "false"}))["url"]
    sealed, finished = (datetime.fromisoformat(task[name]) for name in ("sealed_at", "finished_at"))
    return Finished(task_id, (finished - sealed).total_seconds(), httpx.get(link).raise_for_status().content)


def _answer(answer: httpx.Response) -> Any:
    assert answer.is_success, f"{answer.status_code} {answer.text}"
    return answer.json()
