"""The service under demonstration: a real `sluice serve` process, watched through its log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sluice.adapters.system_clock import SystemClock
from sluice.adapters.workers.process import module_command

CLOCK = SystemClock()
START_S = 60
STOP_S = 60


class WatchedService:
    """A running service and its log."""

    def __init__(self, process: subprocess.Popen[bytes], ports: dict[str, int], log: Path) -> None:
        self._process = process
        self._log = log
        self.http_port = ports["http_port"]
        self.grpc_port = ports["grpc_port"]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines with this event, oldest first."""
        with self._log.open(encoding="utf-8") as lines:
            entries = (json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n"))
            return [entry for entry in entries if entry["event"] == name]

    def kill_workers(self) -> None:
        """Kill all workers, whatever they do."""
        for started in self.events("WorkerStarted"):
            with suppress(ProcessLookupError):
                os.kill(int(started["fields"]["pid"]), signal.SIGKILL)

    def kill_composer(self) -> bool:
        """Kill the composer that was started last, as a machine short of memory would."""
        started = self.events("WorkerStarted")
        if not started:
            return False
        os.kill(int(started[-1]["fields"]["pid"]), signal.SIGKILL)
        return True


@contextmanager
def watched_service(
    folder: Path, *, definitions: Path | None = None, variables: Mapping[str, str] | None = None
) -> Iterator[WatchedService]:
    """Start the service over ``folder``/data on free ports; stop it when the context ends.

    It offers the datasets of ``definitions``, and has the environment ``variables``, or that of this process.
    """
    ready, log = folder / "ready.json", folder / "service.log"
    command = [*module_command("sluice"), "serve", "--data", str(folder / "data"), "--ready-file", str(ready)]
    command += ["--grpc-port", "0", "--http-port", "0", "--metrics-port", "0"]
    config = folder / "config.yaml"
    config.write_text("logging: {level: DEBUG}\n", encoding="utf-8")
    command += ["--config", str(config)]
    if definitions is not None:
        command += ["--definitions", str(definitions)]
    ready.unlink(missing_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own program
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=variables
        )
    try:
        yield WatchedService(process, _ports(process, ready, log), log)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ports(process: subprocess.Popen[bytes], ready: Path, log: Path) -> dict[str, int]:
    give_up_at = CLOCK.monotonic() + START_S
    while not ready.exists():
        if process.poll() is not None or CLOCK.monotonic() > give_up_at:
            raise RuntimeError(f"the service did not start:\n{log.read_text(encoding='utf-8')}")
        CLOCK.sleep(0.02)
    return dict(json.loads(ready.read_bytes()))
