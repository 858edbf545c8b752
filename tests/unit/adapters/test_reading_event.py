"""Who is asked for a reader of tables, and what it is told: which task, and nothing else."""

from __future__ import annotations

import json

import pytest

from sluice.adapters.aliyun.function_compute.reading_event import (
    ReadersAndComposers,
    ReadingEvents,
    read_reading_event,
)
from sluice.domain.keys import ManifestRef, TaskId, TaskRef, TenantId

REF = TaskRef(TenantId("acme"), TaskId("2bcdefghijklmnopqrstuvwxyz"))


class Heard:
    """Implements ``Invoker``: notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[ManifestRef, int]] = []

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:
        self.asked.append((manifest, epoch))


def test_the_event_has_the_ids_of_the_task_alone_and_is_read_back() -> None:
    event = ReadingEvents().event(ManifestRef(REF, ""), at=1_700_000_000)
    assert json.loads(event) == {"tenant": "acme", "task_id": REF.task_id}
    assert read_reading_event(event) == REF


@pytest.mark.parametrize(
    "event",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"tenant": "acme"}',
        b'{"tenant": 1, "task_id": "2bcdefghijklmnopqrstuvwxyz"}',
        b'{"tenant": "../acme", "task_id": "2bcdefghijklmnopqrstuvwxyz"}',
        b'{"tenant": "acme", "task_id": "2bcdefghijklmnopqrstuvwxyz/"}',
        b'{"tenant": "acme", "task_id": "short"}',
        b'{"events": [{"oss": {"object": {"key": "in/v1/x"}}}]}',
        b"[" * 100_000,
    ],
)
def test_whatever_else_comes_is_no_such_event(event: bytes) -> None:
    assert read_reading_event(event) is None


def test_rows_that_are_still_to_be_read_are_asked_of_readers_and_files_of_composers() -> None:
    readers, composers = Heard(), Heard()
    invoker = ReadersAndComposers(readers=readers, composers=composers)
    invoker.invoke(ManifestRef(REF, ""), epoch=1)
    invoker.invoke(ManifestRef(REF, "0" * 32), epoch=2)
    assert readers.asked == [(ManifestRef(REF, ""), 1)]
    assert composers.asked == [(ManifestRef(REF, "0" * 32), 2)]
