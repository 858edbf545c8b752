"""SIGKILL at random moments: every export ends with the file that an undisturbed service makes."""

from __future__ import annotations

import csv
import io
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from python_calamine import CalamineWorkbook

from sluice.client import Client, Export, SluiceApiError, Timeouts
from tests.support.running_service import QUICK, ServiceProcess

T = TypeVar("T")
EXPORTS = 30
BATCHES = 12
BATCH_ROWS = 400
PUSHERS = 6
ANSWERS = EXPORTS * (BATCHES + 2 + 3)
"""Calls that all exports make until they are completed: open, batches and two again, close, one wait."""
KILLS = 8
GIVE_UP_S = 100
COLUMNS = [{"name": "id", "type": "number"}, {"name": "text", "type": "string"}, {"name": "paid", "type": "boolean"}]


class MortalService:
    """A service that is killed and started again after so many answers; senders always find the one that lives.

    Answers decide when, not the clock, so there are as many kills on any machine. Chance decides at which answer.
    """

    def __init__(self, data: Path, seed: int) -> None:
        self._data = data
        self._chance = random.Random(seed)
        self._service = ServiceProcess(data, env=QUICK)
        self._kills_at = sorted(self._chance.sample(range(1, ANSWERS), KILLS), reverse=True)
        self._answers = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return self._service.url

    @property
    def kills_left(self) -> int:
        return len(self._kills_at)

    def answered(self) -> None:
        """Count an answer; the sender of the one that was drawn kills the service, whatever the others wait for."""
        with self._lock:
            self._answers += 1
            if self._kills_at and self._answers >= self._kills_at[-1]:
                self._kills_at.pop()
                self._service.kill(workers_too=self._chance.random() < 0.7)
                self._service = ServiceProcess(self._data, env=QUICK)

    def stop(self) -> None:
        assert self._service.stop() == 0


class StubbornSender:
    """Repeats every call at the service of the moment until it is answered; all of them are idempotent."""

    def __init__(self, service: MortalService) -> None:
        self._service = service

    def call(self, action: Callable[[Client], T]) -> T:
        give_up_at = time.monotonic() + GIVE_UP_S
        while time.monotonic() < give_up_at:
            with Client(self._service.url, timeouts=Timeouts(answer_s=10), retry_for_s=0) as client:
                try:
                    answer = action(client)
                except SluiceApiError as error:
                    if not error.retryable:
                        raise
                else:
                    self._service.answered()
                    return answer
            time.sleep(0.05)
        raise AssertionError(f"no answer in {GIVE_UP_S} s")

    def export(self, number: int) -> str:
        """Push one export with duplicates and out of order; returns its id once it is completed."""
        task_id = self.call(lambda client: self._open(client, number).id)
        order = [*range(1, BATCHES + 1), 1, BATCHES]
        random.Random(number).shuffle(order)
        for sequence in order:
            self._put(task_id, sequence, rows_of(number, sequence))
        self.call(lambda client: client.export(task_id).close(batches=BATCHES, rows=BATCHES * BATCH_ROWS))
        self.wait(task_id)
        return task_id

    def _open(self, client: Client, number: int) -> Export:
        return client.open(
            format=("xlsx", "csv")[number % 2],
            filename=f"export-{number}",
            columns=COLUMNS,
            idempotency_key=f"export-{number}",
        )

    def _put(self, task_id: str, sequence: int, rows: list[list[Any]]) -> None:
        self.call(lambda client: client.export(task_id).put(sequence, rows))

    def wait(self, task_id: str) -> None:
        self.call(lambda client: client.export(task_id).wait(2))

    def render(self, task_id: str) -> str:
        again = self.call(lambda client: client.export(task_id).render(options={"reuse": False}).id)
        self.wait(again)
        return again

    def file(self, task_id: str, folder: Path) -> bytes:
        self.call(lambda client: client.export(task_id).save_to(folder / task_id))
        return (folder / task_id).read_bytes()


def rows_of(number: int, sequence: int) -> list[list[Any]]:
    first = (sequence - 1) * BATCH_ROWS
    return [[first + row, f'export {number}, row {first + row}, =1+1 "é中"', row % 2 == 0] for row in range(BATCH_ROWS)]


def read_file(content: bytes, number: int) -> list[list[Any]]:
    """The rows below the header, as an independent reader finds them."""
    if number % 2 == 0:
        return CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python()[1:]
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))[1:]
    return [[float(number_text), text, paid == "true"] for number_text, text, paid in rows]


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_every_export_survives_a_service_that_is_killed_all_the_time(tmp_path: Path) -> None:
    service = MortalService(tmp_path / "data", seed=7)
    sender = StubbornSender(service)
    try:
        with ThreadPoolExecutor(PUSHERS) as pushers:
            task_ids = list(pushers.map(sender.export, range(EXPORTS)))
        assert service.kills_left == 0
        for number, task_id in enumerate(task_ids):
            disturbed = sender.file(task_id, tmp_path)
            expected = [row for sequence in range(1, BATCHES + 1) for row in rows_of(number, sequence)]
            assert read_file(disturbed, number) == expected
            assert disturbed == sender.file(sender.render(task_id), tmp_path)
    finally:
        service.stop()
