"""A log that is not read holds up no request, and what is lost is counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from sluice.app.settings.schema import Logging
from sluice.app.telemetry.log_lines import LINES_WAITING_MAX, open_lines
from sluice.domain.events import Event
from tests.support.fake_clock import FakeClock

CALLS = 400
"""Their lines are more than the 64 KiB that a pipe takes."""
WAIT_S = 60


class Stuck:
    """A stream that takes nothing until it is released."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.released = threading.Event()

    def write(self, line: str) -> None:
        assert self.released.wait(WAIT_S)
        self.lines.append(line)

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return False


def test_lines_beyond_those_that_may_wait_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Stuck()
    monkeypatch.setattr(sys, "stderr", stuck)
    with open_lines(Logging(), clock=FakeClock(), component="test", waits=False) as lines:
        for _ in range(LINES_WAITING_MAX + 50):
            lines.record(Event.TASK_CREATED)
        assert 49 <= lines.dropped <= 50  # the one that is being written may wait no more
        stuck.released.set()
    assert len(stuck.lines) + lines.dropped == LINES_WAITING_MAX + 50


@pytest.mark.slow
def test_a_service_whose_log_is_not_read_answers_on(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    command = [sys.executable, "-m", "sluice", "serve", "--data", str(tmp_path / "data"), "--ready-file", str(ready)]
    command += ["--grpc-port", "0", "--http-port", "0", "--metrics-port", "0"]
    reading, writing = os.pipe()
    env = {**os.environ, "SLUICE_LOGGING_LEVEL": "DEBUG"}
    with subprocess.Popen(command, stderr=writing, env=env) as process:
        os.close(writing)
        try:
            give_up_at = time.monotonic() + WAIT_S
            while not ready.exists():
                assert process.poll() is None
                assert time.monotonic() < give_up_at
                time.sleep(0.02)
            ports = json.loads(ready.read_bytes())
            url = f"http://127.0.0.1:{ports['http_port']}/v1/exports"
            with httpx.Client(verify=False, timeout=WAIT_S, trust_env=False) as client:
                opened = client.post(url, json={"format": "csv", "columns": [{"name": "a"}]}).json()["task_id"]
                for _ in range(CALLS):
                    assert client.get(f"{url}/{opened}").status_code == 200
        finally:
            process.terminate()
            process.wait(WAIT_S)
            os.close(reading)
